/**
 * A HID device of any ids and report descriptor, made through /dev/uhid (Linux, include/uapi/linux/uhid.h), feature reports
 * included. The first argument describes it; input reports come as lines of hex on stdin (or `card BITS HEX`, of a
 * simulated reader); every report that the host side sets is printed. It ends, and is unplugged, with its stdin or at SIGTERM.
 */
import { openSync, read, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { PcProx } from "../../sim/pcprox.ts";

export interface UhidDevice {
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
  readonly serialNumber: string;
  /** Hex. */
  readonly reportDescriptor: string;
  /** What GET_REPORT of a feature report gives, hex with its id first, by id; a set report is given from then on. */
  readonly features?: Readonly<Record<number, string>>;
  /** In their place a simulator of `test/sim/`, whose reports have no id. */
  readonly simulator?: "pcprox";
}

/** What is printed, one JSON value a line. */
export type UhidEvent =
  | { readonly is: "ready" }
  | { readonly is: "set" | "output"; readonly report: string }
  | { readonly is: "get"; readonly id: number };

const EVENT = {
  destroy: 1,
  start: 2,
  stop: 3,
  output: 6,
  getReport: 9,
  getReportReply: 10,
  create2: 11,
  input2: 12,
  setReport: 13,
  setReportReply: 14,
} as const;
const BUS_USB = 3;
const DATA_MAX = 4096;
/** The largest of the events, which is the kernel's unit of reading. */
const EVENT_SIZE = 4 + 128 + 64 + 64 + 2 + 2 + 4 + 4 + 4 + 4 + DATA_MAX;
const EIO = 5;

const device = JSON.parse(process.argv[2] ?? "{}") as UhidDevice;
const features = device.simulator === undefined ? remembered(device.features ?? {}) : simulated();
const uhid = openSync("/dev/uhid", "r+");

/** What answers feature reports, as they are on hidraw: the id first, 0 where there are none. */
interface Features {
  get(id: number): Uint8Array | undefined;
  set(report: Buffer): void;
  card(bits: number, word: bigint): void;
}

function remembered(initial: Readonly<Record<number, string>>): Features {
  const reports = new Map(Object.entries(initial).map(([id, hex]) => [Number(id), Buffer.from(hex, "hex")]));
  return {
    get: (id) => reports.get(id),
    set: (report) => void reports.set(report[0] ?? 0, Buffer.from(report)),
    card() {},
  };
}

function simulated(): Features {
  const reader = new PcProx();
  return {
    get: () => Buffer.concat([Buffer.alloc(1), reader.getFeature()]),
    set: (report) => reader.setFeature(report.subarray(1)),
    card(bits, word) {
      reader.card = bits === 0 ? undefined : { bits, word };
    },
  };
}

function print(event: UhidEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function create(): void {
  const descriptor = Buffer.from(device.reportDescriptor, "hex");
  const event = Buffer.alloc(EVENT_SIZE);
  event.writeUInt32LE(EVENT.create2, 0);
  event.write(device.name, 4, 127);
  event.write("uhid/input0", 132, 63);
  event.write(device.serialNumber, 196, 63);
  event.writeUInt16LE(descriptor.length, 260);
  event.writeUInt16LE(BUS_USB, 262);
  event.writeUInt32LE(device.vendorId, 264);
  event.writeUInt32LE(device.productId, 268);
  descriptor.copy(event, 280);
  writeSync(uhid, event);
}

/** The kernel says `stop` then; a read that is under way would keep the process from ending. */
function destroy(): void {
  const event = Buffer.alloc(4);
  event.writeUInt32LE(EVENT.destroy, 0);
  writeSync(uhid, event);
}

function input(report: Buffer): void {
  const event = Buffer.alloc(6 + report.length);
  event.writeUInt32LE(EVENT.input2, 0);
  event.writeUInt16LE(report.length, 4);
  report.copy(event, 6);
  writeSync(uhid, event);
}

function answer(event: Buffer): void {
  switch (event.readUInt32LE(0)) {
    case EVENT.stop:
      process.exit(0);
      break;
    case EVENT.start:
      print({ is: "ready" });
      return;
    case EVENT.output:
      print({ is: "output", report: event.toString("hex", 4, 4 + event.readUInt16LE(4 + DATA_MAX)) });
      return;
    case EVENT.getReport: {
      const id = event.readUInt8(8);
      const content = features.get(id);
      print({ is: "get", id });
      const reply = Buffer.alloc(12 + (content?.length ?? 0));
      reply.writeUInt32LE(EVENT.getReportReply, 0);
      reply.writeUInt32LE(event.readUInt32LE(4), 4);
      reply.writeUInt16LE(content === undefined ? EIO : 0, 8);
      reply.writeUInt16LE(content?.length ?? 0, 10);
      if (content !== undefined) reply.set(content, 12);
      writeSync(uhid, reply);
      return;
    }
    case EVENT.setReport: {
      const content = Buffer.from(event.subarray(12, 12 + event.readUInt16LE(10)));
      features.set(content);
      print({ is: "set", report: content.toString("hex") });
      const reply = Buffer.alloc(10);
      reply.writeUInt32LE(EVENT.setReportReply, 0);
      reply.writeUInt32LE(event.readUInt32LE(4), 4);
      writeSync(uhid, reply);
      return;
    }
  }
}

create();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [, bits, word] = /^card (\d+) ([0-9a-f]+)$/.exec(line) ?? [];
    if (bits === undefined) input(Buffer.from(line, "hex"));
    else features.card(Number(bits), BigInt(`0x${word}`));
  })
  .on("close", destroy);
process.once("SIGTERM", destroy);
const readEvent = promisify(read);
for (const event = Buffer.alloc(EVENT_SIZE); ; event.fill(0)) {
  // One read is one event.
  await readEvent(uhid, event, 0, EVENT_SIZE, null);
  answer(event);
}
