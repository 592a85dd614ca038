import { chmod, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listReaders } from "../../../agent/commands/reader-list.ts";
import { ControlSocket } from "../../../agent/health/control-socket.ts";
import { FakeMachine, KEYBOARD, twins } from "../../sim/usb.ts";
import { SAMPLE } from "../config/sample.ts";
import { FakeTerminal, invocation } from "./terminal.ts";

let machine: FakeMachine;
let folder: string;
let config: string;
beforeEach(async () => {
  machine = await FakeMachine.make();
  folder = await mkdtemp(join(tmpdir(), "reader-list-"));
  config = join(folder, "printgate.toml");
  await writeFile(config, SAMPLE.replace("[central]", `state_dir = "${folder}"\n\n[central]`), { mode: 0o600 });
});
afterEach(async () => {
  await machine.remove();
  await rm(folder, { recursive: true });
});

async function list(file = config) {
  const terminal = new FakeTerminal();
  const exit = await listReaders(invocation(terminal, ["list"], { config: file }), machine.root);
  return { exit, terminal };
}

test("what is plugged in, what it is, which configured reader it is, and what to do next", async () => {
  await machine.plugIn({
    name: "1-1.2",
    ids: "09d8:0410",
    serial: "0001",
    product: "RFID\u001b[2J",
    interfaces: [{ ...KEYBOARD, inhibited: ["0"] }],
  });
  await machine.plugIn({ name: "1-1.3", ids: "046d:c31c", interfaces: [{ ...KEYBOARD, hidraw: 1 }] });
  await machine.plugIn({
    name: "1-1.4",
    ids: "0403:6001",
    serial: "A5",
    interfaces: [{ kind: "ffffff", driver: "ftdi_sio", tty: "ttyUSB0", byId: "usb-FTDI_A5-port0" }],
  });
  await machine.plugIn({ name: "1-1.1", ids: "1d6b:0104", kind: "09", interfaces: [{ kind: "090000" }] });
  const { exit, terminal } = await list();
  expect(exit).toBe(0);
  expect(terminal.lines.join("\n")).toBe(`Plugged in:
  1-1.2         Elatec TWN4 (keyboard) (confidence high): hid-keyboard
                09d8:0410, serial number 0001, /dev/hidraw0
                calls itself "RFID?[2J"
                configured as usb
                → Its keys reach the console too: install the udev rule for it (printgate reader udev-rules).
  1-1.3         a keyboard (confidence low): hid-keyboard
                046d:c31c, /dev/hidraw1
                Taken only if you name it: if people type on it, what they type would be read.
                → To use it: printgate reader add --device 1-1.3
  1-1.4         FTDI FT232 serial bridge (confidence low): serial-line, twn4-simple, rfideas-acp, osdp
                0403:6001, serial number A5, /dev/ttyUSB0, /dev/serial/by-id/usb-FTDI_A5-port0
                A USB-to-serial bridge: anything may be behind it.
                configured as side
Configured:
  front         tcp-line at mfd-1: the agent does not run
  side          serial-line at mfd-1: plugged in (1-1.4); the agent does not run
  usb           hid-keyboard at mfd-1: plugged in (1-1.2); the agent does not run`);
  expect(terminal.results).toMatchObject([
    {
      plugged: [
        {
          device: "1-1.2",
          confidence: "high",
          families: ["hid-keyboard"],
          ids: "09d8:0410",
          serialNumber: "0001",
          configured: "usb",
        },
        { device: "1-1.3", confidence: "low" },
        { device: "1-1.4", path: "/dev/serial/by-id/usb-FTDI_A5-port0" },
      ],
      configured: [{ name: "front" }, { name: "side", device: "1-1.4" }, { name: "usb", device: "1-1.2" }],
    },
  ]);
});

test("of two equal readers each has its own serial number or socket, and the configured one is told from the other", async () => {
  for (const device of twins(["A", "B"])) await machine.plugIn(device);
  await writeFile(config, `${SAMPLE}serial_number = "B"\n`);
  const { terminal } = await list();
  expect(terminal.results).toMatchObject([
    {
      plugged: [
        { device: "1-1.1", serialNumber: "A", port: "usb-0000:01:00.0-1.1" },
        { device: "1-1.2", serialNumber: "B", configured: "usb" },
      ],
    },
  ]);
  expect(terminal.text).toContain("→ To use it: printgate reader add --device 1-1.1");
});

test("a serial reader under a name of the administrator's own is found", async () => {
  await machine.plugIn({ name: "1-1", ids: "0403:6001", interfaces: [{ kind: "ffffff", tty: "ttyUSB3" }] });
  await symlink("ttyUSB3", machine.path("dev/card-reader"));
  await writeFile(config, SAMPLE.replace("/dev/ttyUSB0", "/dev/card-reader"));
  expect((await list()).terminal.results).toMatchObject([{ plugged: [{ device: "1-1", configured: "side" }] }]);
});

test("of the running agent: state, last card, hint, and what to do about an error", async () => {
  const readers = [
    {
      name: "front",
      family: "tcp-line",
      printer: "mfd-1",
      status: "ready",
      forMs: 120_000,
      lastReadAgoMs: 3000,
      counters: {},
    },
    { name: "side", status: "ready", forMs: 9000, hint: "no card for 9 h", counters: {} },
    {
      name: "usb",
      status: "absent",
      forMs: 9000,
      error: { code: "reader-absent", detail: "", what: "Gone.", next: "Plug it in." },
      counters: {},
    },
  ];
  const socket = await ControlSocket.open(join(folder, "control.sock"), {
    status: () => ({ readers }),
    capture: () => false,
    captured: () => undefined,
    policy: () => undefined,
  });
  try {
    const { terminal } = await list();
    expect(terminal.lines.slice(-3)).toEqual([
      "  front         tcp-line at mfd-1: ready for 2 min; last card 3 s ago",
      "  side          serial-line at mfd-1: ready for 9 s; no card for 9 h",
      "  usb           hid-keyboard at mfd-1: absent for 9 s; Gone. Plug it in.",
    ]);
  } finally {
    await socket.close();
  }
});

test("without a good configuration it still shows what is plugged in", async () => {
  await machine.plugIn({ name: "1-1", ids: "09d8:0410", interfaces: [KEYBOARD] });
  await chmod(config, 0o644);
  for (const file of [config, join(folder, "none.toml")]) {
    const { exit, terminal } = await list(file);
    expect([exit, terminal.notes.length]).toEqual([0, 1]);
    expect(terminal.results).toMatchObject([{ plugged: [{ device: "1-1" }], configured: [] }]);
  }
});

test("a PC/SC reader is known by the name that it gives itself, and who else holds it is said", async () => {
  await machine.plugIn({
    name: "1-1",
    ids: "072f:2200",
    manufacturer: "ACS",
    product: "ACR122U PICC Interface",
    interfaces: [{ kind: "0b0000", driver: "pn533_usb" }],
  });
  const reader = '\n[[reader]]\nname = "desk"\nfamily = "pcsc"\nprinter = "mfd-1"\nreader_name = "ACS ACR122U"\n';
  await writeFile(config, `${SAMPLE}${reader}`);
  const { terminal } = await list();
  expect(terminal.results).toMatchObject([
    {
      plugged: [
        { device: "1-1", families: ["pcsc"], configured: "desk", next: [expect.stringContaining("pn533_usb")] },
      ],
    },
  ]);
});
