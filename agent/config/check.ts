import { isIP } from "node:net";
import type * as z from "zod/mini";
import { GENERIC, PRESETS } from "../../drivers/readers/line/presets.ts";
import { PRESET_NAMES } from "../../drivers/readers/line/settings.ts";
import { PCPROX } from "../../drivers/readers/rfideas-sdk/settings.ts";
import { keysOf, namesAt } from "../settings/key.ts";
import type { KeyLines, KeyPath } from "../settings/key-lines.ts";
import { nearest } from "../settings/nearest.ts";
import type { ConfigCode, ConfigProblem } from "./config-error.ts";
import { SCBK_PLACEHOLDER } from "./reader-keys.ts";
import { type Checked, Schema } from "./schema.ts";

export type TomlTable = Readonly<Record<string, unknown>>;

const PCPROX_IDS: TomlTable = { vendor_id: PCPROX.vendorId, product_id: PCPROX.productId };
/** People leave more than this between two keys. */
const MAX_CARD_GAP_MS = 100;

/** A problem as the checks find it; file and line come later. */
interface Finding {
  readonly code: ConfigCode;
  readonly path: KeyPath;
  readonly message: string;
  readonly suggestion?: string | undefined;
}

/** Everything that is wrong with what the file says, or what the program gets. */
export function check(
  raw: TomlTable,
  file: string,
  lines: () => KeyLines,
): { data: Checked } | { problems: ConfigProblem[] } {
  const result = Schema.safeParse(raw);
  const findings = [
    ...placeholders(raw, []),
    ...(result.success ? [] : result.error.issues.flatMap((issue) => ofIssue(raw, issue))),
    ...together(raw),
  ];
  if (result.success && findings.length === 0) return { data: result.data };
  const where = lines();
  const told = new Set<string>();
  const problems = findings
    .map((finding) => ({ ...finding, path: keyPath(raw, finding.path) }))
    .filter(({ path }) => {
      // The first finding at a place is the plainest one.
      const place = path.join("\n");
      return !told.has(place) && told.add(place);
    })
    .map(({ path, ...rest }): ConfigProblem => ({ ...rest, file, line: where.of(path), key: spelled(raw, path) }))
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return { problems };
}

/** An element of a list, such as `allow[0]`, stands in the key of the list. */
function keyPath(raw: TomlTable, path: KeyPath): KeyPath {
  return typeof path.at(-1) === "number" && !isTable(at(raw, path)) ? path.slice(0, -1) : path;
}

/** As TOML spells it: `[[reader]] baud_rate`, `[printer.snmp] port`. */
function spelled(raw: TomlTable, path: KeyPath): string {
  const value = at(raw, path);
  const ofTables = Array.isArray(value) && isTable(value[0]);
  const table = isTable(value) || ofTables ? path : path.slice(0, -1);
  const header = table.filter((segment) => typeof segment !== "number").join(".");
  const brackets = ofTables || typeof table.at(-1) === "number" ? `[[${header}]]` : `[${header}]`;
  return [header === "" ? "" : brackets, table === path ? "" : String(path.at(-1))]
    .filter((part) => part !== "")
    .join(" ");
}

/** Whether the file holds a key that nobody else may know. */
export function holdsSecret(raw: TomlTable, variants = keysOf(Schema)): boolean {
  return variants.flat().some(({ name, doc, variants: inner }) => {
    const value = Object.hasOwn(raw, name) ? raw[name] : undefined;
    if (doc.secret && value !== undefined) return true;
    return (Array.isArray(value) ? value : [value]).some(
      (table: unknown) => isTable(table) && holdsSecret(table, inner),
    );
  });
}

function isTable(value: unknown): value is TomlTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function at(raw: unknown, path: KeyPath): unknown {
  let value = raw;
  for (const segment of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[segment];
  }
  return value;
}

