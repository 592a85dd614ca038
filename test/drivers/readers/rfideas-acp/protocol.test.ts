import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SIGNALS, type Signal } from "../../../../drivers/reader.ts";
import { PATTERNS } from "../../../../drivers/readers/feedback.ts";
import {
  AcpProtocol,
  ANSWER_MS,
  MAX_AGE_MS,
  MAX_UNANSWERED,
  PACE_MS,
  REST_MS,
} from "../../../../drivers/readers/rfideas-acp/protocol.ts";
import type { AcpSettings } from "../../../../drivers/readers/rfideas-acp/settings.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { type RfideasOptions, SimulatedRfideas } from "../../../sim/rfideas.ts";
import { Conversation } from "../conversation.ts";

const SETTINGS: AcpSettings = { pollMs: 250, beep: true, repeatHoldMs: 1500 };
const PROX = ["02EC0C86", 26] as const;
const OTHER = ["000000801DD1910B2F04", 80] as const;

function talk(options: RfideasOptions & { settings?: Partial<AcpSettings> } = {}) {
  const clock = new FakeClock();
  // So that something can have been read before.
  clock.advance(600_000);
  const protocol = new AcpProtocol({ ...SETTINGS, ...options.settings });
  let device: SimulatedRfideas | undefined;
  const line = new Conversation(protocol, clock, (say) => {
    device = new SimulatedRfideas(clock, say, options);
    return device;
  });
  if (device === undefined) throw new Error("not connected");
  return { clock, protocol, line, device };
}

function ready(options: Parameters<typeof talk>[0] = {}) {
  const talking = talk(options);
  talking.line.open();
  talking.clock.advance(200);
  return talking;
}

describe("start-up", () => {
  test("turns echo and prompt off, gives the lamp back, and polls", () => {
    const { clock, line, device, protocol } = talk();
    line.open();
    expect(protocol.online).toBe(false);
    clock.advance(3 * REST_MS);
    expect(device.heard).toEqual(["cmd.echo=0", "cmd.prompt=0", "out.led=255", "qid.id"]);
    expect([device.echo, device.prompt, protocol.online]).toEqual([false, false, true]);
    clock.advance(1000);
    expect(device.heard.slice(4)).toEqual(["qid.id", "qid.id", "qid.id", "qid.id"]);
  });

  test("nothing is written to the reader's flash, and the lock-out is left as it is", () => {
    const { clock, line, device } = ready();
    for (const signal of SIGNALS) {
      line.signal(signal);
      clock.advance(10_000);
    }
    expect(device.heard.filter((command) => /write|hold|time|wieg/.test(command))).toEqual([]);
  });

  test("a reader that keeps echo and prompt is understood all the same", () => {
    const { clock, line, device, protocol } = talk();
    device.error = 1;
    line.open();
    clock.advance(3 * REST_MS - 1);
    device.error = undefined;
    expect([device.echo, device.prompt]).toEqual([true, true]);
    clock.advance(5000);
    device.tap(...PROX);
    clock.advance(5000);
    expect(line.reads).toMatchObject([{ id: "BB032180", bitLength: 26 }]);
    expect(protocol.counters.error1).toBe(3);
  });
});

