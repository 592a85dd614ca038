import { X509Certificate } from "node:crypto";
import * as z from "zod/mini";
import { TERMINATORS } from "../../drivers/readers/hid-keyboard/settings.ts";
import { CHECKSUM_NAMES, FRAMINGS } from "../../drivers/readers/line/settings.ts";
import { KEY_PIN } from "../../drivers/transports/tls.ts";
import { CardError } from "../cards/card-error.ts";
import { DEFAULT_PIPELINES, MAX_TEXT, parsePipeline } from "../cards/pipeline.ts";
import type { Kind } from "../cards/steps.ts";
import { base64Key, demand, flag, hostAndPort, key, list, network, oneOf, parsed, text, whole } from "./key.ts";

/**
 * Every key of the configuration: its form, unit, default and documentation, once. What validates a file, what
 * `config example` prints and what the program gets all come from here.
 */

/** In the example: what stands for values that only the central server knows. */
export const PLACEHOLDER = "printed by: printgate central agent add NAME";
const PASTE = JSON.stringify(PLACEHOLDER);

/** As the protocol's names (agent/protocol/schema.ts). */
const name = () =>
  text("1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit", /^[a-z0-9][a-z0-9._-]{0,62}$/);
const line = (form: string, max: number) => text(form, new RegExp(`^[\\x20-\\x7e]{1,${max}}$`));
const path = () => text("an absolute path", /^\/[^\0]{0,1000}$/);
const keyPins = (least: number, form: string) =>
  list(form, text("sha256/ and 44 characters of base64", KEY_PIN), least);

const url = (form: string, protocols: readonly string[]) =>
  parsed(form, (value) => {
    const { protocol, hostname, username, password, search, hash } = new URL(value);
    demand(protocols.includes(protocol) && hostname !== "" && `${username}${password}${search}${hash}` === "");
    return value;
  });

const origin = (form: string) =>
  parsed(form, (value) => {
    const { protocol, origin: bare, href } = new URL(value);
    demand(protocol === "https:" && href === `${bare}/`);
    return value;
  });

const certificates = () =>
  parsed("one or more certificates in PEM", (pem) => {
    demand(new X509Certificate(pem).raw.length > 0);
    return pem;
  });

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

const Agent = z.strictObject({
  name: key(name(), { doc: "The name under which the central server knows this agent.", example: '"lobby"' }),
  state_dir: key(z._default(path(), "/var/lib/printgate"), {
    doc: "Where the agent keeps what must survive a restart, such as the ledger.",
  }),
  log_level: key(z._default(oneOf(["debug", "info", "warn", "error"]), "info"), {
    doc: "The least important entries of the log.",
  }),
  spool_ram_mib: key(z._default(whole(1, 1024), 32), {
    doc: "Documents up to this size are whole in memory before the printer gets any of them; larger ones stream.",
    unit: "MiB",
  }),
});

const Central = z.strictObject({
  url: key(origin("https:// with a host and, if need be, a port, and nothing more"), {
    doc: "Where the central server answers. Only https.",
    example: PASTE,
  }),
  ca: key(certificates(), {
    doc: "The certificate authority of the central server; no other is trusted.",
    example: PASTE,
  }),
  key_pins: key(keyPins(2, "two or more key pins, at least one of them a backup"), {
    doc: "SHA-256 of the TLS public keys that the central server may have; the second is its backup.",
    example: `[${PASTE}, ${PASTE}]`,
  }),
  bearer_key: key(
    // RFC 6750 2.1
    text(
      "16 to 500 of A-Z, a-z, 0-9, `-`, `.`, `_`, `~`, `+`, `/`; `=` at the end only",
      /^[A-Za-z0-9._~+/-]{16,500}=*$/,
    ),
    {
      doc: "What this agent shows to the central server.",
      example: PASTE,
      secret: true,
    },
  ),
  card_key: key(base64Key(32), {
    doc: "The site's key for card tokens: card numbers leave the process only as HMAC-SHA-256 under it.",
    example: PASTE,
    secret: true,
  }),
  manifest_key: key(base64Key(32), {
    doc: "The central server's Ed25519 public key that verifies the manifests of documents.",
    example: PASTE,
  }),
});

const Snmp = z.strictObject({
  host: key(z.optional(line("a host name or address", 253)), {
    doc: "Where the printer's SNMP agent answers.",
    otherwise: "the host of the printer's uri",
    example: '"10.0.0.20"',
  }),
  port: key(z._default(whole(1, 65_535), 161), { doc: "Its UDP port." }),
  community: key(z._default(line("1 to 64 printable ASCII characters", 64), "public"), {
    doc: "The SNMP v2c community for reading.",
  }),
});

const Printer = z.strictObject({
  name: key(name(), { doc: "Its name, as readers and the central server use it.", example: '"mfd-1"' }),
  uri: key(url("an ipp:// or ipps:// URI", ["ipp:", "ipps:"]), {
    doc: "Where it prints. ipps needs key_pins.",
    example: '"ipp://10.0.0.20/ipp/print"',
  }),
  key_pins: key(z._default(keyPins(0, "a list of key pins"), []), {
    doc: "For ipps: SHA-256 of the TLS public keys that the printer may have. `printgate doctor` shows the key it has.",
  }),
  content_length: key(z._default(flag(), false), {
    doc: "Announce the length of a document instead of sending it in chunks, for printers that cannot take chunks.",
  }),
  snmp: key(z.optional(Snmp), {
    doc: "Ask the printer about paper, jams and covers by SNMP too. Leave the table out for no SNMP.",
  }),
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

export const Schema = z.strictObject({
  agent: key(Agent, { doc: "This agent." }),
  central: key(Central, {
    doc: "The central server. `printgate central agent add NAME` prints this table; copy it here as it is.",
  }),
  printer: key(
    z
      .array(Printer, "must be one or more [[printer]] tables")
      .check(z.minLength(1, "must be one or more [[printer]] tables")),
    {
      doc: "One block for each printer.",
    },
  ),
  reader: key(
    z._default(
      z.array(z.discriminatedUnion("family", [TcpLine, SerialLine, HidKeyboard]), "must be [[reader]] tables"),
      [],
    ),
    {
      doc: "One block for each reader. These are the three families; delete what you do not have.",
    },
  ),
});
export type Checked = z.output<typeof Schema>;
