import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../drivers/log.ts";
import { openReader, type ReaderSettings } from "../../drivers/readers/open-reader.ts";
import { Recorder } from "../drivers/readers/scripted-transport.ts";
import { FakeClock } from "../sim/clock.ts";
import { SimulatedRfideas } from "../sim/rfideas.ts";
import { SimulatedTwn4 } from "../sim/twn4.ts";
import { until } from "./until.ts";

/** Polled readers over a real line: a pseudo-terminal, or TCP on loopback. Time is ours, the bytes take theirs. */

let directory: string;
let path: string;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "polled-"));
  path = join(directory, "reader");
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await rm(directory, { recursive: true });
});

const common = { name: "front", repeatHoldMs: 1500, maxReadsPer10s: 5, pollMs: 250 };
const TWN4 = {
  ...common,
  family: "twn4-simple",
  baudRate: 9600,
  mode: "ascii",
  crc: false,
  tagTypes: [],
  beepVolume: 100,
  allowRandomUid: false,
} as const;
const RFIDEAS = { ...common, family: "rfideas-acp", baudRate: 9600, beep: true } as const;

interface Device {
  hear(bytes: Uint8Array): void;
}

/** Plugs a simulated reader into a pseudo-terminal. */
async function plugIn<T extends Device>(make: (say: (bytes: Buffer) => void) => T) {
  const line: ChildProcessWithoutNullStreams = spawn("socat", ["-d", "-d", `PTY,raw,echo=0,link=${path}`, "STDIO"]);
  const gone = once(line, "exit");
  line.stdin.on("error", () => {});
  const device = make((bytes) => void line.stdin.write(bytes));
  line.stdout.on("data", (bytes: Buffer) => device.hear(bytes));
  const unplug = async () => {
    line.kill();
    await gone;
  };
  closers.push(unplug);
  for await (const message of createInterface({ input: line.stderr })) {
    if (message.includes("starting data transfer loop")) break;
  }
  line.stderr.resume();
  return { device, unplug };
}

async function open(settings: ReaderSettings, clock: FakeClock) {
  const reader = await openReader(settings, { clock, log: silentLog, random: () => 0 });
  closers.push(() => reader.stop());
  const told = new Recorder();
  reader.start(told);
  /** Lets our time pass, not so fast that the bytes could not follow, until it is so. */
  const pass = (what: string, isSo: () => boolean) =>
    until(what, () => {
      if (isSo()) return true;
      clock.advance(10);
      return false;
    });
  return { reader, told, pass };
}

test.each([
  ["ascii", false],
  ["ascii", true],
  ["binary", false],
  ["binary", true],
] as const)("twn4-simple over a serial line, %s, checksum %s", async (mode, crc) => {
  const clock = new FakeClock();
  const { device } = await plugIn((say) => new SimulatedTwn4(clock, say, { mode, crc }));
  const { reader, told, pass } = await open({ ...TWN4, mode, crc, path }, clock);
  await pass("ready", () => told.states.at(-1) === "ready");
  await pass("polled twice", () => device.heard.length > 7);
  device.lay({ type: 0x80, bitLength: 56, id: "04A2B3C4D5E680" });
  await pass("read", () => told.texts.length > 0);
  expect(told.texts).toEqual(["04a2b3c4d5e680"]);
  reader.signal("accepted");
  await pass("heard", () => device.sounds.at(-1)?.to !== undefined);
  await pass("dark again", () => device.lamps === 0);
  expect(reader.counters).toMatchObject({ reads: 1, repeats: 0, noReply: 0, garbled: 0, badChecksum: 0 });
});

test("twn4-simple: unplugged and plugged in again while a card lies there, which is no tap until it is lifted", async () => {
  const clock = new FakeClock();
  const first = await plugIn((say) => new SimulatedTwn4(clock, say));
  const { told, pass } = await open({ ...TWN4, path }, clock);
  await pass("ready", () => told.states.at(-1) === "ready");
  await first.unplug();
  await pass("absent", () => told.states.at(-1)?.startsWith("absent") === true);
  const { device } = await plugIn((say) => new SimulatedTwn4(clock, say));
  device.lay({ type: 0x80, bitLength: 32, id: "66CF4DC2" });
  await pass("ready", () => told.states.at(-1) === "ready");
  await pass("polled often", () => device.heard.length > 9);
  expect(told.texts).toEqual([]);
  device.lay();
  const from = clock.monotonic();
  await pass("lifted", () => clock.monotonic() - from > 2500);
  device.lay({ type: 0x80, bitLength: 32, id: "66CF4DC2" });
  await pass("read", () => told.texts.length > 0);
  expect(told.texts).toEqual(["66cf4dc2"]);
});

test("a reader that answers nothing over a serial line is deaf, and closed and opened again", async () => {
  const clock = new FakeClock();
  const { device } = await plugIn((say) => new SimulatedTwn4(clock, say));
  device.silent = true;
  const { reader, told, pass } = await open({ ...TWN4, path }, clock);
  await pass("deaf", () => told.states.at(-1) === "absent: reader-deaf");
  device.silent = false;
  await pass("ready", () => told.states.at(-1) === "ready");
  expect(reader.counters).toMatchObject({ deaf: 1, opened: 2 });
});

test("rfideas-acp over a serial line", async () => {
  const clock = new FakeClock(600_000);
  const { device } = await plugIn((say) => new SimulatedRfideas(clock, say));
  device.tap("000000801CD1931B2F14", 80);
  clock.advance(1000);
  const { reader, told, pass } = await open({ ...RFIDEAS, path }, clock);
  await pass("ready", () => told.states.at(-1) === "ready");
  expect(told.texts).toEqual([]);
  const from = clock.monotonic();
  await pass("out of its lock-out", () => clock.monotonic() - from > 500);
  device.tap("02EC0C86", 26);
  await pass("read", () => told.texts.length > 0);
  expect(told.texts).toEqual(["bb032180"]);
  reader.signal("denied");
  await pass("heard", () => device.beeps.length === 3);
  await pass("lamp given back", () => device.led === 255);
  expect(reader.counters).toMatchObject({ reads: 1, stale: 1, noReply: 0 });
});

test("rfideas-acp over TCP: the reader is found again after it went away", async () => {
  const clock = new FakeClock(600_000);
  const sockets = new Set<Socket>();
  let say = (_bytes: Buffer) => {};
  const device = new SimulatedRfideas(clock, (bytes) => say(bytes));
  const server = createServer((socket) => {
    sockets.add(socket);
    say = (bytes) => void socket.write(bytes);
    socket.on("data", (bytes: Buffer) => device.hear(bytes));
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const { told, pass } = await open({ ...RFIDEAS, connect: { host: "127.0.0.1", port } }, clock);
  await pass("ready", () => told.states.at(-1) === "ready");
  device.tap("000000801DD1910B2F04", 80);
  await pass("read", () => told.texts.length === 1);
  for (const socket of sockets) socket.destroy();
  await until("lost", () => told.states.at(-1) === "absent: reader-lost");
  device.powerCycle();
  await pass("ready", () => told.states.at(-1) === "ready");
  device.tap("02EC0C86", 26);
  await pass("read", () => told.texts.length === 2);
  expect(told.texts).toEqual(["000000801dd1910b2f04", "bb032180"]);
});
