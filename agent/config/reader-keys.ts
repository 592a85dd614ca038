import * as z from "zod/mini";
import { TERMINATORS } from "../../drivers/readers/hid-keyboard/settings.ts";
import { CHECKSUM_NAMES, FRAMINGS } from "../../drivers/readers/line/settings.ts";
import { CardError } from "../cards/card-error.ts";
import { DEFAULT_PIPELINES, MAX_TEXT, parsePipeline } from "../cards/pipeline.ts";
import type { Kind } from "../cards/steps.ts";
import { hostAndPort, key, line, list, name, network, oneOf, parsed, path, whole } from "./key.ts";

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
    example: "'trim | cut(=) | regex(^;0?([0-9A-F]{8})) | hexDecode | reverseBytes | toDec(10)'",
  }),
  repeat_hold_ms: key(z._default(whole(0, 60_000), 1500), {
    doc: "An equal read within this time is the same tap.",
    unit: "ms",
  }),
  max_reads_per_10s: key(z._default(whole(1, 10_000), 5), {
    doc: "More reads than this in 10 s are dropped.",
    unit: "reads",
  }),
});

const lengths = () => ({
  max_length: key(z._default(whole(1, MAX_TEXT), 128), { doc: "Longer reads are dropped.", unit: "characters" }),
  min_length: key(z._default(whole(1, MAX_TEXT), 4), { doc: "Shorter reads are dropped.", unit: "characters" }),
});

const lineKeys = () => ({
  framing: key(z._default(oneOf(FRAMINGS), "crlf"), { doc: "What ends a line; crlf takes CR, LF and both." }),
  idle_gap_ms: key(z._default(whole(5, 10_000), 100), {
    doc: "With framing idle-gap: the silence that ends a line.",
    unit: "ms",
  }),
  ...lengths(),
  checksum: key(z._default(oneOf(CHECKSUM_NAMES), "none"), {
    doc: "id12: the two check digits of ID-12 and RDM6300 readers.",
  }),
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
  baud_rate: key(z._default(whole(300, 1_000_000), 9600), { doc: "Speed of the line.", unit: "bit/s" }),
  data_bits: key(z._default(oneOf([7, 8]), 8), { doc: "Data bits of a character." }),
  parity: key(z._default(oneOf(["none", "even", "odd"]), "none"), { doc: "Parity bit of a character." }),
  stop_bits: key(z._default(oneOf([1, 2]), 1), { doc: "Stop bits of a character." }),
  ...lineKeys(),
});

const HidKeyboard = z.strictObject({
  family: key(oneOf(["hid-keyboard"]), { doc: "A USB reader that types like a keyboard.", example: '"hid-keyboard"' }),
  ...common("text", "usb"),
  vendor_id: key(whole(0, 0xffff), { doc: "USB vendor id, as `lsusb` shows it before the colon.", example: "0x09d8" }),
  product_id: key(whole(0, 0xffff), { doc: "USB product id, after the colon.", example: "0x0410" }),
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
  ...lengths(),
});

export const READERS = [TcpLine, SerialLine, HidKeyboard] as const;
