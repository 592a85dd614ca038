import * as z from "zod/mini";
import { QUIRK_NAMES } from "../../drivers/printers/ipp/quirks.ts";
import { AUTH_PROTOCOLS, PRIV_PROTOCOLS } from "../../drivers/printers/snmp/access.ts";
import { KEY_PIN, TLS_RELAXATIONS } from "../../drivers/transports/tls.ts";
import { demand, flag, hostAndPort, key, line, list, name, oneOf, parsed, path, text, whole } from "../settings/key.ts";
import { READERS } from "./reader-keys.ts";

/**
 * Every key of the configuration: its form, unit, default and documentation, once. What validates a file, what
 * `config example` prints and what the program gets all come from here.
 */

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

const Agent = z.strictObject({
  state_dir: key(z._default(path(), "/var/lib/printgate"), {
    doc: "Where the agent keeps what must survive a restart, such as the ledger and, in `identity`, its keys.",
  }),
  log_level: key(z._default(oneOf(["debug", "info", "warn", "error"]), "info"), {
    doc: "The least important entries of the log.",
  }),
  spool_ram_mib: key(z._default(whole(1, 1024), 32), {
    doc: "Documents up to this size are whole in memory before the printer gets any of them; larger ones stream.",
    unit: "MiB",
  }),
  snmp_traps: key(z.optional(hostAndPort("10.0.0.5:11162")), {
    doc: "Listen there for SNMP traps of the printers: each is a reason to poll now, never believed. Ports below 1024 need CAP_NET_BIND_SERVICE.",
    otherwise: "no traps; the printers are polled every 5 s all the same",
    example: '"10.0.0.5:11162"',
  }),
});

const Central = z.strictObject({
  url: key(z.optional(origin("https:// with a host and, if need be, a port, and nothing more")), {
    doc: "Where the central server answers, if not where this agent was enrolled. It is trusted by what the enrolment brought.",
    otherwise: "the address given to `printgate enrol`",
    example: '"https://print.example.org:8631"',
  }),
});

/** RFC 3414 11.2 asks for at least 8 characters, and agents refuse fewer. */
const snmpPassword = () => text("8 to 64 printable ASCII characters", /^[\x20-\x7e]{8,64}$/);

const Snmp = z.strictObject({
  host: key(z.optional(line("a host name or address", 253)), {
    doc: "Where the printer's SNMP agent answers.",
    otherwise: "the host of the printer's uri",
    example: '"10.0.0.20"',
  }),
  port: key(z._default(whole(1, 65_535), 161), { doc: "Its UDP port." }),
  version: key(z._default(oneOf(["1", "2c", "3"]), "2c"), {
    doc: "Of SNMP. Only 3 authenticates and encrypts; 1 and 2c show their community to everybody on the network.",
  }),
  community: key(z._default(line("1 to 64 printable ASCII characters", 64), "public"), {
    doc: "With version 1 and 2c: the community for reading.",
  }),
  user: key(z.optional(line("1 to 32 printable ASCII characters", 32)), {
    doc: "With version 3: the user.",
    example: '"printgate"',
  }),
  auth_password: key(z.optional(snmpPassword()), {
    doc: "With version 3: the user's authentication password; without it nothing is authenticated.",
    example: '"at least 8 characters"',
    secret: true,
  }),
  auth_protocol: key(z._default(oneOf(AUTH_PROTOCOLS), "sha256"), {
    doc: "With version 3: how requests are authenticated.",
  }),
  priv_password: key(z.optional(snmpPassword()), {
    doc: "With version 3: the user's privacy password; without it nothing is encrypted.",
    example: '"at least 8 others"',
    secret: true,
  }),
  priv_protocol: key(z._default(oneOf(PRIV_PROTOCOLS), "aes"), {
    doc: "With version 3: how requests are encrypted; aes256b is Blumenthal's, aes256r Reeder's, which Cisco uses.",
  }),
  context: key(z._default(text("0 to 32 printable ASCII characters", /^[\x20-\x7e]{0,32}$/), ""), {
    doc: "With version 3: the context; printers hardly ever have one.",
  }),
});

