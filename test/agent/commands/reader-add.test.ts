import { writeFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Invocation } from "../../../agent/commands/command.ts";
import { type AddSurroundings, addReader } from "../../../agent/commands/reader-add.ts";
import type { ReaderConfig } from "../../../agent/config/config.ts";
import { type Clock, systemClock } from "../../../drivers/clock.ts";
import { ReaderError } from "../../../drivers/reader.ts";
import type { Transport, TransportListener } from "../../../drivers/transports/transport.ts";
import { OsdpPd } from "../../sim/osdp-pd.ts";
import { SimulatedTwn4 } from "../../sim/twn4.ts";
import { FakeMachine, KEYBOARD, twins } from "../../sim/usb.ts";
import { SAMPLE } from "../config/sample.ts";
import { FakeTerminal, invocation } from "./terminal.ts";

const COMMENTED = `# The lobby's agent; ask Kim before changing.\n${SAMPLE}# end of file\n`;

let machine: FakeMachine;
let folder: string;
let config: string;
beforeEach(async () => {
  machine = await FakeMachine.make();
  folder = await mkdtemp(join(tmpdir(), "reader-add-"));
  config = join(folder, "printgate.toml");
  await writeFile(config, COMMENTED, { mode: 0o600 });
});
afterEach(async () => {
  await machine.remove();
  await rm(folder, { recursive: true });
});

/** The waits of the command are for people; here time runs twenty times as fast. */
const FAST = 20;
const fastClock: Clock = {
  wall: systemClock.wall,
  monotonic: () => systemClock.monotonic() * FAST,
  after: (ms, run) => systemClock.after(ms / FAST, run),
};

type Chunks = readonly (string | Uint8Array)[];

/** A reader that sends the next of `taps` when the operator is told to tap. */
class TappedReader {
  readonly settings: ReaderConfig[] = [];
  readonly written: string[] = [];
  readonly #taps: Chunks[];
  #listener: TransportListener | undefined;

  constructor(...taps: readonly Chunks[]) {
    this.#taps = [...taps];
  }

