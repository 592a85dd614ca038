import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { scanPlugged } from "../../../drivers/discovery/usb.ts";
import { silentLog } from "../../../drivers/log.ts";
import { watchDevices } from "../../../drivers/readers/device-watch.ts";
import { type DeviceWatch, ReaderSession } from "../../../drivers/readers/session.ts";
import { WAKE_MS } from "../../../drivers/readers/session-machine.ts";
import { type HidDevice, type HidHandle, type HidSelector, HidTransport } from "../../../drivers/transports/hid.ts";
import { FakeClock } from "../../sim/clock.ts";
import { FakeMachine, KEYBOARD, twins } from "../../sim/usb.ts";
import { Recorder } from "./scripted-transport.ts";

/** A keyboard reader and the machine that it is plugged into; the library lists what the machine's kernel shows. */
let machine: FakeMachine;
let stop: () => Promise<void>;
const handles = new Map<string, EventEmitter>();

beforeEach(async () => {
  machine = await FakeMachine.make();
});
afterEach(async () => {
  await stop();
  await machine.remove();
  handles.clear();
});

class Handle extends EventEmitter implements HidHandle {
  async write(bytes: Buffer): Promise<number> {
    return bytes.length;
  }
  sendFeatureReport(): Promise<never> {
    throw new Error("a keyboard is not spoken to");
  }
  getFeatureReport(): Promise<never> {
    throw new Error("a keyboard is not spoken to");
  }
  async close(): Promise<void> {
    this.removeAllListeners();
  }
}

async function listed(vendorId: number, productId: number): Promise<HidDevice[]> {
  const { usb } = await scanPlugged(machine.root);
  return usb
    .filter((device) => device.vendorId === vendorId && device.productId === productId)
    .flatMap((device) =>
      device.hidraw.map((node) => ({
        ...device,
        ...node,
        path: node.path,
        usagePage: 1,
        usage: node.keyboard ? 6 : 2,
      })),
    );
}

function start(selector: Partial<HidSelector>, watch?: DeviceWatch) {
  const clock = new FakeClock();
  const transport = new HidTransport(
    { vendorId: 0x09d8, productId: 0x0410, ...selector },
    { clock, log: silentLog },
    {
      load: async () => ({
        setDriverType() {},
        devicesAsync: listed,
        HIDAsync: {
          open: async (path) => {
            const handle = new Handle();
            handles.set(path, handle);
            return handle;
          },
        },
      }),
      sysfs: machine.path("sys/class/hidraw"),
    },
  );
  let opening = 0;
  const open = transport.open.bind(transport);
  transport.open = (listener) => {
    opening += 1;
    return open(listener).finally(() => {
      opening -= 1;
    });
  };
  const reader = new ReaderSession({
    settings: { name: "usb", repeatHoldMs: 0, maxReadsPer10s: 100 },
    decoder: {
      push: (bytes) => [{ kind: "text", text: Buffer.from(bytes).toString("hex") }],
      expire: () => [],
      reset() {},
      deadline: undefined,
      counters: {},
    },
    transport,
    context: { clock, log: silentLog, random: () => 0 },
    ...(watch === undefined ? {} : { watch }),
  });
  const told = new Recorder();
  reader.start(told);
  stop = () => reader.stop();
  /** Waits for the state; time passes meanwhile, but not during an open, which has a deadline. */
  const until = async (state: string, step = 1000): Promise<void> => {
    for (let i = 1; i < 100_000 && told.states.at(-1) !== state; i += 1) {
      await new Promise(setImmediate);
      if (i % 50 === 0 && opening === 0) clock.advance(step);
    }
    expect(told.states.at(-1)).toBe(state);
  };
  const pass = async (seconds: number) => {
    for (const end = clock.monotonic() + seconds * 1000; clock.monotonic() < end; ) {
      await new Promise(setImmediate);
      if (opening === 0) clock.advance(1000);
    }
  };
  return { reader, told, clock, until, pass };
}

const at = (name: string, hidraw: number, serial?: string) => ({
  name,
  ids: "09d8:0410",
  ...(serial === undefined ? {} : { serial }),
  interfaces: [{ ...KEYBOARD, hidraw }],
});

test("an unplug of which no event tells is noticed, and the reader is found again in any socket by its serial number", async () => {
  await machine.plugIn(at("1-1.1", 0, "0001"));
  const { until, told, clock } = start({ serialNumber: "0001" });
  await until("ready");
  await machine.unplug("1-1.1", "hidraw0");
  // The first check of an open device; the later ones are 30 s apart.
  clock.advance(2000);
  await until("absent: reader-lost", 0);
  await machine.plugIn(at("1-1.4", 1, "0001"));
  // The first back-off.
  clock.advance(1000);
  await until("ready", 0);
  handles.get("/dev/hidraw1")?.emit("data", Buffer.from("0000270000000000", "hex"));
  expect(told.texts).toEqual(["0000270000000000"]);
});

test("a plug-in that /dev tells of is answered at once, however long the reader was away", async () => {
  const told = Promise.withResolvers<void>();
  const watch = watchDevices(silentLog, machine.path("dev"));
  const { until, pass, clock } = start({}, (onChange) =>
    watch(() => {
      onChange();
      told.resolve();
    }),
  );
  await until("absent: reader-absent");
  await pass(600);
  await machine.plugIn(at("1-1.1", 0));
  await told.promise;
  clock.advance(WAKE_MS);
  await until("ready", 0);
});

test("a reader that is bound to a socket is taken there and nowhere else", async () => {
  const { until, pass, told } = start({ port: "usb-0000:01:00.0-1.2" });
  await machine.plugIn(at("1-1.1", 0));
  await until("absent: reader-absent");
  await pass(200);
  expect(told.states).not.toContain("ready");
  await machine.unplug("1-1.1", "hidraw0");
  await machine.plugIn(at("1-1.2", 1));
  await until("ready");
});

test("of two equal readers each is itself: the other one does not take the place of one that is gone", async () => {
  for (const device of twins(["A", "B"])) await machine.plugIn(device);
  const { until, told } = start({ serialNumber: "A" });
  await until("ready");
  await machine.unplug("1-1.1", "hidraw0");
  handles.get("/dev/hidraw0")?.emit("error", new Error("device disconnected"));
  await until("absent: reader-absent");
  handles.get("/dev/hidraw1")?.emit("data", Buffer.from("0000270000000000", "hex"));
  expect([told.texts, handles.has("/dev/hidraw1")]).toEqual([[], false]);
});

test("two equal readers without serial numbers: neither, until the socket says which", async () => {
  for (const device of twins([undefined, undefined])) await machine.plugIn(device);
  const { until, reader } = start({});
  await until("failed: reader-open-failed");
  expect(reader.state.error?.detail).toContain("2 readers fit");
  await stop();
  const second = start({ port: "usb-0000:01:00.0-1.2" });
  await second.until("ready");
  expect([...handles.keys()]).toEqual(["/dev/hidraw1"]);
});

test("of a composite reader one interface is read, and the keys of all are kept from the console", async () => {
  await machine.plugIn({
    name: "1-1",
    ids: "09d8:0410",
    interfaces: [
      { ...KEYBOARD, hidraw: 0, inhibited: ["0", "0"] },
      { ...KEYBOARD, hidraw: 1, inhibited: ["0"] },
    ],
  });
  const { until } = start({});
  await until("ready");
  const { usb } = await scanPlugged(machine.root);
  expect(usb[0]?.hidraw.map(({ inhibited }) => inhibited)).toEqual([true, true]);
  expect([...handles.keys()]).toEqual(["/dev/hidraw0"]);
});
