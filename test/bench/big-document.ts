import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import { cardToken } from "../../agent/cards/token.ts";
import { Bed, type BedOptions, cardOf, writeDocument } from "./bed.ts";
import type { PipeReady, PipeSettings } from "./pipe.ts";
import type { Arrival } from "./printer.ts";
import { memoryMiB, resetPeak } from "./proc.ts";
import { Script, within } from "./processes.ts";
import { median, round } from "./statistics.ts";

export interface BigDocument {
  /** The bare pipe's time divided by the agent's: the agent's share of its throughput. */
  readonly ratio: number;
  /** Of the agent's resident memory, from before the document to its peak; the most of all runs. */
  readonly rssGrowthMiB: number;
  readonly mebibytes: number;
  readonly agentMiBPerS: number;
  readonly pipeMiBPerS: number;
}

const TRANSFER_MS = 120_000;

/** A document far above the RAM spool, by turns through the agent and through a bare pipe. */
export async function measureBigDocument(
  common: Pick<BedOptions, "folder" | "bundle" | "printer" | "nodeOptions">,
  mebibytes: number,
  runs: number,
): Promise<BigDocument> {
  const { folder, printer } = common;
  const bed = await Bed.start({ ...common, folder: join(folder, "b"), cards: 2 });
  try {
    const [small, big] = [join(bed.folder, "small"), join(bed.folder, "big")];
    await writeDocument(small, 100_000);
    await writeDocument(big, mebibytes * 2 ** 20);
    const times = { agent: [] as number[], pipe: [] as number[] };
    const growth: number[] = [];
    const agent = async (file: string): Promise<Arrival & { tappedAt: number }> => {
      await bed.hold(file, 0);
      await rest(1000);
      const { whole } = printer.expect();
      const printed = bed.outcomes(bed.printed + 1);
      const tappedAt = bed.tap(0);
      const arrival = await within(TRANSFER_MS, "the agent's transfer", whole);
      await printed;
      return { ...arrival, tappedAt };
    };
    // An agent that has printed before is what stands beside a printer.
    for (let i = 0; i < 10; i++) await agent(small);
    for (let run = 0; run < runs; run++) {
      const before = memoryMiB(bed.agent.pid).resident;
      resetPeak(bed.agent.pid);
      const through = await agent(big);
      growth.push(memoryMiB(bed.agent.pid).peak - before);
      times.agent.push(through.lastByteAt - through.tappedAt);

      await bed.hold(big, 1);
      await rest(1000);
      const pipe = await pipeOf(bed, printer.port);
      try {
        const { whole } = printer.expect();
        const startedAt = performance.now();
        pipe.go();
        const piped = await within(TRANSFER_MS, "the bare pipe", whole);
        times.pipe.push(piped.lastByteAt - startedAt);
        if (piped.size !== through.size) throw new Error(`${through.size} octets by the agent, ${piped.size} piped`);
      } finally {
        await pipe.stop();
      }
    }
    const perSecond = (ms: readonly number[]) => Math.round((mebibytes * 1000) / median(ms));
    return {
      ratio: round(median(times.pipe) / median(times.agent)),
      rssGrowthMiB: round(Math.max(...growth)),
      mebibytes,
      agentMiBPerS: perSecond(times.agent),
      pipeMiBPerS: perSecond(times.pipe),
    };
  } finally {
    await bed.stop();
  }
}

/** A fresh pipe for each run, whose document is claimed already. */
function pipeOf({ bare }: Bed, printerPort: number): Promise<Script<PipeReady>> {
  return Script.start<PipeReady>("pipe.ts", {
    ...{ url: bare.url, tls: bare.tls, printerPort },
    token: cardToken(Buffer.from(bare.cardKey, "base64url"), cardOf(1)),
  } satisfies PipeSettings);
}
