import { expect, test } from "vitest";
import { SIGNALS } from "../../../../drivers/reader.ts";
import { durationMs, PATTERNS } from "../../../../drivers/readers/feedback.ts";
import { MAX_CARD_BITS } from "../../../../drivers/readers/osdp/messages.ts";
import { bytes, hex, online } from "./line.ts";

const CARD = "bb032180:26";

test.each(SIGNALS)("%s is lit and sounded as its pattern, in tenths of a second, for a time", (signal) => {
  const line = online();
  line.panel.signal(signal, line.now);
  line.run(100);
  const { count, onMs, offMs, colour } = PATTERNS[signal];
  const [lamp = "", sound = "", ...others] = line.pd.shown;
  const [, , control, on, off, onColour, offColour, low = 0, high = 0, ...permanent] = bytes(lamp.slice(3));
  expect([lamp.slice(0, 2), control, on, off, onColour, offColour]).toEqual([
    "69",
    2,
    onMs / 100,
    offMs / 100,
    { red: 1, green: 2, amber: 3 }[colour],
    0,
  ]);
  expect((low + high * 256) * 100).toBe(durationMs(PATTERNS[signal]));
  expect(permanent).toEqual([0, 0, 0, 0, 0]);
  expect(sound).toBe(`6a ${hex(Uint8Array.of(0, 2, onMs / 100, offMs / 100, count))}`);
  expect(others).toEqual([]);
});

test("of two signals that wait the newest is told", () => {
  const line = online();
  line.panel.signal("accepted", line.now);
  line.panel.signal("denied", line.now);
  line.run(1000);
  expect(line.pd.shown).toHaveLength(2);
  expect(line.pd.shown[1]).toBe("6a 0002040203");
});

test("a signal is not held up by the wait for the next poll", () => {
  const line = online();
  line.run(1000);
  line.panel.signal("accepted", line.now);
  expect(hex(line.panel.output(line.now) ?? bytes("")).slice(16, 18)).toBe("69");
});

test("a beeper that it does not know is left alone from then on", () => {
  const line = online({ pd: { hasBeeper: false } });
  line.panel.signal("accepted", line.now);
  line.run(1000);
  line.panel.signal("denied", line.now);
  line.run(1000);
  expect(line.pd.naks).toEqual([3]);
  expect(line.pd.shown.map((shown) => shown.slice(0, 2))).toEqual(["69", "69"]);
  expect(line.panel.counters).toMatchObject({ naks: 1, restarts: 0 });
});

test("one that cannot tell its capabilities is taken as it is", () => {
  const line = online({ pd: { hasCap: false } });
  line.panel.signal("accepted", line.now);
  line.run(1000);
  expect(line.pd.shown).toHaveLength(2);
});

test("tampering and power are counted and told; other news is counted", () => {
  const line = online();
  line.pd.reply(0x48, bytes("0101"));
  line.pd.reply(0x48, bytes("0000"));
  line.pd.reply(0x4b, bytes("02"));
  line.pd.reply(0x49, bytes("00"));
  line.pd.reply(0x51, bytes("00000431323334"));
  line.run(2000);
  expect(line.panel.counters).toMatchObject({ tampered: 2, powerFailed: 1, unknownReplies: 2 });
  expect(line.notices.filter(({ type }) => type === "status")).toEqual([
    { type: "status", tampered: true, powerFailed: true },
    { type: "status", tampered: false, powerFailed: false },
    { type: "status", tampered: true, powerFailed: undefined },
  ]);
  expect(line.read).toEqual([]);
});

test("one that refuses every poll is given up: no card could come; one that refuses now and then is not", () => {
  const line = online();
  for (let i = 0; i < 20; i += 1) {
    line.pd.reply(0x41, bytes("09"));
    line.pd.reply(0x40, bytes(""));
  }
  line.run(10_000);
  expect([line.panel.failure, line.panel.counters.restarts]).toEqual([undefined, 0]);
  for (let i = 0; i < 100; i += 1) line.pd.reply(0x41, bytes("03"));
  line.run(60_000);
  expect(line.panel.failure).toMatchObject({ code: "reader-deaf" });
});

test.each([
  ["no bits", "00010000"],
  ["fewer bytes than bits", "00011a00bb0321"],
  ["more bytes than bits", "00011a00bb03218000"],
  ["a format that we do not know", "00021a00bb032180"],
  ["nothing", ""],
])("a card of %s is dropped whole", (_, data) => {
  const line = online();
  line.pd.reply(0x50, bytes(data));
  line.run(1000);
  expect(line.read).toEqual([]);
  expect(line.panel.counters).toMatchObject({ malformedEvents: 1, reads: 0 });
});

test("a card is at most so long, and what lies beyond its bits is nothing", () => {
  const line = online();
  line.pd.card(new Uint8Array(MAX_CARD_BITS / 8).fill(0xa5), MAX_CARD_BITS);
  line.pd.card(new Uint8Array(MAX_CARD_BITS / 8 + 1).fill(0xa5), MAX_CARD_BITS + 1);
  line.pd.card(new Uint8Array(256).fill(0xa5), 2048);
  line.pd.card(bytes("bb0321bf"), 26, 0);
  line.pd.card(bytes("04a2b3c4"), 32, 0);
  line.run(2000);
  expect(line.read).toEqual([`${"a5".repeat(64)}:512`, CARD, "04a2b3c4:32"]);
  expect(line.panel.counters).toMatchObject({ oversize: 2, reads: 3 });
});

test("keys that are no digit, star or hash are left out and counted; a wrong number of them is dropped", () => {
  const line = online();
  line.pd.reply(0x53, bytes("0005317f410d23"));
  line.pd.reply(0x53, bytes("0005313233"));
  line.pd.reply(0x53, bytes("000141"));
  line.run(2000);
  expect(line.read).toEqual(["1*##"]);
  expect(line.panel.counters).toMatchObject({ keys: 4, unknownKeys: 2, malformedEvents: 1 });
});