  tap(): void {
    for (const chunk of this.#taps.shift() ?? []) this.#listener?.data(Buffer.from(chunk));
  }

  transport(settings: ReaderConfig): Transport {
    this.settings.push(settings);
    return {
      open: async (listener) => {
        this.#listener = listener;
      },
      write: async (bytes) => void this.written.push(Buffer.from(bytes).toString("latin1")),
      close: async () => {
        this.#listener = undefined;
      },
      describe: () => "tapped",
    };
  }
}

async function add(options: Invocation["options"], reader?: TappedReader, answers?: readonly string[]) {
  const terminal = new FakeTerminal(answers);
  terminal.onNote = (note) => /Tap (a|the same|another) card/.test(note) && reader?.tap();
  const surroundings: AddSurroundings = {
    root: machine.root,
    clock: fastClock,
    ...(reader === undefined ? {} : { transport: (settings) => reader.transport(settings) }),
  };
  const before = await readFile(config, "utf8");
  const outcome = await addReader(invocation(terminal, ["add"], { config, ...options }), surroundings).catch(
    (error: unknown) => error,
  );
  const added = (await readFile(config, "utf8")).slice(before.length);
  expect((await readFile(config, "utf8")).startsWith(before)).toBe(true);
  return { outcome, terminal, added };
}

const DIGITS = "1234567890";
/** A keyboard's reports: each digit pressed and released, then the key that ends the number. */
function typed(number: string, end: number, modifier = 0): Uint8Array[] {
  const press = (usage: number, shift = 0) => [Buffer.of(shift, 0, usage, 0, 0, 0, 0, 0), Buffer.alloc(8)];
  return [...number].flatMap((digit) => press(0x1e + DIGITS.indexOf(digit), modifier)).concat(press(end));
}
const [ENTER, TAB] = [0x28, 0x2b];

const TWN4 = {
  name: "1-1.2",
  ids: "09d8:0420",
  serial: "7",
  interfaces: [{ kind: "020201", tty: "ttyACM0", byId: "usb-Elatec_7" }],
};
const BRIDGE = {
  name: "1-1.4",
  ids: "1a86:7523",
  interfaces: [{ kind: "ffffff", driver: "ch341", tty: "ttyUSB7", byPath: "usb-0:1.4" }],
};

test("a keyboard reader: found, understood, confirmed, written; the rest of the file stays byte for byte", async () => {
  await writeFile(config, COMMENTED.replace("0x0410", "0x0999"));
  await machine.plugIn({ name: "1-1.2", ids: "09d8:0410", serial: "0001", interfaces: [KEYBOARD] });
  const tap = typed("0077771716", ENTER);
  const { outcome, added, terminal } = await add({}, new TappedReader(tap, tap));
  expect(outcome).toBe(0);
  expect(added).toBe(`
[[reader]]
name = "reader-1"
family = "hid-keyboard"
printer = "mfd-1"
vendor_id = 0x09d8
product_id = 0x0410
serial_number = "0001"
`);
  expect(terminal.results).toEqual([
    { written: true, file: config, name: "reader-1", family: "hid-keyboard", toml: added.trim() },
  ]);
  // What kind of number it is may be seen, the number not.
  expect(terminal.text).toContain("10 characters, dddddddddd");
  expect(terminal.text).not.toContain("0077771716");
  expect([(await stat(config)).mode & 0o777, await readdir(folder)]).toEqual([0o600, ["printgate.toml"]]);
});

test("its keys: a Tab or a silence ends the number, and a French layout is told from a wrong one", async () => {
  await writeFile(config, COMMENTED.replace("0x0410", "0x0999"));
  await machine.plugIn({ name: "1-1.2", ids: "09d8:0410", interfaces: [KEYBOARD] });
  const ways = [
    [typed("123456", TAB), ['terminators = ["tab"]']],
    [typed("123456", TAB).slice(0, -2), ["terminators = []"]],
    [typed("123456", ENTER, 2), ['layout = "fr"']],
  ] as const;
  for (const [tap, keys] of ways) {
    const { added } = await add({ "dry-run": true }, new TappedReader(tap, tap)).then(({ terminal }) => ({
      added: terminal.lines.join("\n"),
    }));
    expect(added.split("\n").slice(6)).toEqual(keys);
  }
});

test("with --show the number is shown, and with --dry-run nothing is written and the keyboard types again", async () => {
  await writeFile(config, COMMENTED.replace("0x0410", "0x0999"));
  await machine.plugIn({ name: "1-1.2", ids: "09d8:0410", interfaces: [{ ...KEYBOARD, inhibited: ["0"] }] });
  const tap = typed("123456", ENTER);
  const inhibited = machine.device("1-1.2", "1-1.2:1.0", "0003:09D8:0410.0001", "input/input0/inhibited");
  const reader = new TappedReader(tap, tap);
  const open = reader.transport.bind(reader);
  reader.transport = (settings) => {
    writeFileSync(inhibited, "1");
    return open(settings);
  };
  const { outcome, terminal, added } = await add({ show: true, "dry-run": true }, reader);
  expect([outcome, added]).toEqual([0, ""]);
  expect(terminal.text).toContain('"123456"');
  expect(terminal.results).toMatchObject([{ written: false }]);
  expect((await readFile(inhibited, "utf8")).trim()).toBe("0");
});

test("a serial reader behind a bridge: named by its socket, its speed and framing found out", async () => {
  await machine.plugIn(BRIDGE);
  const noise = [Buffer.from([0x80, 0xfe, 0x00, 0x9c, 0xff, 0x91])];
  const tap = ["\x02", "62E3086CED", "08\x03", "\x0262E3086CED08\x03"];
  const reader = new TappedReader(noise, tap, tap);
  const { outcome, added, terminal } = await add({ device: "1-1.4" }, reader);
  expect(outcome).toBe(0);
  expect(added.split("\n").slice(2, -1)).toEqual([
    'name = "reader-1"',
    'family = "serial-line"',
    'printer = "mfd-1"',
    'path = "/dev/serial/by-path/usb-0:1.4"',
    "baud_rate = 115200",
    'preset = "id12"',
  ]);
  expect(terminal.text).toContain("makes no sense that way");
  // Not one byte to a device of which nobody knows what it is.
  expect(reader.written).toEqual([]);
});

test("what else a line can be: any line end, none at all, STX and ETX, a magnetic stripe", async () => {
  await machine.plugIn(TWN4);
  const ways = [
    ["04A2B3C4\r", []],
    ["04A2B3C4\r\n", []],
    ["04A2B3C4", ['framing = "idle-gap"']],
    ["\x0204A2B3C4\x03", ['framing = "stx-etx"']],
    ["%B12345^X?;12345=99?\r", ['preset = "magstripe"']],
  ] as const;
  for (const [line, keys] of ways) {
    const { terminal } = await add({ family: "serial-line", "dry-run": true }, new TappedReader([line], [line]));
    expect([line, terminal.lines.join("\n").split("\n").slice(5)]).toEqual([line, keys]);
  }
});

test("a network reader, over the network", async () => {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => void sockets.add(socket.resume().on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const terminal = new FakeTerminal();
  terminal.onNote = (note) => {
    if (!/Tap (a|the same) card/.test(note)) return;
    const tap = () => (sockets.size === 0 ? setImmediate(tap) : [...sockets].at(-1)?.write("CARD-4711\r\n"));
    tap();
  };
  server.on("connection", (socket) => socket.on("close", () => sockets.delete(socket)));
  try {
    const options = { config, tcp: `127.0.0.1:${port}`, name: "lift" };
    expect(await addReader(invocation(terminal, ["add"], options), { root: machine.root, clock: systemClock })).toBe(0);
    expect((await readFile(config, "utf8")).slice(COMMENTED.length)).toBe(
      `\n[[reader]]\nname = "lift"\nfamily = "tcp-line"\nprinter = "mfd-1"\nconnect = "127.0.0.1:${port}"\n`,
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});

test("--yes asks nothing: the table comes from the options, and is checked all the same", async () => {
  await machine.plugIn(BRIDGE);
  const options = {
    yes: true,
    device: "/dev/ttyUSB7",
    family: "serial-line",
    set: ["baud_rate=19200", "framing=stx-etx", "min_length=0x05"],
  };
  const { outcome, added } = await add(options);
  expect(outcome).toBe(0);
  expect(added.split("\n").slice(5, -1)).toEqual([
    'path = "/dev/serial/by-path/usb-0:1.4"',
    "baud_rate = 19200",
    'framing = "stx-etx"',
    "min_length = 0x05",
  ]);
  await rm(machine.device("1-1.4"), { recursive: true });
  await machine.plugIn({ ...BRIDGE, name: "1-1.5", interfaces: [{ kind: "ffffff", tty: "ttyUSB8" }] });
  const wrong = await add({ ...options, device: "1-1.5", set: ["baud=9600"] });
  expect([wrong.outcome, wrong.added]).toMatchObject([{ code: "config-unknown-key" }, ""]);
});

test("a listening network reader is refused without --allow, before anybody taps", async () => {
  const open = await add({ listen: "0.0.0.0:7790" }, new TappedReader());
  expect([open.outcome, open.added]).toMatchObject([{ code: "config-conflict" }, ""]);
  const { outcome, added } = await add({ listen: "0.0.0.0:7790", allow: ["10.0.0.7"], yes: true });
  expect(outcome).toBe(0);
  expect(added).toContain('listen = "0.0.0.0:7790"\nallow = ["10.0.0.7"]\n');
});

test("several are plugged in: the operator picks by number, and keyboards are never taken by themselves", async () => {
  await writeFile(config, COMMENTED.replace("0x0410", "0x0999"));
  for (const device of twins(["A", "B"])) await machine.plugIn(device);
  await machine.plugIn({
    name: "1-2",
    ids: "046d:c31c",
    product: "Keyboard",
    interfaces: [{ ...KEYBOARD, hidraw: 5 }],
  });
  const tap = typed("123456", ENTER);
  const { outcome, added, terminal } = await add({}, new TappedReader(tap, tap), ["2"]);
  expect(outcome).toBe(0);
  expect(added).toContain('serial_number = "B"');
  expect(terminal.asked[0]).toBe("Which one? (1-3)");
  // Now one Elatec reader is left, and a keyboard.
  const yes = await add({ yes: true });
  expect(yes.added).toContain('serial_number = "A"');
  const none = await add({ yes: true });
  expect([none.outcome, none.added]).toMatchObject([{ code: "usage" }, ""]);
  const nobody = await add({}, new TappedReader());
  expect(nobody.outcome).toMatchObject({ code: "usage", detail: expect.stringContaining("--device") });
  // Named, it is taken, and only in its own socket.
  const named = await add({ yes: true, device: "046d:c31c" });
  expect(named.added).toContain('port = "usb-0000:01:00.0-2"');
});

test.each<[string, Invocation["options"], string]>([
  ["a name that is taken", { name: "front" }, "reader-configured"],
  ["a device that is a reader already", { device: "1-1.1" }, "reader-configured"],
  ["a device that is not plugged in", { device: "1-9" }, "reader-not-plugged-in"],
  ["a printer that is none", { printer: "mfd-9" }, "usage"],
  ["a family that is none", { family: "mind-reader" }, "usage"],
  ["a family that the device cannot have", { family: "rfideas-sdk" }, "usage"],
  ["two devices at once", { device: "1-1.2", tcp: "10.0.0.7:1" }, "usage"],
  ["a setting that is none", { set: ["baud rate 9600"] }, "usage"],
  ["a wait without end", { wait: "0" }, "usage"],
])("%s is refused", async (_what, options, code) => {
  await machine.plugIn({ name: "1-1.1", ids: "09d8:0410", interfaces: [KEYBOARD] });
  await machine.plugIn(TWN4);
  const { outcome, added } = await add(
    { device: "tcp" in options ? undefined : "1-1.2", ...options },
    new TappedReader(),
  );
  expect([outcome, added]).toMatchObject([{ code }, ""]);
});

test("another card, a phone's number, or nothing the second time: nothing is written", async () => {
  await machine.plugIn(TWN4);
  const options = { family: "serial-line", wait: "10" };
  const other = await add(options, new TappedReader(["04A2B3C4\r"], ["08112233\r"]));
  expect([other.outcome, other.added]).toMatchObject([{ code: "reader-unconfirmed" }, ""]);
  expect(`${other.outcome}${other.terminal.text}`).not.toMatch(/04A2B3C4|08112233/);
  const once = await add(options, new TappedReader(["04A2B3C4\r"]));
  expect([once.outcome, once.added]).toMatchObject([{ code: "reader-unheard" }, ""]);
  const never = await add(options, new TappedReader());
  expect([never.outcome, never.added]).toMatchObject([{ code: "reader-unheard" }, ""]);
});

test("what never makes sense at any speed is told so, with what came as a shape only", async () => {
  await machine.plugIn(TWN4);
  const noise = [Buffer.from([0x80, 0xfe, 0x9c, 0x31, 0x32])];
  const { outcome, added, terminal } = await add({ family: "serial-line" }, new TappedReader(...Array(9).fill(noise)));
  expect([outcome, added]).toMatchObject([{ code: "reader-not-understood" }, ""]);
  expect(terminal.text).toContain("x x x dd");
});

test("a device that cannot be opened says what to do", async () => {
  await machine.plugIn(TWN4);
  const reader = new TappedReader();
  reader.transport = () => ({
    open: async () => {
      throw new ReaderError("reader-open-failed", "locked");
    },
    write: async () => {},
    close: async () => {},
    describe: () => "locked",
  });
  const { outcome, added } = await add({ family: "serial-line" }, reader);
  expect([outcome, added]).toMatchObject([{ code: "reader-open-failed" }, ""]);
});

test("a file that somebody changes meanwhile is left alone; a link stays a link", async () => {
  await machine.plugIn(TWN4);
  const reader = new TappedReader(["04A2B3C4\r"], ["04A2B3C4\r"]);
  const open = reader.transport.bind(reader);
  reader.transport = (settings) => {
    writeFileSync(config, `${COMMENTED}# meanwhile\n`);
    return open(settings);
  };
  const { outcome } = await add({ family: "serial-line" }, reader);
  expect(outcome).toMatchObject({ code: "config-changed" });
  expect(await readFile(config, "utf8")).toBe(`${COMMENTED}# meanwhile\n`);
  const link = join(folder, "link.toml");
  await symlink("printgate.toml", link);
  const terminal = new FakeTerminal();
  const options = { config: link, yes: true, device: "1-1.2", family: "serial-line" };
  expect(await addReader(invocation(terminal, ["add"], options), { root: machine.root, clock: systemClock })).toBe(0);
  expect(await readFile(config, "utf8")).toContain('name = "reader-1"');
  expect(await readdir(folder)).toEqual(["link.toml", "printgate.toml"]);
});

test("three cards whose numbers the operator knows give the pipeline; the numbers are written nowhere", async () => {
  await machine.plugIn(TWN4);
  const cards = ["04A2B3C4", "946EBD28", "00C41F07"] as const;
  const numbers = cards.map((card) => String(Buffer.from(card, "hex").readUInt32LE()).padStart(10, "0"));
  const line = (card: string | undefined) => [`${card}\r`];
  // The second one still lies there when the third is asked for.
  const taps = [line(cards[0]), line(cards[0]), line(cards[1]), line(cards[1]), line(cards[2])];
  const { outcome, added, terminal } = await add({ family: "serial-line" }, new TappedReader(...taps), numbers);
  expect(outcome).toBe(0);
  expect(added).toMatch(/\npipeline = ".*reverseBytes.*toDec.*"\n$/);
  for (const secret of [...cards, ...numbers]) expect(`${added}${terminal.text}`).not.toContain(secret);
});

test("numbers that no pipeline makes, or two cards alone, write no pipeline, and the reader is added all the same", async () => {
  await machine.plugIn(TWN4);
  const line = (card: string) => [`${card}\r`];
  const taps = [line("04A2B3C4"), line("04A2B3C4"), line("946EBD28"), line("00C41F07")];
  const none = await add({ family: "serial-line", "dry-run": true }, new TappedReader(...taps), ["1", "77", "5"]);
  const two = await add({ family: "serial-line", "dry-run": true }, new TappedReader(...taps), [
    "0077771716",
    "2490285352",
    "",
  ]);
  expect([none.outcome, two.outcome]).toEqual([0, 0]);
  for (const { terminal } of [none, two]) expect(terminal.lines.join("\n")).not.toContain("pipeline");
});

test("a reader that is asked: its driver finds out at which speed it answers, and nothing is asked unless it was named", async () => {
  await machine.plugIn(BRIDGE);
  const pd = new OsdpPd({ address: 7 });
  const speeds: number[] = [];
  const reader = new TappedReader();
  reader.tap = () => pd.card();
  reader.transport = (settings) => {
    if (settings.family !== "osdp") throw new Error("another family was tried");
    speeds.push(settings.baudRate);
    let listener: TransportListener | undefined;
    return {
      open: async (to) => {
        pd.reset();
        listener = to;
      },
      write: async (bytes) => {
        if (settings.baudRate !== 38_400) return;
        for (const reply of pd.push(bytes)) setImmediate(() => listener?.data(reply));
      },
      close: async () => {
        listener = undefined;
      },
      describe: () => "RS-485",
    };
  };
  const set = ["address=7", "secure=false", "reply_timeout_ms=2000"];
  const { outcome, added, terminal } = await add({ device: "1-1.4", family: "osdp", set }, reader);
  expect(outcome).toBe(0);
  expect(added.split("\n").slice(3, -1)).toEqual([
    'family = "osdp"',
    'printer = "mfd-1"',
    'path = "/dev/serial/by-path/usb-0:1.4"',
    "baud_rate = 38400",
    "address = 7",
    "secure = false",
    "reply_timeout_ms = 2000",
  ]);
  expect([...new Set(speeds)]).toEqual([9600, 115_200, 38_400]);
  expect(terminal.text).toContain("Read: 26 bits");
  const keyless = await add({ device: "1-1.4", family: "osdp", name: "door" }, reader);
  expect(keyless.outcome).toMatchObject({ code: "reader-configured" });
});

test("what each family's device is called by", async () => {
  const ccid = { name: "1-1", ids: "072f:2200", manufacturer: "ACS", product: "ACR122U PICC Interface" };
  await machine.plugIn({ ...ccid, interfaces: [{ kind: "0b0000" }] });
  await machine.plugIn({ name: "1-2", ids: "0c27:3bfa", interfaces: [KEYBOARD] });
  const pcsc = await add({ yes: true, device: "1-1" });
  expect(pcsc.added).toContain('family = "pcsc"\nprinter = "mfd-1"\nreader_name = "ACS ACR122U PICC Interface"\n');
  const sdk = await add({ yes: true, device: "1-2", family: "rfideas-sdk" });
  expect(sdk.added).toContain('family = "rfideas-sdk"\nprinter = "mfd-1"\nvendor_id = 0x0c27\nproduct_id = 0x3bfa\n');
  const wrong = await add({ yes: true, device: "1-2", family: "serial-line", name: "x" });
  expect([wrong.outcome, wrong.added]).toMatchObject([{ code: "reader-configured" }, ""]);
});

test("a TWN4 is asked, in each way in which its app may have been built, before anybody taps", async () => {
  await machine.plugIn(TWN4);
  let listener: TransportListener | undefined;
  const twn4 = new SimulatedTwn4(fastClock, (bytes) => setImmediate(() => listener?.data(bytes)), {
    mode: "binary",
    crc: true,
  });
  const reader = new TappedReader();
  // A card that lies there when the reader is opened is no tap, so it comes some searches later.
  reader.tap = () => {
    const before = twn4.heard.length;
    const lay = () =>
      twn4.heard.length < before + 10 ? setImmediate(lay) : twn4.lay({ type: 0x80, bitLength: 32, id: "66CF4DC2" });
    lay();
  };
  reader.transport = () => ({
    open: async (to) => {
      twn4.powerCycle();
      twn4.lay();
      listener = to;
    },
    write: async (bytes) => twn4.hear(bytes),
    close: async () => {
      listener = undefined;
    },
    describe: () => "TWN4",
  });
  const { outcome, added, terminal } = await add({}, reader);
  expect(outcome).toBe(0);
  expect(added.split("\n").slice(3, -1)).toEqual([
    'family = "twn4-simple"',
    'printer = "mfd-1"',
    'path = "/dev/serial/by-id/usb-Elatec_7"',
    'mode = "binary"',
    "crc = true",
  ]);
  expect(terminal.text).toContain("Read: 32 bits");
  expect(terminal.text).not.toContain("66CF4DC2");
});

test("a TWN4 whose firmware only sends lines is understood as a line", async () => {
  await machine.plugIn(TWN4);
  const { outcome, added } = await add({}, new TappedReader(["66CF4DC2\r"], ["66CF4DC2\r"]));
  expect(outcome).toBe(0);
  expect(added).toContain('family = "serial-line"\nprinter = "mfd-1"\npath = "/dev/serial/by-id/usb-Elatec_7"\n');
});