function ofIssue(raw: TomlTable, issue: z.core.$ZodIssue): readonly Finding[] {
  const { path } = issue;
  const value = at(raw, path);
  if (issue.code === "unrecognized_keys") {
    const names = namesAt(Schema, path, at(raw, [...path, "family"]));
    return issue.keys.map((key) => {
      const meant = nearest(key, names);
      const suggestion = meant === undefined ? undefined : `did you mean ${meant}?`;
      return { code: "config-unknown-key", path: [...path, key], message: "there is no such key", suggestion };
    });
  }
  if (value === undefined) return [{ code: "config-missing-key", path, message: "is missing" }];
  if (issue.code === "invalid_union") {
    const options = (issue as { options?: readonly unknown[] }).options ?? [];
    return [
      wrong(path, value, `must be one of ${options.map((option) => JSON.stringify(option)).join(", ")}`, options),
    ];
  }
  const options = issue.code === "invalid_value" ? issue.values : [];
  return [wrong(path, value, issue.message, options)];
}

function wrong(path: KeyPath, value: unknown, message: string, options: readonly unknown[]): Finding {
  const words = options.filter((option) => typeof option === "string");
  const meant = typeof value === "string" ? nearest(value, words) : undefined;
  const suggestion = meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
  return { code: "config-wrong-value", path, message, suggestion };
}

function placeholders(value: unknown, path: KeyPath): Finding[] {
  if (typeof value === "string") {
    if (value !== SCBK_PLACEHOLDER) return [];
    return [{ code: "config-placeholder", path, message: "is still the example's text" }];
  }
  if (Array.isArray(value)) return value.flatMap((element: unknown, index) => placeholders(element, [...path, index]));
  return isTable(value) ? Object.entries(value).flatMap(([key, inner]) => placeholders(inner, [...path, key])) : [];
}

/** What no key can see alone. Works on the raw data, so that these problems are told together with all others. */
function together(raw: TomlTable): Finding[] {
  const printers = tables(raw, "printer");
  const readers = tables(raw, "reader");
  const printerNames = printers.map(({ name }) => name).filter((name) => typeof name === "string");
  return [
    ...twice(
      "printer",
      "name",
      printers.map(({ name }) => name),
    ),
    ...twice(
      "reader",
      "name",
      readers.map(({ name }) => name),
    ),
    ...twice("reader", "family", readers.map(device)),
    ...printers.flatMap((printer, index) => ofPrinter(printer, ["printer", index])),
    ...readers.flatMap((reader, index) => ofReader(reader, ["reader", index], printerNames)),
    ...readers.flatMap((reader, index) => ofKeypad(reader, ["reader", index], readers)),
  ];
}

function tables(raw: TomlTable, name: string): readonly TomlTable[] {
  const list = raw[name];
  return Array.isArray(list) ? list.map((entry: unknown) => (isTable(entry) ? entry : {})) : [];
}

/** What only one reader can use at a time; undefined where the reader says too little. */
function device(reader: TomlTable): unknown {
  const { family, listen, connect, path, serial_number, port, reader_name } = reader;
  switch (family) {
    case "tcp-line":
      return connect ?? (typeof listen === "string" && listen.endsWith(":0") ? undefined : listen);
    case "serial-line":
    case "twn4-simple":
      return path;
    case "osdp":
      return connect ?? path;
    case "rfideas-acp":
      return path ?? connect;
    case "hid-keyboard":
    case "rfideas-sdk": {
      const { vendor_id, product_id } = family === "hid-keyboard" ? reader : { ...PCPROX_IDS, ...reader };
      return JSON.stringify([vendor_id, product_id, serial_number, port]);
    }
    case "pcsc":
      return reader_name;
    default:
      return undefined;
  }
}

function twice(table: string, key: string, values: readonly unknown[]): Finding[] {
  return values.flatMap((value, index) => {
    const first = values.indexOf(value);
    if (value === undefined || first === index) return [];
    const message =
      key === "name" ? `${table} ${first + 1} has this name too` : `${table} ${first + 1} uses the same device`;
    return [{ code: "config-duplicate", path: [table, index, key], message }];
  });
}

