import { afterEach, beforeEach, expect, test } from "vitest";
import { type Candidate, candidatesOf, isNamed } from "../../../drivers/discovery/candidates.ts";
import { scanPlugged } from "../../../drivers/discovery/usb.ts";
import { type FakeDevice, FakeMachine, KEYBOARD, twins } from "../../sim/usb.ts";

let machine: FakeMachine;
beforeEach(async () => {
  machine = await FakeMachine.make();
});
afterEach(() => machine.remove());

async function plugged(...devices: readonly FakeDevice[]): Promise<Candidate[]> {
  for (const device of devices) await machine.plugIn(device);
  return candidatesOf(await scanPlugged(machine.root));
}

const bridge = (name: string, serial: string | undefined, tty: string, links: boolean): FakeDevice => ({
  name,
  ids: "0403:6001",
  ...(serial === undefined ? {} : { serial }),
  interfaces: [
    { kind: "ffffff", tty, ...(links ? { byId: `usb-FTDI_${serial ?? "UART"}`, byPath: `usb-0:${name}` } : {}) },
  ],
});

test("the least that tells a reader from its like: serial number, else socket, else nothing for a reader that is sure", async () => {
  const [a, b] = await plugged(...twins(["A", "B"]));
  expect([a?.hid, b?.hid]).toMatchObject([{ serialNumber: "A" }, { serialNumber: "B" }]);
  expect(Object.keys(a?.hid ?? {})).toEqual(["vendorId", "productId", "serialNumber"]);
});

test("two that share a serial number, as cheap ones do, are told apart by their sockets", async () => {
  const both = await plugged(...twins(["1", "1"]));
  expect(both.map(({ hid }) => hid)).toEqual([
    { vendorId: 0x09d8, productId: 0x0410, port: "usb-0000:01:00.0-1.1" },
    { vendorId: 0x09d8, productId: 0x0410, port: "usb-0000:01:00.0-1.2" },
  ]);
});

test("one without a serial number: a known reader anywhere, what may be anybody's keyboard in its own socket", async () => {
  const [reader, keyboard] = await plugged(
    { name: "1-1", ids: "09d8:0410", interfaces: [KEYBOARD] },
    { name: "1-2", ids: "046d:c31c", interfaces: [{ ...KEYBOARD, hidraw: 1 }] },
  );
  expect([reader?.hid, keyboard?.hid]).toEqual([
    { vendorId: 0x09d8, productId: 0x0410 },
    { vendorId: 0x046d, productId: 0xc31c, port: "usb-0000:01:00.0-2" },
  ]);
});

test("a serial port is named by its serial number, else by its socket, else by its node", async () => {
  const all = await plugged(
    bridge("1-1", "A5", "ttyUSB0", true),
    bridge("1-2", undefined, "ttyUSB1", true),
    bridge("1-3", undefined, "ttyUSB2", false),
  );
  expect(all.map(({ path }) => path)).toEqual([
    "/dev/serial/by-id/usb-FTDI_A5",
    "/dev/serial/by-path/usb-0:1-2",
    "/dev/ttyUSB2",
  ]);
});

test("an adapter with several ports may have a reader at each, and storage has none", async () => {
  const ports = ["ttyUSB0", "ttyUSB1"].map((tty) => ({ kind: "ffffff", tty }));
  const all = await plugged(
    { name: "1-1", ids: "0403:6010", interfaces: ports },
    { name: "1-2", ids: "0781:5567", interfaces: [{ kind: "080650" }] },
  );
  expect(all.map(({ key, path, nodes }) => [key, path, nodes])).toEqual([
    ["/dev/ttyUSB0", "/dev/ttyUSB0", ["/dev/ttyUSB0"]],
    ["/dev/ttyUSB1", "/dev/ttyUSB1", ["/dev/ttyUSB1"]],
  ]);
});

test("ports of the board, with a word about a console that has one", async () => {
  await machine.uart("ttyAMA0");
  expect(await plugged()).toMatchObject([{ key: "/dev/ttyAMA0", guess: { confidence: "low" }, ids: undefined }]);
});

test("all the names by which a device may be called", async () => {
  const [one] = await plugged(bridge("1-1", "A5", "ttyUSB0", true));
  const names = [
    "1-1",
    "0403:6001",
    "A5",
    "/dev/ttyUSB0",
    "/dev/serial/by-id/usb-FTDI_A5",
    "/dev/serial/by-path/usb-0:1-1",
  ];
  expect(names.filter((name) => one === undefined || !isNamed(one, name))).toEqual([]);
  for (const name of ["1", "", "1-1.1", "ttyUSB0"]) expect(one !== undefined && isNamed(one, name)).toBe(false);
});
