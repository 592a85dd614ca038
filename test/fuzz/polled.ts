import type { Protocol } from "../../drivers/reader.ts";
import { AcpProtocol } from "../../drivers/readers/rfideas-acp/protocol.ts";
import { SimpleProtocol } from "../../drivers/readers/twn4-simple/protocol.ts";
import { MODES } from "../../drivers/readers/twn4-simple/settings.ts";
import { Conversation } from "../drivers/readers/conversation.ts";
import { FakeClock } from "../sim/clock.ts";
import { SimulatedRfideas } from "../sim/rfideas.ts";
import { SimulatedTwn4 } from "../sim/twn4.ts";
import type { Target } from "./engine.ts";
import { behaviourOf, chunksOf, same } from "./readers.ts";

interface Device {
  silent: boolean;
  hear(bytes: Uint8Array): void;
  powerCycle(): void;
}

interface Polled<D extends Device> {
  readonly name: string;
  readonly protocol: () => Protocol;
  readonly device: (clock: FakeClock, say: (bytes: Buffer) => void) => D;
  readonly tap: (device: D) => void;
  readonly id: string;
  /** What the reader would say in a good conversation. */
  readonly seed: string;
}

/** Long enough for a start-up and the polls that make no taps. */
const SETTLED_MS = 1000;

/**
 * A reader that is asked, whose line brings the input in pieces at any time, beside its own answers or in their place. Never
 * throws, never talks without end, and once it is opened again the next card is read.
 */
function polled<D extends Device>({ name, protocol: make, device: plug, tap, id, seed }: Polled<D>): Target {
  return {
    name,
    seeds: [Buffer.from(seed, "latin1")],
    run(input, random) {
      const clock = new FakeClock(600_000);
      const protocol = make();
      let device: D | undefined;
      const line = new Conversation(protocol, clock, (say) => {
        device = plug(clock, say);
        return device;
      });
      if (device === undefined) throw new Error("not connected");
      line.open();
      for (const chunk of chunksOf(input, 1 + random.below(40), random, false)) {
        device.silent = random.below(2) === 0;
        line.data(chunk);
        clock.advance(random.below(1200));
      }
      const behaviour = behaviourOf(protocol, line.ids);
      device.silent = false;
      device.powerCycle();
      line.open();
      clock.advance(SETTLED_MS);
      const before = line.ids.length;
      tap(device);
      clock.advance(SETTLED_MS);
      same(line.ids.slice(before), [id], "the next good card is not read");
      return behaviour;
    },
  };
}

const common = { pollMs: 250, repeatHoldMs: 1500 };

export const POLLED_TARGETS: readonly Target[] = [
  ...MODES.flatMap((mode) =>
    [false, true].map((crc) =>
      polled({
        name: `twn4-simple-${mode}${crc ? "-crc" : ""}`,
        protocol: () =>
          new SimpleProtocol({ ...common, mode, crc, tagTypes: [], beepVolume: 100, allowRandomUid: false }),
        device: (clock, say) => new SimulatedTwn4(clock, say, { mode, crc }),
        tap: (device) => device.lay({ type: 0x80, bitLength: 56, id: "04A2B3C4D5E680" }),
        id: "04A2B3C4D5E680",
        seed:
          mode === "ascii"
            ? "00\r0000\r000180200466CF4DC2\r05\r"
            : "\x01\0\0\x02\0\0\0\x09\0\0\x01\x80\x20\x04\x66\xcf\x4d\xc2",
      }),
    ),
  ),
  polled({
    name: "rfideas-acp",
    protocol: () => new AcpProtocol({ ...common, beep: true }),
    device: (clock, say) => new SimulatedRfideas(clock, say),
    tap: (device) => device.tap("000000801DD1910B2F04", 80),
    id: "000000801DD1910B2F04",
    seed: "\r\nRF IDeas>{0x0000,0,0x0000,0;0x00}\r\n{0x0001,2,0x0018,26;0x02EC0C86}\r\nError#2\r\n",
  }),
];
