import { LAYOUTS, type LayoutName } from "./settings.ts";

// USB HID Usage Tables, page 0x07 (keyboard/keypad). A reader sends the key positions of the layout that it was set to, and
// that is the layout of the computers that it was made for: Windows' "US", "French (AZERTY)" and "German (QWERTZ)".

const A = 0x04;
const DIGIT_1 = 0x1e;
const TAB = 0x2b;
const NON_US = 0x64;
const KEYPAD_SLASH = 0x54;
const KEYPAD_1 = 0x59;
const KEYPAD_EQUALS = 0x67;
const KEYPAD_COMMA = 0x85;

export type Level = "plain" | "shift" | "altGr";
type Row = readonly [first: number, plain: string, shift: string, altGr?: string];
type Table = Readonly<Record<Level, ReadonlyMap<number, string>>>;

/** Stands in a row for a key that types nothing there, or nothing by itself (dead keys). */
const NOTHING = "\0";

// The keypad gives digits whatever Num Lock says: its lamp is the host's, and the host does not see these reports.
const KEYPAD: readonly Row[] = [
  [KEYPAD_SLASH, "/*-+", "/*-+"],
  [KEYPAD_1, "1234567890", "1234567890"],
  [KEYPAD_EQUALS, "=", "="],
  [KEYPAD_COMMA, ",", ","],
];
const KEYPAD_DECIMAL = 0x63;

const US: readonly Row[] = [
  [A, "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"],
  [DIGIT_1, "1234567890", "!@#$%^&*()"],
  [TAB, "\t -=[]\\#;'`,./", '\t _+{}|~:"~<>?'],
  [KEYPAD_DECIMAL, ".", "."],
  [NON_US, "\\", "|"],
];

const FR: readonly Row[] = [
  [A, "qbcdefghijkl,noparstuvzxyw", "QBCDEFGHIJKL?NOPARSTUVZXYW"],
  [DIGIT_1, `&é"'(-è_çà`, "1234567890", "\0\0#{[|\0\\^@"],
  [TAB, "\t )=\0$**mù²;:!", "\t °+\0£µµM%\0./§", "\0\0]}\0¤"],
  [KEYPAD_DECIMAL, ".", "."],
  [NON_US, "<", ">"],
];

const DE: readonly Row[] = [
  [A, "abcdefghijklmnopqrstuvwxzy", "ABCDEFGHIJKLMNOPQRSTUVWXZY", "\0\0\0\0\0\0\0\0\0\0\0\0µ\0\0\0@"],
  [DIGIT_1, "1234567890", '!"§$%&/()=', "\0²³\0\0\0{[]}"],
  [TAB, "\t ß\0ü+##öä\0,.-", "\t ?\0Ü*''ÖÄ°;:_", "\0\0\\\0\0~"],
  [KEYPAD_DECIMAL, ",", ","],
  [NON_US, "<", ">", "|"],
];

function table(rows: readonly Row[]): Table {
  const levels = {
    plain: new Map<number, string>(),
    shift: new Map<number, string>(),
    altGr: new Map<number, string>(),
  };
  for (const [first, plain, shift, altGr = ""] of [...rows, ...KEYPAD]) {
    for (const [level, characters] of [
      [levels.plain, plain],
      [levels.shift, shift],
      [levels.altGr, altGr],
    ] as const) {
      for (let i = 0; i < characters.length; i += 1) {
        if (characters.charAt(i) !== NOTHING) level.set(first + i, characters.charAt(i));
      }
    }
  }
  return levels;
}

const TABLES: Readonly<Record<LayoutName, Table>> = { us: table(US), fr: table(FR), de: table(DE) };

/** The character of a key; undefined for keys that have none. */
export function characterOf(layout: LayoutName, usage: number, level: Level): string | undefined {
  return TABLES[layout][level].get(usage);
}

/** Whether the layout has a third level, which AltGr (the right Alt) gives. */
export function hasAltGr(layout: LayoutName): boolean {
  return TABLES[layout].altGr.size > 0;
}

/** Caps Lock, Scroll Lock, Num Lock: they type nothing and mean nothing here. */
export const LOCK_KEYS: ReadonlySet<number> = new Set([0x39, 0x47, 0x53]);

/** A card number is letters and digits; most of a frame being something else is how a wrong layout shows. */
export function isSymbolHeavy(text: string): boolean {
  return alphanumeric(text) * 2 < text.length;
}

/** The other layouts in which the same keys are mostly letters and digits, the likeliest first. */
export function layoutsThatFit(layout: LayoutName, text: string): readonly LayoutName[] {
  return LAYOUTS.filter((other) => other !== layout)
    .map((other) => ({ other, typed: retyped(layout, other, text) }))
    .filter(({ typed }) => !isSymbolHeavy(typed))
    .sort((a, b) => alphanumeric(b.typed) - alphanumeric(a.typed))
    .map(({ other }) => other);
}

function alphanumeric(text: string): number {
  return text.replace(/[^0-9A-Za-z]/g, "").length;
}

/** What the keys that gave `text` in one layout give in another. */
function retyped(from: LayoutName, to: LayoutName, text: string): string {
  return Array.from(text, (character) => {
    for (const level of ["plain", "shift", "altGr"] as const) {
      for (const [usage, found] of TABLES[from][level]) {
        if (found === character) return TABLES[to][level].get(usage) ?? " ";
      }
    }
    return character;
  }).join("");
}
