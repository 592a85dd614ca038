import type { ReaderState } from "../../drivers/reader.ts";
import { type Counts, type DiskUse, writtenBytes } from "./status.ts";
import type { Vital } from "./watchdog.ts";

const MINUTE_MS = 60_000;

/** What the watchdog looks at, as the parts tell it. */
export interface Parts {
  readonly central: { readonly counters: Counts };
  readonly ledger: { readonly writes: { readonly begun: number; readonly ended: number } };
  readonly readers: Iterable<readonly [name: string, { readonly state: ReaderState; readonly counters: Counts }]>;
  readonly printers: Iterable<readonly [name: string, { readonly counters: Counts }]>;
  readonly executors: ReadonlyMap<string, { readonly depth: number; readonly counters: Counts }>;
}

/** Pure: each part's sign of life. Each limit is more than the longest time for which the part may rightly be silent. */
export function vitalsOf({ central, ledger, readers, printers, executors }: Parts): Vital[] {
  const { begun, ended } = ledger.writes;
  return [
    // Both warm lines are asked each 25 s, and after an error within a minute (Retry-After is capped at that).
    { part: "central server", busy: true, mark: mark(central.counters), limitMs: 5 * MINUTE_MS },
    // An SD card may take seconds for one fsync.
    { part: "ledger", busy: begun > ended, mark: String(ended), limitMs: 2 * MINUTE_MS },
    ...[...readers].map(([name, { state, counters }]) => {
      // Ready, absent and failed are told or waited for; opening has deadlines of seconds.
      const busy = state.status === "opening";
      return { part: `reader ${name}`, busy, mark: `${state.since} ${mark(counters)}`, limitMs: 2 * MINUTE_MS };
    }),
    ...[...printers].map(([name, { counters }]) => {
      const executor = executors.get(name);
      // Each request and each piece of a document counts; a printer that is silent is given up after 10 minutes.
      const counts = mark({ ...executor?.counters, ...counters });
      return { part: `printer ${name}`, busy: (executor?.depth ?? 0) > 0, mark: counts, limitMs: 15 * MINUTE_MS };
    }),
  ];
}

function mark(counters: Counts): string {
  return Object.values(counters).join(" ");
}

/** How a release may end: the names of its counters. */
const WORDS = ["printed", "not printed", "unknown"] as const;

/** Pure: what was written since the start, from the two texts of /proc/self/io. */
export function diskUse(
  before: string | undefined,
  now: string | undefined,
  parts: Pick<Parts, "executors">,
): DiskUse | undefined {
  const [first, last] = [before, now].map((io) => (io === undefined ? undefined : writtenBytes(io)));
  if (first === undefined || last === undefined) return undefined;
  const ends = [...parts.executors.values()].flatMap(({ counters }) => WORDS.map((word) => counters[word] ?? 0));
  return { writtenBytes: last - first, releases: ends.reduce((sum, one) => sum + one, 0) };
}
