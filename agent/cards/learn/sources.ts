import type { Read } from "../../../drivers/reader.ts";
import { fromBinary, toBinary } from "../bits.ts";
import { parityHolds, WIEGAND_FORMATS } from "../wiegand.ts";
import {
  type BitSource,
  call,
  DECIMAL,
  fixedPrefix,
  fixedSuffix,
  HEX,
  hexToBinary,
  sameLength,
  type TextSource,
} from "./hypothesis.ts";

/** The reads as text, cleaned of what surrounds the number in each way that the reads suggest. */
export function textSources(reads: readonly Read[]): TextSource[] {
  const texts = reads.flatMap((read) => (read.kind === "text" ? [read.text] : []));
  if (texts.length < reads.length) return [];
  const found = new Map<string, TextSource>();
  const add = (source: TextSource) => {
    const key = JSON.stringify(source.texts);
    if (source.texts.every((text) => text !== "") && !found.has(key)) found.set(key, source);
  };
  add({ steps: [], texts });
  // Each stage works on what the ones before it left, and on what was there without them.
  for (const stage of [trims, affixes, separators, decoded, affixes, checked]) {
    for (const source of [...found.values()]) for (const next of stage(source)) add(next);
  }
  return [...found.values()];
}

function* trims({ steps, texts }: TextSource): Generator<TextSource> {
  const trimmed = texts.map((text) => text.replace(/^[\0-\x20\x7f]+|[\0-\x20\x7f]+$/g, ""));
  if (trimmed.some((text, at) => text !== texts[at])) yield { steps: [...steps, "trim"], texts: trimmed };
  const signs = new Set(
    trimmed.flatMap((text) => [
      ...(/^[^0-9A-Za-z]+/.exec(text)?.[0] ?? ""),
      ...(/[^0-9A-Za-z]+$/.exec(text)?.[0] ?? ""),
    ]),
  );
  if (signs.size === 0 || signs.size > 8) return;
  const chars = [...signs].join("");
  const drop = (text: string) => {
    let [from, to] = [0, text.length];
    while (from < to && chars.includes(text.charAt(from))) from += 1;
    while (to > from && chars.includes(text.charAt(to - 1))) to -= 1;
    return text.slice(from, to);
  };
  yield { steps: [...steps, call("trim", chars)], texts: texts.map(drop) };
}

function* affixes({ steps, texts }: TextSource): Generator<TextSource> {
  const prefix = fixedPrefix(texts);
  const suffix = fixedSuffix(texts);
  const ways = [
    [prefix, ""],
    ["", suffix],
    [prefix, suffix],
  ] as const;
  for (const [front, behind] of ways) {
    if ((front === "" && behind === "") || texts.some(({ length }) => length <= front.length + behind.length)) continue;
    yield {
      steps: [
        ...steps,
        ...(front === "" ? [] : [call("stripPrefix", front)]),
        ...(behind === "" ? [] : [call("stripSuffix", behind)]),
      ],
      texts: texts.map((text) => text.slice(front.length, text.length - behind.length)),
    };
  }
}

/** Signs inside: the number is before or behind one, or they only group its digits. */
function* separators({ steps, texts }: TextSource): Generator<TextSource> {
  const signs = [...new Set(texts.flatMap((text) => text.match(/[^0-9A-Za-z]/g) ?? []))].slice(0, 4);
  for (const sign of signs) {
    yield { steps: [...steps, call("cut", sign)], texts: texts.map((text) => text.split(sign, 1)[0] ?? "") };
    const escaped = /[0-9A-Za-z\s]/.test(sign) ? sign : `\\${sign}`;
    if (texts.every((text) => text.includes(sign)) && sign >= " ") {
      yield {
        steps: [...steps, `regex(${escaped}(.*)$)`],
        texts: texts.map((text) => text.slice(text.indexOf(sign) + 1)),
      };
    }
  }
  if (signs.length > 0) {
    const all = signs.join("");
    yield {
      steps: [...steps, call("remove", all)],
      texts: texts.map((text) => [...text].filter((c) => !all.includes(c)).join("")),
    };
  }
}

/** Text inside text. */
function* decoded({ steps, texts }: TextSource): Generator<TextSource> {
  if (!texts.every((text) => text.length % 2 === 0 && /^(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])+$/.test(text))) return;
  yield {
    steps: [...steps, "asciiHexDecode"],
    texts: texts.map((text) => Buffer.from(text, "hex").toString("latin1")),
  };
}

function* checked({ steps, texts }: TextSource): Generator<TextSource> {
  if (!texts.every((text) => text.length > 1 && DECIMAL.test(text) && luhnHolds(text))) return;
  yield { steps: [...steps, "luhn"], texts: texts.map((text) => text.slice(0, -1)) };
}

