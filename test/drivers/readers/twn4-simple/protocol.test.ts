import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SIGNALS, type Signal } from "../../../../drivers/reader.ts";
import { durationMs, PATTERNS } from "../../../../drivers/readers/feedback.ts";
import {
  MAX_UNANSWERED,
  QUIET_MS,
  REPLY_MS,
  SimpleProtocol,
} from "../../../../drivers/readers/twn4-simple/protocol.ts";
import type { SimpleSettings } from "../../../../drivers/readers/twn4-simple/settings.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { SimulatedTwn4, type Tag, type Twn4Options } from "../../../sim/twn4.ts";
import { Conversation } from "../conversation.ts";

const SETTINGS: SimpleSettings = {
  mode: "ascii",
  crc: false,
  pollMs: 250,
  tagTypes: [],
  beepVolume: 100,
  allowRandomUid: false,
  repeatHoldMs: 1500,
};
const MIFARE: Tag = { type: 0x80, bitLength: 32, id: "66CF4DC2" };
const SEVEN: Tag = { type: 0x80, bitLength: 56, id: "04A2B3C4D5E680" };
const PROX: Tag = { type: 0x49, bitLength: 26, id: "BB032180" };
const PHONE: Tag = { type: 0x80, bitLength: 32, id: "08A2B3C4" };

function talk(options: Twn4Options & { settings?: Partial<SimpleSettings> } = {}) {
  const { settings, ...rest } = options;
  const clock = new FakeClock();
  const format = { mode: rest.mode ?? SETTINGS.mode, crc: rest.crc ?? SETTINGS.crc };
  const protocol = new SimpleProtocol({ ...SETTINGS, ...format, ...settings });
  let device: SimulatedTwn4 | undefined;
  const line = new Conversation(protocol, clock, (say) => {
    device = new SimulatedTwn4(clock, say, rest);
    return device;
  });
  if (device === undefined) throw new Error("not connected");
  return { clock, protocol, line, device };
}

/** Past the polls after which a card is a tap. */
function ready(options: Parameters<typeof talk>[0] = {}) {
  const talking = talk(options);
  talking.line.open();
  talking.clock.advance(600);
  return talking;
}

const commands = (device: SimulatedTwn4) => device.heard.filter((command) => !command.startsWith("0500"));

describe("start-up", () => {
  test("asks for the version, the lamps and the beeper, then searches every 250 ms", () => {
    const { clock, protocol, line, device } = talk();
    expect(protocol.online).toBe(false);
    line.open();
    expect(device.heard).toEqual(["0004FF", "041007", "041207", "0417", "050020"]);
    expect([protocol.online, device.isFieldOn]).toEqual([true, true]);
    clock.advance(1000);
    expect(device.heard.slice(5)).toEqual(["050020", "050020", "050020", "050020"]);
  });

  test("sets the kinds of transponders that are asked for", () => {
    const { device } = ready({ settings: { tagTypes: ["hid-prox"] } });
    expect(device.heard).toContain("05020002000000000000");
    expect(device.tagTypes).toBe("0002000000000000");
  });

  test.each([
    ["ascii", false],
    ["ascii", true],
    ["binary", false],
    ["binary", true],
  ] as const)("in %s, checksum %s, reads", (mode, crc) => {
    const { clock, line, device } = ready({ mode, crc });
    device.lay(MIFARE);
    clock.advance(250);
    expect(line.reads).toMatchObject([{ id: "66CF4DC2", bitLength: 32 }]);
  });

  test("older firmware has other lamps, and beeps for a set time", () => {
    const { device } = ready({ old: true });
    expect(commands(device)).toEqual(["0004FF", "0400070000", "040307"]);
  });

  test("a sound that an agent left behind ends", () => {
    const { line, device } = talk();
    device.hear(Buffer.from("0416646009\r"));
    expect(device.isSounding).toBe(true);
    line.open();
    expect(device.isSounding).toBe(false);
  });

  test("half a command of an agent that was killed does no harm", () => {
    const { clock, line, device, protocol } = talk();
    device.hear(Buffer.from("05002"));
    line.open();
    clock.advance(QUIET_MS);
    expect(protocol.online).toBe(true);
    expect(protocol.counters.parserError).toBe(1);
  });

  test("the standard firmware, which only sends lines, is deaf, and its lines are no reads", () => {
    const { clock, line, device, protocol } = talk();
    device.silent = true;
    line.open();
    line.data(Buffer.from("04A2B3C4\r"));
    clock.advance(MAX_UNANSWERED * (REPLY_MS + QUIET_MS));
    expect(protocol.failure).toMatchObject({ code: "reader-deaf" });
    expect([protocol.online, line.ids, protocol.counters.unexpected]).toEqual([false, [], 1]);
  });

  test.each([
    ["ascii", "binary"],
    ["binary", "ascii"],
  ] as const)("configured %s while the reader speaks %s is deaf", (mode, spoken) => {
    const { clock, line, protocol } = talk({ mode: spoken, settings: { mode } });
    line.open();
    clock.advance(10_000);
    expect(protocol.failure).toMatchObject({ code: "reader-deaf", detail: expect.stringContaining(mode) });
    expect(protocol.deadline).toBeUndefined();
  });
});

