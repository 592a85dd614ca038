import { expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import type { HidKeyboardSettings } from "../../../drivers/readers/hid-keyboard/settings.ts";
import type { LineChoices } from "../../../drivers/readers/line/settings.ts";
import { openReader, type ReaderSettings } from "../../../drivers/readers/open-reader.ts";
import { FakeClock } from "../../sim/clock.ts";
import { RECORDED as PCSC } from "./pcsc/recorded.ts";
import { RECORDED as PCPROX } from "./rfideas-sdk/recorded.ts";
import { Recorder, ScriptedTransport, turns } from "./scripted-transport.ts";

const common = { name: "front", repeatHoldMs: 1500, maxReadsPer10s: 5 };
const line: LineChoices = { framing: "crlf", idleGapMs: 100, maxLength: 128, minLength: 4, checksum: "none" };
const keyboard: HidKeyboardSettings = {
  family: "hid-keyboard",
  ...common,
  vendorId: 0x09d8,
  productId: 0x0410,
  terminators: ["enter", "keypad-enter"],
  interKeyTimeoutMs: 250,
  maxFrameMs: 3000,
  maxLength: 128,
  minLength: 4,
};
const serial: ReaderSettings = {
  family: "serial-line",
  ...common,
  ...line,
  path: "/dev/ttyUSB0",
  baudRate: 9600,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
};
const tcp: ReaderSettings = {
  family: "tcp-line",
  ...common,
  ...line,
  allow: [],
  connect: { host: "10.0.0.7", port: 7778 },
};

/** A Latin-1 string of each report, as the recorded "04A2" and Enter. */
const REPORTS = ["27", "00", "21", "00", "SHIFT", "04", "SHIFT", "00", "1f", "00", "28", "00"].map((key) =>
  key === "SHIFT"
    ? "\x02\0\0\0\0\0\0\0"
    : Buffer.from([key === "04" ? 2 : 0, 0, Number.parseInt(key, 16), 0, 0, 0, 0, 0]).toString("latin1"),
);

test.each([
  ["tcp-line", tcp, ["04", "A2\r\n"]],
  ["serial-line", serial, ["04A2\r"]],
  ["hid-keyboard", keyboard, REPORTS],
] as const)("%s reads from the transport that it is given", async (_family, settings, pieces) => {
  const clock = new FakeClock();
  const transport = new ScriptedTransport();
  const reader = await openReader(settings, { clock, log: silentLog, random: () => 0, transport });
  const told = new Recorder();
  reader.start(told);
  await transport.appear();
  for (const piece of pieces) {
    transport.send(piece);
    clock.advance(20);
  }
  expect(told.texts).toEqual(["04A2"]);
  await reader.stop();
  expect(clock.pending).toBe(0);
});

const pcprox: ReaderSettings = { family: "rfideas-sdk", ...common, vendorId: 0x0c27, productId: 0x3bfa };
const pcsc: ReaderSettings = { family: "pcsc", ...common, readerName: "Virtual PCD", allowRandomUid: false };

test.each([
  ["rfideas-sdk", pcprox, PCPROX.replies, "bb032180"],
  ["pcsc", pcsc, PCSC.told, "04a2b3c4"],
] as const)("%s talks with the transport that it is given, and a capture shows no number", async (...row) => {
  const [, settings, answers, read] = row;
  const clock = new FakeClock();
  const transport = new ScriptedTransport();
  const reader = await openReader(settings, { clock, log: silentLog, random: () => 0, transport });
  const told = new Recorder();
  reader.start(told);
  reader.capture(60_000);
  await transport.appear();
  for (const answer of answers) {
    await turns();
    clock.advance(250);
    await turns();
    transport.send(Buffer.from(answer, "hex").toString("latin1"));
  }
  expect(told.texts).toEqual([read]);
  expect(reader.captured.map(({ shape }) => shape).join("")).toMatch(/^x+$/);
  await reader.stop();
  expect([clock.pending, transport.isOpen]).toEqual([0, false]);
});

test.each(["none", "only"] as const)(
  "a capture of a keyboard (keypad: %s) does not tell one key from another",
  async (keypad) => {
    const shapes = new Set<string>();
    for (const usage of [0x04, 0x09, 0x0a, 0x0d, 0x1e, 0x20, 0x27, 0x28, 0x59, 0x5b, 0x61]) {
      const clock = new FakeClock();
      const transport = new ScriptedTransport();
      const settings = { ...keyboard, keypad };
      const reader = await openReader(settings, { clock, log: silentLog, random: () => 0, transport });
      reader.start(new Recorder());
      await transport.appear();
      reader.capture(60_000);
      for (const modifiers of [0, 0x02]) transport.send(String.fromCharCode(modifiers, 0, usage, 0, 0, 0, 0, 0));
      shapes.add(JSON.stringify(reader.captured.map(({ shape }) => shape)));
      await reader.stop();
    }
    expect(shapes.size).toBe(1);
  },
);

test("a tcp-line reader with neither address fails as a state, it does not throw", async () => {
  const settings: ReaderSettings = { family: "tcp-line", ...common, ...line, allow: [] };
  const reader = await openReader(settings, { clock: new FakeClock(), log: silentLog, random: () => 0 });
  const told = new Recorder();
  reader.start(told);
  await told.inState("failed: reader-listen-failed");
  await reader.stop();
});

test("a range that is none in `allow` fails as a state", async () => {
  const settings: ReaderSettings = {
    ...tcp,
    connect: undefined,
    listen: { host: "127.0.0.1", port: 0 },
    allow: ["10.0.0/8"],
  };
  const reader = await openReader(settings, { clock: new FakeClock(), log: silentLog, random: () => 0 });
  const told = new Recorder();
  reader.start(told);
  await told.inState("failed: reader-listen-failed");
  await reader.stop();
});

const twn4: ReaderSettings = {
  family: "twn4-simple",
  ...common,
  path: "/dev/no-such-reader",
  baudRate: 9600,
  mode: "ascii",
  crc: false,
  pollMs: 300,
  tagTypes: [],
  beepVolume: 100,
  allowRandomUid: false,
};
const rfideas: ReaderSettings = { family: "rfideas-acp", ...common, baudRate: 9600, pollMs: 300, beep: true };

test.each([
  ["twn4-simple", twn4, "0004FF\r"],
  ["rfideas-acp", rfideas, "rfid:cmd.echo=0\r"],
] as const)("%s speaks first, and stops in the middle of it", async (_family, settings, said) => {
  const clock = new FakeClock();
  const transport = new ScriptedTransport();
  const reader = await openReader(settings, { clock, log: silentLog, random: () => 0, transport });
  const told = new Recorder();
  reader.start(told);
  await transport.appear();
  expect(transport.written).toEqual([Buffer.from(said).toString("hex")]);
  expect(told.states).toEqual(["opening"]);
  await reader.stop();
  expect([clock.pending, transport.isOpen]).toEqual([0, false]);
});

test("an rfideas-acp reader with no address fails as a state", async () => {
  const reader = await openReader(rfideas, { clock: new FakeClock(), log: silentLog, random: () => 0 });
  const told = new Recorder();
  reader.start(told);
  await told.inState("absent: reader-unreachable");
  await reader.stop();
});

test("readers whose devices are not there are absent", async () => {
  const missing: ReaderSettings = { ...serial, path: "/dev/no-such-reader" };
  for (const settings of [
    missing,
    twn4,
    { ...rfideas, path: "/dev/no-such-reader" },
    { ...keyboard, productId: 0xfffe },
    { ...pcprox, productId: 0xfffe },
  ]) {
    const reader = await openReader(settings, { clock: new FakeClock(), log: silentLog, random: () => 0 });
    const told = new Recorder();
    reader.start(told);
    await told.inState("absent: reader-absent");
    await reader.stop();
  }
});