/** Each has its executor, connections and polls: what is measured for eight fits the memory that the agent is given. */
const MAX_PRINTERS = 8;
const TOO_MANY_PRINTERS = `must be at most ${MAX_PRINTERS} [[printer]] tables: give the others an agent of their own`;

const Printer = z.strictObject({
  name: key(name(), { doc: "Its name, as readers and the central server use it.", example: '"mfd-1"' }),
  uri: key(url("an ipp:// or ipps:// URI", ["ipp:", "ipps:"]), {
    doc: "Where it prints. An ipps printer gets nothing before its key is trusted: printgate printer trust NAME.",
    example: '"ipp://10.0.0.20/ipp/print"',
  }),
  uuid: key(
    z.optional(
      text("a UUID such as be8b703d-fc7e-352d-62d6-b6324359fe8f", /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i),
    ),
    {
      doc: "Its uuid; `printgate printer add` writes it. When the address of an ipps printer changed, it is found again by it, if it still has a pinned key; of an ipp printer the status says where it seems to be.",
      otherwise: "it is not looked for when its address does not answer",
      example: '"be8b703d-fc7e-352d-62d6-b6324359fe8f"',
    },
  ),
  key_pins: key(z._default(keyPins(0, "a list of key pins"), []), {
    doc: "For ipps: SHA-256 of the TLS public keys that the printer may have; `printgate printer trust NAME` writes it.",
  }),
  tls_allow: key(
    z._default(
      list(`a list of ${TLS_RELAXATIONS.map((word) => JSON.stringify(word)).join(", ")}`, oneOf(TLS_RELAXATIONS)),
      [],
    ),
    {
      doc: "For ipps: weaknesses that this printer is allowed, because it can do no better. Each can let others read or change documents.",
    },
  ),
  user: key(z.optional(text("1 to 255 characters, none of them a colon", /^[^\p{Cc}:]{1,255}$/u)), {
    doc: "Where the printer asks for a login: the user. Basic is answered on ipps only, Digest on ipp too.",
    example: '"printgate"',
  }),
  password: key(z.optional(text("1 to 255 characters", /^\P{Cc}{1,255}$/u)), {
    doc: "The password of that user.",
    example: '"the printer\'s own"',
    secret: true,
  }),
  content_length: key(z._default(flag(), false), {
    doc: "Announce the length of a document instead of sending it in chunks, for printers that cannot take chunks.",
  }),
  quirks: key(
    z._default(list(`a list of ${QUIRK_NAMES.map((word) => JSON.stringify(word)).join(", ")}`, oneOf(QUIRK_NAMES)), []),
    {
      doc: "What this printer does differently; see drivers/printers/README.md. Those of known models, and what is met, apply by themselves.",
    },
  ),
  snmp: key(z.optional(Snmp), {
    doc: "Ask the printer about paper, jams and covers by SNMP too. Leave the table out for no SNMP.",
  }),
});

export const Schema = z.strictObject({
  agent: key(z.prefault(Agent, {}), { doc: "This agent." }),
  central: key(z.prefault(Central, {}), {
    doc: "The central server. `printgate enrol --server URL` makes this device one of its agents; nothing of that is written here.",
  }),
  printer: key(
    z
      .array(Printer, "must be one or more [[printer]] tables")
      .check(z.minLength(1, "must be one or more [[printer]] tables"), z.maxLength(MAX_PRINTERS, TOO_MANY_PRINTERS)),
    {
      doc: "One block for each printer.",
    },
  ),
  reader: key(z._default(z.array(z.discriminatedUnion("family", READERS), "must be [[reader]] tables"), []), {
    doc: "One block for each reader. These are the families; delete what you do not have.",
  }),
});
export type Checked = z.output<typeof Schema>;

/** The families that a [[reader]] can have. */
export const READER_FAMILIES: readonly string[] = READERS.flatMap(({ shape }) => shape.family._zod.def.values);
