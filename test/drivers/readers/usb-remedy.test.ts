import { readFile, rm, writeFile } from "node:fs/promises";
import { relative } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Log, silentLog } from "../../../drivers/log.ts";
import { ReaderError } from "../../../drivers/reader.ts";
import { ReaderSession } from "../../../drivers/readers/session.ts";
import type { Remedy } from "../../../drivers/readers/session-machine.ts";
import { type UsbReader, usbRemedies } from "../../../drivers/readers/usb-remedy.ts";
import { FakeClock } from "../../sim/clock.ts";
import { FakeMachine, KEYBOARD, twins } from "../../sim/usb.ts";
import { ScriptedTransport } from "./scripted-transport.ts";

const TWN4 = { vendorId: 0x09d8, productId: 0x0410 };
const BRIDGE = { name: "1-1", ids: "0403:6001", interfaces: [{ kind: "ffffff", driver: "ftdi_sio", tty: "ttyUSB0" }] };

let machine: FakeMachine;
beforeEach(async () => {
  machine = await FakeMachine.make();
});
afterEach(() => machine.remove());

function mend(reader: UsbReader, remedy: Remedy, clock = new FakeClock()): Promise<void> {
  return usbRemedies(reader, { clock, root: machine.root })(remedy);
}

/** `control authorized` of a device. */
async function attributes(name: string): Promise<string> {
  const files = ["power/control", "authorized"].map((file) => readFile(machine.device(name, file), "utf8"));
  return (await Promise.all(files)).map((text) => text.trim()).join(" ");
}

/** A write to a file leaves the rest of what was longer before; one to sysfs does not. */
async function settled(name: string): Promise<string> {
  return (await attributes(name)).replace("onto", "on");
}

test("power-on forbids the kernel to suspend the serial reader's device, by whatever name it is configured", async () => {
  await machine.plugIn({
    ...BRIDGE,
    interfaces: [{ ...BRIDGE.interfaces[0], kind: "ffffff", byId: "usb-FTDI-port0" }],
  });
  await mend({ path: "/dev/serial/by-id/usb-FTDI-port0" }, "power-on");
  expect(await settled("1-1")).toBe("on 1");
});

/** What a reset writes, and what becomes of each write. */
async function writesOf(...outcomes: readonly (string | undefined)[]) {
  await machine.plugIn({ name: "1-1", ids: "09d8:0410", interfaces: [KEYBOARD, { ...KEYBOARD, hidraw: 1 }] });
  const written: string[] = [];
  const clock = new FakeClock();
  const write = async (file: string, value: string) => {
    const code = outcomes[written.length];
    written.push(`${relative(machine.device("1-1"), file)} = ${value}`);
    if (code !== undefined) throw Object.assign(new Error(code), { code });
  };
  const mending = usbRemedies(TWN4, { clock, root: machine.root, write })("reset");
  let over = false;
  const done = mending.then(
    () => "done",
    (error: Error) => error.message,
  );
  void done.finally(() => {
    over = true;
  });
  while (!over) {
    await new Promise(setImmediate);
    if (written.length > 1) clock.advance(100);
  }
  return { written, end: await done };
}

test("reset takes the device's authorization away and gives it back", async () => {
  expect(await writesOf()).toEqual({ written: ["authorized = 0", "authorized = 1"], end: "done" });
});

test("a device that was taken away is given back, again if need be", async () => {
  const give = "authorized = 1";
  expect(await writesOf(undefined, "EBUSY", "EIO")).toEqual({
    written: ["authorized = 0", give, give, give],
    end: "done",
  });
});

test("even a device of which nobody knows whether it was taken away is given back", async () => {
  expect(await writesOf("EIO")).toEqual({ written: ["authorized = 0", "authorized = 1"], end: "EIO" });
});

test("a device that was unplugged meanwhile is let go", async () => {
  expect(await writesOf(undefined, "ENODEV", "ENOENT")).toMatchObject({ end: "ENOENT", written: { length: 3 } });
});

test("of two equal readers only the one that is meant is touched", async () => {
  for (const device of twins(["A", "B"])) await machine.plugIn(device);
  await mend({ ...TWN4, serialNumber: "B" }, "power-on");
  expect([await settled("1-1.1"), await settled("1-1.2")]).toEqual(["auto 1", "on 1"]);
  await mend({ ...TWN4, port: "usb-0000:01:00.0-1.1" }, "power-on");
  expect(await settled("1-1.1")).toBe("on 1");
});