function ofPrinter({ uri, key_pins, tls_allow, user, password, snmp }: TomlTable, path: KeyPath): Finding[] {
  const conflict = (key: string, message: string): Finding => ({
    code: "config-conflict",
    path: [...path, key],
    message,
  });
  const plain = typeof uri === "string" && uri.startsWith("ipp:");
  const holds = (list: unknown) => Array.isArray(list) && list.length > 0;
  return [
    ...(plain && holds(key_pins) ? [conflict("key_pins", "only ipps has a key; ipp is not encrypted")] : []),
    ...(plain && holds(tls_allow) ? [conflict("tls_allow", "goes with ipps only; ipp is not encrypted")] : []),
    ...(user !== undefined && password === undefined ? [conflict("user", "needs password")] : []),
    ...(user === undefined && password !== undefined ? [conflict("password", "needs user")] : []),
    ...(isTable(snmp) ? ofSnmp(snmp, [...path, "snmp"]) : []),
  ];
}

function ofSnmp({ version, user, auth_password, priv_password, community }: TomlTable, path: KeyPath): Finding[] {
  const conflict = (key: string, message: string): Finding[] => [
    { code: "config-conflict", path: [...path, key], message },
  ];
  if (version !== "3") {
    const v3 = Object.entries({ user, auth_password, priv_password }).find(([, value]) => value !== undefined);
    return v3 === undefined ? [] : conflict(v3[0], 'goes with version = "3" only');
  }
  if (user === undefined) return conflict("version", "version 3 needs user");
  if (community !== undefined) return conflict("community", "goes with version 1 and 2c only");
  if (priv_password !== undefined && auth_password === undefined) {
    return conflict("priv_password", "needs auth_password: what is encrypted is authenticated too");
  }
  return [];
}

function ofReader(reader: TomlTable, path: KeyPath, printers: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  const { family, printer, listen, connect, allow } = reader;
  const conflict = (key: string, message: string) =>
    findings.push({ code: "config-conflict", path: [...path, key], message });
  if (typeof printer === "string" && !printers.includes(printer)) {
    const meant = nearest(printer, printers) ?? (printers.length === 1 ? printers[0] : undefined);
    const suggestion = meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
    findings.push({
      code: "config-unknown-printer",
      path: [...path, "printer"],
      message: "there is no such [[printer]]",
      suggestion,
    });
  }
  const allowed = Array.isArray(allow) && allow.length > 0;
  if (family === "tcp-line") {
    if (listen === undefined && connect === undefined) conflict("family", "tcp-line needs listen or connect");
    if (listen !== undefined && connect !== undefined) conflict("connect", "only one of listen and connect");
    if (listen === undefined && connect !== undefined && allowed) conflict("allow", "goes with listen only");
    if (typeof listen === "string" && !isLoopback(listen) && !allowed) {
      conflict("listen", "without allow nobody but this machine may connect; add the reader's address to allow");
    }
  }
  if (family === "osdp") findings.push(...ofOsdp(reader, path));
  const isLine = family === "tcp-line" || family === "serial-line";
  const lengths: { minLength?: unknown; maxLength?: unknown } = isLine ? lengthsOf(reader.preset) : {};
  if (larger(reader.min_length ?? lengths.minLength, reader.max_length ?? lengths.maxLength)) {
    if (reader.min_length === undefined) conflict("max_length", "is smaller than min_length");
    else conflict("min_length", "is larger than max_length");
  }
  if (larger(reader.key_timeout_ms, reader.entry_timeout_ms)) {
    conflict("key_timeout_ms", "is larger than entry_timeout_ms");
  }
  if (reader.keypad === "shared" && !(Number(reader.inter_key_timeout_ms ?? Number.NaN) <= MAX_CARD_GAP_MS)) {
    const key = reader.inter_key_timeout_ms === undefined ? "keypad" : "inter_key_timeout_ms";
    conflict(
      key,
      `shared needs inter_key_timeout_ms of ${MAX_CARD_GAP_MS} or less: by it a card's keys are told from a person's`,
    );
  }
  if (family === "rfideas-acp") {
    if (reader.path === undefined && connect === undefined) conflict("family", "rfideas-acp needs path or connect");
    if (reader.path !== undefined && connect !== undefined) conflict("connect", "only one of path and connect");
  }
  if (larger(reader.inter_key_timeout_ms, reader.max_frame_ms)) {
    conflict("inter_key_timeout_ms", "is larger than max_frame_ms");
  }
  return findings;
}

