import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import { controlSocketPath, type ShownPolicy } from "../../agent/agent.ts";
import { askPolicy } from "../../agent/health/control-socket.ts";
import { PolicySettings } from "../../agent/protocol/policy.ts";
import { Bed, type BedOptions } from "./bed.ts";
import { type Spread, spread } from "./statistics.ts";

type Common = Pick<BedOptions, "folder" | "bundle" | "printer" | "nodeOptions">;

const LOOK_MS = 2;
const LONGEST_MS = 10_000;

/** From the beginning of a publication, beside the running server as the command does it, to an agent that obeys it. */
export async function measurePolicy(common: Common, times: number): Promise<Spread> {
  const bed = await Bed.start({ ...common, folder: join(common.folder, "policy"), cards: 1 });
  try {
    const version = async () => {
      const shown = (await askPolicy(controlSocketPath(bed.stateDir))) as ShownPolicy;
      return shown.summary.news === "pushed" ? shown.summary.version : undefined;
    };
    const obeyed = async (wanted: string) => {
      for (const end = performance.now() + LONGEST_MS; (await version()) !== wanted; await rest(LOOK_MS)) {
        if (performance.now() > end) throw new Error(`policy ${wanted} is not obeyed`);
      }
    };
    await obeyed("1.1");
    const tookMs: number[] = [];
    for (let time = 0; time < times; time++) {
      // At any moment between two looks of the server.
      await rest(100 + Math.random() * 400);
      const began = performance.now();
      await obeyed(await bed.publish(PolicySettings.parse({ printer: { health_max_age_s: 20 + (time % 100) } })));
      tookMs.push(performance.now() - began);
    }
    return spread(tookMs);
  } finally {
    await bed.stop();
  }
}
