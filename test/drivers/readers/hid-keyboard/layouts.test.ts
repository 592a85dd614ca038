import { describe, expect, test } from "vitest";
import {
  characterOf,
  hasAltGr,
  isSymbolHeavy,
  type Level,
  layoutsThatFit,
} from "../../../../drivers/readers/hid-keyboard/layouts.ts";
import { LAYOUTS, type LayoutName } from "../../../../drivers/readers/hid-keyboard/settings.ts";

const LEVELS: readonly Level[] = ["plain", "shift", "altGr"];
const USAGES = Array.from({ length: 0x100 }, (_, usage) => usage);

const LETTERS = 0x04;
const DIGITS = 0x1e;
const SYMBOLS = 0x2d;
const KEYPAD = 0x54;

/** A `.` stands for a key that types nothing there, `dot` for the full stop. */
function typed(layout: LayoutName, level: Level, first: number, count: number): string {
  return Array.from({ length: count }, (_, i) => {
    const character = characterOf(layout, first + i, level);
    return character === "." ? "dot" : (character ?? ".");
  }).join("");
}

// Written by hand from the layouts' pictures, key row by key row, not from the tables.
test.each<[LayoutName, Level, number, string]>([
  ["us", "plain", LETTERS, "abcdefghijklmnopqrstuvwxyz"],
  ["us", "shift", LETTERS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"],
  ["us", "plain", DIGITS, "1234567890"],
  ["us", "shift", DIGITS, "!@#$%^&*()"],
  ["us", "plain", SYMBOLS, "-=[]\\#;'`,dot/"],
  ["us", "shift", SYMBOLS, '_+{}|~:"~<>?'],
  ["us", "plain", KEYPAD, "/*-+.1234567890dot\\"],
  ["fr", "plain", LETTERS, "qbcdefghijkl,noparstuvzxyw"],
  ["fr", "shift", LETTERS, "QBCDEFGHIJKL?NOPARSTUVZXYW"],
  ["fr", "plain", DIGITS, "&é\"'(-è_çà"],
  ["fr", "shift", DIGITS, "1234567890"],
  ["fr", "altGr", DIGITS, "..#{[|.\\^@"],
  ["fr", "plain", SYMBOLS, ")=.$**mù²;:!"],
  ["fr", "shift", SYMBOLS, "°+.£µµM%.dot/§"],
  ["fr", "altGr", SYMBOLS, "]}.¤........"],
  ["fr", "plain", KEYPAD, "/*-+.1234567890dot<"],
  ["fr", "shift", 0x64, ">"],
  ["de", "plain", LETTERS, "abcdefghijklmnopqrstuvwxzy"],
  ["de", "shift", LETTERS, "ABCDEFGHIJKLMNOPQRSTUVWXZY"],
  ["de", "altGr", LETTERS, "............µ...@........."],
  ["de", "plain", DIGITS, "1234567890"],
  ["de", "shift", DIGITS, '!"§$%&/()='],
  ["de", "altGr", DIGITS, ".²³...{[]}"],
  ["de", "plain", SYMBOLS, "ß.ü+##öä.,dot-"],
  ["de", "shift", SYMBOLS, "?.Ü*''ÖÄ°;:_"],
  ["de", "altGr", SYMBOLS, "\\..~........"],
  ["de", "plain", KEYPAD, "/*-+.1234567890,<"],
  ["de", "altGr", 0x64, "|"],
])("%s, %s, from key 0x%s: %s", (layout, level, first, expected) => {
  expect(typed(layout, level, first, expected.replaceAll("dot", ".").length)).toBe(expected);
});

test.each(LAYOUTS)("%s: every hex digit of either case has a key, and so have the sentinels of a stripe", (layout) => {
  const all = new Set(LEVELS.flatMap((level) => USAGES.map((usage) => characterOf(layout, usage, level))));
  for (const character of "0123456789abcdefABCDEF%;?+=\t ") expect(all).toContain(character);
});

test.each(LAYOUTS)("%s: the keypad's digits are digits with Shift too", (layout) => {
  for (const level of ["plain", "shift"] as const) expect(typed(layout, level, 0x59, 10)).toBe("1234567890");
});

test("only the US layout has no third level", () => {
  expect(LAYOUTS.map(hasAltGr)).toEqual([false, true, true]);
});

describe("which layout fits", () => {
  test.each<[LayoutName, string, readonly LayoutName[]]>([
    // The digits of a reader that is set to US, at an agent that is set to AZERTY, and the other way round.
    ["fr", "&é\"'(-è_çà", ["us", "de"]],
    ["us", "!@#$%^&*()", ["fr"]],
    ["de", '!"§$%&/()=', ["fr"]],
    ["us", "[];'\\", []],
  ])("%s, %s: %j", (layout, text, expected) => {
    expect(isSymbolHeavy(text)).toBe(true);
    expect(layoutsThatFit(layout, text)).toEqual(expected);
  });

  test("half of it is not most of it", () => {
    expect(["12;;", "1;;", "04A2", ";1234=99?"].map(isSymbolHeavy)).toEqual([false, true, false, false]);
  });
});
