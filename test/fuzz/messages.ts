import type { Protocol } from "../../drivers/reader.ts";
import { PcscProtocol } from "../../drivers/readers/pcsc/protocol.ts";
import { RfIdeasSdk } from "../../drivers/readers/rfideas-sdk/protocol.ts";
import { RECORDED as PCSC } from "../drivers/readers/pcsc/recorded.ts";
import { RECORDED as SDK } from "../drivers/readers/rfideas-sdk/recorded.ts";
import type { Random, Target } from "./engine.ts";
import { behaviourOf, same, shown } from "./readers.ts";

interface Messaging {
  readonly name: string;
  readonly protocol: () => Protocol;
  /** The reader's messages of a good conversation, in hexadecimal, from its opening to the read. */
  readonly recorded: readonly string[];
  readonly reads: readonly string[];
}

/**
 * A reader that speaks in whole messages: of the input, each byte is a length and as many bytes follow. Never throws, never talks
 * without end, and once it is opened again the recorded conversation gives its read.
 */
function messaging({ name, protocol: make, recorded, reads }: Messaging): Target {
  const messages = recorded.map((hex) => Uint8Array.fromHex(hex));
  return {
    name,
    seeds: [Buffer.concat(messages.flatMap((message) => [Uint8Array.of(message.length), message]))],
    run(input, random) {
      const protocol = make();
      let now = 1_000_000;
      const got: string[] = [];
      protocol.open(now);
      speak(protocol, now);
      for (let at = 0; at < input.length; ) {
        const length = input[at] ?? 0;
        got.push(...shown(protocol.push(input.subarray(at + 1, at + 1 + length), now)));
        at += 1 + length;
        speak(protocol, now);
        now = passed(protocol, now, random);
        if (protocol.failure !== undefined) protocol.open(now);
        speak(protocol, now);
      }
      const behaviour = behaviourOf(protocol, got);
      // Longer than a card is remembered.
      now += 600_000;
      protocol.open(now);
      const read = messages.flatMap((message) => {
        // A machine that polls says nothing before its time.
        for (let polls = 0; polls < 3; polls += 1) {
          speak(protocol, now);
          if (protocol.online && protocol.deadline !== undefined) now = Math.max(now, protocol.deadline);
        }
        return shown(protocol.push(message, now));
      });
      same(read, reads, "the recorded card is not read");
      return behaviour;
    },
  };
}

/** Lets time pass, through the next time-out or not that far. */
function passed(protocol: Protocol, now: number, random: Random): number {
  const { deadline } = protocol;
  const later = deadline === undefined || random.below(2) === 0 ? now + random.below(400) : Math.max(now, deadline);
  shown(protocol.expire(later));
  return later;
}

function speak(protocol: Protocol, now: number): void {
  for (let said = 0; protocol.failure === undefined && protocol.output(now) !== undefined; said += 1) {
    if (said > 1000) throw new Error("speaks without end");
  }
}

export const MESSAGING_TARGETS: readonly Target[] = [
  messaging({
    name: "rfideas-sdk",
    protocol: () => new RfIdeasSdk({ repeatHoldMs: 0 }),
    recorded: SDK.replies,
    reads: SDK.reads,
  }),
  messaging({
    name: "pcsc",
    protocol: () => new PcscProtocol({ allowRandomUid: false, repeatHoldMs: 0 }),
    recorded: PCSC.told,
    reads: PCSC.reads,
  }),
];
