import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { bundle } from "../../build/bundle.ts";
import { knownReaders, udevRules } from "../../drivers/discovery/udev-rules.ts";
import type { ReaderSettings } from "../../drivers/readers/open-reader.ts";
import { Gadget } from "./gadget.ts";
import type { UhidDevice } from "./guest/uhid.ts";
import type { GuestProgram } from "./guest.ts";
import { bundleGuest } from "./guest-bundle.ts";
import { BOOT_KEYBOARD, FEATURE_KEYBOARD, REPORT_ID_KEYBOARD, reportsOf, typeCard } from "./keyboard.ts";
import { Machine } from "./machine.ts";
import { ReaderProgram } from "./reader-program.ts";

/** QEMU's keyboard: no reader of the table, so the site names it, as it would a reader that we do not know. */
const KEYBOARD = { vendorId: 0x0627, productId: 0x0001 };
/** A reader of the table. */
const TWN4 = { vendorId: 0x09d8, productId: 0x0410, serialNumber: "PG2" };
const RULES = "/etc/udev/rules.d/60-printgate-readers.rules";
const SERIAL = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_PG1-if00-port0";

const COMMON = { repeatHoldMs: 1500, maxReadsPer10s: 100_000, maxLength: 128, minLength: 4 };
const USB: ReaderSettings = {
  ...COMMON,
  ...KEYBOARD,
  name: "usb",
  family: "hid-keyboard",
  terminators: ["enter"],
  interKeyTimeoutMs: 250,
  maxFrameMs: 3000,
};
const LINE: ReaderSettings = {
  ...COMMON,
  name: "line",
  family: "serial-line",
  path: SERIAL,
  framing: "cr",
  idleGapMs: 100,
  checksum: "none",
  baudRate: 9600,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
};

let machine: Machine;
let folder: string;
/** What a program on the first console gets: a login prompt would. */
let console1: GuestProgram;
let program: ReaderProgram | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-guest-"));
  await bundleGuest(join(folder, "vm"));
  await bundle(join(folder, "agent"));
  machine = await Machine.boot({
    folders: { [folder]: "/opt/printgate" },
    lines: ["serial"],
  });
  console1 = machine.guest.start("tty1", "stty -F /dev/tty1 -icanon echo min 1 && exec cat /dev/tty1");
});

