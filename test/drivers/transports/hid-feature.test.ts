import { EventEmitter } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import { type HidLibrary, HidTransport } from "../../../drivers/transports/hid.ts";
import { HidFeatureTransport, READ_FEATURE } from "../../../drivers/transports/hid-feature.ts";
import { FakeClock } from "../../sim/clock.ts";

/** A pcProx of which the library knows feature reports, as hidraw passes them: the report id first. */
class Handle extends EventEmitter {
  readonly sent: string[] = [];
  answer: () => Promise<Buffer> = async () => Buffer.from("00860cec0200000000", "hex");
  async write(bytes: Buffer): Promise<number> {
    return bytes.length;
  }
  async sendFeatureReport(bytes: Buffer): Promise<number> {
    this.sent.push(bytes.toString("hex"));
    return bytes.length;
  }
  async getFeatureReport(reportId: number, length: number): Promise<Buffer> {
    this.sent.push(`get ${reportId} ${length}`);
    return this.answer();
  }
  async close(): Promise<void> {
    this.removeAllListeners();
  }
}

/** A device without input nodes: nothing of it can reach the console. */
let sysfs: string;
beforeAll(async () => {
  sysfs = await mkdtemp(join(tmpdir(), "hidraw-"));
  await mkdir(join(sysfs, "hidraw0", "device"), { recursive: true });
});
afterAll(() => rm(sysfs, { recursive: true }));

async function opened() {
  const clock = new FakeClock();
  const handle = new Handle();
  const device = { vendorId: 0x0c27, productId: 0x3bfa, path: "/dev/hidraw0", interface: 0, usagePage: 1, usage: 6 };
  const library: HidLibrary = {
    setDriverType() {},
    devicesAsync: async () => [device],
    HIDAsync: { open: async () => handle },
  };
  const hid = new HidTransport(device, { clock, log: silentLog }, { load: async () => library, sysfs });
  const transport = new HidFeatureTransport(hid);
  const data: string[] = [];
  const lost: string[] = [];
  await transport.open({
    data: (bytes) => void data.push(Buffer.from(bytes).toString("hex")),
    closed: (error) => void lost.push(error.code),
  });
  return { clock, handle, transport, data, lost };
}

test("a write sets a feature report without an id, an empty one gets one as data", async () => {
  const { transport, handle, data } = await opened();
  expect(transport.describe()).toBe("usb 0c27:3bfa");
  await transport.write(Buffer.from("8f00000000000000", "hex"));
  await transport.write(READ_FEATURE);
  expect([handle.sent, data]).toEqual([["008f00000000000000", "get 0 9"], ["860cec0200000000"]]);
  await transport.close();
});

test("what the reader types is counted, and is no data", async () => {
  const { transport, handle, data } = await opened();
  handle.emit("data", Buffer.from("0000270000000000", "hex"));
  expect([data, transport.counters.keyboardReports]).toEqual([[], 1]);
  await transport.close();
});

test("a reader that refuses a report or does not end it is deaf, and nothing is data after a close", async () => {
  const { transport, handle, data, clock } = await opened();
  handle.answer = async () => {
    throw new Error("could not get feature report from device");
  };
  await expect(transport.write(READ_FEATURE)).rejects.toMatchObject({ code: "reader-deaf" });
  const late = Promise.withResolvers<Buffer>();
  handle.answer = () => late.promise;
  const hanging = expect(transport.write(READ_FEATURE)).rejects.toMatchObject({ code: "reader-deaf" });
  clock.advance(2000);
  await hanging;
  const closing = transport.write(READ_FEATURE);
  await transport.close();
  late.resolve(Buffer.alloc(9));
  await closing;
  expect(data).toEqual([]);
  await expect(transport.write(READ_FEATURE)).rejects.toMatchObject({ code: "reader-lost" });
});

test("an unplug is told", async () => {
  const { transport, handle, lost } = await opened();
  handle.emit("error", new Error("could not read from HID device"));
  await new Promise(setImmediate);
  expect(lost).toEqual(["reader-lost"]);
  await transport.close();
});
