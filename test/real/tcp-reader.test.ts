import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type Log, silentLog } from "../../drivers/log.ts";
import { STALL_MS } from "../../drivers/readers/line/decoder.ts";
import type { TcpLineSettings } from "../../drivers/readers/line/settings.ts";
import { openReader } from "../../drivers/readers/open-reader.ts";
import { TcpListen, type TcpOptions } from "../../drivers/transports/tcp.ts";
import { Recorder } from "../drivers/readers/scripted-transport.ts";
import { FakeClock } from "../sim/clock.ts";
import { until } from "./until.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const SETTINGS: TcpLineSettings = {
  family: "tcp-line",
  name: "front",
  repeatHoldMs: 1500,
  maxReadsPer10s: 5,
  allow: [],
  framing: "crlf",
  idleGapMs: 100,
  maxLength: 128,
  minLength: 4,
  checksum: "none",
};

interface LogLine {
  readonly code?: string;
  readonly source?: string;
}

function recordingLog(): { log: Log; warnings: LogLine[] } {
  const warnings: LogLine[] = [];
  const log: Log = { ...silentLog, warn: (fields) => void warnings.push(fields), child: () => log };
  return { log, warnings };
}

/** The agent listens, on a free port. */
async function listen(allow: readonly string[] = [], options: TcpOptions = {}) {
  const clock = new FakeClock();
  const { log, warnings } = recordingLog();
  const transport = new TcpListen({ host: "127.0.0.1", port: 0 }, allow, { clock, log }, options);
  const reader = await openReader(SETTINGS, { clock, log, random: () => 0, transport });
  closers.push(() => reader.stop());
  const told = new Recorder();
  reader.start(told);
  await told.inState("ready");
  return { reader, told, clock, warnings, port: transport.port ?? 0 };
}

/** A network reader that connects to the agent; `heard` is what the agent said to it. */
async function dial(
  port: number,
  localAddress = "127.0.0.1",
): Promise<{ socket: Socket; heard: Buffer[]; ended: Promise<unknown> }> {
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  const heard: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => heard.push(bytes));
  socket.on("error", () => {});
  const ended = new Promise((resolve) => socket.once("close", resolve));
  closers.push(() => {
    socket.destroy();
    return ended;
  });
  await Promise.race([new Promise((resolve) => socket.once("connect", resolve)), ended]);
  return { socket, heard, ended };
}

/** A network reader that the agent connects to; `next` is its next connection. */
async function readerAt(port = 0) {
  const waiting: PromiseWithResolvers<Socket>[] = [];
  const arrived: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    const taker = waiting.shift();
    if (taker === undefined) arrived.push(socket);
    else taker.resolve(socket);
    closers.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const switchOff = () => new Promise<void>((resolve) => server.close(() => resolve()));
  closers.push(switchOff);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    switchOff,
    next: (): Promise<Socket> => {
      const socket = arrived.shift();
      if (socket !== undefined) return Promise.resolve(socket);
      const taker = Promise.withResolvers<Socket>();
      waiting.push(taker);
      return taker.promise;
    },
  };
}

async function connectTo(port: number) {
  const clock = new FakeClock();
  const reader = await openReader(
    { ...SETTINGS, connect: { host: "127.0.0.1", port } },
    { clock, log: silentLog, random: () => 0 },
  );
  closers.push(() => reader.stop());
  const told = new Recorder();
  reader.start(told);
  return { reader, told, clock };
}