test("of two equal readers that nothing tells apart none is touched", async () => {
  for (const device of twins([undefined, undefined])) await machine.plugIn(device);
  await expect(mend(TWN4, "power-on")).rejects.toThrow("2 devices fit");
  await expect(mend({ ...TWN4, serialNumber: "A" }, "reset")).rejects.toThrow("no such device");
  // A port is whole or it is another: 1-1.1 is not 1-1.10.
  await expect(mend({ ...TWN4, port: "usb-0000:01:00.0-1" }, "reset")).rejects.toThrow("no such device");
  expect([await attributes("1-1.1"), await attributes("1-1.2")]).toEqual(["auto 1", "auto 1"]);
});

test.each([
  ["a hub", { kind: "09" }, "is a hub"],
  [
    "a device that stores files too",
    { interfaces: [...BRIDGE.interfaces, { kind: "080650", driver: "usb-storage" }] },
    "usb-storage uses it",
  ],
  [
    "a bridge with a second port",
    { interfaces: [...BRIDGE.interfaces, { kind: "ffffff", driver: "ftdi_sio", tty: "ttyUSB1" }] },
    "2 serial ports",
  ],
])("%s is not reset", async (_what, more, why) => {
  await machine.plugIn({ ...BRIDGE, ...more });
  await expect(mend({ path: "/dev/ttyUSB0" }, "reset")).rejects.toThrow(why);
  expect(await attributes("1-1")).toBe("auto 1");
});

test("what somebody else keeps out is left out", async () => {
  await machine.plugIn(BRIDGE);
  await writeFile(machine.device("1-1", "authorized"), "0\n");
  await expect(mend({ path: "/dev/ttyUSB0" }, "reset")).rejects.toThrow("not authorized");
  expect(await attributes("1-1")).toBe("auto 0");
});

test("a serial port of the board has no USB to reset, and an absent one has nothing", async () => {
  await machine.uart("ttyAMA0");
  await expect(mend({ path: "/dev/ttyAMA0" }, "reset")).rejects.toThrow("no USB device");
  await expect(mend({ path: "/dev/ttyUSB9" }, "power-on")).rejects.toThrow("is not there");
});

test("without the right to write it is refused before anything was taken away, and nothing comes into being", async () => {
  await machine.plugIn(BRIDGE);
  await rm(machine.device("1-1", "power/control"));
  await expect(mend({ path: "/dev/ttyUSB0" }, "power-on")).rejects.toMatchObject({ code: "ENOENT" });
  // Root may write anything, so for root the refusal is a folder in the file's place.
  await rm(machine.device("1-1", "authorized"));
  await expect(mend({ path: "/dev/ttyUSB0" }, "reset")).rejects.toThrow("not authorized");
});

test("a reader that is deaf again and again: refused remedies are counted and logged, and it is opened all the same", async () => {
  await machine.plugIn(BRIDGE);
  const clock = new FakeClock();
  const transport = new ScriptedTransport();
  const said: object[] = [];
  const log: Log = { ...silentLog, warn: (fields) => void said.push(fields), child: () => log };
  const deaf = new ReaderError("reader-deaf");
  const reader = new ReaderSession({
    settings: { name: "front", repeatHoldMs: 0, maxReadsPer10s: 5 },
    decoder: {
      push: () => [],
      expire: () => [],
      reset() {},
      open() {},
      signal() {},
      output: () => undefined,
      deadline: undefined,
      online: false,
      failure: deaf,
      counters: {},
    },
    transport,
    context: { clock, log, random: () => 0 },
    mend: usbRemedies({ path: "/dev/ttyUSB7" }, { clock, root: machine.root }),
  });
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise(setImmediate);
  };
  reader.start({ read() {}, keys() {}, state() {} });
  for (let i = 0; i < 4; i += 1) {
    await until(() => transport.opening);
    await transport.appear();
    const opens = transport.opens;
    // Back-off, remedy, and the time that it is given.
    for (let step = 0; step < 100 && transport.opens === opens; step += 1) {
      clock.advance(1000);
      await new Promise(setImmediate);
    }
  }
  await until(() => said.filter((fields) => "remedy" in fields).length === 3);
  expect(reader.counters).toMatchObject({ opened: 4, deaf: 4, mended: 0, mendFailed: 3 });
  expect(said.flatMap((fields) => ("remedy" in fields ? [fields.remedy] : []))).toEqual(["power-on", "reset", "reset"]);
  const stopped = reader.stop();
  await transport.refuse();
  await stopped;
});
