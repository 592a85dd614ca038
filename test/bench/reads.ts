import type { HidKeyboardSettings } from "../../drivers/readers/hid-keyboard/settings.ts";
import type { SerialLineSettings, TcpLineSettings } from "../../drivers/readers/line/settings.ts";

/** One recorded read. With its settings it may be fed again and again: no read is held back as a repeat. */
export interface RecordedRead {
  readonly name: string;
  readonly settings: HidKeyboardSettings | SerialLineSettings | TcpLineSettings;
  /** As the transport hands them over; the last one completes the read. */
  readonly chunks: readonly Uint8Array[];
  /** What follows it: the release of the last key, an LF. */
  readonly after: readonly Uint8Array[];
  readonly text: string;
}

const common = { name: "recorded", repeatHoldMs: 0, maxReadsPer10s: 1_000_000 };

function keyboard(name: string, reports: string, text: string, more: Partial<HidKeyboardSettings> = {}): RecordedRead {
  const settings: HidKeyboardSettings = {
    family: "hid-keyboard",
    ...common,
    vendorId: 0x09d8,
    productId: 0x0410,
    layout: "us",
    terminators: ["enter", "keypad-enter"],
    interKeyTimeoutMs: 250,
    maxFrameMs: 3000,
    maxLength: 128,
    minLength: 4,
    sentinels: "keep",
    ...more,
  };
  const chunks = reports
    .trim()
    .split(/\s+/)
    .map((report) => Buffer.from(report, "hex"));
  return { name, settings, chunks: chunks.slice(0, -1), after: chunks.slice(-1), text };
}

function line(name: string, pieces: readonly string[], text: string, more: Partial<SerialLineSettings> = {}) {
  const after = pieces.at(-1) === "\n" ? [Buffer.from("\n")] : [];
  const chunks = pieces.slice(0, pieces.length - after.length).map((piece) => Buffer.from(piece, "latin1"));
  const serial: SerialLineSettings = { family: "serial-line", ...common, path: "/dev/ttyUSB0", ...more };
  const { preset, checksum, sentinels } = serial;
  const tcp: TcpLineSettings = {
    family: "tcp-line",
    ...common,
    listen: { host: "127.0.0.1", port: 0 },
    allow: [],
    ...{ preset, checksum, sentinels },
  };
  return [
    { name: `serial-line, ${name}`, settings: serial, chunks, after, text },
    { name: `tcp-line, ${name}`, settings: tcp, chunks: [Buffer.concat(chunks)], after, text },
  ];
}

/** The reports of a key that is pressed and released, in the boot layout. */
const key = (usage: number, modifiers = 0) =>
  [[modifiers, 0, usage, 0, 0, 0, 0, 0], new Array(8).fill(0)]
    .map((report) => Buffer.from(report).toString("hex"))
    .join(" ");
const digits = (text: string, modifiers = 0) =>
  [...text].map((digit) => key(digit === "0" ? 0x27 : 0x1d + Number(digit), modifiers)).join(" ");
const ENTER = key(0x28);

/** Alt held, the code on the keypad, Alt released. */
const altCode = (code: string) => {
  const held = "0400000000000000";
  const pressed = [...code].map(
    (digit) => `040000${digit === "0" ? "62" : (0x58 + Number(digit)).toString(16)}00000000`,
  );
  return [held, ...pressed.flatMap((report) => [report.padEnd(16, "0"), held]), "0000000000000000"].join(" ");
};

/** Of every family of this kind the usual reads, and the dearest ones to decode. */
export const RECORDED_READS: readonly RecordedRead[] = [
  keyboard(
    "hid-keyboard, QEMU's reports of 04A2",
    `0000270000000000 0000000000000000 0000210000000000 0000000000000000
     0200000000000000 0200040000000000 0200000000000000 0000000000000000
     00001f0000000000 0000000000000000 0000280000000000 0000000000000000`,
    "04A2",
  ),
  keyboard("hid-keyboard, ten digits", `${digits("0077771716")} ${ENTER}`, "0077771716"),
  keyboard("hid-keyboard, ten digits on AZERTY", `${digits("0077771716", 2)} ${ENTER}`, "0077771716", { layout: "fr" }),
  keyboard("hid-keyboard, Alt codes", `${["052", "0050", "65", "050"].map(altCode).join(" ")} ${ENTER}`, "42A2"),
  keyboard(
    "hid-keyboard, a magnetic stripe",
    `${key(0x33)} ${digits("5235092385")} ${key(0x2e)} ${digits("8")} ${key(0x38, 2)} ${ENTER}`,
    "5235092385=8",
    { sentinels: "track-2" },
  ),
  ...line("eight hex digits", ["04A2B", "3C4\r", "\n"], "04A2B3C4"),
  ...line("RDM6300", ["\x02100086F4", "4426\x03"], "100086F444", { preset: "id12" }),
  ...line("FAT820W", ["\x02S5235092385=8\x03"], "5235092385=8", { preset: "fat820w" }),
  ...line(
    "three tracks of a magnetic stripe",
    ["%B123^Smith/Joann^9812101000?;11222233", "3333444444444?+3333333333333333333?\r"],
    "112222333333444444444",
    { preset: "magstripe" },
  ),
  ...line("a track with its LRC", [";57019351?9\r"], "57019351", { preset: "magstripe", checksum: "lrc-track" }),
];