/** The kernel's timer of a connection of ours: `02` is keep-alive, `when` is in hundredths of a second (proc_net_tcp). */
async function kernelTimer(localPort: number, peerPort: number): Promise<{ kind: string; when: number } | undefined> {
  const port = (number: number) => `:${number.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const line of (await readFile("/proc/net/tcp", "utf8")).split("\n")) {
    const [, local = "", peer = "", , , timer = ""] = line.trim().split(/\s+/);
    const [kind = "", when = ""] = timer.split(":");
    if (local.endsWith(port(localPort)) && peer.endsWith(port(peerPort)))
      return { kind, when: Number.parseInt(when, 16) };
  }
  return undefined;
}

describe("the agent listens", () => {
  test("lines come through split and merged, and the reader hears nothing, whatever it says", async () => {
    const { reader, told, port } = await listen();
    const { socket, heard, ended } = await dial(port);
    socket.setNoDelay(true);
    for (const piece of ["\xff\xfd\x03\xff\xfb\x01", "04A2", "B3C4\r", "\n0011223344\r\nGET / HT", "TP/1.1\r\n"]) {
      socket.write(piece, "latin1");
      await new Promise(setImmediate);
    }
    expect(await told.untilReads(3)).toEqual(["04A2B3C4", "0011223344", "GET / HTTP/1.1"]);
    expect(reader.counters).toMatchObject({ connected: 1, connections: 1, garbled: 0 });
    await reader.stop();
    await ended;
    expect(heard).toEqual([]);
  });

  test("a source that is not listed is cut off, counted, and logged once a minute", async () => {
    const { reader, told, clock, warnings, port } = await listen(["127.0.0.2"]);
    for (let i = 0; i < 20; i += 1) {
      const { socket, ended } = await dial(port);
      socket.write("STOLEN00\r\n");
      await ended;
    }
    expect(reader.counters).toMatchObject({ sourceRefused: 20, connections: 0, connected: 0 });
    expect(warnings).toMatchObject([{ code: "reader-source-refused", source: "127.0.0.1" }]);
    clock.advance(60_000);
    await (await dial(port)).ended;
    expect(warnings).toHaveLength(2);
    const { socket } = await dial(port, "127.0.0.2");
    socket.write("04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
  });

  test("the newest connection is the reader's; half a line of the old one is forgotten", async () => {
    const { reader, told, port } = await listen();
    const old = await dial(port);
    old.socket.write("CARD1\r04A2");
    await told.untilReads(1);
    const fresh = await dial(port);
    await old.ended;
    fresh.socket.write("B3C4D5E6\r");
    expect(await told.untilReads(2)).toEqual(["CARD1", "B3C4D5E6"]);
    expect(reader.counters).toMatchObject({ replaced: 1, connected: 1, disconnected: 0 });
  });

  test("a reader that goes away leaves the agent listening", async () => {
    const { told, port } = await listen();
    const first = await dial(port);
    first.socket.end("CARD1\r");
    await first.ended;
    const second = await dial(port);
    second.socket.write("CARD2\r");
    expect(await told.untilReads(2)).toEqual(["CARD1", "CARD2"]);
    expect(told.states).toEqual(["opening", "ready"]);
  });

  test("a 10 MB line is one oversize line, and the next line is read", async () => {
    const { reader, told, port } = await listen([], { maxBytesPerSecond: 64_000_000 });
    const { socket } = await dial(port);
    socket.write(Buffer.alloc(10_000_000, "4"));
    socket.write("\r\n04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    expect(reader.counters).toMatchObject({ oversize: 1, reads: 1, throttled: 0, bytes: 10_000_012 });
  });

  test("a flood is held back at the socket, and a new connection gets through beside it", async () => {
    const { reader, told, port, clock } = await listen();
    const flood = await dial(port);
    flood.socket.write(Buffer.alloc(10_000_000, "4"));
    // Either as soon as the first read went over the limit, or at the connection that follows.
    const fresh = await dial(port);
    await flood.ended;
    clock.advance(60_000);
    fresh.socket.write("04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    expect(reader.counters.bytes).toBeLessThan(1_000_000);
  });

  test("of a thousand connections one is left, and it reads", async () => {
    const { reader, told, port } = await listen();
    const all: Awaited<ReturnType<typeof dial>>[] = [];
    // As many at once as the kernel keeps for us (Node's backlog is 511): beyond that a client believes in a connection of
    // which the listener learns a second later, and which then is the newest.
    while (all.length < 1000) {
      all.push(...(await Promise.all(Array.from({ length: 250 }, () => dial(port)))));
      await until("all are accepted", () => reader.counters.connections === all.length);
    }
    const last = await dial(port);
    await Promise.all(all.map(({ ended }) => ended));
    last.socket.write("04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    expect(reader.counters).toMatchObject({ connected: 1, connections: 1001 });
  });

  test("a slow-loris holds nobody up: its line is no read, and the next connection is the reader's", async () => {
    const { reader, told, clock, port } = await listen();
    const loris = await dial(port);
    loris.socket.setNoDelay(true);
    for (let sent = 1; sent <= 5; sent += 1) {
      loris.socket.write("4");
      await until("the bytes arrive", () => reader.counters.bytes === sent);
      clock.advance(STALL_MS);
    }
    expect(reader.counters).toMatchObject({ unfinished: 5, reads: 0 });
    loris.socket.write("4");
    const fresh = await dial(port);
    fresh.socket.write("04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    await loris.ended;
  });

  test("what a source that is not listed says is not read, even in the middle of a line of the reader", async () => {
    const { reader, told, port } = await listen(["127.0.0.2"]);
    const own = await dial(port, "127.0.0.2");
    own.socket.write("04A2");
    await until("the bytes arrive", () => reader.counters.bytes === 4);
    const spoofed = await dial(port, "127.0.0.3");
    spoofed.socket.write("FFFF\r\nSTOLEN00\r\n");
    await spoofed.ended;
    own.socket.write("B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    expect(reader.counters).toMatchObject({ sourceRefused: 1, connected: 1, bytes: 10 });
  });

  test("doubled cards, half lines, NULs, a UID of 256 bytes and noise: one tap for each good line", async () => {
    const { reader, told, port } = await listen();
    const { socket } = await dial(port);
    socket.write(Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i * i * 7919 + (i >> 3)) & 0xff)));
    socket.write(`\r\0\0${"04A2B3C4\r\n".repeat(5)}${"0123456789ABCDEF".repeat(32)}\r04A2\0B3C4\r`, "latin1");
    socket.write("0011223344\r\n04A2");
    expect(await told.untilReads(2)).toEqual(["04A2B3C4", "0011223344"]);
    expect(reader.counters).toMatchObject({ repeats: 4, reads: 6 });
    expect(reader.counters.oversize).toBeGreaterThanOrEqual(1);
    expect(reader.counters.garbled).toBeGreaterThan(1);
  });

  test("a reader that lost its power is found: the kernel probes a silent connection after 15 s", async () => {
    const { told, port } = await listen();
    const { socket } = await dial(port);
    socket.write("CARD1\r");
    await told.untilReads(1);
    const timer = await kernelTimer(port, socket.localPort ?? 0);
    expect(timer?.kind).toBe("02");
    expect(timer?.when).toBeLessThanOrEqual(1500);
  });
});

describe("the agent connects", () => {
  test("lines come through, and the reader hears nothing", async () => {
    const device = await readerAt();
    const { reader, told } = await connectTo(device.port);
    const socket = await device.next();
    const heard: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => heard.push(bytes));
    socket.write("04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    const timer = await kernelTimer(socket.remotePort ?? 0, device.port);
    expect(timer?.kind).toBe("02");
    expect(timer?.when).toBeLessThanOrEqual(1500);
    await reader.stop();
    expect(heard).toEqual([]);
  });

  test("a reader that is switched off is unreachable, and connected to when it is back", async () => {
    const first = await readerAt();
    const { told, clock } = await connectTo(first.port);
    const socket = await first.next();
    await told.inState("ready");
    clock.advance(60_000);
    const off = first.switchOff();
    socket.destroy();
    await off;
    await told.inState("absent: reader-lost");
    clock.advance(1000);
    await told.inState("absent: reader-unreachable");
    const second = await readerAt(first.port);
    clock.advance(2000);
    (await second.next()).write("04A2B3C4\r\n");
    expect(await told.untilReads(1)).toEqual(["04A2B3C4"]);
    expect(told.states).toEqual(["opening", "ready", "absent: reader-lost", "absent: reader-unreachable", "ready"]);
  });

  test("a reader that closes only its half is lost, and both halves are closed", async () => {
    const device = await readerAt();
    const { told } = await connectTo(device.port);
    const socket = await device.next();
    await told.inState("ready");
    const closed = once(socket, "close");
    socket.resume();
    socket.end("CARD1\r");
    await told.inState("absent: reader-lost");
    expect(told.texts).toEqual(["CARD1"]);
    await closed;
  });

  test("a connection that is reset is lost", async () => {
    const device = await readerAt();
    const { told } = await connectTo(device.port);
    const socket = await device.next();
    await told.inState("ready");
    socket.resetAndDestroy();
    await told.inState("absent: reader-lost");
  });
});