/** What a line reader's preset says of lengths. */
function lengthsOf(preset: unknown): { minLength?: unknown; maxLength?: unknown } {
  const name = PRESET_NAMES.find((known) => known === preset);
  return { ...GENERIC, ...(name === undefined ? {} : PRESETS[name]) };
}

function ofOsdp({ path: device, connect, secure, scbk }: TomlTable, path: KeyPath): Finding[] {
  const conflict = (key: string, message: string, suggestion?: string): Finding[] => [
    { code: "config-conflict", path: [...path, key], message, suggestion },
  ];
  return [
    ...(device === undefined && connect === undefined ? conflict("family", "osdp needs path or connect") : []),
    ...(device !== undefined && connect !== undefined ? conflict("connect", "only one of path and connect") : []),
    ...(secure !== false && scbk === undefined
      ? conflict(
          "family",
          "osdp needs scbk, or cards and PINs can be read and invented on the reader's line",
          "secure = false does without, where nobody can reach the line",
        )
      : []),
    ...(secure === false && scbk !== undefined ? conflict("scbk", "is of no use with secure = false") : []),
  ];
}

/** A keypad that stands beside its reader. */
function ofKeypad(keypad: TomlTable, path: KeyPath, readers: readonly TomlTable[]): Finding[] {
  const { keypad_of, credentials, name, printer } = keypad;
  const names = readers.map((reader) => reader.name).filter((other) => typeof other === "string");
  const of = readers.find((reader) => reader.name === keypad_of);
  const conflict = (key: string, message: string): Finding => ({
    code: "config-conflict",
    path: [...path, key],
    message,
  });
  if (typeof keypad_of !== "string") {
    const idle = keypad.keypad !== undefined && keypad.keypad !== "none" && !takesPins(keypad);
    return idle ? [conflict("keypad", "needs keypad_of, or credentials with a PIN: nobody takes its keys")] : [];
  }
  if (of === undefined) {
    const meant = nearest(
      keypad_of,
      names.filter((other) => other !== name),
    );
    const suggestion = meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
    return [{ ...conflict("keypad_of", "there is no such [[reader]]"), suggestion }];
  }
  if (keypad_of === name) return [conflict("keypad_of", "is this reader itself; leave it out")];
  if (of.keypad_of !== undefined) return [conflict("keypad_of", "is a keypad of another reader itself")];
  if (of.printer !== printer) return [conflict("printer", "is not that of the reader whose keypad it is")];
  if (credentials !== undefined) return [conflict("credentials", "belongs to the reader whose keypad this is")];
  if (!takesPins(of)) return [conflict("keypad_of", "is a reader whose credentials have no PIN")];
  return [];
}

function takesPins({ credentials }: TomlTable): boolean {
  return Array.isArray(credentials) && credentials.some((kind) => kind === "card-pin" || kind === "id-pin");
}

function larger(a: unknown, b: unknown): boolean {
  return typeof a === "number" && typeof b === "number" && a > b;
}

function isLoopback(listen: string): boolean {
  const host = listen.slice(0, Math.max(0, listen.lastIndexOf(":")));
  return host === "localhost" || host === "[::1]" || (isIP(host) === 4 && host.startsWith("127."));
}
