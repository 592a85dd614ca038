import { Line, type LineOptions } from "../drivers/readers/osdp/line.ts";
import type { Target } from "./engine.ts";
import { behaviourOf, chunksOf, same, shown } from "./readers.ts";

const CARD = "bb032180/26";
/** Longer than a silent reader is asked. */
const SETTLE_MS = 2500;

/**
 * The input comes out of the line while the panel talks to a reader: between its replies, and instead of some. The reader
 * reads no card meanwhile, so that each read is one that somebody on the line invented.
 */
function osdp(name: string, options: LineOptions, isAuthentic: boolean): Target {
  return {
    name,
    seeds: [
      Buffer.concat(replies(options)),
      Buffer.concat(replies({ ...options, pd: { ...options.pd, installing: true } })),
    ],
    run(input, random) {
      const line = new Line(options).run(random.below(600));
      for (const chunk of chunksOf(input, 1 + random.below(60), random, false)) {
        line.events.push(...line.panel.push(chunk, line.now));
        line.run(random.below(3) === 0 ? random.below(300) : 0);
        if (line.panel.failure !== undefined) line.panel.open(line.now);
      }
      const invented = shown(line.events);
      if (isAuthentic) same(invented, [], "a read that no reader sent");
      line.run(SETTLE_MS);
      if (line.panel.failure !== undefined) line.panel.open(line.now);
      line.run(SETTLE_MS);
      line.events.length = 0;
      line.pd.card();
      line.run(SETTLE_MS);
      same(shown(line.events), [CARD], "the next good card is not read");
      return behaviourOf(line.panel, invented);
    },
  };
}

/** What a reader says until it has told of a card, keys and a lamp. */
function replies(options: LineOptions): Uint8Array[] {
  const heard: Uint8Array[] = [];
  const line = new Line({
    ...options,
    onReply: (reply) => {
      heard.push(reply);
      return [reply];
    },
  });
  line.run(500);
  line.pd.card();
  line.pd.keys("12#");
  line.panel.signal("printed", line.now);
  line.run(500);
  return heard;
}

export const OSDP_TARGETS: readonly Target[] = [
  osdp("osdp-secure", {}, true),
  osdp("osdp-plain", { settings: { secure: false, scbk: undefined } }, false),
];
