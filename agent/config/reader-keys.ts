import * as z from "zod/mini";
import { KEYPADS, LAYOUTS, TERMINATORS } from "../../drivers/readers/hid-keyboard/settings.ts";
import { GENERIC } from "../../drivers/readers/line/presets.ts";
import { CHECKSUM_NAMES, FRAMINGS, PRESET_NAMES } from "../../drivers/readers/line/settings.ts";
import { CHECK_NAMES, DEFAULT_KEY } from "../../drivers/readers/osdp/settings.ts";
import { PCPROX } from "../../drivers/readers/rfideas-sdk/settings.ts";
import { SENTINELS } from "../../drivers/readers/tracks.ts";
import { MODES } from "../../drivers/readers/twn4-simple/settings.ts";
import { TAG_TYPE_NAMES } from "../../drivers/readers/twn4-simple/tag-types.ts";
import { CardError } from "../cards/card-error.ts";
import { DEFAULT_PIPELINES, MAX_TEXT, parsePipeline } from "../cards/pipeline.ts";
import type { Kind } from "../cards/steps.ts";
import {
  demand,
  flag,
  hostAndPort,
  key,
  line,
  list,
  name,
  network,
  oneOf,
  parsed,
  path,
  whole,
} from "../settings/key.ts";

/** The keys of a [[reader]], one table for each family: a new family is one table and its name in `READERS`. */

const pipeline = (kind: Kind) =>
  parsed("steps joined by |, see `printgate card convert --help`", (steps, refuse) => {
    try {
      const pipeline = parsePipeline(steps);
      return pipeline.from === kind
        ? pipeline
        : refuse(`must begin with a step that takes ${kind}, as this family delivers it`);
    } catch (error) {
      return refuse(error instanceof CardError ? error.detail : "must be a pipeline");
    }
  });

const common = (kind: Kind, example: string) => ({
  name: key(name(), { doc: "Its name, as the log and the central server see it.", example: JSON.stringify(example) }),
  printer: key(name(), { doc: "The [[printer]] that it releases on.", example: '"mfd-1"' }),
  pipeline: key(z._default(pipeline(kind), DEFAULT_PIPELINES[kind]), {
    doc: "How a read becomes a card number; try it with `printgate card convert`.",
    example:
      kind === "text"
        ? "'trim | cut(=) | regex(^;0?([0-9A-F]{8})) | hexDecode | reverseBytes | toDec(10)'"
        : "'wiegand(H10301) | toDec'",
  }),
  repeat_hold_ms: key(z._default(whole(0, 60_000), 1500), {
    doc: "An equal read within this time is the same tap.",
    unit: "ms",
  }),
  max_reads_per_10s: key(z._default(whole(1, 10_000), 5), {
    doc: "More reads than this in 10 s are dropped.",
    unit: "reads",
  }),
  expect_card_within_h: key(z.optional(whole(1, 8760)), {
    doc: "`status` and `doctor` give a hint when no card came for longer. No error: nights and weekends are quiet.",
    unit: "hours",
    otherwise: "no hint",
    example: "72",
  }),
  ...keypad(),
});

/** As the protocol's kinds of credentials (agent/protocol/schema.ts). */
const CREDENTIALS = ["card", "card-pin", "id-pin"] as const;

const keypad = () => ({
  credentials: key(z._default(list("a list of card, card-pin and id-pin", oneOf(CREDENTIALS), 1), ["card"]), {
    doc: "What it takes: a card; a card and a PIN (beside card: only when the central server asks for it); a number, #, a PIN.",
  }),
  pin_length: key(z.optional(whole(4, 16)), {
    doc: "Where all PINs have this length: the last digit ends a PIN, without #; a read of so many digits is one when it is awaited.",
    unit: "digits",
    otherwise: "# ends a PIN",
    example: "6",
  }),
  key_timeout_ms: key(z._default(whole(1000, 60_000), 10_000), {
    doc: "The longest time to wait for the next key of a PIN.",
    unit: "ms",
  }),
  entry_timeout_ms: key(z._default(whole(5000, 300_000), 60_000), {
    doc: "The longest time of a whole entry, from its card or first key.",
    unit: "ms",
  }),
  keypad_of: key(z.optional(name()), {
    doc: "It is the keypad of this other [[reader]], whose credentials its keys complete.",
    otherwise: "its own",
    example: '"front"',
  }),
});