describe("cards", () => {
  test.each([MIFARE, SEVEN, PROX])("$id is one read, however long it is held", (tag) => {
    const { clock, line, device } = ready();
    device.lay(tag);
    clock.advance(60_000);
    expect(line.reads).toMatchObject([{ id: tag.id, bitLength: tag.bitLength }]);
  });

  test("is read again when it comes back", () => {
    const { clock, line, device } = ready();
    for (let taps = 0; taps < 3; taps += 1) {
      device.lay(MIFARE);
      clock.advance(500);
      device.lay();
      clock.advance(2000);
    }
    expect(line.ids).toEqual(["66CF4DC2", "66CF4DC2", "66CF4DC2"]);
  });

  test("that flickers at the edge of the field is one read", () => {
    const { clock, line, device } = ready();
    for (let polls = 0; polls < 100; polls += 1) {
      device.lay(...(polls % 3 === 0 ? [MIFARE] : []));
      clock.advance(250);
    }
    expect(line.ids).toEqual(["66CF4DC2"]);
  });

  test("held while the reader says nothing for a while is one read", () => {
    const { clock, line, device } = ready();
    device.lay(MIFARE);
    clock.advance(250);
    device.silent = true;
    clock.advance(2 * (REPLY_MS + QUIET_MS));
    device.silent = false;
    clock.advance(5000);
    expect(line.ids).toEqual(["66CF4DC2"]);
  });

  test("two held together are one read each", () => {
    const { clock, line, device } = ready();
    device.lay(MIFARE, PROX);
    clock.advance(60_000);
    expect(line.ids.toSorted()).toEqual(["66CF4DC2", "BB032180"]);
  });

  test("that lie there when the reader is opened are none, until they are lifted", () => {
    const { clock, line, device, protocol } = talk();
    device.lay(MIFARE);
    line.open();
    clock.advance(60_000);
    expect([line.ids, protocol.counters.presentAtOpen]).toEqual([[], 1]);
    device.lay();
    clock.advance(2000);
    device.lay(MIFARE);
    clock.advance(250);
    expect(line.ids).toEqual(["66CF4DC2"]);
  });

  test("of a kind that is not asked for are not found", () => {
    const { clock, line, device } = ready({ settings: { tagTypes: ["iso14443a"] } });
    device.lay(PROX);
    clock.advance(1000);
    expect(line.ids).toEqual([]);
  });

  test("without an ID are no read of 0 bits", () => {
    const { clock, line, device, protocol } = ready();
    device.tagTypes = "FFFFFFFFFFFFFFFF";
    device.lay({ type: 0x44, bitLength: 0, id: "" });
    clock.advance(1000);
    expect([line.ids, protocol.counters.noId]).toEqual([[], 1]);
  });
});

