import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import { Bed, type BedOptions, writeDocument } from "./bed.ts";
import { cpuMs, memoryMiB, writtenBytes } from "./proc.ts";
import { AgentProcess } from "./processes.ts";
import { median, round } from "./statistics.ts";

type Common = Pick<BedOptions, "folder" | "bundle" | "printer" | "nodeOptions">;

export interface Resident {
  readonly rssMiB: { readonly idle: number; readonly afterTaps: number; readonly afterTwice: number };
  readonly idle: { readonly cpuPercent: number; readonly writtenBytes: number; readonly seconds: number };
  readonly tapsPerSecond: number;
}

/** Of 200 taps these print; the others find nothing, every fifth of them with a card that nobody has. */
const [BLOCK, PRINTING] = [200, 10];
/** Taps on their way at once; above its own limit the agent refuses them. */
const WINDOW = 4;
const SMALL_BYTES = 20_000;

export async function measureResident(common: Common, taps: number, idleSeconds: number): Promise<Resident> {
  const bed = await Bed.start({ ...common, folder: join(common.folder, "r"), cards: PRINTING + 1, readers: 4 });
  try {
    const { pid } = bed.agent;
    await rest(idleSeconds * 250);
    const before = { cpu: cpuMs(pid), written: writtenBytes(pid), at: performance.now() };
    await rest(idleSeconds * 1000);
    const idle = {
      cpuPercent: round((100 * (cpuMs(pid) - before.cpu)) / (performance.now() - before.at)),
      writtenBytes: writtenBytes(pid) - before.written,
      seconds: idleSeconds,
    };
    const resident = [memoryMiB(pid).resident];
    const file = join(bed.folder, "document");
    await writeDocument(file, SMALL_BYTES);
    let tappingMs = 0;
    for (let round = 0; round < 2; round++) {
      for (let done = 0; done < taps; done += BLOCK) tappingMs += await tapBlock(bed, file);
      await rest(2000);
      resident.push(memoryMiB(pid).resident);
    }
    const [idleMiB = 0, afterTaps = 0, afterTwice = 0] = resident.map(round);
    return {
      rssMiB: { idle: idleMiB, afterTaps, afterTwice },
      idle,
      tapsPerSecond: Math.round((2 * taps * 1000) / tappingMs),
    };
  } finally {
    await bed.stop();
  }
}

/** As fast as the agent takes them; how long it took, in ms. */
async function tapBlock(bed: Bed, file: string): Promise<number> {
  await bed.hold(file, ...Array.from({ length: PRINTING }, (_, card) => card));
  const printed = bed.outcomes(bed.printed + PRINTING);
  const [startedAt, answeredBefore] = [performance.now(), bed.answeredTaps];
  for (let tap = 0; tap < BLOCK; tap++) {
    await bed.answered(answeredBefore + tap + 1 - WINDOW);
    // The cards behind the printing ones: one whose holder has no job, and one that nobody has.
    const prints = tap % (BLOCK / PRINTING) === 0;
    bed.tap(prints ? tap / (BLOCK / PRINTING) : tap % 5 === 1 ? PRINTING + 1 : PRINTING);
  }
  await bed.answered(answeredBefore + BLOCK);
  await printed;
  return performance.now() - startedAt;
}

/** From the spawn of the process to its line "ready", in ms; the median. */
export async function measureStart(common: Common, starts: number): Promise<number> {
  const bed = await Bed.start({ ...common, folder: join(common.folder, "s"), cards: 0 });
  try {
    await bed.agent.stop();
    const times: number[] = [];
    for (let start = 0; start < starts; start++) {
      const agent = await AgentProcess.start(common.bundle, bed.config);
      times.push(agent.startMs);
      await agent.stop();
    }
    return round(median(times));
  } finally {
    await bed.stop();
  }
}
