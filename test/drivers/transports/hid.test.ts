import { EventEmitter } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import {
  type HidDevice,
  type HidHandle,
  type HidLibrary,
  type HidSelector,
  HidTransport,
} from "../../../drivers/transports/hid.ts";
import { FakeClock } from "../../sim/clock.ts";

const BOOT_KEYBOARD = Buffer.from(
  "05010906a10175019508050719e029e715002501810295017508810195057501050819012905910295017503910195067508150025ff0507190029ff8100c0",
  "hex",
);
const READER: HidDevice = {
  vendorId: 0x09d8,
  productId: 0x0410,
  path: "/dev/hidraw0",
  interface: 0,
  usagePage: 1,
  usage: 6,
};

class FakeHandle extends EventEmitter implements HidHandle {
  closed = 0;
  async write(bytes: Buffer): Promise<number> {
    return bytes.length;
  }
  async sendFeatureReport(bytes: Buffer): Promise<number> {
    return bytes.length;
  }
  async getFeatureReport(): Promise<Buffer> {
    return Buffer.alloc(9);
  }
  async close(): Promise<void> {
    this.closed += 1;
    this.removeAllListeners();
  }
}

let sysfs: string;
beforeEach(async () => {
  sysfs = await mkdtemp(join(tmpdir(), "hidraw-"));
});
afterEach(() => rm(sysfs, { recursive: true }));

/** A device as the kernel shows it: one directory for each of its inputs, with what `inhibited` holds. */
async function plugIn(name: string, { phys = "usb-1/input0", descriptor = BOOT_KEYBOARD, inhibited = ["0"] } = {}) {
  const device = join(sysfs, name, "device");
  await mkdir(join(device, "input"), { recursive: true });
  await writeFile(join(device, "report_descriptor"), descriptor);
  await writeFile(join(device, "uevent"), `DRIVER=hid-generic\nHID_PHYS=${phys}\n`);
  for (const [i, value] of inhibited.entries()) {
    await mkdir(join(device, "input", `input${i}`), { recursive: true });
    await writeFile(join(device, "input", `input${i}`, "inhibited"), `${value}\n`);
  }
}

const inhibited = (name: string, input: number) =>
  readFile(join(sysfs, name, "device", "input", `input${input}`, "inhibited"), "utf8");

function transport(
  devices: readonly HidDevice[],
  selector: Partial<HidSelector> = {},
  open?: HidLibrary["HIDAsync"]["open"],
) {
  const clock = new FakeClock();
  const opened: { path: string; handle: FakeHandle }[] = [];
  const drivers: string[] = [];
  const library: HidLibrary = {
    setDriverType: (type) => void drivers.push(type),
    devicesAsync: async () => [...devices],
    HIDAsync: {
      open:
        open ??
        (async (path) => {
          const handle = new FakeHandle();
          opened.push({ path, handle });
          return handle;
        }),
    },
  };
  const hid = new HidTransport(
    { vendorId: 0x09d8, productId: 0x0410, ...selector },
    { clock, log: silentLog },
    { load: async () => library, sysfs },
  );
  return { hid, clock, opened, drivers };
}

const nothing = { data() {}, closed() {} };

describe("which device is opened", () => {
  test("the keyboard with the configured ids, through hidraw, once though it is listed once per collection", async () => {
    await plugIn("hidraw0");
    const { hid, opened, drivers } = transport([READER, { ...READER, usagePage: 12, usage: 1 }, READER]);
    expect(hid.describe()).toBe("usb 09d8:0410");
    await hid.open(nothing);
    expect([opened.map(({ path }) => path), drivers]).toEqual([["/dev/hidraw0"], ["hidraw"]]);
    await hid.close();
  });

  test("no other keyboard, even if the library lists one", async () => {
    const { hid, opened } = transport([
      { ...READER, vendorId: 0x046d },
      { ...READER, productId: 0xc31c },
    ]);
    await expect(hid.open(nothing)).rejects.toMatchObject({ code: "reader-absent" });
    expect(opened).toEqual([]);
  });

  test("not a device with the right ids that is no keyboard", async () => {
    const { hid } = transport([{ ...READER, usagePage: 0xff00, usage: 1 }]);
    await expect(hid.open(nothing)).rejects.toMatchObject({ code: "reader-not-a-keyboard" });
  });

  test("not one whose descriptor has no keys, whatever the library says", async () => {
    await plugIn("hidraw0", { descriptor: Buffer.from("05010902a1010901a100c0c0", "hex") });
    const { hid, opened } = transport([READER]);
    await expect(hid.open(nothing)).rejects.toMatchObject({ code: "reader-not-a-keyboard" });
    expect(opened).toEqual([]);
  });

  test("of two of one kind the one with the serial number, or in the socket; without either none", async () => {
    await plugIn("hidraw0", { phys: "usb-0000:01:00.0-1.2/input0" });
    await plugIn("hidraw1", { phys: "usb-0000:01:00.0-1.21/input0" });
    const devices = [
      { ...READER, serialNumber: "A" },
      { ...READER, serialNumber: "B", path: "/dev/hidraw1" },
    ];
    for (const [selector, path] of [
      [{ serialNumber: "B" }, "/dev/hidraw1"],
      [{ port: "usb-0000:01:00.0-1.2" }, "/dev/hidraw0"],
      [{ port: "usb-0000:01:00.0-1.21" }, "/dev/hidraw1"],
    ] as const) {
      const { hid, opened } = transport(devices, selector);
      await hid.open(nothing);
      expect(opened.map((device) => device.path)).toEqual([path]);
      await hid.close();
    }
    await expect(transport(devices).hid.open(nothing)).rejects.toMatchObject({
      code: "reader-open-failed",
      detail: expect.stringContaining("2 readers fit"),
    });
    await expect(transport(devices, { serialNumber: "C" }).hid.open(nothing)).rejects.toMatchObject({
      code: "reader-absent",
    });
  });
});