describe("cards", () => {
  test("a tap is one read, with its bits left-aligned", () => {
    const { clock, line, device } = ready();
    device.tap(...PROX);
    clock.advance(250);
    expect(line.reads).toMatchObject([{ id: "BB032180", bitLength: 26 }]);
    clock.advance(60_000);
    expect(line.reads).toHaveLength(1);
  });

  test.each([
    [20, 24],
    [0, 24],
    [20, 0],
    [4, 2],
    [0, 100],
  ])("a held card that is queued anew after %i and %i ticks is one read", (holdTicks, lockoutTicks) => {
    const { clock, line, device } = ready({ holdTicks, lockoutTicks });
    device.hold(...PROX);
    clock.advance(120_000);
    expect(line.ids).toEqual(["BB032180"]);
    device.lift();
    clock.advance(10_000);
    device.tap(...PROX);
    clock.advance(250);
    expect(line.ids).toEqual(["BB032180", "BB032180"]);
  });

  test("one that was read before the reader was opened is no tap", () => {
    const { clock, line, device, protocol } = talk();
    device.tap(...PROX);
    clock.advance(180_000);
    line.open();
    clock.advance(1000);
    expect([line.ids, protocol.counters.stale]).toEqual([[], 1]);
    device.tap(...PROX);
    clock.advance(250);
    expect(line.ids).toEqual(["BB032180"]);
  });

  test("one that was held when the reader was opened is no tap until it is lifted", () => {
    const { clock, line, device, protocol } = talk();
    device.hold(...PROX);
    clock.advance(500);
    line.open();
    clock.advance(60_000);
    expect([line.ids, protocol.counters.stale]).toEqual([[], 1]);
    device.lift();
    clock.advance(5000);
    device.tap(...PROX);
    clock.advance(250);
    expect(line.ids).toEqual(["BB032180"]);
  });

  test("one that was tapped between open and first poll is a tap", () => {
    const { clock, line, device } = talk();
    line.open();
    clock.advance(10);
    device.tap(...PROX);
    clock.advance(500);
    expect(line.ids).toEqual(["BB032180"]);
  });

  test.each([
    [MAX_AGE_MS - 48, ["000000801DD1910B2F04"], 0],
    [MAX_AGE_MS + 48, [], 1],
  ])("one that the reader has kept for %i ms", (ageMs, ids, stale) => {
    const { clock, line, protocol } = ready();
    clock.advance(60_000);
    line.isCut = true;
    clock.advance(250);
    line.data(Buffer.from(`{0x${Math.round(ageMs / 48).toString(16)},0,0x0000,80;0x${OTHER[0]}}\r\n`));
    expect([line.ids, protocol.counters.stale]).toEqual([ids, stale]);
  });

  test("one that another overwrote is counted as lost", () => {
    const { clock, line, device, protocol } = ready({ lockoutTicks: 0 });
    device.tap(...PROX);
    device.tap(...OTHER);
    clock.advance(250);
    expect([line.ids, protocol.counters.overrun]).toEqual([["000000801DD1910B2F04"], 1]);
  });

  test("a queue that is emptied but still shows digits is no read", () => {
    const { clock, line, device } = ready();
    device.tap(...PROX);
    clock.advance(60_000);
    expect(line.ids).toHaveLength(1);
  });

  test("that the reader types by itself are none: they say nothing of the bits", () => {
    const { clock, line, device, protocol } = ready();
    device.type("1603\r\n");
    clock.advance(1000);
    expect([line.ids, protocol.counters.unexpected]).toEqual([[], 1]);
  });
});

describe("signals", () => {
  test.each(SIGNALS)("%s can be told from the others by the number and kind of its beeps", (signal) => {
    const { clock, line, device } = ready();
    line.signal(signal);
    clock.advance(10_000);
    const { count, onMs } = PATTERNS[signal];
    const kinds = device.beeps.map(({ kind }) => kind);
    if (onMs < 300) expect(kinds.reduce((sum, kind) => sum + kind)).toBe(count);
    else expect(kinds).toEqual(Array.from({ length: count }, () => 101));
    expect(device.led).toBe(255);
    const lamps = device.heard.filter((command) => command.startsWith("out.led")).slice(1);
    expect(lamps).toHaveLength(2 * count);
    expect(lamps.at(-1)).toBe("out.led=255");
  });

  test("are lamps only where beeps are not wanted", () => {
    const { clock, line, device } = ready({ settings: { beep: false } });
    line.signal("denied");
    clock.advance(10_000);
    expect([device.beeps, device.heard.filter((command) => command === "out.led=1").length]).toEqual([[], 3]);
  });

  test("the newest wins", () => {
    const { clock, line, device } = ready();
    line.signal("fault");
    clock.advance(100);
    line.signal("accepted");
    clock.advance(10_000);
    expect(device.beeps.map(({ kind }) => kind)).toEqual([101, 1]);
  });

  test("the lamp is given back when we stop, and nothing is said where it was not taken", () => {
    const { clock, line, device, protocol } = ready();
    expect(protocol.farewell()).toEqual([]);
    line.signal("fault");
    clock.advance(100);
    expect(device.led).toBe(1);
    for (const message of protocol.farewell()) device.hear(message);
    expect(device.led).toBe(255);
  });

  test("never keep a poll waiting for long", () => {
    const { clock, line, device } = ready();
    line.signal("fault");
    device.tap(...PROX);
    clock.advance(250 + 3 * REST_MS);
    expect(line.ids).toEqual(["BB032180"]);
    const polls = device.heard.filter((command) => command === "qid.id").length;
    clock.advance(4000);
    expect(device.heard.filter((command) => command === "qid.id").length - polls).toBeGreaterThan(10);
  });
});

