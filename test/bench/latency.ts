import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import { Bed, type BedOptions, type Stages, writeDocument } from "./bed.ts";
import type { BenchPrinter } from "./printer.ts";
import { writtenBytes } from "./proc.ts";
import { within } from "./processes.ts";
import { median, round, type Spread, spread } from "./statistics.ts";

const DOCUMENT_BYTES = 100_000;
const WARM_UP = 20;
/** Pairs of taps between two refills of held jobs. */
const BATCH = 20;
/** Between a tap's end and the next tap, in ms, so that nothing of the one is measured with the other. */
const REST_MS = 15;

export interface Latency {
  readonly tapToFirstByteMs: Spread;
  readonly floorMs: Spread;
  readonly ratioP50: number;
  readonly writtenBytesPerRelease: number;
  readonly taps: number;
  /** The median of each stage, as agent and floor see it. */
  readonly stagesMs: { readonly agent: Stages; readonly floor: Stages };
}

type Common = Pick<BedOptions, "folder" | "bundle" | "printer" | "nodeOptions">;

/** Agent and floor in turn, one tap at a time, one held job for each, so that what drifts drifts for both. */
export async function measureLatency(common: Common, taps: number): Promise<Latency> {
  const { folder, printer } = common;
  const bed = await Bed.start({ ...common, folder: join(folder, "a"), cards: 2 * BATCH, withFloor: true });
  try {
    const file = join(bed.folder, "document");
    await writeDocument(file, DOCUMENT_BYTES);
    const agentMs: number[] = [];
    const floorMs: number[] = [];
    const stages: Stages[] = [];
    let written = 0;
    for (let done = -WARM_UP; done < taps; done += BATCH) {
      await bed.hold(file, ...Array.from({ length: 2 * BATCH }, (_, card) => card));
      await rest(200);
      for (let pair = 0; pair < BATCH; pair++) {
        const agent = async () => {
          const before = writtenBytes(bed.agent.pid);
          const ms = await firstByte(bed, printer, () => bed.tap(pair));
          if (done < 0) return;
          agentMs.push(ms);
          written += writtenBytes(bed.agent.pid) - before;
        };
        const floor = async () => {
          const ms = await firstByte(bed, printer, () => bed.tapFloor(BATCH + pair));
          if (done >= 0) floorMs.push(ms);
        };
        for (const measure of pair % 2 === 0 ? [agent, floor] : [floor, agent]) await measure();
      }
      if (done >= 0) stages.push(...(await bed.stages(BATCH)));
    }
    return {
      tapToFirstByteMs: spread(agentMs),
      floorMs: spread(floorMs),
      ratioP50: round(median(agentMs) / median(floorMs)),
      writtenBytesPerRelease: Math.round(written / agentMs.length),
      taps: agentMs.length,
      stagesMs: { agent: medians(stages), floor: medians(bed.floorStages.slice(WARM_UP)) },
    };
  } finally {
    await bed.stop();
  }
}

export interface AddedRoundTrip {
  readonly d20: number;
  readonly d50: number;
}

/** What d ms more in each answer of the central server add to the median, in ms: three sites in turn, 0, 20 and 50 ms. */
export async function measureAddedRoundTrip(common: Common, taps: number): Promise<AddedRoundTrip> {
  const beds: Bed[] = [];
  try {
    for (const delayMs of [0, 20, 50]) {
      beds.push(await Bed.start({ ...common, folder: join(common.folder, `d${delayMs}`), cards: BATCH, delayMs }));
    }
    const times = beds.map((): number[] => []);
    for (let done = -BATCH; done < taps; done += BATCH) {
      for (const bed of beds) {
        const file = join(bed.folder, "document");
        await writeDocument(file, DOCUMENT_BYTES);
        await bed.hold(file, ...Array.from({ length: BATCH }, (_, card) => card));
      }
      await rest(200);
      for (let card = 0; card < BATCH; card++) {
        for (const [index, bed] of beds.entries()) {
          const ms = await firstByte(bed, common.printer, () => bed.tap(card));
          if (done >= 0) times[index]?.push(ms);
        }
      }
    }
    const [none = 0, d20 = 0, d50 = 0] = times.map(median);
    return { d20: round(d20 - none), d50: round(d50 - none) };
  } finally {
    for (const bed of beds) await bed.stop();
  }
}

/** From the tap to the first document byte at the printer; resolves when the server knows that it printed. */
async function firstByte(bed: Bed, printer: BenchPrinter, tap: () => number): Promise<number> {
  const { whole } = printer.expect();
  const printed = bed.outcomes(bed.printed + 1);
  const tappedAt = tap();
  const { firstByteAt, size } = await within(10_000, "a document", whole);
  if (size !== DOCUMENT_BYTES) throw new Error(`${size} octets were printed instead of ${DOCUMENT_BYTES}`);
  await printed;
  await rest(REST_MS);
  return firstByteAt - tappedAt;
}

/** The median of each stage. */
function medians(taps: readonly Stages[]): Stages {
  const names = Object.keys(taps.at(-1) ?? {});
  return Object.fromEntries(names.map((name) => [name, round(median(taps.flatMap((tap) => tap[name] ?? [])))]));
}