describe("a phone that makes up a UID for each search", () => {
  const present = ({ clock, device }: ReturnType<typeof ready>) => {
    for (let polls = 0; polls < 10; polls += 1) {
      device.lay({ ...PHONE, id: `08A2B3C${polls}` });
      clock.advance(250);
    }
  };

  test("is refused and counted once", () => {
    const talking = ready();
    present(talking);
    expect([talking.line.ids, talking.protocol.counters.randomUid]).toEqual([[], 1]);
  });

  test("is one read where it is allowed", () => {
    const talking = ready({ settings: { allowRandomUid: true } });
    present(talking);
    expect(talking.line.ids).toEqual(["08A2B3C0"]);
  });

  test("is no EM4102 whose number begins with 08", () => {
    const { clock, line, device } = ready();
    device.lay({ type: 0x40, bitLength: 32, id: "08A2B3C4" });
    clock.advance(250);
    expect(line.ids).toEqual(["08A2B3C4"]);
  });
});

describe("signals", () => {
  test.each(SIGNALS)("%s is heard and seen as the table says", (signal) => {
    const { clock, line, device } = ready();
    line.signal(signal);
    clock.advance(5000);
    const { count, onMs, offMs } = PATTERNS[signal];
    expect(device.sounds).toHaveLength(count);
    device.sounds.forEach(({ from, to }, index) => {
      expect(to).toBe(from + onMs);
      const before = device.sounds[index - 1]?.to;
      if (before !== undefined) expect(from - before).toBe(offMs);
    });
    expect(device.lampsSeen).toHaveLength(2 * count);
    expect(device.lamps).toBe(0);
  });

  test.each(SIGNALS)("%s on older firmware, which answers when the sound is over", (signal) => {
    const { clock, line, device, protocol } = ready({ old: true });
    line.signal(signal);
    clock.advance(5000);
    const { count, onMs } = PATTERNS[signal];
    expect(device.sounds.map(({ from, to }) => (to ?? 0) - from)).toEqual(Array.from({ length: count }, () => onMs));
    expect([device.lamps, protocol.counters.noReply]).toEqual([0, 0]);
    expect(commands(device).at(-1)).toBe("040307");
  });

  test.each([false, true])("the searches go on meanwhile (older firmware: %s), and none draws out a sound", (old) => {
    const { clock, line, device } = ready({ old, searchMs: 90, settings: { pollMs: 100 } });
    line.signal("fault");
    device.lay(MIFARE);
    clock.advance(800);
    expect(line.ids).toEqual(["66CF4DC2"]);
    clock.advance(5000);
    expect(device.sounds.map(({ from, to }) => (to ?? 0) - from)).toEqual([400, 400, 400, 400, 400]);
  });

  test("the newest wins, at once, and is whole", () => {
    const { clock, line, device } = ready();
    line.signal("fault");
    clock.advance(50);
    line.signal("printed");
    clock.advance(5000);
    expect(device.sounds.map(({ from, to }) => (to ?? 0) - from)).toEqual([50, 100, 100, 100]);
  });

  test("one that comes before the reader is ready is told when it is", () => {
    const { clock, line, device } = talk();
    device.silent = true;
    line.open();
    line.signal("accepted");
    device.silent = false;
    clock.advance(3000);
    expect(device.sounds).toHaveLength(1);
  });

  test("without sound: lamps only", () => {
    const { clock, line, device } = ready({ settings: { beepVolume: 0 } });
    line.signal("denied");
    clock.advance(5000);
    expect([device.sounds, device.lampsSeen.length]).toEqual([[], 6]);
  });

  test("a reader that refuses lamps and beeper is polled all the same", () => {
    const { clock, line, device, protocol } = talk();
    let refused = 0;
    device.corrupt = (reply) => {
      // To all but version and search it answers "missing parameter".
      if (/^04/.test(device.heard.at(-1) ?? "")) {
        refused += 1;
        return Buffer.from("02\r");
      }
      return reply;
    };
    line.open();
    line.signal("fault");
    clock.advance(600);
    device.lay(MIFARE);
    clock.advance(250);
    expect(line.ids).toEqual(["66CF4DC2"]);
    expect([refused, protocol.counters.missingParameter]).toEqual([2, 2]);
  });

  test("what is on when we stop is turned off, and nothing is said where nothing is on", () => {
    const { clock, line, device, protocol } = ready();
    expect(protocol.farewell()).toEqual([]);
    line.signal("fault");
    clock.advance(100);
    expect(device.isSounding).toBe(true);
    for (const message of protocol.farewell()) device.hear(message);
    expect([device.isSounding, device.lamps]).toEqual([false, 0]);
  });

  test("the end of a sound is said again until it is answered", () => {
    const { clock, line, device } = ready();
    line.signal("accepted");
    line.isCut = true;
    clock.advance(100 + REPLY_MS);
    line.isCut = false;
    expect(device.isSounding).toBe(true);
    clock.advance(QUIET_MS + REPLY_MS);
    expect([device.isSounding, device.lamps]).toEqual([false, 0]);
  });
});

