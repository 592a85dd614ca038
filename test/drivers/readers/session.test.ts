import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Log, silentLog } from "../../../drivers/log.ts";
import { ReaderError } from "../../../drivers/reader.ts";
import { LineDecoder, STALL_MS } from "../../../drivers/readers/line/decoder.ts";
import type { Framing } from "../../../drivers/readers/line/settings.ts";
import { ReaderSession } from "../../../drivers/readers/session.ts";
import { WAKE_MS } from "../../../drivers/readers/session-machine.ts";
import { FakeClock } from "../../sim/clock.ts";
import { Recorder, ScriptedTransport, turns } from "./scripted-transport.ts";

function session({ framing = "crlf", log = silentLog }: { framing?: Framing; log?: Log } = {}) {
  const clock = new FakeClock();
  const device = new ScriptedTransport();
  const told = new Recorder();
  let plugged = () => {};
  let watching = false;
  const reader = new ReaderSession({
    settings: { name: "front", repeatHoldMs: 1500, maxReadsPer10s: 5 },
    decoder: new LineDecoder({ framing, idleGapMs: 100, maxLength: 128, minLength: 4, checksum: "none" }),
    transport: device,
    context: { clock, log, random: () => 0 },
    watch: (onChange) => {
      watching = true;
      plugged = onChange;
      return () => {
        watching = false;
      };
    },
  });
  return { clock, device, told, reader, plug: () => plugged(), isWatching: () => watching };
}

async function ready(framing?: Framing) {
  const parts = session(framing === undefined ? {} : { framing });
  parts.reader.start(parts.told);
  await parts.device.appear();
  return parts;
}

describe("states", () => {
  test("from start to stop", async () => {
    const { reader, device, told, clock } = session();
    expect(reader.state).toEqual({ status: "closed", since: 0 });
    reader.start(told);
    clock.advance(5);
    await device.appear();
    expect(reader.state).toEqual({ status: "ready", since: 5 });
    await reader.stop();
    expect(told.states).toEqual(["opening", "ready", "closed"]);
    expect([device.isOpen, clock.pending]).toEqual([false, 0]);
  });

  test("an absent device is a state with its error, told once, and is looked for", async () => {
    const { reader, device, told, clock } = session();
    reader.start(told);
    for (const ms of [1000, 2000, 5000, 10_000, 30_000, 30_000]) {
      await device.refuse();
      clock.advance(ms - 1);
      expect(device.opening).toBe(false);
      clock.advance(1);
      expect(device.opening).toBe(true);
    }
    await device.appear();
    expect(told.states).toEqual(["opening", "absent: reader-absent", "ready"]);
    expect(reader.counters).toMatchObject({ openFailed: 6, opened: 1, fromTransport: 1 });
    await reader.stop();
  });

  test("another reason is told, and the time of the state stays", async () => {
    const { reader, device, told, clock } = session();
    reader.start(told);
    await device.refuse();
    clock.advance(1000);
    await device.refuse(new ReaderError("reader-unreachable"));
    expect(reader.state).toMatchObject({ status: "absent", since: 0 });
    clock.advance(2000);
    await device.refuse(new ReaderError("reader-open-failed"));
    expect(reader.state).toMatchObject({ status: "failed", since: 3000 });
    expect(told.states).toEqual([
      "opening",
      "absent: reader-absent",
      "absent: reader-unreachable",
      "failed: reader-open-failed",
    ]);
    await reader.stop();
  });

  test("an error without a code is reader-open-failed", async () => {
    const { reader, device, told } = session();
    reader.start(told);
    await device.refuse(new TypeError("odd"));
    expect(told.states).toEqual(["opening", "failed: reader-open-failed"]);
    await reader.stop();
  });

  test("a loss is told, and the device opened again", async () => {
    const { reader, device, told, clock } = await ready();
    clock.advance(60_000);
    await device.vanish();
    clock.advance(1000);
    await device.appear();
    expect(told.states).toEqual(["opening", "ready", "absent: reader-lost", "ready"]);
    expect(reader.counters).toMatchObject({ lost: 1, opened: 2 });
    await reader.stop();
  });

  test("a loss in the moment of the open is not forgotten", async () => {
    const { reader, device, told } = session();
    reader.start(told);
    const opened = device.appear();
    void device.vanish();
    await opened;
    await turns();
    expect(told.states).toEqual(["opening", "ready", "absent: reader-lost"]);
    await reader.stop();
  });

  test("a plugged-in device is opened at once instead of in 30 s", async () => {
    const { reader, device, clock, plug } = session();
    reader.start(new Recorder());
    for (const ms of [1000, 2000, 5000, 10_000]) {
      await device.refuse();
      clock.advance(ms);
    }
    await device.refuse();
    plug();
    plug();
    clock.advance(WAKE_MS);
    expect(device.opening).toBe(true);
    await device.appear();
    expect(reader.state.status).toBe("ready");
    await reader.stop();
  });
});

