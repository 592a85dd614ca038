import type { Read } from "../../../drivers/reader.ts";
import { fromBinary, toBinary } from "../bits.ts";
import { type WiegandFormat, withParity } from "../wiegand.ts";
import {
  commonPrefix,
  commonSuffix,
  DECIMAL,
  fixedPrefix,
  fixedSuffix,
  HEX,
  hexToBinary,
  sameLength,
  toNumber,
} from "./hypothesis.ts";
import { digitsOf } from "./outputs.ts";
import { formats } from "./slices.ts";
import { alignments, bytesOf, CHECKSUMS, checksumHolds, luhnHolds } from "./sources.ts";

/** A read that this reader might deliver for another card. */
export interface Probe {
  readonly read: Read;
  /** What is special about the card: `a card whose byte 4 is 00`; undefined for a card like any other. */
  readonly special?: string;
}

/** Makes reads of one shape from bits that say which card it is. */
interface Shape {
  readonly bits: number;
  /** How the bits are called in what is shown to people. */
  readonly what: string;
  readonly fields: readonly Field[];
  read(card: string): Read;
}

/** A part of the bits that has a name of its own. */
interface Field {
  readonly name: string;
  readonly from: number;
}

const ORDINARY = 24;

/** Cards of the same kind as those that were read: ordinary ones, and ones with zeros or ones in each place. */
export function probes(reads: readonly Read[]): Probe[] {
  const random = generator();
  const found: Probe[] = [];
  for (const shape of shapes(reads)) {
    const card = () => Array.from({ length: shape.bits }, () => (random() < 0.5 ? "0" : "1")).join("");
    for (let count = 0; count < ORDINARY; count += 1) found.push({ read: shape.read(card()) });
    for (const bit of ["0", "1"]) {
      // Half bytes at card sizes; of longer reads no more places than of those.
      for (let from = 0; from + 8 <= shape.bits; from += shape.bits <= 160 ? 4 : Math.ceil(shape.bits / 320) * 8) {
        const base = card();
        const special = place(shape, from, bit);
        found.push({ read: shape.read(base.slice(0, from) + bit.repeat(8) + base.slice(from + 8)), special });
      }
    }
    const low = "0".repeat(Math.max(0, shape.bits - 12)) + card().slice(0, Math.min(shape.bits, 12));
    found.push({ read: shape.read(low), special: `a card whose ${shape.what} is very low` });
  }
  return found;
}

function place({ bits, what, fields }: Shape, from: number, bit: string): string {
  const field = fields.find((each) => from > each.from - 4 && from <= each.from + 3);
  if (field !== undefined) return `a card whose ${field.name} is ${bit === "0" ? "low" : "high"}`;
  if (bits % 8 === 0 && from % 8 === 0) {
    return `a card whose ${what} has ${bit === "0" ? "00" : "FF"} in byte ${from / 8 + 1} of ${bits / 8}`;
  }
  return `a card whose ${what} has only ${bit} in bits ${from} to ${from + 7}`;
}