const sentinelDoc =
  "Magnetic stripes. keep: %...? and ;...? are delivered; strip: what is in the only track; track-N: what is in that track.";

/** A key whose default the preset gives. */
const preset = (setting: keyof typeof GENERIC) => {
  const generic = JSON.stringify(GENERIC[setting]);
  return { otherwise: `as the preset says; generic: ${generic}`, example: generic };
};

const lineKeys = () => ({
  preset: key(z._default(oneOf(PRESET_NAMES), "generic"), {
    doc: "The settings of a known reader, for every key that is left out: id12 (RDM6300 too), fat820w, magstripe (MagTek).",
  }),
  framing: key(z.optional(oneOf(FRAMINGS)), {
    doc: "What ends a line; crlf takes CR, LF and both.",
    ...preset("framing"),
  }),
  idle_gap_ms: key(z.optional(whole(5, 10_000)), {
    doc: "With framing idle-gap: the silence that ends a line.",
    unit: "ms",
    ...preset("idleGapMs"),
  }),
  max_length: key(z.optional(whole(1, MAX_TEXT)), {
    doc: "Longer reads are dropped.",
    unit: "characters",
    ...preset("maxLength"),
  }),
  min_length: key(z.optional(whole(1, MAX_TEXT)), {
    doc: "Shorter reads are dropped.",
    unit: "characters",
    ...preset("minLength"),
  }),
  checksum: key(z.optional(oneOf(CHECKSUM_NAMES)), {
    doc: "At the end, in two hex digits, over the characters or (-hex) what they stand for; lrc is Modbus's, lrc-track a stripe's.",
    ...preset("checksum"),
  }),
  status_letter: key(z.optional(flag()), {
    doc: "Each frame begins with S (a read), E (a read error) or O (a time-out).",
    ...preset("statusLetter"),
  }),
  sentinels: key(z.optional(oneOf(SENTINELS)), { doc: sentinelDoc, ...preset("sentinels") }),
});

const TcpLine = z.strictObject({
  family: key(oneOf(["tcp-line"]), { doc: "A network reader that sends lines.", example: '"tcp-line"' }),
  ...common("text", "front"),
  listen: key(z.optional(hostAndPort("0.0.0.0:7778")), {
    doc: "The reader connects to the agent: where to listen. Either this or connect.",
    example: '"127.0.0.1:7778"',
    shown: true,
  }),
  connect: key(z.optional(hostAndPort("10.0.0.7:2000")), {
    doc: "The agent connects to the reader: where to. Either this or listen.",
    example: '"10.0.0.7:2000"',
  }),
  allow: key(z._default(list("a list of IP addresses and ranges", network()), []), {
    doc: 'With listen: who may connect, such as ["10.0.0.7"]. Empty: only this machine.',
  }),
  ...lineKeys(),
});

const SerialLine = z.strictObject({
  family: key(oneOf(["serial-line"]), { doc: "A serial reader that sends lines.", example: '"serial-line"' }),
  ...common("text", "side"),
  path: key(path(), {
    doc: "The device; names below /dev/serial/by-id stay the same when others are plugged in.",
    example: '"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"',
  }),
  baud_rate: key(z.optional(whole(300, 1_000_000)), {
    doc: "Speed of the line.",
    unit: "bit/s",
    ...preset("baudRate"),
  }),
  data_bits: key(z.optional(oneOf([7, 8])), { doc: "Data bits of a character.", ...preset("dataBits") }),
  parity: key(z.optional(oneOf(["none", "even", "odd"])), {
    doc: "Parity bit of a character.",
    ...preset("parity"),
  }),
  stop_bits: key(z.optional(oneOf([1, 2])), { doc: "Stop bits of a character.", ...preset("stopBits") }),
  ...lineKeys(),
});

const whichOfTheKind = () => ({
  serial_number: key(z.optional(line("1 to 126 printable ASCII characters", 126)), {
    doc: "Tells apart two readers of one kind that have serial numbers.",
    otherwise: "any",
    example: '"0001"',
  }),
  port: key(z.optional(line("1 to 126 printable ASCII characters", 126)), {
    doc: "Tells apart two readers of one kind by their USB socket: how the kernel's HID_PHYS begins.",
    otherwise: "any",
    example: '"usb-0000:01:00.0-1.2"',
  }),
});