describe("keys and the console", () => {
  const values = (...nodes: readonly (readonly [string, number])[]) =>
    Promise.all(nodes.map(async ([name, input]) => (await inhibited(name, input)).trim()));

  test("every input of the reader is inhibited, of all its keyboard interfaces", async () => {
    await plugIn("hidraw0", { inhibited: ["0", "1"] });
    await plugIn("hidraw1");
    const { hid, opened } = transport([READER, { ...READER, path: "/dev/hidraw1", interface: 1 }]);
    await hid.open(nothing);
    expect(opened.map(({ path }) => path)).toEqual(["/dev/hidraw0"]);
    expect(await values(["hidraw0", 0], ["hidraw0", 1], ["hidraw1", 0])).toEqual(["1", "1", "1"]);
    expect(hid.counters).toMatchObject({ notInhibited: 0, inhibitRepaired: 2 });
    await hid.close();
  });

  test("a reader that types through a node that cannot be inhibited is refused, and its handle closed", async () => {
    await plugIn("hidraw0", { inhibited: ["1", "0"] });
    // What a kernel before 5.11 shows.
    await rm(join(sysfs, "hidraw0", "device", "input", "input1", "inhibited"));
    const { hid, opened } = transport([READER]);
    await expect(hid.open(nothing)).rejects.toMatchObject({
      code: "reader-not-inhibited",
      detail: expect.stringContaining("input1/inhibited is not there: the kernel is older than 5.11"),
      row: { next: expect.stringContaining("60-printgate-readers.rules") },
    });
    expect([hid.counters.notInhibited, opened.map(({ handle }) => handle.closed)]).toEqual([1, [1]]);
  });

  test("also where the attribute may not be written, or takes the 1 and stays 0", async () => {
    await plugIn("hidraw0");
    const file = join(sysfs, "hidraw0", "device", "input", "input0", "inhibited");
    // Root may write anything, but not this.
    await rm(file);
    await mkdir(file);
    const { hid } = transport([READER]);
    await expect(hid.open(nothing)).rejects.toMatchObject({
      code: "reader-not-inhibited",
      detail: expect.stringContaining("EISDIR"),
    });
    await rm(file, { recursive: true });
    await symlink("/dev/null", file);
    await expect(hid.open(nothing)).rejects.toMatchObject({
      code: "reader-not-inhibited",
      detail: expect.stringContaining("stays 0"),
    });
    expect(hid.counters.notInhibited).toBe(2);
  });

  test("what the kernel does not show at all is gone, and tells of no missing rule", async () => {
    const { hid, opened } = transport([READER]);
    await expect(hid.open(nothing)).rejects.toMatchObject({ code: "reader-absent" });
    expect([hid.counters.notInhibited, opened.map(({ handle }) => handle.closed)]).toEqual([0, [1]]);
  });

  test("all of the USB device counts: siblings that are no keyboards, drivers that are not HID's; a neighbour does not", async () => {
    const usb = join(sysfs, "usb1", "1-1.2");
    const keyboard = join(usb, "1-1.2:1.0", "0003:09D8:0410.0001");
    const nodes = [
      join(keyboard, "input", "input3"),
      join(usb, "1-1.2:1.1", "0003:09D8:0410.0002", "input", "input4"),
      join(usb, "1-1.2:1.1", "0003:09D8:0410.0002", "input", "input5"),
      join(usb, "1-1.2:1.2", "input", "input6"),
    ];
    const neighbours = [join(sysfs, "usb1", "1-1.21", "1-1.21:1.0", "0003:046D:C31C.0003", "input", "input7")];
    for (const node of [...nodes, ...neighbours]) {
      await mkdir(node, { recursive: true });
      await writeFile(join(node, "inhibited"), "0\n");
    }
    await writeFile(join(usb, "idVendor"), "09d8\n");
    await mkdir(join(sysfs, "hidraw0"));
    await symlink(keyboard, join(sysfs, "hidraw0", "device"));
    const { hid } = transport([READER]);
    await hid.open(nothing);
    await hid.close();
    const held = (paths: readonly string[]) =>
      Promise.all(paths.map(async (node) => (await readFile(join(node, "inhibited"), "utf8")).trim()));
    expect([await held(nodes), await held(neighbours)]).toEqual([["1", "1", "1", "1"], ["0"]]);
  });

  test("an open reader is checked after 2 s, then every 30 s: repaired, or lost with the reason", async () => {
    await plugIn("hidraw0");
    const file = join(sysfs, "hidraw0", "device", "input", "input0", "inhibited");
    const { hid, clock, opened } = transport([READER]);
    const closed: string[] = [];
    await hid.open({ ...nothing, closed: ({ code }) => void closed.push(code) });
    for (const [i, afterMs] of [2000, 30_000, 30_000].entries()) {
      await writeFile(file, "0\n");
      clock.advance(afterMs);
      // One at the open.
      await expect.poll(() => hid.counters.inhibitRepaired).toBe(i + 2);
      expect(await values(["hidraw0", 0])).toEqual(["1"]);
    }
    await rm(file);
    clock.advance(30_000);
    await expect.poll(() => closed).toEqual(["reader-not-inhibited"]);
    expect([hid.counters.notInhibited, opened.map(({ handle }) => handle.closed)]).toEqual([1, [1]]);
    await hid.close();
    expect(clock.pending).toBe(0);
  });

  test("a closed reader is checked no more", async () => {
    await plugIn("hidraw0");
    const { hid, clock } = transport([READER]);
    await hid.open(nothing);
    await hid.close();
    expect(clock.pending).toBe(0);
  });
});

