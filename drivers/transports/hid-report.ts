/**
 * HID 1.11: what a report descriptor (6.2.2) says of a keyboard's input reports, and those reports in the one form that the
 * decoder knows, the boot keyboard's of appendix B.1: modifiers, a reserved byte, six keys.
 */

/** The kernel takes no longer ones (HID_MAX_DESCRIPTOR_SIZE). */
const MAX_DESCRIPTOR = 4096;
/** More than any keyboard has; together with the length of a descriptor it bounds what is kept of one. */
const MAX_KEYS = 256;
const MAX_STACK = 16;

const GENERIC_DESKTOP = 0x01;
const KEYBOARD = 0x06;
const KEY_PAGE = 0x07;
const FIRST_MODIFIER = 0xe0;
const LAST_MODIFIER = 0xe7;

const BOOT_LENGTH = 8;
const BOOT_KEYS = 6;
const ROLLOVER = 0x01;
const UNDEFINED = 0x03;
const NO_REPORT = new Uint8Array(0);

/** Where a report has keys: one bit for each, or an array of the keys that are pressed. */
interface Field {
  readonly kind: "bits" | "array";
  /** In bits, from the report's first byte. */
  readonly at: number;
  /** Of one value, in bits. */
  readonly size: number;
  readonly count: number;
  /** The value in an array that stands for the first usage. */
  readonly least: number;
  readonly usages: Usages;
}

/** As a list, or as a range of which both ends belong to it. */
type Usages = readonly number[] | { readonly first: number; readonly last: number };

interface Report {
  fields: Field[];
  /** In bits, with the id. */
  length: number;
}

/** The input reports with keys in them, by report id; 0 where the device has no ids. */
export type KeyboardReports = ReadonlyMap<number, { readonly fields: readonly Field[]; readonly length: number }>;

interface Globals {
  readonly page: number;
  readonly least: number;
  readonly size: number;
  readonly count: number;
  readonly id: number;
}

/** Undefined when the descriptor has no keyboard (usage page 1, usage 6) with keys; never throws. */
export function keyboardReports(descriptor: Uint8Array): KeyboardReports | undefined {
  if (descriptor.length > MAX_DESCRIPTOR) return undefined;
  const reports = new Map<number, Report>();
  const stack: Globals[] = [];
  let globals: Globals = { page: 0, least: 0, size: 0, count: 0, id: 0 };
  /** Usages with their page in the upper half, in the order of the descriptor. */
  let usages: number[] = [];
  let first: number | undefined;
  let last: number | undefined;
  let understood = true;
  let depth = 0;
  let inKeyboard = false;

  for (const { tag, value, signed } of itemsOf(descriptor)) {
    switch (tag) {
      case 0x80: // Input
        understood &&= addInput(
          reports,
          globals,
          value,
          first === undefined || last === undefined ? usages : { first, last },
          inKeyboard,
        );
        break;
      case 0xa0: // Collection
        // 1: an application; inner collections belong to it.
        if (depth === 0) inKeyboard = value === 1 && usages[0] === (GENERIC_DESKTOP << 16) + KEYBOARD;
        depth += 1;
        break;
      case 0xc0: // End Collection
        depth = Math.max(0, depth - 1);
        if (depth === 0) inKeyboard = false;
        break;
      case 0x04:
        globals = { ...globals, page: value & 0xffff };
        break;
      case 0x14:
        globals = { ...globals, least: signed };
        break;
      case 0x74:
        globals = { ...globals, size: value };
        break;
      case 0x94:
        globals = { ...globals, count: value };
        break;
      case 0x84:
        globals = { ...globals, id: value & 0xff };
        break;
      case 0xa4: // Push
        if (stack.length < MAX_STACK) stack.push(globals);
        break;
      case 0xb4: // Pop
        globals = stack.pop() ?? globals;
        break;
      case 0x08:
        usages.push(withPage(value, globals.page));
        break;
      case 0x18:
        first = withPage(value, globals.page);
        break;
      case 0x28:
        last = withPage(value, globals.page);
        break;
    }
    // Local items hold up to the next main item.
    if ((tag & 0x0c) === 0) {
      usages = [];
      first = undefined;
      last = undefined;
    }
  }
  const withKeys = new Map([...reports].filter(([, { fields }]) => fields.some(hasKeys)));
  return understood && withKeys.size > 0 ? withKeys : undefined;
}

/** Whether a top-level collection is a keyboard, be it one whose keys can be made out or not. */
export function isKeyboard(descriptor: Uint8Array): boolean {
  let [page, usage, depth] = [0, 0, 0];
  for (const { tag, value } of itemsOf(descriptor)) {
    if (tag === 0x04) page = value & 0xffff;
    else if (tag === 0x08) usage = withPage(value, page);
    else if (tag === 0xa0) {
      if (depth === 0 && usage === (GENERIC_DESKTOP << 16) + KEYBOARD) return true;
      depth += 1;
    } else if (tag === 0xc0) depth -= 1;
    // Local items end with each main item (6.2.2.8).
    if ((tag & 0x0c) === 0) usage = 0;
  }
  return false;
}

