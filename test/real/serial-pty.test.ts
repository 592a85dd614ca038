import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readdir, readlink, realpath, rm, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../drivers/log.ts";
import type { Reader } from "../../drivers/reader.ts";
import type { SerialLineSettings } from "../../drivers/readers/line/settings.ts";
import { openReader } from "../../drivers/readers/open-reader.ts";
import { LineFaults, noFaults } from "../../drivers/transports/line-faults.ts";
import { PRESENCE_MS } from "../../drivers/transports/presence.ts";
import { SerialTransport } from "../../drivers/transports/serial.ts";
import { Recorder } from "../drivers/readers/scripted-transport.ts";
import { FakeClock } from "../sim/clock.ts";

/** A serial line made of a pseudo-terminal: what is written to `device.stdin` comes out of `path`. */
interface Line {
  readonly device: ChildProcessWithoutNullStreams;
  /** What the agent wrote to the reader. */
  readonly written: Buffer[];
  unplug(): Promise<void>;
}

let directory: string;
let path: string;
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "serial-"));
  path = join(directory, "reader");
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await rm(directory, { recursive: true });
});

async function plugIn(): Promise<Line> {
  const device = spawn("socat", ["-d", "-d", `PTY,raw,echo=0,link=${path}`, "STDIO"]);
  const gone = once(device, "exit");
  // A write to a reader that was unplugged meanwhile is no failure of the test.
  device.stdin.on("error", () => {});
  const written: Buffer[] = [];
  device.stdout.on("data", (bytes: Buffer) => written.push(bytes));
  const unplug = async () => {
    device.kill();
    await gone;
  };
  closers.push(unplug);
  for await (const line of createInterface({ input: device.stderr })) {
    if (line.includes("starting data transfer loop")) break;
  }
  device.stderr.resume();
  return { device, written, unplug };
}

async function openSerial(settings: Partial<SerialLineSettings> = {}) {
  const clock = new FakeClock();
  const reader: Reader = await openReader(
    {
      family: "serial-line",
      name: "front",
      repeatHoldMs: 1500,
      maxReadsPer10s: 5,
      path,
      baudRate: 9600,
      dataBits: 8,
      parity: "none",
      stopBits: 1,
      framing: "crlf",
      idleGapMs: 100,
      maxLength: 128,
      minLength: 4,
      checksum: "none",
      ...settings,
    },
    { clock, log: silentLog, random: () => 0 },
  );
  closers.push(() => reader.stop());
  const told = new Recorder();
  reader.start(told);
  return { reader, told, clock };
}

test("lines come through split and merged, and not one byte is written to the reader", async () => {
  const { device, written } = await plugIn();
  const { reader, told } = await openSerial();
  await told.inState("ready");
  for (const piece of ["0", "4A2B", "3C4", "\r", "\n0011223344\r\nABCD", "EF01\r\n"]) {
    device.stdin.write(piece, "latin1");
    await new Promise(setImmediate);
  }
  expect(await told.untilReads(3)).toEqual(["04A2B3C4", "0011223344", "ABCDEF01"]);
  reader.signal("accepted");
  await reader.stop();
  expect(Buffer.concat(written).toString("latin1")).toBe("");
});

test("an otherwise idle process learns of each line at once, and of the unplug", async () => {
  const { device, unplug } = await plugIn();
  const idle = spawn(process.execPath, [fileURLToPath(new URL("serial-idle.ts", import.meta.url)), path]);
  const gone = once(idle, "exit");
  closers.push(async () => {
    idle.kill();
    await gone;
  });
  const said = createInterface({ input: idle.stdout })[Symbol.asyncIterator]();
  expect((await said.next()).value).toBe("open");
  // Many, because a young process has other things that wake it now and then.
  for (let i = 0; i < 200; i += 1) {
    const card = `CARD${i}`;
    device.stdin.write(`${card}\n`);
    expect((await said.next()).value).toBe(card);
  }
  await unplug();
  expect((await said.next()).value).toBe("reader-lost");
});

test("noise at 115200 baud is counted, and the RDM6300 that repeats after it is one tap", async () => {
  const { device } = await plugIn();
  const { reader, told } = await openSerial({ baudRate: 115_200, framing: "stx-etx", checksum: "id12" });
  await told.inState("ready");
  device.stdin.write(Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * i * 7919 + (i >> 3)) & 0xff)));
  device.stdin.write("\x0262E3086CED08\x03".repeat(50), "latin1");
  device.stdin.write("\x023C00CE754CCB\x03", "latin1");
  expect(await told.untilReads(2)).toEqual(["62E3086CED", "3C00CE754C"]);
  expect(reader.counters).toMatchObject({ reads: 51, repeats: 49 });
  expect((reader.counters.strayBytes ?? 0) + (reader.counters.garbled ?? 0)).toBeGreaterThan(0);
});

/** `stty`'s words of the reader's line, as other programs see it. */
function settingsOf(device: string): string[] {
  return execFileSync("stty", ["-F", device, "-a"], { encoding: "utf8" }).split(/[\s;]+/);
}

test("damaged bytes are asked for, marked: the library alone would take them for good ones", async () => {
  await plugIn();
  const { reader, told } = await openSerial({ dataBits: 7, parity: "even" });
  await told.inState("ready");
  const settings = settingsOf(path);
  for (const word of ["inpck", "parmrk", "-ignpar", "-istrip", "-brkint", "-ignbrk"]) expect(settings).toContain(word);
  expect(reader.counters).toMatchObject({ faultsHidden: 0, lineFaults: 0, overruns: 0 });
});

