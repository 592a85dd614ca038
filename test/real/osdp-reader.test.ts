import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { openReader } from "../../drivers/readers/open-reader.ts";
import { keyset } from "../../drivers/readers/osdp/keyset.ts";
import type { OsdpSettings } from "../../drivers/readers/osdp/settings.ts";
import { Recorder } from "../drivers/readers/scripted-transport.ts";
import { OsdpPd, type PdOptions } from "../sim/osdp-pd.ts";

/** The reader is ours, the line is real: a pseudo-terminal under the serial driver, and TCP. */
const KEY = Uint8Array.from({ length: 16 }, (_, i) => 0x5c ^ i);
const SETTINGS: OsdpSettings = {
  family: "osdp",
  name: "door",
  repeatHoldMs: 1500,
  maxReadsPer10s: 5,
  baudRate: 115_200,
  address: 1,
  secure: true,
  scbk: KEY,
  check: "crc16",
  pollMs: 20,
  replyTimeoutMs: 2000,
};
const CONTEXT = { clock: systemClock, log: silentLog, random: () => 0 };

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Wire {
  readonly settings: OsdpSettings;
  readonly pd: OsdpPd;
  /** What went over the line, both ways. */
  readonly heard: Buffer[];
}

async function overSerial(options: PdOptions): Promise<Wire> {
  const directory = await mkdtemp(join(tmpdir(), "osdp-"));
  closers.push(() => rm(directory, { recursive: true }));
  const path = join(directory, "reader");
  const socat = spawn("socat", ["-d", "-d", `PTY,raw,echo=0,link=${path}`, "STDIO"]);
  const gone = once(socat, "exit");
  socat.stdin.on("error", () => {});
  closers.push(async () => {
    socat.kill();
    await gone;
  });
  const pd = new OsdpPd(options);
  const heard: Buffer[] = [];
  socat.stdout.on("data", (bytes: Buffer) => {
    heard.push(bytes);
    for (const reply of pd.push(bytes)) {
      heard.push(Buffer.from(reply));
      socat.stdin.write(reply);
    }
  });
  for await (const line of createInterface({ input: socat.stderr })) {
    if (line.includes("starting data transfer loop")) break;
  }
  socat.stderr.resume();
  return { settings: { ...SETTINGS, path }, pd, heard };
}

async function overTcp(options: PdOptions): Promise<Wire> {
  const pd = new OsdpPd(options);
  const heard: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      heard.push(bytes);
      for (const reply of pd.push(bytes)) {
        heard.push(Buffer.from(reply));
        // In two pieces, as networks deliver them.
        socket.write(reply.subarray(0, 7));
        setImmediate(() => socket.write(reply.subarray(7)));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    const closed = once(server, "close");
    server.close();
    await closed;
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { settings: { ...SETTINGS, connect: { host: "127.0.0.1", port } }, pd, heard };
}

const WIRES = [
  ["a serial line", overSerial],
  ["TCP", overTcp],
] as const;

test.each(WIRES)("over %s: cards, keys and signals, and nothing of them can be read on the line", async (_, lay) => {
  const { settings, pd, heard } = await lay({ scbk: KEY });
  const reader = await openReader(settings, CONTEXT);
  closers.push(() => reader.stop());
  const told = new Recorder();
  reader.start(told);
  await told.inState("ready");
  pd.card(Uint8Array.from(Buffer.from("04a2b3c4d5e680", "hex")), 56, 0);
  expect(await told.untilReads(1)).toEqual(["04a2b3c4d5e680"]);
  pd.keys("2468#");
  pd.card();
  await told.untilReads(2);
  expect(told.pressed).toBe("2468#");
  reader.capture(60_000);
  reader.signal("printed");
  pd.card(Uint8Array.of(1, 2, 3, 4), 32);
  await told.untilReads(3);
  expect(pd.shown).toEqual(["69 0000020101020005000000000000", "6a 0002010103"]);
  expect(reader.captured.length).toBeGreaterThan(2);
  const line = Buffer.concat(heard).toString("hex");
  for (const secret of ["04a2b3c4", "323436", "bb0321", Buffer.from(KEY).toString("hex")]) {
    expect(line).not.toContain(secret);
    expect(JSON.stringify(reader.captured)).not.toContain(secret);
  }
  expect(reader.counters).toMatchObject({ channels: 1, badMac: 0, restarts: 0, badCheck: 0 });
});

test.each(WIRES)("over %s: a new reader is given its key, and from then on has it", async (_, lay) => {
  const { settings, pd } = await lay({ installing: true });
  expect(await keyset(settings, CONTEXT)).toEqual({ outcome: "given" });
  expect(Buffer.from(pd.scbk)).toEqual(Buffer.from(KEY));
  expect(await keyset(settings, CONTEXT)).toEqual({ outcome: "had" });
  const reader = await openReader(settings, CONTEXT);
  closers.push(() => reader.stop());
  const told = new Recorder();
  reader.start(told);
  await told.inState("ready");
  pd.card();
  expect(await told.untilReads(1)).toEqual(["bb032180"]);
});

test.each(WIRES)(
  "over %s: a reader with another key is a failure to be seen, and nothing of it is read",
  async (_, lay) => {
    const { settings, pd } = await lay({ installing: true });
    pd.card();
    const reader = await openReader(settings, CONTEXT);
    closers.push(() => reader.stop());
    const told = new Recorder();
    reader.start(told);
    await told.inState("failed: reader-secure-channel-failed");
    expect(told.texts).toEqual([]);
    expect(pd.done).toEqual([0x61, 0x62, 0x76]);
  },
);
