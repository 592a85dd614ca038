import { expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import { type Keys, type Protocol, type Read, ReaderError, type Signal } from "../../../drivers/reader.ts";
import { ReaderSession } from "../../../drivers/readers/session.ts";
import { MEND_MS, type Remedy } from "../../../drivers/readers/session-machine.ts";
import { FakeClock } from "../../sim/clock.ts";
import { Recorder, ScriptedTransport, turns } from "./scripted-transport.ts";

const POLL_MS = 200;

/** Polls with `?`, is answered with a letter: O alive, R read, K key; deaf after one poll without an answer. */
class Asking implements Protocol {
  readonly counters = { reads: 0 };
  online = false;
  failure: ReaderError | undefined;
  #pollAt: number | undefined;
  #answerBy: number | undefined;
  #signals: Signal[] = [];

  get deadline(): number | undefined {
    return this.failure === undefined ? (this.#answerBy ?? this.#pollAt) : undefined;
  }

  open(nowMs: number): void {
    this.online = false;
    this.failure = undefined;
    this.#pollAt = nowMs;
    this.#answerBy = undefined;
  }

  push(bytes: Uint8Array, nowMs: number): (Read | Keys)[] {
    this.online = true;
    this.#answerBy = undefined;
    this.#pollAt = nowMs + POLL_MS;
    switch (String.fromCharCode(bytes[0] ?? 0)) {
      case "R":
        return [{ kind: "text", text: "04A2" }];
      case "K":
        return [{ kind: "keys", keys: "12#" }];
      default:
        return [];
    }
  }

  expire(nowMs: number): (Read | Keys)[] {
    if (this.#answerBy !== undefined && nowMs >= this.#answerBy) this.failure = new ReaderError("reader-deaf");
    return [];
  }

  output(nowMs: number): Uint8Array | undefined {
    const signal = this.#signals.shift();
    if (signal !== undefined) return Buffer.from(`!${signal}`);
    if (this.#pollAt === undefined || nowMs < this.#pollAt || this.failure !== undefined) return undefined;
    this.#pollAt = undefined;
    this.#answerBy = nowMs + POLL_MS;
    return Buffer.from("?");
  }

  signal(signal: Signal): void {
    this.#signals = [signal];
  }

  reset(): void {}
}

/** A device that holds what is written to it until the test lets it go. */
class SlowTransport extends ScriptedTransport {
  #written = Promise.withResolvers<void>();

  override async write(bytes: Uint8Array): Promise<void> {
    await super.write(bytes);
    await this.#written.promise;
  }

  async let(error?: Error): Promise<void> {
    const { resolve, reject } = this.#written;
    this.#written = Promise.withResolvers();
    if (error === undefined) resolve();
    else reject(error);
    await turns();
  }
}

async function talking(device: ScriptedTransport = new ScriptedTransport(), decoder: Protocol = new Asking()) {
  const clock = new FakeClock();
  const told = new Recorder();
  const mended: Remedy[] = [];
  const reader = new ReaderSession({
    settings: { name: "front", repeatHoldMs: 1500, maxReadsPer10s: 5 },
    decoder,
    transport: device,
    context: { clock, log: silentLog, random: () => 0 },
    mend: async (remedy) => {
      mended.push(remedy);
      if (remedy === "power-on") throw new Error("not permitted");
    },
  });
  reader.start(told);
  await device.appear();
  const said = () => device.written.map((hex) => Buffer.from(hex, "hex").toString());
  return { clock, device, told, reader, mended, said };
}

test("is ready when the reader has answered, not when its device opened", async () => {
  const { device, told, reader, said } = await talking();
  expect([told.states, said()]).toEqual([["opening"], ["?"]]);
  device.send("O");
  expect(told.states).toEqual(["opening", "ready"]);
  await reader.stop();
});

test("polls in time, and tells reads and keys", async () => {
  const { clock, device, told, reader, said } = await talking();
  device.send("R");
  await turns();
  clock.advance(POLL_MS - 1);
  expect(said()).toEqual(["?"]);
  clock.advance(1);
  expect(said()).toEqual(["?", "?"]);
  device.send("K");
  expect([told.texts, told.pressed]).toEqual([["04A2"], "12#"]);
  expect(reader.lastReadAt).toBe(0);
  await reader.stop();
  expect(clock.pending).toBe(0);
});

test("a keypad that floods is held back, and counted", async () => {
  const { device, told, reader } = await talking();
  for (let i = 0; i < 150; i += 1) device.send("K");
  expect(told.pressed).toHaveLength(300);
  expect(reader.counters).toMatchObject({ overRate: 50 });
  await reader.stop();
});

test("one message at a time: the next one is said when the device has taken the one before", async () => {
  const device = new SlowTransport();
  const { reader, said } = await talking(device);
  reader.signal("no-jobs");
  reader.signal("fault");
  expect(said()).toEqual(["?"]);
  await device.let();
  expect(said()).toEqual(["?", "!fault"]);
  await device.let();
  await reader.stop();
});

test("a signal to a reader that is not there is dropped, not kept for later", async () => {
  const { clock, device, reader, said } = await talking();
  await device.vanish();
  reader.signal("accepted");
  clock.advance(1000);
  await device.appear();
  expect(said()).toEqual(["?", "?"]);
  await reader.stop();
});

test("a write that fails is a loss", async () => {
  const device = new SlowTransport();
  const { told, reader } = await talking(device);
  await device.let(new ReaderError("reader-lost", "takes no bytes"));
  expect([told.states.at(-1), device.isOpen]).toEqual(["absent: reader-lost", false]);
  expect(reader.counters).toMatchObject({ useless: 1, deaf: 0 });
  await reader.stop();
});

test("another connection of the same transport is another conversation", async () => {
  const { device, told, reader, said } = await talking();
  device.send("O");
  device.restart();
  expect([told.states.at(-1), said()]).toEqual(["ready", ["?", "?"]]);
  device.send("R");
  expect(told.texts).toEqual(["04A2"]);
  await reader.stop();
});

test("a device that does not close is a state that is told, and it is tried again", async () => {
  class Stuck extends ScriptedTransport {
    override close(): Promise<void> {
      return new Promise(() => {});
    }
  }
  const device = new Stuck();
  const { clock, told, reader } = await talking(device);
  clock.advance(POLL_MS);
  expect(told.states.at(-1)).toBe("absent: reader-deaf");
  clock.advance(1000);
  await turns();
  clock.advance(15_000);
  await turns();
  expect([told.states.at(-1), device.opens]).toEqual(["failed: reader-open-failed", 1]);
  expect(reader.counters).toMatchObject({ closeFailed: 1 });
  expect(clock.pending).toBe(1);
});

test("a deaf reader is opened anew, then powered on, then reset, with growing pauses", async () => {
  const { clock, device, told, reader, mended } = await talking();
  const remedies: Remedy[][] = [];
  for (const pause of [1000, 2000 + MEND_MS, 5000 + MEND_MS, 10_000 + MEND_MS]) {
    clock.advance(POLL_MS);
    expect([told.states.at(-1), device.isOpen]).toEqual(["absent: reader-deaf", false]);
    await turns();
    clock.advance(pause - 1);
    expect(device.opening).toBe(false);
    clock.advance(1);
    await turns();
    remedies.push(mended.splice(0));
    await device.appear();
  }
  expect(remedies).toEqual([[], ["power-on"], ["reset"], ["reset"]]);
  device.send("O");
  expect(told.states.at(-1)).toBe("ready");
  expect(reader.counters).toMatchObject({ deaf: 4, mended: 2, opened: 5 });
  await reader.stop();
  expect(clock.pending).toBe(0);
});

/** Says two words when it is left. */
class Polite extends Asking {
  farewell(): readonly Uint8Array[] {
    return ["bye", "!"].map((word) => Buffer.from(word));
  }
}

test("a stop lets the message under way end, says the farewell and then closes", async () => {
  const device = new SlowTransport();
  const { reader, said, clock } = await talking(device, new Polite());
  const stopped = reader.stop();
  reader.signal("accepted");
  await turns();
  expect([said(), device.isOpen]).toEqual([["?"], true]);
  await device.let();
  expect(said()).toEqual(["?", "bye"]);
  await device.let();
  expect([said(), device.isOpen]).toEqual([["?", "bye", "!"], true]);
  await device.let();
  await stopped;
  expect([device.isOpen, clock.pending, reader.counters.farewellFailed]).toEqual([false, 0, 0]);
});

test("a reader that takes no farewell is closed after two seconds, and one that failed is told none", async () => {
  const device = new SlowTransport();
  const { reader, clock, told } = await talking(device, new Polite());
  const stopped = reader.stop();
  await turns();
  clock.advance(1999);
  await turns();
  expect(device.isOpen).toBe(true);
  clock.advance(1);
  await stopped;
  expect([told.states.at(-1), device.isOpen, reader.counters.farewellFailed]).toEqual(["closed", false, 1]);

  const deaf = await talking(new ScriptedTransport(), new Polite());
  deaf.clock.advance(POLL_MS);
  await deaf.reader.stop();
  expect(deaf.said()).toEqual(["?"]);
});

/** What it has to say next is due while the message before is still under way. */
class Hasty extends Asking {
  override get deadline(): number {
    return 0;
  }
}

test("what is due while a message is under way is not asked for again and again", async () => {
  const device = new SlowTransport();
  const { reader, clock } = await talking(device, new Hasty());
  expect(clock.pending).toBe(0);
  await device.let();
  await reader.stop();
});
