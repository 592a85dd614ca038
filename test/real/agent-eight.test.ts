import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import type { TapTrace } from "../../agent/release/trace.ts";
import { systemClock } from "../../drivers/clock.ts";
import { type AgentProcess, freePort } from "./agent-process.ts";
import { type Document, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

/** As many as an agent takes. */
const MANY = 8;
const NUMBERS = Array.from({ length: MANY }, (_, number) => number);
/** Reader n releases at printer 7 - n. */
const printerOf = (reader: number) => MANY - 1 - reader;
const cardOf = (reader: number) => `04E8E8E8E${reader}`;
const personOf = (reader: number) => `person-${reader}`;

let site: Site;
let agent: AgentProcess;
const mfds: VirtualMfd[] = [];
const ports: number[] = [];
/** What the sender of each reader's lines holds. */
const lines: Socket[] = [];

beforeAll(async () => {
  site = await Site.start();
  for (const number of NUMBERS) {
    mfds.push(await VirtualMfd.start({ clock: systemClock, printMs: 20 }));
    ports.push(await freePort());
    await site.administration.addUser(personOf(number));
    await site.administration.addCard(personOf(number), cardOf(number));
  }
  const printers = NUMBERS.map((number) => `[[printer]]\nname = "mfd-${number}"\nuri = "${mfds[number]?.uri}"`);
  const readers = NUMBERS.map(
    (number) => `[[reader]]\nname = "reader-${number}"\nprinter = "mfd-${printerOf(number)}"
repeat_hold_ms = 0\nfamily = "tcp-line"\nlisten = "127.0.0.1:${ports[number]}"`,
  );
  const installed = await site.install({ tables: [...printers, ...readers].join("\n\n") });
  agent = await installed.start();
  for (const number of NUMBERS) {
    lines[number] = await until("the reader listens", () => dial(ports[number] ?? 0));
    await tapAt(number); // compares its claims, and finds nothing
  }
});
afterAll(async () => {
  for (const line of lines) line.destroy();
  await site.stop();
  await Promise.all(mfds.map((mfd) => mfd.stop()));
});
let printed: number[] = [];
beforeEach(() => {
  printed = mfds.map(({ prints }) => prints.length);
});

async function dial(port: number): Promise<Socket | undefined> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {}); // not yet, or no longer
  const [event] = await Promise.race([
    once(socket, "connect").then(() => ["connect"]),
    once(socket, "close").then(() => ["close"]),
  ]);
  return event === "connect" ? socket : undefined;
}

/** A tap at this reader, to the end of all its jobs. */
async function tapAt(reader: number): Promise<TapTrace> {
  const own = async () => (await agent.status()).taps.filter((tap) => tap.reader === `reader-${reader}`);
  const before = new Set((await own()).map(({ tapId }) => tapId));
  lines[reader]?.write(`${cardOf(reader)}\r\n`);
  return until("the tap has ended", async () => {
    const tap = (await own()).find(({ tapId }) => !before.has(tapId));
    const { jobs = [], signal } = tap ?? {};
    const ended = jobs.length > 0 ? jobs.every(({ word }) => word !== undefined) : signal === "no-jobs";
    return ended ? tap : undefined;
  });
}

const submit = (reader: number, seed: string) =>
  site.submit(pdf(`${seed} ${reader}`, 30_000), `${seed}.pdf`, { user: personOf(reader) });
const cameFrom = (printer: number) =>
  mfds[printer]?.prints.slice(printed[printer]).map(({ sha256 }: { sha256: string }) => sha256);

test("eight people tap at eight readers at one instant: each document comes out at the reader's printer and nowhere else", async () => {
  const documents: Document[] = [];
  for (const reader of NUMBERS) documents.push(await submit(reader, "crosswise"));
  const traces = await Promise.all(NUMBERS.map((reader) => tapAt(reader)));
  for (const reader of NUMBERS) {
    expect(traces[reader]).toMatchObject({ printer: `mfd-${printerOf(reader)}`, signal: "printed" });
    expect(cameFrom(printerOf(reader))).toEqual([documents[reader]?.sha256]);
  }
});

test("a printer that jams and one that hangs delay no other", async () => {
  const [jammed, hung, ...well] = NUMBERS;
  if (jammed === undefined || hung === undefined) throw new Error("there are eight");
  mfds[printerOf(jammed)]?.jam();
  await mfds[printerOf(hung)]?.stop();
  const deaf = createServer((socket) => socket.on("error", () => {}));
  const sockets: Socket[] = [];
  deaf.on("connection", (socket) => sockets.push(socket));
  deaf.listen(Number(new URL(mfds[printerOf(hung)]?.uri ?? "").port), "127.0.0.1");
  await once(deaf, "listening");
  try {
    const stuck = [await submit(jammed, "jammed"), await submit(hung, "hung")];
    const documents = await Promise.all(well.map((reader) => submit(reader, "well")));
    const blocked = tapAt(jammed);
    lines[hung]?.write(`${cardOf(hung)}\r\n`);
    await until("the deaf printer is asked", () => sockets.length > 0);
    const traces = await Promise.all(well.map((reader) => tapAt(reader)));
    for (const [at, reader] of well.entries()) {
      expect(traces[at]).toMatchObject({ signal: "printed" });
      expect(cameFrom(printerOf(reader))).toEqual([documents[at]?.sha256]);
    }
    expect(await blocked).toMatchObject({ signal: "printer-blocked", jobs: [{ word: "not printed" }] });
    // All that time the hung one was waited for, and its job is claimed still.
    expect((await agent.status()).printers.find(({ name }) => name === `mfd-${printerOf(hung)}`)?.depth).toBe(1);
    expect(await Promise.all(stuck.map((document, at) => site.stateOf(document, personOf(at))))).toEqual([
      "held",
      "claimed",
    ]);
  } finally {
    for (const socket of sockets) socket.destroy();
    deaf.close();
    mfds[printerOf(jammed)]?.clearJam();
  }
});