describe("an open device", () => {
  beforeEach(() => plugIn("hidraw0"));

  test("passes on whole reports until it is closed", async () => {
    const { hid, opened } = transport([READER]);
    const reports: string[] = [];
    await hid.open({ ...nothing, data: (bytes) => void reports.push(Buffer.from(bytes).toString("hex")) });
    opened[0]?.handle.emit("data", Buffer.from("0000270000000000", "hex"));
    await hid.close();
    expect([reports, opened[0]?.handle.closed]).toEqual([["0000270000000000"], 1]);
  });

  test("passes on the keys of reports with ids in the boot layout, and no report of another kind", async () => {
    await plugIn("hidraw0", {
      descriptor: Buffer.concat([
        Buffer.from("05010906a1018501", "hex"),
        BOOT_KEYBOARD.subarray(6),
        Buffer.from("050c0901a1018502150026ff0319002aff03751095018100c0", "hex"),
      ]),
    });
    const { hid, opened } = transport([READER]);
    const reports: string[] = [];
    await hid.open({ ...nothing, data: (bytes) => void reports.push(Buffer.from(bytes).toString("hex")) });
    for (const report of ["010000270000000000", "02e900", "010000000000000000"]) {
      opened[0]?.handle.emit("data", Buffer.from(report, "hex"));
    }
    expect(reports).toEqual(["0000270000000000", "0000000000000000"]);
    await hid.close();
  });

  test("is closed before its loss is told: otherwise the next plug-in gets another number", async () => {
    const { hid, opened } = transport([READER]);
    const lost = Promise.withResolvers<[string, number | undefined]>();
    await hid.open({ ...nothing, closed: (error) => lost.resolve([error.code, opened[0]?.handle.closed]) });
    opened[0]?.handle.emit("error", new Error("could not read from HID device"));
    expect(await lost.promise).toEqual(["reader-lost", 1]);
    await hid.open(nothing);
    expect(opened).toHaveLength(2);
    await hid.close();
    expect(opened.map(({ handle }) => handle.closed)).toEqual([1, 1]);
  });
});

describe("an open that does not go well", () => {
  test("is reader-open-failed when refused", async () => {
    const { hid } = transport([READER], {}, async () => {
      throw new TypeError("cannot open device with path /dev/hidraw0");
    });
    await expect(hid.open(nothing)).rejects.toMatchObject({ code: "reader-open-failed" });
  });

  test("is given up after its deadline, and closed if it comes after all", async () => {
    const late = Promise.withResolvers<HidHandle>();
    const asked = Promise.withResolvers<void>();
    const { hid, clock } = transport([READER], {}, () => {
      asked.resolve();
      return late.promise;
    });
    const opening = hid.open(nothing);
    await asked.promise;
    // The timer of the open is set right after the library was asked.
    await Promise.resolve();
    clock.advance(5000);
    await expect(opening).rejects.toMatchObject({ code: "reader-open-failed" });
    const handle = new FakeHandle();
    late.resolve(handle);
    await late.promise;
    await Promise.resolve();
    expect(handle.closed).toBe(1);
  });

  test("is closed at once when the close came first", async () => {
    const late = Promise.withResolvers<HidHandle>();
    const { hid } = transport([READER], {}, () => late.promise);
    const opening = hid.open(nothing);
    const failed = expect(opening).rejects.toMatchObject({ code: "reader-open-failed" });
    const closing = hid.close();
    const handle = new FakeHandle();
    late.resolve(handle);
    await Promise.all([failed, closing]);
    expect(handle.closed).toBe(1);
  });
});

test("the real library, where the reader is not plugged in, says that it is absent", async () => {
  const hid = new HidTransport({ vendorId: 0x09d8, productId: 0xfffe }, { clock: new FakeClock(), log: silentLog });
  await expect(hid.open(nothing)).rejects.toMatchObject({ code: "reader-absent" });
});