afterAll(async () => {
  await machine?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

afterEach(async () => {
  await program?.stop();
  program = undefined;
  for (const device of machine.plugged) await machine.unplug(device);
  // QEMU is done with it before the guest is.
  await sh("udevadm wait --removed --timeout=20 /dev/hidraw0 && udevadm settle");
});

const plugKeyboard = (bus = "usb.0") => machine.plugIn("usb-kbd", "keyboard", { bus, port: "1" });
/** Resolves when udev is done with it. */
const keyboardIsThere = (nodes = "/dev/hidraw0") => sh(`udevadm wait --timeout=20 --settle ${nodes}`);
/** Whichever bus the kernel found first. */
const usbDevice = async () => (await sh("readlink -f $(readlink -f /sys/class/hidraw/hidraw0/device)/../..")).trim();
const plugSerial = () =>
  machine.plugIn("usb-serial", "serial", { bus: "usb.0", port: "2", chardev: "serial", serial: "PG1" });
async function plugUhid(device: UhidDevice): Promise<GuestProgram> {
  const description = JSON.stringify(device);
  const uhid = machine.guest.start(
    "uhid",
    `/sbin/modprobe uhid && exec node /opt/printgate/vm/uhid.mjs '${description}'`,
  );
  await uhid.until("its start", (output) => output.includes("ready") || undefined);
  await keyboardIsThere();
  return uhid;
}
/** The shipped rules with the keyboard of this site, or without it. */
async function rules(site: boolean): Promise<void> {
  const text = udevRules([...knownReaders(), ...(site ? [{ ...KEYBOARD, about: "usb", keyboard: true }] : [])]);
  await sh(`mkdir -p /etc/udev/rules.d; cat > ${RULES} <<'END'\n${text}END\nudevadm control --reload`);
}
const sh = (command: string) => machine.guest.shell(command);
/** The screen, in the encoding of its font, which for what we type is ASCII. */
const screen = () => sh("cat /dev/vcs1");
/** Distinct cards: an equal one within the hold time would be the same tap. */
const cards = (count: number, first: number) => Array.from({ length: count }, (_, i) => String(first + i));
/** What udev complained of in our rules; in a test of it, Debian's own rules are not without. */
const complaints = (output: string) =>
  output.split("\n").filter((line) => /60-printgate-readers.*(error|invalid|unknown|failed|ignor)/i.test(line));
const taps = (reader: string, count: number) => program?.readCount(reader, count);

test("without the rule the keys reach the console, and the agent refuses the reader", async () => {
  await rules(false);
  await plugKeyboard();
  await keyboardIsThere();
  // Readable, so that it is the check that refuses and not the mode of the node.
  await sh("chgrp printgate /dev/hidraw0 && chmod 660 /dev/hidraw0");
  program = ReaderProgram.start(machine.guest, [USB]);
  await program.state("usb", "failed reader-not-inhibited");
  const typed = cards(50, 900_000);
  for (const card of typed) {
    await typeCard(machine.qmp, card);
    await console1.until(card, (output) => output.includes(card) || undefined);
  }
  expect(console1.output.split(/[\r\n]+/).filter(Boolean)).toEqual(typed);
  expect(await screen()).toContain(typed.at(-1));
  expect(program.reads("usb")).toEqual([]);
  expect((await sh("cat /sys/class/input/input*/inhibited")).trim()).toBe("0");
});

test("with the rule the keys are held back before anybody opens the reader, and its nodes are the agent's", async () => {
  await rules(true);
  await plugKeyboard();
  await keyboardIsThere();
  expect((await sh("cat /sys/class/input/input*/inhibited")).trim()).toBe("1");
  const usb = await usbDevice();
  const modes = await sh(
    `stat -L -c '%a %G %n' /dev/hidraw0 /sys/class/input/input*/inhibited ${usb}/authorized ${usb}/power/control`,
  );
  expect(
    modes
      .replace(/input\d+/g, "inputN")
      .trim()
      .split("\n"),
  ).toEqual([
    "660 printgate /dev/hidraw0",
    "664 printgate /sys/class/input/inputN/inhibited",
    `664 printgate ${usb}/authorized`,
    `664 printgate ${usb}/power/control`,
  ]);
  for (const node of ["/class/hidraw/hidraw0", "/class/input/input*", usb.replace("/sys", "")]) {
    const { output } = await machine.guest.attempt(`udevadm test $(readlink -f /sys${node}) 2>&1`);
    expect(output).toContain("Reading rules file: /etc/udev/rules.d/60-printgate-readers.rules");
    expect(complaints(output)).toEqual([]);
  }
  // And so it would be seen.
  const broken = "/run/udev/rules.d/60-printgate-readers-broken.rules";
  await sh(`mkdir -p /run/udev/rules.d && echo 'SUBSYSTEM=="hidraw", GROUP="nobodys", MODE==1' > ${broken}`);
  const { output } = await machine.guest.attempt("udevadm test /sys/class/hidraw/hidraw0 2>&1");
  await sh(`rm ${broken}`);
  expect(complaints(output)).not.toEqual([]);
});

test("a tap by keys and one by the serial line are read once each, and nothing of them is on the console", async () => {
  await rules(true);
  await plugKeyboard();
  const before = console1.output;
  program = ReaderProgram.start(machine.guest, [USB, LINE]);
  await program.state("usb", "ready");
  await plugSerial();
  await program.state("line", "ready");
  await typeCard(machine.qmp, "04a2b3");
  await taps("usb", 1);
  machine.line("serial").write("0012345678\r");
  await taps("line", 1);
  await typeCard(machine.qmp, "04a2b4");
  await taps("usb", 2);
  machine.line("serial").write("0012345679\r");
  await taps("line", 2);
  expect(program.reads("usb")).toEqual(["04a2b3", "04a2b4"]);
  expect(program.reads("line")).toEqual(["0012345678", "0012345679"]);
  expect(console1.output).toBe(before);
});

test("1,000 cards are typed, each is read once, and nothing of them is on the console", async () => {
  await rules(true);
  await plugKeyboard("fast.0");
  const before = [console1.output, await screen()];
  // A guest that the host does not run for a while is no slow typist.
  program = ReaderProgram.start(machine.guest, [{ ...USB, interKeyTimeoutMs: 5000, maxFrameMs: 20_000 }]);
  await program.state("usb", "ready");
  const typed = cards(1000, 100_000);
  for (const [i, card] of typed.entries()) {
    await typeCard(machine.qmp, card);
    await taps("usb", i + 1);
  }
  expect(program.reads("usb")).toEqual(typed);
  expect([console1.output, await screen()]).toEqual(before);
});

test("a cleared attribute is set again by the agent's user, at the open", async () => {
  await rules(true);
  await plugKeyboard();
  await keyboardIsThere();
  await sh("echo 0 > $(echo /sys/class/input/input*)/inhibited");
  program = ReaderProgram.start(machine.guest, [USB]);
  await program.state("usb", "ready");
  expect((await sh("cat /sys/class/input/input*/inhibited")).trim()).toBe("1");
  await typeCard(machine.qmp, "0badf00");
  await taps("usb", 1);
  const counters = await program.stop();
  expect(counters.usb).toMatchObject({ inhibitRepaired: 1, notInhibited: 0, reads: 1 });
  expect(console1.output).not.toContain("0badf00");
});

test("the agent's user may take the reader off the bus and put it back: it is read again, and still held back", async () => {
  await rules(true);
  await plugKeyboard();
  program = ReaderProgram.start(machine.guest, [USB]);
  await program.state("usb", "ready");
  const usb = await usbDevice();
  await sh(`su -s /bin/sh -c 'cd ${usb}; echo on > power/control; echo 0 > authorized' printgate`);
  await program.state("usb", "absent reader-lost");
  await sh(`su -s /bin/sh -c 'echo 1 > ${usb}/authorized' printgate`);
  await program.state("usb", "ready", 2);
  await typeCard(machine.qmp, "0c0ffee");
  await taps("usb", 1);
  expect(program.reads("usb")).toEqual(["0c0ffee"]);
  expect(console1.output).not.toContain("0c0ffee");
});

test("both are unplugged and plugged in again 20 times: each tap after it is read once", async () => {
  await rules(true);
  await plugKeyboard();
  await plugSerial();
  const before = console1.output;
  program = ReaderProgram.start(machine.guest, [USB, LINE]);
  await program.state("usb", "ready");
  await program.state("line", "ready");
  const typed = cards(20, 700_000);
  for (const [i, card] of typed.entries()) {
    await Promise.all([machine.unplug("keyboard"), machine.unplug("serial")]);
    await program.state("usb", "absent reader-lost", i + 1);
    await program.state("line", "absent reader-lost", i + 1);
    await plugKeyboard();
    await plugSerial();
    await program.state("usb", "ready", i + 2);
    await program.state("line", "ready", i + 2);
    await typeCard(machine.qmp, card);
    machine.line("serial").write(`${card}\r`);
    await taps("usb", i + 1);
    await taps("line", i + 1);
  }
  expect(program.reads("usb")).toEqual(typed);
  expect(program.reads("line")).toEqual(typed);
  expect(console1.output).toBe(before);
});

test("of a composite reader every interface is held back, and one that is not makes it refused", async () => {
  await rules(false);
  const reader = await Gadget.plugIn(machine.guest, {
    ...TWN4,
    interfaces: [
      { reportDescriptor: BOOT_KEYBOARD, reportLength: 8, subclass: 1, protocol: 1 },
      { reportDescriptor: REPORT_ID_KEYBOARD, reportLength: 9 },
    ],
  });
  try {
    await keyboardIsThere("/dev/hidraw0 /dev/hidraw1");
    expect((await sh("cat /sys/class/input/input*/inhibited")).trim()).toBe("1\n1");
    const before = console1.output;
    program = ReaderProgram.start(machine.guest, [{ ...USB, ...TWN4 }]);
    await program.state("usb", "ready");
    await reader.send(0, reportsOf("04d1e2"));
    await taps("usb", 1);
    expect([program.reads("usb"), console1.output]).toEqual([["04d1e2"], before]);
    await program.stop();
    // As if the rule had met one of the two only. It is the one that the agent does not read.
    const sibling = (await sh("readlink -f /sys/bus/usb/devices/*:1.1/0003:09D8:0410.*/input/input*/inhibited")).trim();
    await sh(`echo 0 > ${sibling} && chmod 644 ${sibling}`);
    program = ReaderProgram.start(machine.guest, [{ ...USB, ...TWN4 }]);
    await program.state("usb", "failed reader-not-inhibited");
    expect(program.events.find((event) => "code" in event)).toMatchObject({
      detail: expect.stringContaining(`${sibling}: EACCES`),
    });
  } finally {
    await reader.unplug();
  }
});

test("a keyboard whose reports have ids is read and held back; the agent's user may exchange feature reports with it", async () => {
  await rules(false);
  const device: UhidDevice = {
    ...TWN4,
    name: "reader",
    reportDescriptor: REPORT_ID_KEYBOARD,
    features: { 2: "02aabb" },
  };
  const uhid = await plugUhid(device);
  try {
    const script = `import HID from "/opt/printgate/node_modules/node-hid/nodehid.js"; HID.setDriverType("hidraw");
      const device = new HID.HID("/dev/hidraw0"); console.log(Buffer.from(device.getFeatureReport(2, 3)).toString("hex"));
      device.sendFeatureReport([2, 1, 2]); device.close();`;
    await sh(`cat > /tmp/feature.mjs <<'END'\n${script}\nEND`);
    expect(await sh("su -s /bin/sh -c 'node /tmp/feature.mjs' printgate")).toBe("02aabb\n");
    await uhid.until("the report", (output) => output.includes('{"is":"set","report":"020102"}') || undefined);
    const before = console1.output;
    program = ReaderProgram.start(machine.guest, [{ ...USB, ...TWN4 }]);
    await program.state("usb", "ready");
    for (const report of reportsOf("04d1e3")) uhid.input(`01${report}\n`);
    await taps("usb", 1);
    expect([program.reads("usb"), console1.output]).toEqual([["04d1e3"], before]);
  } finally {
    await uhid.stop();
  }
});

test("a pcProx is read by feature reports, through hidraw", async () => {
  await rules(false);
  const ids = { vendorId: 0x0c27, productId: 0x3bfa };
  const name = "reader";
  const uhid = await plugUhid({
    ...ids,
    name,
    serialNumber: "",
    reportDescriptor: FEATURE_KEYBOARD,
    simulator: "pcprox",
  });
  try {
    const before = console1.output;
    program = ReaderProgram.start(machine.guest, [{ ...COMMON, ...ids, name: "sdk", family: "rfideas-sdk" }]);
    await program.state("sdk", "ready");
    // A card that is there at the first poll is no tap; the second poll tells that the first one found none.
    const polls = (output: string) => output.match(/"set","report":"008f0{14}"/g) ?? [];
    await uhid.until("two polls", (output) => polls(output).length >= 2 || undefined);
    uhid.input("card 26 032180c\n");
    await taps("sdk", 1);
    expect([program.reads("sdk"), console1.output]).toEqual([["26 0c860300"], before]);
    expect(await program.stop()).toMatchObject({ sdk: { reads: 1, notInhibited: 0 } });
  } finally {
    await uhid.stop();
  }
});

test("the agent as it is shipped says why it refuses a reader; with the rule installed, a typed card is a tap", async () => {
  await rules(false);
  const preamble =
    "export PRINTGATE_NODE=/opt/printgate/node PRINTGATE_CENTRAL_DATA=/tmp/site/central PATH=/opt/printgate/agent:$PATH";
  await sh(`mkdir -p /tmp/site && chown printgate /tmp/site && echo '${preamble}' > /tmp/site/env`);
  const asAgent = (command: string) => `su -s /bin/sh -c '. /tmp/site/env; ${command}' printgate`;
  await sh(asAgent("printgate central init"));
  await sh(asAgent("mkdir -m 700 /tmp/site/state"));
  await sh(`cd /tmp/site && cat > lobby.toml <<'END'
[agent]
state_dir = "/tmp/site/state"
[[printer]]
name = "mfd"
uri = "ipp://127.0.0.1:9/ipp/print"
[printer.snmp]
port = 9
[[reader]]
name = "usb"
family = "hid-keyboard"
printer = "mfd"
vendor_id = ${KEYBOARD.vendorId}
product_id = ${KEYBOARD.productId}
END
    chown printgate lobby.toml && chmod 600 lobby.toml`);
  const central = machine.guest.start(
    "central",
    `exec ${asAgent("exec printgate central serve --listen 127.0.0.1:8443")}`,
  );
  await central.until("that it listens", (output) => output.includes("listening") || undefined);
  const enrolment = machine.guest.start(
    "enrol",
    `exec ${asAgent("exec printgate enrol --server https://localhost:8443 --config /tmp/site/lobby.toml --json")}`,
  );
  const shown = await enrolment.until("a claim code", (output) => /{"state":"waiting".*}/.exec(output)?.[0]);
  const { claimCode, fingerprint } = JSON.parse(shown) as { claimCode: string; fingerprint: string };
  await sh(asAgent(`printgate central agent approve ${claimCode} --name lobby --fingerprint ${fingerprint}`));
  await enrolment.until("a certificate", (output) => output.includes('"state":"enrolled"') || undefined);
  await plugKeyboard();
  await keyboardIsThere();
  await sh("chgrp printgate /dev/hidraw0 && chmod 660 /dev/hidraw0");
  const agent = machine.guest.start("agent", `exec ${asAgent("exec printgate run --config /tmp/site/lobby.toml")}`);
  try {
    await agent.until("a refusal", (output) => output.includes("reader-not-inhibited") || undefined);
    const status = async () =>
      JSON.parse(
        (await machine.guest.attempt(asAgent("printgate status --config /tmp/site/lobby.toml --json 2>/dev/null")))
          .output,
      );
    const refused = await status();
    expect(refused.readers[0]).toMatchObject({ status: "failed", error: { code: "reader-not-inhibited" } });
    expect(refused.verdict.problems.join()).toContain("60-printgate-readers.rules");
    await rules(true);
    await sh("udevadm trigger --settle");
    await agent.until("the reader", (output) => output.includes('"status":"ready"') || undefined, 60_000);
    await typeCard(machine.qmp, "04d1e4");
    await agent.until("a tap", (output) => output.includes('"msg":"tap"') || undefined);
    expect((await status()).taps).toMatchObject([{ reader: "usb", signal: "unknown-card" }]);
    expect(agent.output + console1.output).not.toMatch(/04d1e4/i);
  } finally {
    await agent.stop();
    await central.stop();
  }
});
