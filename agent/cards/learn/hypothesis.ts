import { argumentText } from "../grammar.ts";

/**
 * A beginning of a pipeline, with what it makes of each read. Hypotheses are evaluated on strings here, as there are many;
 * each that fits is then run as a real pipeline (learn.ts), so that a fault here can lose an answer and never give a wrong one.
 */
export interface TextSource {
  readonly steps: readonly string[];
  readonly texts: readonly string[];
}

/** The same, and from here on as bits: one `0` or `1` each. */
export interface BitSource {
  readonly steps: readonly string[];
  readonly words: readonly string[];
}

export const HEX = /^[0-9A-Fa-f]+$/;
export const DECIMAL = /^[0-9]+$/;

export const hexToBinary = (hex: string): string =>
  hex === ""
    ? ""
    : BigInt(`0x${hex}`)
        .toString(2)
        .padStart(hex.length * 4, "0");

export const toNumber = (word: string): bigint => BigInt(`0b0${word}`);

export function sameLength(texts: readonly string[]): number | undefined {
  const [first] = texts;
  return first !== undefined && texts.every(({ length }) => length === first.length) ? first.length : undefined;
}

/** What all begin with. */
export function commonPrefix(texts: readonly string[]): string {
  const [first = "", ...rest] = texts;
  let length = first.length;
  for (const text of rest) {
    while (!text.startsWith(first.slice(0, length))) length -= 1;
  }
  return first.slice(0, length);
}

export function commonSuffix(texts: readonly string[]): string {
  const mirror = (text: string) => Array.from(text).reverse().join("");
  return mirror(commonPrefix(texts.map(mirror)));
}

/** What all begin with, up to the last character that can be no digit of theirs: `ID:04A2` and `ID:04B7` share `ID:`. */
export function fixedPrefix(texts: readonly string[]): string {
  return /^.*[^0-9A-Fa-f]/s.exec(commonPrefix(texts))?.[0] ?? "";
}

export function fixedSuffix(texts: readonly string[]): string {
  return /[^0-9A-Fa-f].*$/s.exec(commonSuffix(texts))?.[0] ?? "";
}

export const call = (name: string, ...args: readonly (string | number)[]): string =>
  `${name}(${args.map((arg) => (typeof arg === "number" ? arg : argumentText(arg))).join(",")})`;
