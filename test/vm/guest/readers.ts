/**
 * The agent's readers as the agent opens them, with what they deliver printed, one JSON value a line: the real drivers,
 * transports and sessions, without a central server or printer behind them. Settings come as the first argument.
 */
import { systemClock } from "../../../drivers/clock.ts";
import type { Log } from "../../../drivers/log.ts";
import type { Read, Reader } from "../../../drivers/reader.ts";
import { openReader, type ReaderSettings } from "../../../drivers/readers/open-reader.ts";

/** What the program prints. Its cards are the test's own, so that they may be printed. */
export type ReaderEvent =
  /** Characters, or the number of bits and their bytes in hex. */
  | { readonly reader: string; readonly read: string }
  | { readonly reader: string; readonly keys: string }
  | {
      readonly reader: string;
      readonly status: string;
      readonly code?: string;
      readonly detail?: string;
      /** Monotonic ms of the guest. */
      readonly at: number;
    }
  | { readonly reader: string; readonly counters: Readonly<Record<string, number>> };

function print(event: ReaderEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

const log: Log = {
  debug() {},
  info() {},
  warn: (fields, message) => void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  error: (fields, message) => void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  child: () => log,
};

function textOf(read: Read): string {
  return read.kind === "text" ? read.text : `${read.bitLength} ${Buffer.from(read.bytes).toString("hex")}`;
}

const settings = JSON.parse(process.argv[2] ?? "[]") as ReaderSettings[];
const readers: Reader[] = [];
for (const one of settings) {
  const reader = await openReader(one, { clock: systemClock, log, random: Math.random });
  readers.push(reader);
  reader.start({
    read: (read) => print({ reader: one.name, read: textOf(read) }),
    keys: (keys) => print({ reader: one.name, keys }),
    state: ({ status, error }) =>
      print(
        error === undefined
          ? { reader: one.name, status, at: systemClock.monotonic() }
          : { reader: one.name, status, code: error.code, detail: error.detail, at: systemClock.monotonic() },
      ),
  });
}

process.once("SIGTERM", () => {
  void Promise.all(readers.map((reader) => reader.stop())).then(() => {
    for (const { name, counters } of readers) print({ reader: name, counters });
    clearInterval(keepAlive);
  });
});

// Waits for devices that may never come: nothing else keeps the process alive.
const keepAlive = setInterval(() => {}, 2 ** 30);