/** A usage of four bytes brings its page. */
function withPage(value: number, page: number): number {
  return value > 0xffff ? value : page * 0x10000 + value;
}

/** The short items; `tag` is the prefix without the size. Long items are skipped. */
function* itemsOf(descriptor: Uint8Array): Generator<{ tag: number; value: number; signed: number }> {
  for (let at = 0; at < descriptor.length; ) {
    const prefix = descriptor[at] ?? 0;
    if (prefix === 0xfe) {
      at += 3 + (descriptor[at + 1] ?? 0);
      continue;
    }
    const size = (prefix & 3) === 3 ? 4 : prefix & 3;
    let value = 0;
    for (let i = size; i > 0; i -= 1) value = value * 0x100 + (descriptor[at + i] ?? 0);
    const bound = 2 ** (8 * size);
    yield { tag: prefix & 0xfc, value, signed: value * 2 >= bound && size > 0 ? value - bound : value };
    at += 1 + size;
  }
}

/** False when it has keys that cannot be made out: some of a number's digits are worse than none. */
function addInput(
  reports: Map<number, Report>,
  { least, size, count, id }: Globals,
  flags: number,
  usages: Usages,
  inKeyboard: boolean,
): boolean {
  const report = reports.get(id) ?? { fields: [], length: id === 0 ? 0 : 8 };
  reports.set(id, report);
  const at = report.length;
  report.length += size * count;
  const isConstant = (flags & 1) !== 0;
  const usage = usageAt(usages, 0);
  if (isConstant || !inKeyboard || usage === undefined || Math.floor(usage / 0x10000) !== KEY_PAGE) return true;
  const kind = (flags & 2) !== 0 ? "bits" : "array";
  if (count > MAX_KEYS || size < 1 || size > 16 || (kind === "bits" && size !== 1)) return false;
  report.fields.push({ kind, at, size, count, least, usages });
  return true;
}

function usageAt(usages: Usages, index: number): number | undefined {
  if (!("first" in usages)) return usages[index];
  const usage = usages.first + index;
  return index >= 0 && usage <= usages.last ? usage : undefined;
}

function hasKeys({ kind, usages, count }: Field): boolean {
  if (kind === "array") return true;
  const of = (index: number) => (usageAt(usages, index) ?? 0) & 0xffff;
  return of(0) < FIRST_MODIFIER || of(count - 1) > LAST_MODIFIER;
}

/** Brings the reports of one open keyboard into the boot layout. */
export class BootReports {
  readonly #reports: KeyboardReports;
  #held: ReadonlySet<number> = new Set();

  constructor(reports: KeyboardReports) {
    this.#reports = reports;
  }

  /** Undefined for a report without keys, such as of a consumer control; nothing at all for one that is too short. */
  translate(bytes: Uint8Array): Uint8Array | undefined {
    const layout = this.#reports.get(0) ?? this.#reports.get(bytes[0] ?? 0);
    if (layout === undefined) return undefined;
    if (bytes.length * 8 < layout.length) return NO_REPORT;
    let modifiers = 0;
    const keys = new Set<number>();
    const bits = new Set<number>();
    for (const field of layout.fields) {
      for (let i = 0; i < field.count; i += 1) {
        const value = valueAt(bytes, field.at + i * field.size, field.size);
        if (field.kind === "bits" && value === 0) continue;
        const usage = (usageAt(field.usages, field.kind === "bits" ? i : value - field.least) ?? 0) & 0xffff;
        if (usage >= FIRST_MODIFIER && usage <= LAST_MODIFIER) modifiers |= 1 << (usage - FIRST_MODIFIER);
        else if (usage > 0 && usage <= 0xff) (field.kind === "bits" ? bits : keys).add(usage);
      }
    }
    const pressed = [...bits].filter((usage) => !this.#held.has(usage));
    this.#held = bits;
    // An array lists keys in the order of pressing; bits do not say which of two came first.
    if (pressed.length > 1) return boot(modifiers, new Array(BOOT_KEYS).fill(UNDEFINED));
    const all = [...new Set([...keys, ...bits])];
    return boot(modifiers, all.length > BOOT_KEYS ? new Array(BOOT_KEYS).fill(ROLLOVER) : all);
  }
}

function boot(modifiers: number, keys: readonly number[]): Uint8Array {
  const report = new Uint8Array(BOOT_LENGTH);
  report[0] = modifiers;
  report.set(keys, BOOT_LENGTH - BOOT_KEYS);
  return report;
}

/** `size` bits from `at` on, the lowest first (HID 1.11, 5.8). */
function valueAt(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i += 1) {
    const bit = at + i;
    value |= (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) << i;
  }
  return value;
}