test("FF, which the kernel doubles among marks, comes through as it was sent", async () => {
  const { device } = await plugIn();
  const transport = new SerialTransport(
    { path, baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1 },
    new FakeClock(),
  );
  closers.push(() => transport.close());
  const sent = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? 0xff : (i * 7) & 0xff)));
  const received: Buffer[] = [];
  const all = Promise.withResolvers<void>();
  await transport.open({
    data: (bytes) => {
      received.push(Buffer.from(bytes));
      if (Buffer.concat(received).length >= sent.length) all.resolve();
    },
    closed() {},
  });
  device.stdin.write(sent);
  await all.promise;
  expect(Buffer.concat(received)).toEqual(sent);
  expect(transport.counters).toMatchObject({ lineFaults: 0, faultsHidden: 0 });
});

test("a line whose faults stay hidden is read all the same, is counted and said", async () => {
  // Of a file there are no line settings to be set.
  const file = await open(join(directory, "no-line"), "w");
  closers.push(() => file.close());
  const counters = noFaults();
  const said: string[] = [];
  const log = { ...silentLog, warn: (_fields: object, message: string) => void said.push(message) };
  const faults = await LineFaults.watch(file.fd, counters, log);
  const bytes = Buffer.from([0xff, 0x00, 0x34]);
  expect(faults.take(bytes)).toEqual(bytes);
  expect([counters.faultsHidden, said.length]).toEqual([1, 1]);
});

test("doubled cards, NULs between them, a UID of 256 bytes: one tap each, at most", async () => {
  const { device } = await plugIn();
  const { reader, told } = await openSerial();
  await told.inState("ready");
  device.stdin.write(`04A2B3C4\r\0\0${"04A2B3C4\r".repeat(9)}`, "latin1");
  device.stdin.write(`${"0123456789ABCDEF".repeat(32)}\r04A2\0B3C4\r0011223344\r`, "latin1");
  expect(await told.untilReads(2)).toEqual(["04A2B3C4", "0011223344"]);
  expect(reader.counters).toMatchObject({ repeats: 9, oversize: 1, garbled: 1 });
});

test("half a line before an unplug is forgotten, and the reader is read again when it is back", async () => {
  const first = await plugIn();
  const { reader, told, clock } = await openSerial();
  await told.inState("ready");
  first.device.stdin.write("CARD1\r04A2", "latin1");
  await told.untilReads(1);
  clock.advance(60_000);
  await first.unplug();
  await told.inState("absent: reader-lost");
  clock.advance(1000);
  await told.inState("absent: reader-absent");
  const second = await plugIn();
  clock.advance(2000);
  await told.inState("ready");
  second.device.stdin.write("B3C4D5E6\r", "latin1");
  expect(await told.untilReads(2)).toEqual(["CARD1", "B3C4D5E6"]);
  expect(reader.counters).toMatchObject({ lost: 1, opened: 2 });
});

test("a device whose name is gone or another's is lost, though its line says nothing", async () => {
  await plugIn();
  const { told, clock } = await openSerial();
  await told.inState("ready");
  await unlink(path);
  clock.advance(PRESENCE_MS);
  await told.inState("absent: reader-lost");
  await plugIn();
  clock.advance(1000);
  await told.inState("ready");
});

test("a device that another program holds is there but cannot be opened", async () => {
  await plugIn();
  const { told } = await openSerial();
  await told.inState("ready");
  const line = { path, baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1 } as const;
  const second = new SerialTransport(line, new FakeClock());
  await expect(second.open({ data() {}, closed() {} })).rejects.toMatchObject({ code: "reader-open-failed" });
  await second.close();
});

test("a path that is no serial device is reader-open-failed", async () => {
  const line = { path: directory, baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1 } as const;
  await expect(new SerialTransport(line, new FakeClock()).open({ data() {}, closed() {} })).rejects.toMatchObject({
    code: "reader-open-failed",
  });
});

test("closing in the middle of a read, again and again, does not crash", async () => {
  const line = { path, baudRate: 9600, dataBits: 8, parity: "none", stopBits: 1 } as const;
  for (let i = 0; i < 20; i += 1) {
    const { device, unplug } = await plugIn();
    const transport = new SerialTransport(line, new FakeClock());
    const closed = Promise.withResolvers<void>();
    // One tick after the data the library has begun its next read.
    const close = () => process.nextTick(() => void transport.close().then(closed.resolve));
    await transport.open({ data: close, closed() {} });
    device.stdin.write("04A2");
    await closed.promise;
    await unplug();
  }
});

test("closing in the middle of an open leaves nothing open", async () => {
  await plugIn();
  const line = { path, baudRate: 9600, dataBits: 7, parity: "even", stopBits: 2 } as const;
  const transport = new SerialTransport(line, new FakeClock());
  const refused = expect(transport.open({ data() {}, closed() {} })).rejects.toMatchObject({
    code: "reader-open-failed",
  });
  await Promise.all([transport.close(), refused]);
  await expect(transport.write(Buffer.of(1))).rejects.toMatchObject({ code: "reader-lost" });
  const links = await Promise.all(
    (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  expect(links).not.toContain(await realpath(path));
});