describe("faults", () => {
  test("three missed answers are deaf; two are not; an open begins anew", () => {
    const { clock, line, device, protocol } = ready();
    device.silent = true;
    clock.advance(2 * (ANSWER_MS + 250));
    expect(protocol.failure).toBeUndefined();
    device.silent = false;
    clock.advance(ANSWER_MS + 250);
    expect(protocol.online).toBe(true);
    device.silent = true;
    clock.advance(250 + MAX_UNANSWERED * (ANSWER_MS + 250));
    expect(protocol.failure).toMatchObject({ code: "reader-deaf" });
    expect([protocol.online, protocol.deadline]).toEqual([false, undefined]);
    device.silent = false;
    line.open();
    clock.advance(200);
    expect([protocol.failure, protocol.online]).toEqual([undefined, true]);
  });

  test("a signal that waits for the first answer does not keep the machine busy", () => {
    const protocol = new AcpProtocol(SETTINGS);
    let now = 0;
    protocol.open(now);
    protocol.signal("fault", now);
    while (protocol.failure === undefined) {
      while (protocol.output(now) !== undefined);
      const { deadline = now } = protocol;
      expect(deadline).toBeGreaterThan(now);
      now = deadline;
      protocol.expire(now);
    }
    expect(protocol.failure).toMatchObject({ code: "reader-deaf" });
  });

  test("a reader that answers every poll with an error is deaf, and the error is counted by its number", () => {
    const { clock, device, protocol } = ready();
    device.error = 1;
    clock.advance(5000);
    expect(protocol.failure).toMatchObject({ code: "reader-deaf" });
    expect(protocol.counters.error1).toBe(3);
  });

  test("errors that no manual knows are counted, too", () => {
    const { line, protocol } = ready();
    line.data(Buffer.from("Error#2\r\nError#3\r\nError#4\r\nError#17\r\n"));
    expect(protocol.counters).toMatchObject({ error2: 1, error3: 1, error4: 1, errorOther: 1 });
  });

  test("an answer that nobody asked for is counted and is no read", () => {
    const { line, protocol } = ready();
    line.data(Buffer.from("{0x0000,0,0x0000,24;0x760643}\r\n"));
    expect([line.ids, protocol.counters.unexpected]).toEqual([[], 1]);
  });

  test("an answer that comes late still counts: the reader has forgotten the card", () => {
    const { clock, line, device } = ready();
    device.tap(...PROX);
    line.split = (piece) => [{ piece, afterMs: ANSWER_MS + 100 }];
    clock.advance(250);
    line.split = (piece) => [{ piece }];
    clock.advance(2 * ANSWER_MS);
    expect(line.ids).toEqual(["BB032180"]);
  });

  test("a garbled answer is dropped, and asked for again soon", () => {
    const { clock, line, device, protocol } = ready();
    let wrong = 1;
    device.corrupt = (text) => (wrong-- > 0 ? text.replace("0x", "0\xf8") : text);
    clock.advance(250 + 300);
    device.tap(...PROX);
    clock.advance(300);
    expect([line.ids, protocol.counters.garbled]).toEqual([["BB032180"], 1]);
  });

  test("an input buffer that overruns twice is fed character by character", () => {
    const { clock, line, device, protocol } = ready({ inputSize: 10 });
    clock.advance(1000);
    expect(protocol.counters.error2).toBeGreaterThanOrEqual(2);
    const from = line.said.length;
    clock.advance(1000);
    const gaps = line.said.slice(from + 1).map(({ at }, index) => at - (line.said[from + index]?.at ?? 0));
    expect(Math.min(...gaps)).toBe(PACE_MS);
    expect(new Set(line.said.slice(from).map(({ bytes }) => bytes.length))).toEqual(new Set([1]));
    expect(device.heard).not.toContain("qid.id");
  });

  test("a power cycle, which turns echo and prompt on again, is survived", () => {
    const { clock, line, device } = ready();
    device.hear(Buffer.from("rfid:qi"));
    device.powerCycle();
    device.tap(...OTHER);
    clock.advance(500);
    expect(line.ids).toEqual(["000000801DD1910B2F04"]);
  });
});