const HidKeyboard = z.strictObject({
  family: key(oneOf(["hid-keyboard"]), { doc: "A USB reader that types like a keyboard.", example: '"hid-keyboard"' }),
  ...common("text", "usb"),
  vendor_id: key(whole(0, 0xffff), { doc: "USB vendor id, as `lsusb` shows it before the colon.", example: "0x09d8" }),
  product_id: key(whole(0, 0xffff), { doc: "USB product id, after the colon.", example: "0x0410" }),
  ...whichOfTheKind(),
  layout: key(z._default(oneOf(LAYOUTS), "us"), {
    doc: "The keyboard layout that the reader is set to; this computer's own does not matter.",
  }),
  keypad: key(z._default(oneOf(KEYPADS), "none"), {
    doc: "only: a numeric keypad, no reader: digits, *, and Enter as #. shared: a reader with such a keypad of its own.",
  }),
  terminators: key(
    z._default(list("a list of enter, keypad-enter and tab", oneOf(TERMINATORS)), ["enter", "keypad-enter"]),
    {
      doc: "The keys that end a read. Empty: a silence of inter_key_timeout_ms ends it.",
    },
  ),
  inter_key_timeout_ms: key(z._default(whole(5, 10_000), 250), {
    doc: "The longest time between two keys of a read.",
    unit: "ms",
  }),
  max_frame_ms: key(z._default(whole(10, 60_000), 3000), {
    doc: "The longest time of a whole read, from its first key.",
    unit: "ms",
  }),
  max_length: key(z._default(whole(1, MAX_TEXT), 128), { doc: "Longer reads are dropped.", unit: "characters" }),
  min_length: key(z._default(whole(1, MAX_TEXT), 4), { doc: "Shorter reads are dropped.", unit: "characters" }),
  sentinels: key(z._default(oneOf(SENTINELS), "keep"), { doc: sentinelDoc }),
});

/** In the example: a key that stood there would be everybody's. */
export const SCBK_PLACEHOLDER = "printed by: openssl rand -hex 16";

const scbk = () =>
  parsed("32 hexadecimal digits, and not the key that stands in the standard", (text) => {
    demand(/^[0-9A-Fa-f]{32}$/.test(text));
    const key = Buffer.from(text, "hex");
    demand(!key.equals(DEFAULT_KEY));
    return key;
  });

const Osdp = z.strictObject({
  family: key(oneOf(["osdp"]), { doc: "An OSDP reader on a line of its own.", example: '"osdp"' }),
  ...common("bits", "door"),
  path: key(z.optional(path()), {
    doc: "The serial device of the RS-485 adapter. Either this or connect.",
    example: '"/dev/serial/by-id/usb-FTDI_USB-RS485_Cable_FT1ABCDE-if00-port0"',
    shown: true,
  }),
  connect: key(z.optional(hostAndPort("10.0.0.7:4001")), {
    doc: "A serial device server that passes bytes on as they are: where to. Either this or path.",
    example: '"10.0.0.7:4001"',
  }),
  baud_rate: key(z._default(whole(300, 1_000_000), 9600), { doc: "Speed of the line.", unit: "bit/s" }),
  address: key(z._default(whole(0, 126), 0), { doc: "The reader's OSDP address." }),
  secure: key(z._default(flag(), true), {
    doc: "Only true keeps cards and PINs from whoever is on the reader's line, and cards that nobody showed out; needs scbk.",
  }),
  scbk: key(z.optional(scbk()), {
    doc: "The reader's own key (SCBK); `openssl rand -hex 16` makes one, `printgate reader keyset NAME` gives it to the reader.",
    example: JSON.stringify(SCBK_PLACEHOLDER),
    shown: true,
    secret: true,
  }),
  check: key(z._default(oneOf(CHECK_NAMES), "crc16"), {
    doc: "How noise on the line is found; checksum only for old readers that do not answer otherwise.",
  }),
  poll_ms: key(z._default(whole(20, 2000), 200), {
    doc: "How often the reader is asked for cards: faster for 10 s after one, slower after ten minutes without.",
    unit: "ms",
  }),
  reply_timeout_ms: key(z._default(whole(50, 5000), 200), {
    doc: "How long a reply may take to begin; longer for a slow network.",
    unit: "ms",
  }),
});