describe("faults", () => {
  test("three missed replies are deaf; two are not", () => {
    const { clock, device, protocol } = ready();
    device.silent = true;
    clock.advance(150 + 2 * (REPLY_MS + QUIET_MS) - 1);
    expect(protocol.failure).toBeUndefined();
    device.silent = false;
    clock.advance(REPLY_MS + QUIET_MS);
    expect(protocol.online).toBe(true);
    device.silent = true;
    clock.advance(MAX_UNANSWERED * (REPLY_MS + QUIET_MS) + 250);
    expect(protocol.failure).toMatchObject({ code: "reader-deaf" });
  });

  test("after deafness an open begins anew", () => {
    const { clock, line, device, protocol } = ready();
    device.silent = true;
    clock.advance(10_000);
    device.silent = false;
    line.open();
    expect([protocol.failure, protocol.online]).toEqual([undefined, true]);
    clock.advance(600);
    device.lay(MIFARE);
    clock.advance(250);
    expect(line.ids).toEqual(["66CF4DC2"]);
  });

  test("a reader that refuses every search is of no use", () => {
    const { clock, device, protocol } = ready();
    device.status = 5;
    clock.advance(3000);
    expect(protocol.failure).toMatchObject({ code: "reader-deaf" });
    expect(protocol.counters.parserError).toBe(MAX_UNANSWERED);
  });

  test.each([
    ["ascii", false],
    ["ascii", true],
    ["binary", false],
    ["binary", true],
  ] as const)("a line that echoes (%s, checksum %s) is seen as such", (mode, crc) => {
    const { clock, line, device, protocol } = talk({ mode, crc });
    device.echo = true;
    line.open();
    clock.advance(600);
    device.lay(MIFARE);
    clock.advance(250);
    expect(line.ids).toEqual(["66CF4DC2"]);
    expect(protocol.counters).toMatchObject({ echoed: device.heard.length, noReply: 0, unexpected: 0 });
  });

  test("a reply that belongs to nothing is counted and is no read", () => {
    const { clock, line, protocol } = ready();
    line.data(Buffer.from("000180200466CF4DC2\r"));
    clock.advance(1000);
    expect([line.ids, protocol.counters.strayBytes]).toEqual([[], 18]);
  });

  test("a reply that comes too late is not taken for the next one", () => {
    const { clock, line, device, protocol } = ready();
    device.lay(MIFARE);
    line.split = (piece) => [{ piece, afterMs: REPLY_MS + 10 }];
    clock.advance(250 + REPLY_MS + 20);
    expect([line.ids, protocol.counters.noReply]).toEqual([[], 1]);
    line.split = (piece) => [{ piece }];
    clock.advance(QUIET_MS);
    expect(line.ids).toEqual(["66CF4DC2"]);
  });

  test("wrong checksums are dropped, and asked for again soon", () => {
    const { clock, line, device, protocol } = ready({ crc: true });
    device.lay(MIFARE);
    let wrong = 2;
    device.corrupt = (reply) => {
      const text = reply.toString("latin1");
      return text.includes("66CF") && wrong-- > 0 ? Buffer.from(text.replace("66CF", "66CE")) : reply;
    };
    clock.advance(250 + 2 * 600);
    expect(line.ids).toEqual(["66CF4DC2"]);
    expect(protocol.counters.badChecksum).toBe(2);
  });

  test("a power cycle in the middle of all is survived, and what the reader has forgotten is set again", () => {
    const { clock, line, device, protocol } = ready({ searchMs: 50, settings: { tagTypes: ["iso14443a"] } });
    line.signal("accepted");
    clock.advance(10_000);
    while (!device.isSearching) clock.advance(1);
    device.powerCycle();
    expect(device.tagTypes).toBe("2FFE0700F7000000");
    clock.advance(REPLY_MS + QUIET_MS + 100);
    expect([protocol.failure, device.tagTypes]).toEqual([undefined, "0000000001000000"]);
    device.lay(MIFARE);
    line.signal("accepted");
    clock.advance(500);
    expect([line.ids, device.sounds.length, device.lampsSeen.length]).toEqual([["66CF4DC2"], 2, 4]);
  });

  test("bytes before the open are no conversation", () => {
    const { line, protocol } = talk();
    line.data(Buffer.from("0001\r"));
    expect([protocol.deadline, protocol.counters.strayBytes]).toEqual([undefined, 4]);
  });
});

