import { mkdir, symlink, writeFile } from "node:fs/promises";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { scanPlugged } from "../../../drivers/discovery/usb.ts";
import { isKeyboard } from "../../../drivers/transports/hid-report.ts";
import { BOOT_KEYBOARD, FakeMachine, KEYBOARD, twins, VENDOR_HID } from "../../sim/usb.ts";

let machine: FakeMachine;
beforeEach(async () => {
  machine = await FakeMachine.make();
});
afterEach(() => machine.remove());

test("a keyboard reader: ids, strings, socket, node, and whether its keys are kept from the console", async () => {
  await machine.plugIn({
    name: "1-1.2",
    ids: "09d8:0410",
    serial: "0001",
    manufacturer: "OEM",
    product: "RFID Device (HID)",
    interfaces: [{ ...KEYBOARD, hidraw: 3, inhibited: ["1", "0"] }],
  });
  const { usb } = await scanPlugged(machine.root);
  expect(usb).toEqual([
    {
      name: "1-1.2",
      vendorId: 0x09d8,
      productId: 0x0410,
      manufacturer: "OEM",
      product: "RFID Device (HID)",
      serialNumber: "0001",
      interfaces: [{ number: 0, class: 3, subclass: 1, protocol: 1, driver: "usbhid" }],
      functions: ["keyboard"],
      hidraw: [{ path: "/dev/hidraw3", interface: 0, port: "usb-0000:01:00.0-1.2", keyboard: true, inhibited: false }],
      ttys: [],
    },
  ]);
});

test("serial devices of both kinds, with the names that udev keeps for them", async () => {
  const byId = "usb-FTDI_FT232R_A50285BI-if00-port0";
  const byPath = "platform-fd500000.pcie-usb-0:1.3:1.0-port0";
  await machine.plugIn({
    name: "1-1.3",
    ids: "0403:6001",
    serial: "A50285BI",
    interfaces: [{ kind: "ffffff", driver: "ftdi_sio", tty: "ttyUSB0", byId, byPath }],
  });
  await machine.plugIn({
    name: "1-1.10",
    ids: "09d8:0420",
    interfaces: [
      { kind: "020201", driver: "cdc_acm", tty: "ttyACM0" },
      { kind: "0a0000", driver: "cdc_acm" },
    ],
  });
  const { usb } = await scanPlugged(machine.root);
  expect(usb.map(({ name, functions, ttys }) => ({ name, functions, ttys }))).toEqual([
    {
      name: "1-1.3",
      functions: ["serial"],
      ttys: [
        {
          path: "/dev/ttyUSB0",
          interface: 0,
          byId: `/dev/serial/by-id/${byId}`,
          byPath: `/dev/serial/by-path/${byPath}`,
        },
      ],
    },
    {
      name: "1-1.10",
      functions: ["serial"],
      ttys: [{ path: "/dev/ttyACM0", interface: 0, byId: undefined, byPath: undefined }],
    },
  ]);
});

test("by interface, not by id: a keyboard without boot protocol, a vendor's HID, a smart card reader, both in one", async () => {
  const devices = [
    { name: "1-1", interfaces: [{ kind: "030000", hidraw: 0 }] },
    { name: "1-2", interfaces: [{ kind: "030000", hidraw: 1, descriptor: VENDOR_HID }] },
    { name: "1-3", interfaces: [{ kind: "0b0000" }] },
    {
      name: "1-4",
      interfaces: [KEYBOARD, { kind: "0b0000" }].map((one) => ("hidraw" in one ? { ...one, hidraw: 2 } : one)),
    },
    { name: "1-5", interfaces: [{ kind: "080650", driver: "usb-storage" }] },
  ];
  for (const device of devices) await machine.plugIn({ ids: "ffff:0035", ...device });
  const { usb } = await scanPlugged(machine.root);
  expect(usb.map(({ functions }) => functions)).toEqual([["keyboard"], ["hid"], ["ccid"], ["keyboard", "ccid"], []]);
});

test("two equal readers are two devices, told apart by serial number or by socket", async () => {
  for (const device of twins(["A", undefined])) await machine.plugIn(device);
  const { usb } = await scanPlugged(machine.root);
  expect(usb.map(({ serialNumber, hidraw }) => [serialNumber, hidraw[0]?.port])).toEqual([
    ["A", "usb-0000:01:00.0-1.1"],
    [undefined, "usb-0000:01:00.0-1.2"],
  ]);
});

test("serial ports of the board: those that exist, and which of them is the console", async () => {
  for (const [name, type] of [
    ["ttyS0", "4"],
    ["ttyS1", "0"],
    ["ttyAMA0", "32"],
  ] as const)
    await machine.uart(name, type);
  await symlink("ttyAMA0", machine.path("dev/serial0"));
  await writeFile(machine.path("sys/class/tty/console/active"), "tty1 ttyAMA0\n");
  expect((await scanPlugged(machine.root)).uarts).toEqual([
    { path: "/dev/ttyAMA0", alias: "/dev/serial0", console: true },
    { path: "/dev/ttyS0", alias: undefined, console: false },
  ]);
});

test("a machine without USB has nothing plugged in", async () => {
  expect(await scanPlugged(machine.path("nowhere"))).toEqual({ usb: [], uarts: [] });
});

test("what a hostile device says of itself can neither write to the terminal nor into the configuration", async () => {
  const text = fc.string({ unit: "binary", maxLength: 6000 });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      text,
      text,
      text,
      fc.uint8Array({ maxLength: 300 }),
      async (serial, product, uevent, descriptor) => {
        count += 1;
        const name = `2-${count}`;
        await machine.plugIn({
          name,
          ids: "1234:5678",
          serial,
          product,
          interfaces: [{ kind: "030000", hidraw: 0, descriptor }],
        });
        await writeFile(machine.device(name, `${name}:1.0`, "0003:1234:5678.0001", "uevent"), uevent);
        const found = (await scanPlugged(machine.root)).usb.find((device) => device.name === name);
        await machine.unplug(name, "hidraw0");
        for (const said of [found?.serialNumber, found?.product, found?.hidraw[0]?.port]) {
          expect(said ?? "none").toMatch(/^[\x20-\x7e]{1,126}$/);
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("attributes that make no sense, and files that are none, leave the device out", async () => {
  await machine.plugIn({ name: "1-1", ids: "09d8:04", interfaces: [] });
  await machine.plugIn({ name: "1-2", ids: "09d8:0410", interfaces: [{ kind: "zz0101" }] });
  await mkdir(machine.device("1-3", "idVendor"), { recursive: true });
  expect((await scanPlugged(machine.root)).usb.map(({ name, interfaces }) => [name, interfaces])).toEqual([
    ["1-2", []],
  ]);
});

test("which descriptors are a keyboard's", () => {
  expect(isKeyboard(BOOT_KEYBOARD)).toBe(true);
  expect(isKeyboard(VENDOR_HID)).toBe(false);
  // A mouse first, a keyboard with a report id second; its usage in four bytes with the page.
  expect(isKeyboard(Buffer.from("05010902a1010901a100c0c00501" + "0b06000100" + "a1018501c0", "hex"))).toBe(true);
  // The page of keys inside another collection is none.
  expect(isKeyboard(Buffer.from("06 00ff 0901 a101 0501 0906 a100 c0 c0".replaceAll(" ", ""), "hex"))).toBe(false);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => typeof isKeyboard(noise) === "boolean"));
});
