import { silentLog } from "../../drivers/log.ts";
import type { Read } from "../../drivers/reader.ts";
import { openReader, type ReaderSettings } from "../../drivers/readers/open-reader.ts";
import type { Transport, TransportListener } from "../../drivers/transports/transport.ts";
import { PdTransport } from "../drivers/readers/osdp/pd-transport.ts";
import { RECORDED as PCSC } from "../drivers/readers/pcsc/recorded.ts";
import { RECORDED as ACP } from "../drivers/readers/rfideas-acp/recorded.ts";
import { RECORDED as SDK } from "../drivers/readers/rfideas-sdk/recorded.ts";
import { turns } from "../drivers/readers/scripted-transport.ts";
import { RECORDED as SIMPLE } from "../drivers/readers/twn4-simple/recorded.ts";
import { FakeClock } from "../sim/clock.ts";
import { OsdpPd } from "../sim/osdp-pd.ts";
import { RECORDED_READS } from "./reads.ts";
import { type Spread, spread } from "./statistics.ts";

/** From the last byte of a read, as the transport hands it over, to the tap event; ms, the whole session included. */
export type ReaderLatency = Readonly<Record<string, Spread>>;

const COMMON = { name: "recorded", repeatHoldMs: 0, maxReadsPer10s: 1_000_000 };
const WARM_UP = 200;
/** Moves a poll or a time-out nearer without passing over one. */
const STEP_MS = 10;

/** A device that says what was recorded, in its turn. */
class Replay implements Transport {
  asked = 0;
  readonly #isQuestion: (message: Uint8Array) => boolean;
  #listener: TransportListener | undefined;

  constructor(isQuestion: (message: Uint8Array) => boolean = () => true) {
    this.#isQuestion = isQuestion;
  }

  async open(listener: TransportListener): Promise<void> {
    this.#listener = listener;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isQuestion(bytes)) this.asked += 1;
  }

  async close(): Promise<void> {
    this.#listener = undefined;
  }

  describe(): string {
    return "replay";
  }

  say(bytes: Uint8Array): void {
    this.#listener?.data(bytes);
  }
}

interface Conversation {
  readonly settings: ReaderSettings;
  /** The reader's messages; each with how many questions were asked before it. The last one completes the read. */
  readonly replies: readonly (readonly [asked: number, bytes: Uint8Array])[];
  readonly isQuestion?: (message: Uint8Array) => boolean;
}

const inTurn = (replies: readonly string[], encoding: "latin1" | "hex") =>
  replies.map((reply, index) => [index + 1, Buffer.from(reply, encoding)] as const);

const serial = { ...COMMON, path: "/dev/ttyACM0", baudRate: 9600, pollMs: 100 };
const CONVERSATIONS: readonly Conversation[] = [
  {
    settings: {
      ...{ ...serial, family: "twn4-simple", mode: "ascii", crc: false },
      ...{ tagTypes: [], beepVolume: 100, allowRandomUid: false },
    },
    replies: inTurn(SIMPLE.replies, "latin1"),
  },
  { settings: { ...serial, family: "rfideas-acp", beep: true }, replies: inTurn(ACP.replies, "latin1") },
  {
    settings: { ...COMMON, family: "rfideas-sdk", vendorId: 0x0c27, productId: 0x3bfa },
    replies: inTurn(SDK.replies, "hex"),
    // A message of no bytes asks for the device's report.
    isQuestion: (message) => message.length === 0,
  },
  {
    settings: { ...COMMON, family: "pcsc", readerName: "Virtual PCD", allowRandomUid: false },
    // The card comes without being asked for.
    replies: PCSC.told.map((told, index) => [Math.max(1, index), Buffer.from(told, "hex")] as const),
  },
];

/** Runs a reader until its transport has had its say; returns the times of its reads. */
async function listen(
  settings: ReaderSettings,
  transport: Transport,
  say: (clock: FakeClock, begin: () => void, reads: () => number) => Promise<void>,
): Promise<number[]> {
  const clock = new FakeClock(1_000_000);
  const times: number[] = [];
  let begun = 0;
  const reader = await openReader(settings, { clock, log: silentLog, random: Math.random, transport });
  reader.start({
    read: (_read: Read) => times.push(performance.now() - begun),
    keys() {},
    state() {},
  });
  await turns();
  const begin = () => {
    begun = performance.now();
  };
  await say(clock, begin, () => times.length);
  await reader.stop();
  return times;
}

async function until(clock: FakeClock, done: () => boolean): Promise<void> {
  for (let steps = 0; !done(); steps += 1) {
    if (steps > 10_000) throw new Error("the reader does not go on");
    clock.advance(STEP_MS);
    await turns();
  }
}

/** One read of a conversation, from its opening on. */
function converse({ settings, replies, isQuestion }: Conversation): Promise<number[]> {
  const transport = new Replay(isQuestion);
  return listen(settings, transport, async (clock, begin) => {
    for (const [asked, bytes] of replies) {
      if (transport.asked < asked) await until(clock, () => transport.asked >= asked);
      begin();
      transport.say(bytes);
      await turns();
    }
  });
}

const SCBK = Buffer.from("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "hex");

/** Cards over a secure channel, one after the other. */
async function osdp(count: number): Promise<number[]> {
  const transport = new PdTransport(new OsdpPd({ scbk: SCBK }));
  const settings: ReaderSettings = {
    ...{ ...COMMON, family: "osdp", path: "/dev/ttyUSB0", baudRate: 9600, address: 1 },
    ...{ secure: true, scbk: SCBK, check: "crc16", pollMs: 200, replyTimeoutMs: 200 },
  };
  return listen(settings, transport, async (clock, begin, reads) => {
    transport.handOver = (deliver) =>
      queueMicrotask(() => {
        begin();
        deliver();
      });
    await until(clock, () => transport.pd.isSecure);
    while (reads() < count) {
      const before = reads();
      transport.pd.card();
      await until(clock, () => reads() > before);
    }
  });
}

/** `count` reads of each family, on recorded input. */
export async function measureReaders(count: number): Promise<ReaderLatency> {
  const latency: Record<string, Spread> = {};
  const keep = (family: string, times: readonly number[], wanted: number) => {
    if (times.length !== wanted) throw new Error(`${family}: ${times.length} reads instead of ${wanted}`);
    latency[family] = spread(times.slice(Math.min(WARM_UP, Math.floor(wanted / 2))));
  };
  const recorded = new Map<string, number[]>();
  for (const { settings, chunks, after } of RECORDED_READS) {
    const transport = new Replay();
    const times = await listen(settings, transport, async (_clock, begin) => {
      for (let i = 0; i < count; i += 1) {
        for (const chunk of chunks) {
          begin();
          transport.say(chunk);
        }
        for (const chunk of after) transport.say(chunk);
      }
    });
    recorded.set(settings.family, [...(recorded.get(settings.family) ?? []), ...times]);
  }
  for (const [family, times] of recorded) {
    keep(family, times, count * RECORDED_READS.filter(({ settings }) => settings.family === family).length);
  }
  for (const conversation of CONVERSATIONS) {
    const times: number[] = [];
    for (let i = 0; i < count; i += 1) times.push(...(await converse(conversation)));
    keep(conversation.settings.family, times, count);
  }
  keep("osdp", await osdp(count), count);
  return latency;
}