/** What a person does at the reader, and how the line cuts it up. */
const scene = fc.array(
  fc.record({
    lay: fc.constantFrom<readonly Tag[]>([], [MIFARE], [SEVEN], [PROX], [MIFARE, PROX], [PHONE]),
    signal: fc.option(fc.constantFrom<Signal>(...SIGNALS), { nil: undefined, freq: 4 }),
    ms: fc.integer({ min: 1, max: 1500 }),
  }),
  { maxLength: 30 },
);
const format = fc.record({ mode: fc.constantFrom("ascii", "binary"), crc: fc.boolean(), old: fc.boolean() });

function perform(
  steps: readonly { lay: readonly Tag[]; signal: Signal | undefined; ms: number }[],
  options: Twn4Options,
  sizes: readonly number[],
) {
  const { clock, line, device, protocol } = talk(options);
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
  for (const { lay, signal, ms } of steps) {
    device.lay(...lay);
    if (signal !== undefined) line.signal(signal);
    clock.advance(ms);
  }
  return { reads: line.reads, counters: protocol.counters, heard: device.heard };
}

test("any chunking of the reader's bytes: the same reads, counters and commands", () => {
  fc.assert(
    fc.property(
      scene,
      format,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
      (steps, options, sizes) => {
        expect(perform(steps, options, sizes)).toEqual(perform(steps, options, []));
      },
    ),
    { numRuns: 60 },
  );
});

test("byte by byte with a millisecond between, as at 9600 baud: the same cards", () => {
  const { clock, line, device, protocol } = ready({ crc: true });
  line.split = (bytes) => [...bytes].map((byte) => ({ piece: Buffer.of(byte), afterMs: 1 }));
  device.lay(SEVEN, PROX);
  line.signal("no-jobs");
  clock.advance(3000);
  expect(line.ids.toSorted()).toEqual(["04A2B3C4D5E680", "BB032180"]);
  expect(protocol.counters).toMatchObject({ noReply: 0, unexpected: 0, strayBytes: 0 });
});

test("any garbage at any time: no throw, no endless talk, and after an open all is well", () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .constantFrom("\r", "00\r", "0000\r", "05\r", "000180200466CF4D", "\x02\0", "\xff\xff", "050020\r")
      .map((text) => Buffer.from(text, "latin1")),
  );
  const step = fc.record({ noise, ms: fc.integer({ min: 0, max: 1500 }), silent: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), format, (steps, options) => {
      const { clock, line, device, protocol } = talk(options);
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
      clock.advance(600);
      const before = line.reads.length;
      device.lay(SEVEN);
      clock.advance(250);
      expect([protocol.online, line.ids.slice(before)]).toEqual([true, ["04A2B3C4D5E680"]]);
    }),
    { numRuns: 100 },
  );
});

test("a signal's sound is over in its time, whatever firmware", () => {
  for (const old of [false, true]) {
    const { clock, line, device } = ready({ old });
    const from = clock.monotonic();
    line.signal("fault");
    clock.advance(durationMs(PATTERNS.fault));
    expect(device.isSounding).toBe(false);
    expect(device.sounds.at(-1)?.to).toBe(from + durationMs(PATTERNS.fault));
  }
});