const scene = fc.array(
  fc.record({
    card: fc.constantFrom<"none" | "prox" | "other" | "hold" | "lift" | "type">(
      "none",
      "prox",
      "other",
      "hold",
      "lift",
      "type",
    ),
    signal: fc.option(fc.constantFrom<Signal>(...SIGNALS), { nil: undefined, freq: 4 }),
    ms: fc.integer({ min: 1, max: 2500 }),
  }),
  { maxLength: 30 },
);

function perform(
  steps: typeof scene extends fc.Arbitrary<infer Steps> ? Steps : never,
  chatty: boolean,
  sizes: readonly number[],
) {
  const { clock, line, device, protocol } = talk();
  let next = 0;
  if (sizes.length > 0) {
    line.split = (bytes) => {
      const pieces: { piece: Buffer }[] = [];
      for (let at = 0; at < bytes.length; ) {
        const size = sizes[next++ % sizes.length] ?? 1;
        pieces.push({ piece: bytes.subarray(at, at + size) });
        at += size;
      }
      return pieces;
    };
  }
  line.open();
  clock.advance(100);
  if (chatty) device.powerCycle();
  for (const { card, signal, ms } of steps) {
    if (card === "prox") device.tap(...PROX);
    else if (card === "other") device.tap(...OTHER);
    else if (card === "hold") device.hold(...PROX);
    else if (card === "lift") device.lift();
    else if (card === "type") device.type("04A2B3C4\r\n");
    if (signal !== undefined) line.signal(signal);
    clock.advance(ms);
  }
  return { reads: line.reads, counters: protocol.counters, heard: device.heard };
}

test("any chunking of the reader's bytes: the same reads, counters and commands, echo and prompt or not", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(scene, fc.boolean(), sizes, (steps, chatty, sizes) => {
      expect(perform(steps, chatty, sizes)).toEqual(perform(steps, chatty, []));
    }),
    { numRuns: 60 },
  );
});

test("byte by byte, a millisecond each, as at 9600 baud: the same card", () => {
  const { clock, line, device, protocol } = talk();
  line.split = (bytes) => [...bytes].map((byte) => ({ piece: Buffer.of(byte), afterMs: 1 }));
  line.open();
  clock.advance(1000);
  device.tap(...OTHER);
  line.signal("no-jobs");
  clock.advance(1000);
  expect([line.ids, protocol.counters.noReply, protocol.counters.unexpected]).toEqual([["000000801DD1910B2F04"], 0, 0]);
});

test("any garbage at any time: no throw, no endless talk, and after an open all is well", () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc
      .constantFrom(
        "\r",
        "{0x0000,0,",
        "{0x0000,0,0x0000,0;0x00}\r\n",
        "Error#2\r",
        "RF IDeas>",
        "rfid:qid.id\r",
        "\xff\xfb\x01",
      )
      .map((text) => Buffer.from(text, "latin1")),
  );
  const step = fc.record({ noise, ms: fc.integer({ min: 0, max: 1500 }), silent: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { clock, line, device, protocol } = talk();
      line.open();
      for (const { noise, ms, silent } of steps) {
        device.silent = silent;
        line.data(noise);
        clock.advance(ms);
      }
      expect(clock.pending).toBeLessThan(5);
      device.silent = false;
      device.powerCycle();
      line.open();
      clock.advance(500);
      const before = line.reads.length;
      device.tap(...OTHER);
      clock.advance(500);
      expect([protocol.online, line.ids.slice(before)]).toEqual([true, ["000000801DD1910B2F04"]]);
    }),
    { numRuns: 100 },
  );
});
