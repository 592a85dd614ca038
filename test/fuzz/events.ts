import { EventStreamParser } from "../../agent/link/events.ts";
import type { Behaviour, Random, Target } from "./engine.ts";

const SEEDS = [
  'id: 0a1b2c3d4e5f-1\nevent: policy\ndata: {"root":1,"version":2}\n\n',
  ": heartbeat\r\n\r\nevent: resync\r\ndata: {}\r\n\r\n",
  "\ufeffdata: one\rdata: two\r\r",
].map((text) => Buffer.from(text));

/** The same events however the bytes are cut; bounded events; in step again after an empty line. */
const stream: Target = {
  name: "event-stream",
  seeds: SEEDS,
  run(input: Uint8Array, random: Random): Behaviour {
    const whole = new EventStreamParser();
    const events = whole.push(input);
    const cut = new EventStreamParser();
    const pieces = [];
    for (let at = 0; at < input.length; ) {
      const end = Math.min(input.length, at + 1 + random.below(16));
      pieces.push(...cut.push(input.subarray(at, end)));
      at = end;
    }
    if (JSON.stringify(pieces) !== JSON.stringify(events)) throw new Error("cut in pieces it says something else");
    if (cut.dropped !== whole.dropped) throw new Error("cut in pieces other events are dropped");
    for (const { id, data } of events) {
      if (!/^[\x21-\x7e]{0,200}$/.test(id) || data.length > 16_384) throw new Error("an event without bounds");
    }
    whole.push(Buffer.from("\n\n"));
    if (whole.push(Buffer.from("data: x\n\n")).at(-1)?.data !== "x") throw new Error("out of step");
    return `${events.length} ${whole.dropped} ${new Set(events.map(({ type }) => type.length)).size}`;
  },
};

export const EVENT_TARGETS: readonly Target[] = [stream];