const RfIdeasSdk = z.strictObject({
  family: key(oneOf(["rfideas-sdk"]), {
    doc: "An rf IDEAS pcProx reader on USB, read without keystrokes: every bit of a card, lamps. Its EEPROM is left alone.",
    example: '"rfideas-sdk"',
  }),
  ...common("bits", "pcprox"),
  vendor_id: key(z._default(whole(0, 0xffff), PCPROX.vendorId), { doc: "USB vendor id.", example: "0x0c27" }),
  product_id: key(z._default(whole(0, 0xffff), PCPROX.productId), { doc: "USB product id.", example: "0x3bfa" }),
  ...whichOfTheKind(),
});

const Pcsc = z.strictObject({
  family: key(oneOf(["pcsc"]), {
    doc: "A smart-card reader of the PC/SC service (pcscd): the UID of contactless cards.",
    example: '"pcsc"',
  }),
  ...common("bits", "desk"),
  reader_name: key(line("1 to 126 printable ASCII characters", 126), {
    doc: "Its name as `pcsc_scan` shows it, or how the name begins. Only one reader may fit.",
    example: '"ACS ACR122U"',
  }),
  allow_random_uid: key(z._default(flag(), false), {
    doc: "Whether to take a UID that a phone or passport made up for this one tap. It is nobody's.",
  }),
});

const polled = () => ({
  poll_ms: key(z._default(whole(100, 2000), 300), { doc: "The time from an answer to the next question.", unit: "ms" }),
});

const Twn4Simple = z.strictObject({
  family: key(oneOf(["twn4-simple"]), {
    doc: "An Elatec TWN4 with the Simple Protocol (firmware TWN4_Cx..._PRS...), USB or serial.",
    example: '"twn4-simple"',
  }),
  ...common("bits", "twn4"),
  path: key(path(), {
    doc: "The device; names below /dev/serial/by-id stay the same when others are plugged in.",
    example: '"/dev/serial/by-id/usb-OEM_RFID_Device__COM_-if00"',
  }),
  baud_rate: key(z._default(whole(300, 1_000_000), 9600), {
    doc: "Speed of a true serial line; USB ignores it.",
    unit: "bit/s",
  }),
  mode: key(z._default(oneOf(MODES), "ascii"), {
    doc: "How the reader's app was built. It cannot be found out by asking.",
  }),
  crc: key(z._default(flag(), false), {
    doc: "Whether the reader's app was built with checksums; better on a true serial line.",
  }),
  ...polled(),
  tag_types: key(z._default(list(`a list of ${TAG_TYPE_NAMES.join(", ")}`, oneOf(TAG_TYPE_NAMES)), []), {
    doc: 'What to look for, such as ["iso14443a", "hid-prox"]. Empty: what the reader is set to.',
  }),
  beep_volume: key(z._default(whole(0, 100), 100), { doc: "0: no sound.", unit: "percent" }),
  allow_random_uid: key(z._default(flag(), false), {
    doc: "Whether to take a UID that a phone or passport made up for this one tap. It is nobody's.",
  }),
});

const RfIdeasAcp = z.strictObject({
  family: key(oneOf(["rfideas-acp"]), {
    doc: "An rf IDEAS reader with the ASCII Command Protocol, USB (CDC), serial or Ethernet.",
    example: '"rfideas-acp"',
  }),
  ...common("bits", "rfideas"),
  path: key(z.optional(path()), {
    doc: "The device of a USB or serial reader. Either this or connect.",
    example: '"/dev/serial/by-id/usb-RFIDeas_USB_Serial-if00"',
    shown: true,
  }),
  baud_rate: key(z._default(whole(300, 1_000_000), 9600), {
    doc: "Speed of a true serial line; USB ignores it.",
    unit: "bit/s",
  }),
  connect: key(z.optional(hostAndPort("10.0.0.7:2000")), {
    doc: "Where an Ethernet reader answers. Either this or path.",
    example: '"10.0.0.7:2000"',
  }),
  ...polled(),
  beep: key(z._default(flag(), true), {
    doc: "Whether signals are heard. The reader's own beep is set in the reader.",
  }),
});

export const READERS = [TcpLine, SerialLine, HidKeyboard, Osdp, RfIdeasSdk, Pcsc, Twn4Simple, RfIdeasAcp] as const;