describe("reads", () => {
  test("carry the time of their last byte, also when a silence ends them", async () => {
    const { reader, device, told, clock } = await ready("idle-gap");
    device.send("04A2");
    clock.advance(30);
    device.send("B3C4");
    clock.advance(100);
    expect(told.reads).toEqual([{ text: "04A2B3C4", at: 30 }]);
    await reader.stop();
  });

  test("half a line is dropped after a stall, by the timer", async () => {
    const { reader, device, told, clock } = await ready();
    device.send("04A2");
    clock.advance(STALL_MS);
    expect(clock.pending).toBe(0);
    device.send("B3C4D5E6\r");
    expect(told.texts).toEqual(["B3C4D5E6"]);
    expect(reader.counters).toMatchObject({ unfinished: 1, reads: 1 });
    await reader.stop();
  });

  test("a repeat is one tap, counted", async () => {
    const { reader, device, told, clock } = await ready();
    for (let i = 0; i < 100; i += 1) {
      device.send("04A2B3C4\r");
      clock.advance(50);
    }
    expect(told.texts).toEqual(["04A2B3C4"]);
    expect(reader.counters).toMatchObject({ repeats: 99 });
    await reader.stop();
  });

  test("more than five different cards in 10 s are dropped and counted", async () => {
    const { reader, device, told, clock } = await ready();
    for (let i = 0; i < 1000; i += 1) device.send(`CARD${i}\r`);
    expect(told.texts).toEqual(["CARD0", "CARD1", "CARD2", "CARD3", "CARD4"]);
    expect(reader.counters).toMatchObject({ overRate: 995 });
    clock.advance(10_000);
    device.send("04A2B3C4\r");
    expect(told.texts).toHaveLength(6);
    await reader.stop();
  });

  test("half a line does not outlive the connection that it came on", async () => {
    const { reader, device, told, clock } = await ready();
    device.send("04A2");
    device.restart();
    device.send("B3C4D5E6\r11");
    await device.vanish();
    clock.advance(1000);
    await device.appear();
    device.send("22334455\r");
    expect(told.texts).toEqual(["B3C4D5E6", "22334455"]);
    await reader.stop();
  });

  test("nothing is read after a stop, not even the second line of a chunk whose first one stopped it", async () => {
    const { reader, device } = session();
    const texts: string[] = [];
    reader.start({
      read: (read) => {
        if (read.kind === "text") texts.push(read.text);
        void reader.stop();
      },
      keys() {},
      state() {},
    });
    await device.appear();
    device.send("CARD1\rCARD2\rCARD");
    device.send("3\r");
    await reader.stop();
    expect(texts).toEqual(["CARD1"]);
  });
});

test("a byte that comes in the moment of the open is not lost", async () => {
  const { reader, device, told } = session();
  reader.start(told);
  const opened = device.appear();
  device.send("04A2B3C4\r");
  await opened;
  expect(told.texts).toEqual(["04A2B3C4"]);
  await reader.stop();
});

describe("stop", () => {
  test("while the device opens closes what the open brings", async () => {
    const { reader, device, told, clock } = session();
    reader.start(told);
    const stopped = reader.stop();
    await device.appear();
    await stopped;
    expect(told.states).toEqual(["opening", "closed"]);
    expect([device.isOpen, clock.pending]).toEqual([false, 0]);
  });

  test("while waiting for the next attempt cancels it", async () => {
    const { reader, device, clock, isWatching } = session();
    reader.start(new Recorder());
    await device.refuse();
    expect([clock.pending, isWatching()]).toEqual([1, true]);
    await reader.stop();
    expect([clock.pending, isWatching(), device.opens]).toEqual([0, false, 1]);
  });

  test("ends although the device never answers, and says so", async () => {
    const { reader, clock } = session();
    reader.start(new Recorder());
    const stopped = reader.stop();
    clock.advance(60_000);
    await stopped;
    expect(reader.counters).toMatchObject({ closeFailed: 1 });
  });

  test("before start, and twice, is harmless", async () => {
    const { reader, device, told } = session();
    await Promise.all([reader.stop(), reader.stop()]);
    reader.start(told);
    expect([device.opens, told.texts]).toEqual([0, []]);
  });
});

test("signals are counted, and not one byte is written", async () => {
  const { reader, device } = await ready();
  reader.signal("accepted");
  reader.signal("fault");
  expect([reader.counters.signals, device.written]).toEqual([2, []]);
  await reader.stop();
});

test("no card number reaches the log", async () => {
  const lines: string[] = [];
  const write = (fields: object, message: string) => void lines.push(JSON.stringify(fields) + message);
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  const { reader, device, clock } = session({ log });
  reader.start(new Recorder());
  await device.appear();
  for (let i = 0; i < 10; i += 1) device.send(`77C0FFEE${i}\r77C0FFEE\r77C0FFEE\xe3\r77C0FFEE`);
  await device.vanish();
  clock.advance(1000);
  await device.refuse();
  await reader.stop();
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.join("\n")).not.toContain("77C0FFEE");
});

test("any order of events: one open at a time, no read unless ready, everything closed after stop", async () => {
  const event = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom("appear", "refuse", "vanish", "plug", "restart") },
    { weight: 3, arbitrary: fc.constantFrom("04A2B3C4\r", "CARD1\rCARD2\r", "04A2", "\r") },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 40_000 }) },
    { weight: 1, arbitrary: fc.constant("stop") },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
      const { reader, device, told, clock, plug, isWatching } = session();
      let stopped: Promise<void> | undefined;
      reader.start(told);
      for (const next of events) {
        const before = told.reads.length;
        const { status } = reader.state;
        if (typeof next === "number") clock.advance(next);
        else if (next === "appear" && device.opening) await device.appear();
        else if (next === "refuse" && device.opening) await device.refuse();
        else if (next === "vanish" && device.isOpen) await device.vanish();
        else if (next === "restart") device.restart();
        else if (next === "plug") plug();
        else if (next === "stop") stopped = reader.stop();
        else device.send(next);
        await turns();
        if (status !== "ready") expect(told.reads.length).toBe(before);
        if (stopped !== undefined) expect(told.reads.length).toBe(before);
      }
      stopped = reader.stop();
      if (device.opening) await device.appear();
      await stopped;
      expect([device.isOpen, device.opening, clock.pending, isWatching()]).toEqual([false, false, 0, false]);
      expect(reader.state.status).toBe("closed");
    }),
  );
});