export function luhnHolds(digits: string): boolean {
  let sum = 0;
  for (const [at, c] of [...digits].reverse().entries()) {
    const digit = Number(c) * (at % 2 === 1 ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}

/** Bytes of a UID or a facility's word, as decimal text does not tell them. */
const NUMBER_BYTES = [2, 3, 4, 5, 7, 8, 10];
/** Digits of those, and of Wiegand words, for readers that drop zeros in front. */
const HEX_WIDTHS = [6, 7, 8, 9, 10, 12, 14, 16, 20];

/** The reads as bits: as they are, or decoded from each cleaned text in each way that its characters allow. */
export function bitSources(reads: readonly Read[], texts: readonly TextSource[]): BitSource[] {
  const words = reads.flatMap((read) => (read.kind === "bits" ? [toBinary(read)] : []));
  const found: BitSource[] = words.length === reads.length ? [{ steps: [], words }] : [];
  for (const source of texts) found.push(...decodings(source));
  for (const source of [...found]) found.push(...checksums(source), ...aligned(source));
  return found;
}

function* decodings({ steps, texts }: TextSource): Generator<BitSource> {
  const longest = Math.max(...texts.map(({ length }) => length));
  if (longest > 128) return;
  if (texts.every((text) => HEX.test(text))) {
    yield { steps: [...steps, "hexDecode"], words: texts.map(hexToBinary) };
    // Odd or uneven digits: the reader dropped zeros in front.
    if (longest % 2 === 1 || sameLength(texts) === undefined) {
      for (const width of new Set([longest, ...HEX_WIDTHS.filter((width) => width >= longest).slice(0, 4)])) {
        const padded = texts.map((text) => text.padStart(width, "0"));
        if (padded.some((text, at) => text !== texts[at])) {
          yield { steps: [...steps, `padLeft(0,${width})`, "hexDecode"], words: padded.map(hexToBinary) };
        }
      }
    }
  }
  if (texts.every((text) => DECIMAL.test(text))) {
    const numbers = texts.map((text) => BigInt(text).toString(2));
    const least = Math.max(...numbers.map(({ length }) => length));
    for (const bytes of NUMBER_BYTES.filter((bytes) => bytes * 8 >= least).slice(0, 3)) {
      yield {
        steps: [...steps, `decDecode(${bytes})`],
        words: numbers.map((number) => number.padStart(bytes * 8, "0")),
      };
    }
  }
  if (texts.every((text) => /^[01]{16,}$/.test(text))) yield { steps: [...steps, "binDecode"], words: texts };
}

export const CHECKSUMS = {
  xor8: (bytes: readonly number[]) => bytes.reduce((sum, byte) => sum ^ byte, 0),
  sum8: (bytes: readonly number[]) => bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0),
} as const;

export const bytesOf = (word: string): number[] => (word.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));

export function checksumHolds(kind: keyof typeof CHECKSUMS, word: string): boolean {
  const bytes = bytesOf(word);
  return word.length % 8 === 0 && bytes.length > 2 && CHECKSUMS[kind](bytes.slice(0, -1)) === bytes.at(-1);
}

function* checksums({ steps, words }: BitSource): Generator<BitSource> {
  for (const kind of ["xor8", "sum8"] as const) {
    if (!words.every((word) => checksumHolds(kind, word))) continue;
    yield { steps: [...steps, call("checksum", kind)], words: words.map((word) => word.slice(0, -8)) };
  }
}

/** Wiegand words inside longer ones: printed as a number, or filled up to whole bytes as OSDP does. */
export function alignments(words: readonly string[]): { readonly offset: "left" | "right"; readonly length: number }[] {
  return [...new Set(Object.values(WIEGAND_FORMATS).map(({ bitLength }) => bitLength))].flatMap((length) => {
    const inside = words.every((word) => word.length > length && word.length <= length + 14);
    if (!inside) return [];
    const formats = Object.values(WIEGAND_FORMATS).filter(({ bitLength }) => bitLength === length);
    return (["right", "left"] as const).flatMap((offset) => {
      const holds = words.every((word) => {
        const part = offset === "right" ? word.slice(-length) : word.slice(0, length);
        const filling = offset === "right" ? word.slice(0, -length) : word.slice(length);
        return !filling.includes("1") && formats.some((format) => parityHolds(format, fromBinary(part)));
      });
      return holds ? [{ offset, length }] : [];
    });
  });
}

function* aligned({ steps, words }: BitSource): Generator<BitSource> {
  for (const { offset, length } of alignments(words)) {
    yield offset === "right"
      ? { steps: [...steps, `bits(-${length})`], words: words.map((word) => word.slice(-length)) }
      : { steps: [...steps, `bits(0,${length})`], words: words.map((word) => word.slice(0, length)) };
  }
}