/** Numerical Recipes' generator: these reads need no better one, and are the same each time. */
function generator(): () => number {
  let state = 20260701;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function shapes(reads: readonly Read[]): Shape[] {
  const words = reads.flatMap((read) => (read.kind === "bits" ? [toBinary(read)] : []));
  if (words.length > 0) {
    return byLength(words).map((same) => {
      const rule = wordRule(same);
      return {
        bits: same[0]?.length ?? 0,
        what: "UID or word",
        fields: wiegandFields(same),
        read: (card) => fromBinary(rule(card)),
      };
    });
  }
  const texts = reads.flatMap((read) => (read.kind === "text" ? [read.text] : []));
  return textShapes(texts).map(({ text, ...shape }) => ({
    ...shape,
    read: (card) => ({ kind: "text", text: text(card) }),
  }));
}

function byLength(texts: readonly string[]): string[][] {
  return [...new Set(texts.map(({ length }) => length))].map((length) =>
    texts.filter((text) => text.length === length),
  );
}

/** Makes any bits a word like these, with what they all keep: the parity of a format, a checksum, filling bits. */
function wordRule(words: readonly string[]): (word: string) => string {
  return wordLaw(words) ?? ((word) => word);
}

/** The same, or undefined where they keep nothing. */
function wordLaw(words: readonly string[]): ((word: string) => string) | undefined {
  const [format] = formats(words);
  if (format !== undefined) return (word) => parity(format.format, word);
  const [alignment] = alignments(words);
  if (alignment !== undefined) {
    const { offset, length } = alignment;
    const inner = wordRule(words.map((word) => (offset === "right" ? word.slice(-length) : word.slice(0, length))));
    return (word) =>
      offset === "right"
        ? inner(word.slice(-length)).padStart(word.length, "0")
        : inner(word.slice(0, length)).padEnd(word.length, "0");
  }
  for (const kind of ["xor8", "sum8"] as const) {
    if (words.length < 2 || !words.every((word) => checksumHolds(kind, word))) continue;
    return (word) => {
      const bytes = word.slice(0, -8);
      return bytes + CHECKSUMS[kind](bytesOf(bytes)).toString(2).padStart(8, "0");
    };
  }
  return undefined;
}

function parity(format: WiegandFormat, word: string): string {
  return toBinary(withParity(format, fromBinary(word)));
}

/** Facility code and number, where the words have the parity of a format that has both. */
function wiegandFields(words: readonly string[]): Field[] {
  const [alignment] = alignments(words);
  const offset = alignment?.offset === "right" ? (words[0]?.length ?? 0) - alignment.length : 0;
  const inner = alignment === undefined ? words : words.map((word) => word.slice(offset, offset + alignment.length));
  const [{ format } = {}] = formats(inner);
  if (format?.facility === undefined) return [];
  return [
    { name: "facility code", from: offset + format.facility[0] },
    { name: "number", from: offset + format.number[0] },
  ];
}

interface TextShape extends Omit<Shape, "read"> {
  text(card: string): string;
}

function textShapes(texts: readonly string[]): TextShape[] {
  const pieces = texts.map((text) => text.match(/[0-9A-Za-z]+|[^0-9A-Za-z]+/g) ?? []);
  const [first = []] = pieces;
  const alike = pieces.every(
    (own) => own.length === first.length && own.every((piece, at) => /[0-9A-Za-z]/.test(piece) || piece === first[at]),
  );
  if (!alike) return byLength(texts).flatMap((same) => (same.length === texts.length ? [] : textShapes(same)));
  const columns = first.map((_, at) => pieces.map((own) => own[at] ?? ""));
  const variable = columns.filter((column) => !constant(column));
  // Groups of hexadecimal digits, as in 04:A2:B3:C4, are one number.
  if (
    variable.length > 1 &&
    variable.every((column) => sameLength(column) !== undefined && column.every((c) => HEX.test(c)))
  ) {
    const whole = numberShapes(texts.map((_, at) => variable.map((column) => column[at]).join("")));
    return whole.map((shape) => ({
      ...shape,
      text(card) {
        let at = 0;
        const digits = shape.text(card);
        return columns
          .map((column) => {
            if (constant(column)) return column[0];
            at += column[0]?.length ?? 0;
            return digits.slice(at - (column[0]?.length ?? 0), at);
          })
          .join("");
      },
    }));
  }
  return combined(columns.map((column) => (constant(column) ? [fixed(column[0] ?? "")] : numberShapes(column))));
}

const constant = (column: readonly string[]): boolean =>
  column.every((piece) => piece === column[0]) && !HEX.test(column[0] ?? "");
const fixed = (text: string): TextShape => ({ bits: 0, what: "", fields: [], text: () => text });

/** Shapes one after the other: the n-th of each, the last again where one has fewer. */
function combined(parts: readonly (readonly TextShape[])[]): TextShape[] {
  return Array.from({ length: Math.max(...parts.map(({ length }) => length), 0) }, (_, index) => {
    const chosen = parts.flatMap((part) => part[Math.min(index, part.length - 1)] ?? []);
    return {
      bits: chosen.reduce((sum, { bits }) => sum + bits, 0),
      what: chosen.find(({ what }) => what !== "")?.what ?? "read",
      fields: chosen.length === 1 ? (chosen[0]?.fields ?? []) : [],
      text(card) {
        let at = 0;
        return chosen
          .map((shape) => {
            at += shape.bits;
            return shape.text(card.slice(at - shape.bits, at));
          })
          .join("");
      },
    };
  });
}

/** Digits, perhaps with letters around them that never change. */
function numberShapes(column: readonly string[]): TextShape[] {
  const prefix = fixedPrefix(column);
  const suffix = prefix.length === column[0]?.length ? "" : fixedSuffix(column);
  if (prefix !== "" || suffix !== "") {
    const inner = column.map((piece) => piece.slice(prefix.length, piece.length - suffix.length));
    return combined([[fixed(prefix)], numberShapes(inner), [fixed(suffix)]]);
  }
  if (column.every((piece) => DECIMAL.test(piece)) && !asciiCodes(column)) return [decimalShape(column)];
  // A letter that is always there before digits only, as the B of a magnetic stripe's track 1, is none of a hexadecimal number.
  const letters = /^[A-Fa-f]+/.exec(commonPrefix(column))?.[0] ?? "";
  const digits = column.map((piece) => piece.slice(letters.length));
  if (letters !== "" && digits.every((piece) => piece.length >= 8 && DECIMAL.test(piece))) {
    return combined([[fixed(letters)], [decimalShape(digits)]]);
  }
  if (column.every((piece) => HEX.test(piece))) return hexShapes(column);
  const front = commonPrefix(column);
  const behind =
    front.length === column[0]?.length ? "" : commonSuffix(column.map((piece) => piece.slice(front.length)));
  return [fixed(front + behind)];
}

const asciiCodes = (column: readonly string[]): boolean =>
  column.every((piece) => piece.length >= 8 && /^(?:3[0-9]|[46][1-6])+$/.test(piece));

function hexShapes(column: readonly string[]): TextShape[] {
  const lower = column.some((piece) => /[a-f]/.test(piece));
  const cased = (hex: string) => (lower ? hex : hex.toUpperCase());
  if (asciiCodes(column)) {
    const inner = numberShapes(column.map((piece) => Buffer.from(piece, "hex").toString("latin1")));
    return inner.map((shape) => ({
      ...shape,
      text: (card) => cased(Buffer.from(shape.text(card), "latin1").toString("hex")),
    }));
  }
  const digits = (word: string) =>
    cased(
      toNumber(word)
        .toString(16)
        .padStart(word.length / 4, "0"),
    );
  const lengths = [...new Set(column.map(({ length }) => length))];
  // UIDs of several sizes; otherwise the reader drops zeros in front.
  if (lengths.length === 1 || lengths.every((length) => [8, 14, 20].includes(length))) {
    return byLength(column).map((same) => {
      const words = same.map(hexToBinary);
      const rule = wordRule(words);
      const bits = (same[0]?.length ?? 0) * 4;
      return { bits, what: "UID or word", fields: wiegandFields(words), text: (card) => digits(rule(card)) };
    });
  }
  const most = Math.max(...lengths);
  const rule = wordRule(column.map((piece) => hexToBinary(piece.padStart(most, "0"))));
  return [{ bits: most * 4, what: "number", fields: [], text: (card) => digits(rule(card)).replace(/^0+(?=.)/, "") }];
}

function decimalShape(column: readonly string[]): TextShape {
  const width = sameLength(column);
  if (column.length > 1 && width !== undefined && column.every(luhnHolds)) return luhnShape(column, width);
  const numbers = column.map((piece) => BigInt(piece));
  const bytes = Math.max(...numbers.map((number) => Math.ceil(number.toString(2).length / 8)));
  const words = numbers.map((number) => number.toString(2).padStart(bytes * 8, "0"));
  const law = wordLaw(words);
  const shape = { bits: bytes * 8, what: "number", fields: wiegandFields(words) };
  // Numbers of so many bytes would nearly all be longer: these are digits, as on a magnetic stripe.
  if (law === undefined && width !== undefined && width < digitsOf(bytes * 8)) {
    return { ...shape, text: (card) => (toNumber(card) % 10n ** BigInt(width)).toString().padStart(width, "0") };
  }
  // Where no read has zeros in front, the reader may drop them.
  const padded = column.some((piece) => piece.startsWith("0")) ? (width ?? 0) : 0;
  return {
    ...shape,
    text: (card) =>
      toNumber(law?.(card) ?? card)
        .toString()
        .padStart(padded, "0"),
  };
}

function luhnShape(column: readonly string[], width: number): TextShape {
  const inner = decimalShape(column.map((piece) => `${piece.slice(0, -1).replace(/^0+(?=.)/, "")}`));
  return {
    ...inner,
    text(card) {
      const digits = inner
        .text(card)
        .padStart(width - 1, "0")
        .slice(1 - width);
      return digits + ([..."0123456789"].find((last) => luhnHolds(digits + last)) ?? "");
    },
  };
}
