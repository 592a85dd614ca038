import { fromBinary } from "../bits.ts";
import { parityHolds, WIEGAND_FORMATS, WIEGAND_NAMES, type WiegandFormat } from "../wiegand.ts";
import { type BitSource, sameLength } from "./hypothesis.ts";

const mirror = (word: string): string => Array.from(word).reverse().join("");
const bytewise = (change: (byte: string) => string) => (word: string) =>
  (word.match(/.{8}/g) ?? []).map(change).join("");

const perByte = bytewise(mirror);
const swapNibbles = bytewise((byte) => byte.slice(4) + byte.slice(0, 4));
const reverseBytes = (word: string): string => perByte(mirror(word));
const invert = (word: string): string => word.replace(/./g, (bit) => (bit === "0" ? "1" : "0"));

type Change = readonly [step: string, change: (word: string) => string];
const PER_BYTE: Change = ["reverseBits(perByte)", perByte];
const NIBBLES: Change = ["swapNibbles", swapNibbles];
const BYTES: Change = ["reverseBytes", reverseBytes];
const ALL: Change = ["reverseBits(all)", mirror];
const INVERT: Change = ["invert", invert];

const ORDERS: readonly (readonly Change[])[] = [
  [],
  [BYTES],
  [PER_BYTE],
  [ALL],
  [NIBBLES],
  [BYTES, NIBBLES],
  [PER_BYTE, NIBBLES],
  [ALL, NIBBLES],
];

/** The bits in each order in which readers send them, and each inverted. */
export function* orders({ steps, words }: BitSource): Generator<BitSource> {
  const bytes = words.every(({ length }) => length % 8 === 0);
  for (const changes of bytes ? ORDERS : [[], [ALL]]) {
    for (const inverted of [[], [INVERT]]) {
      const all = [...changes, ...inverted];
      yield {
        steps: [...steps, ...all.map(([step]) => step)],
        words: words.map((word) => all.reduce((value, [, change]) => change(value), word)),
      };
    }
  }
}

function part(source: BitSource, step: string, from: number, to?: number): BitSource {
  return { steps: [...source.steps, step], words: source.words.map((word) => word.slice(from, to)) };
}

/** More bits are a whole track, not a number with parts; they would take long. */
const MAX_PARTED = 320;

/** The whole, and the parts that card formats are made of: whole bytes, Wiegand fields, words without their parity. */
export function* slices(source: BitSource): Generator<BitSource> {
  yield source;
  const { words } = source;
  const shortest = Math.min(...words.map(({ length }) => length));
  const length = sameLength(words);
  if (shortest > MAX_PARTED) return;
  if (words.every((word) => word.length % 8 === 0)) {
    for (let size = 8; size < Math.max(...words.map((word) => word.length)); size += 8) {
      if (size > shortest) break;
      if (size < shortest || length === undefined) yield part(source, `bits(-${size})`, -size);
      for (let from = 0; from + size <= shortest; from += 8) {
        if (from + size < shortest || length === undefined)
          yield part(source, `bits(${from},${size})`, from, from + size);
      }
    }
  } else if (length !== undefined && length >= 18 && length % 4 !== 0) {
    for (const [lead, trail] of [
      [1, 1],
      [2, 1],
      [1, 0],
      [0, 1],
    ] as const) {
      yield part(source, `stripParity(${lead},${trail})`, lead, trail === 0 ? undefined : -trail);
    }
    for (const size of [16, 24, 32]) if (size < length) yield part(source, `bits(-${size})`, -size);
  }
  for (const { name, format } of formats(words)) {
    const { facility, number } = format;
    if (facility !== undefined) {
      yield part(source, `wiegand(${name},facility)`, ...facility);
      yield {
        steps: [...source.steps, `wiegand(${name})`],
        words: words.map((word) => word.slice(...facility) + word.slice(...number)),
      };
    }
    yield part(source, `wiegand(${name},number)`, ...number);
  }
}

/**
 * Any run of bits that is the numbers in binary, at the same place in each word: for formats that nobody has named. Bits in front that
 * are 0 in all words may belong to it or not, so there may be several.
 */
export function* anyRuns(source: BitSource, numbers: readonly string[]): Generator<BitSource> {
  const { words } = source;
  if (sameLength(words) === undefined || !numbers.every((number) => /^[0-9]{1,40}$/.test(number))) return;
  const wanted = numbers.map((number) => BigInt(number).toString(2));
  const [first = ""] = wanted;
  if (Math.max(...wanted.map(({ length }) => length)) < MIN_RUN) return;
  for (let at = words[0]?.indexOf(first) ?? -1; at >= 0; at = words[0]?.indexOf(first, at + 1) ?? -1) {
    const end = at + first.length;
    if (!wanted.every((bits, index) => words[index]?.slice(Math.max(0, end - bits.length), end) === bits)) continue;
    let from = Math.min(...wanted.map(({ length }) => end - length));
    for (let wider = 0; from >= 0 && wider < MAX_WIDER; wider += 1, from -= 1) {
      yield part(source, `bits(${from},${end - from})`, from, end);
      if (words.some((word) => word[from - 1] !== "0")) break;
    }
  }
}

/** A shorter run is found somewhere by chance. */
const MIN_RUN = 8;
const MAX_WIDER = 8;

/** Formats whose length and parity each word has. */
export function formats(words: readonly string[]): { readonly name: string; readonly format: WiegandFormat }[] {
  return WIEGAND_NAMES.flatMap((name) => {
    const format: WiegandFormat = WIEGAND_FORMATS[name];
    const fits = words.every((word) => word.length === format.bitLength && parityHolds(format, fromBinary(word)));
    return fits ? [{ name, format }] : [];
  });
}

/** Facility code and number side by side: steps of each, from the same bits. */
export interface Fields {
  readonly facility: BitSource;
  readonly number: BitSource;
}

/** Fields of Wiegand words, and of the last 3 or 4 bytes, which many readers print as 8 + 16 or 16 + 16 bits. */
export function* fields(source: BitSource): Generator<Fields> {
  const { words } = source;
  const inner = { steps: [], words };
  for (const { name, format } of formats(words)) {
    if (format.facility === undefined) continue;
    yield {
      facility: part(inner, `wiegand(${name},facility)`, ...format.facility),
      number: part(inner, `wiegand(${name},number)`, ...format.number),
    };
  }
  const bytes = words.every(({ length }) => length % 8 === 0);
  for (const [facility, number] of [
    [8, 16],
    [16, 16],
  ] as const) {
    const size = facility + number;
    if (bytes && words.every(({ length }) => length >= size)) {
      yield {
        facility: part(inner, `bits(-${size},${facility})`, -size, -number),
        number: part(inner, `bits(-${number})`, -number),
      };
    }
    // Without parity that holds it is still the usual layout of a word.
    if (!bytes && words.every(({ length }) => length === size + 2)) {
      yield {
        facility: part(inner, `bits(1,${facility})`, 1, 1 + facility),
        number: part(inner, `bits(${1 + facility},${number})`, 1 + facility, 1 + size),
      };
    }
  }
}
