import type { BitSource, TextSource } from "./hypothesis.ts";
import { call, fixedPrefix, fixedSuffix, sameLength, toNumber } from "./hypothesis.ts";
import type { Fields } from "./slices.ts";

/** The card numbers to come to, and the steps that lead from these to the real ones. */
export interface Goal {
  readonly numbers: readonly string[];
  readonly tail: readonly string[];
}

/** The numbers as they are, without what all have around them, and as the ASCII codes that they may be. */
export function goals(numbers: readonly string[]): Goal[] {
  const found: Goal[] = [{ numbers, tail: [] }];
  const prefix = fixedPrefix(numbers);
  const suffix = fixedSuffix(numbers);
  if ((prefix !== "" || suffix !== "") && numbers.every(({ length }) => length > prefix.length + suffix.length)) {
    found.push({
      numbers: numbers.map((number) => number.slice(prefix.length, number.length - suffix.length)),
      tail: [...(prefix === "" ? [] : [call("prepend", prefix)]), ...(suffix === "" ? [] : [call("append", suffix)])],
    });
  }
  const texts = numbers.map((number) => Buffer.from(number, "hex").toString("latin1"));
  const encoded = texts.every(
    (text, at) =>
      /^[0-9A-Za-z]{4,}$/.test(text) && Buffer.from(text, "latin1").toString("hex").toUpperCase() === numbers[at],
  );
  if (encoded) found.push({ numbers: texts, tail: ["asciiHexEncode"] });
  return found;
}

/** Each way to write the bits that gives the numbers. */
export function* bitOutputs({ words }: BitSource, { numbers }: Goal): Generator<readonly string[]> {
  yield* decimals(words, numbers);
  const cases = [
    ...(numbers.some((number) => /[a-z]/.test(number)) ? [] : (["upper"] as const)),
    ...(numbers.some((number) => /[A-Z]/.test(number)) ? [] : (["lower"] as const)),
  ];
  for (const hexCase of cases) yield* hexadecimals(words, numbers, hexCase);
  if (numbers.every((number, at) => number === words[at])) yield ["toBin"];
  if (numbers.every((number, at) => /^[01]{8,}$/.test(number) && number === toNumber(words[at] ?? "").toString(2))) {
    yield ["toBin", "stripZeros"];
  }
}

/** Fewer digits are found somewhere in every read. */
const MIN_PART = 3;

/** Digits of the largest number of so many bits. */
export const digitsOf = (bits: number): number => (2n ** BigInt(bits) - 1n).toString().length;

function* decimals(words: readonly string[], numbers: readonly string[]): Generator<readonly string[]> {
  const [first = ""] = numbers;
  const [word = ""] = words;
  const decimal = toNumber(word).toString();
  // Nearly all hypotheses end here.
  if (!decimal.padStart(first.length, "0").includes(first.replace(/^0+(?=.)/, ""))) return;
  const values = words.map((each) => toNumber(each).toString());
  const all = (make: (value: string) => string) => numbers.every((number, at) => number === make(values[at] ?? ""));
  if (all((value) => value)) yield ["toDec"];
  const width = sameLength(numbers);
  if (width === undefined) return;
  if (all((value) => value.padStart(width, "0"))) yield [`toDec(${width})`];
  const most = digitsOf(Math.max(...words.map(({ length }) => length)));
  if (most > width && width >= MIN_PART) {
    if (all((value) => value.padStart(most, "0").slice(-width))) yield [`toDec(${most})`, `substring(-${width})`];
    if (all((value) => value.padStart(most, "0").slice(0, width))) yield [`toDec(${most})`, `substring(0,${width})`];
  }
}

function* hexadecimals(
  words: readonly string[],
  numbers: readonly string[],
  hexCase: "upper" | "lower",
): Generator<readonly string[]> {
  const write = (word: string) => {
    const hex = toNumber(word)
      .toString(16)
      .padStart(Math.ceil(word.length / 4), "0");
    return hexCase === "upper" ? hex.toUpperCase() : hex;
  };
  const [first = ""] = numbers;
  if (!write(words[0] ?? "").includes(first.replace(/^0+(?=.)/, ""))) return;
  const values = words.map(write);
  const all = (make: (value: string) => string) => numbers.every((number, at) => number === make(values[at] ?? ""));
  const step = `toHex(${hexCase})`;
  if (all((value) => value)) yield [step];
  const number = (value: string) => value.replace(/^0+(?=.)/, "");
  if (all(number)) yield [step, "stripZeros"];
  const width = sameLength(numbers);
  if (width === undefined || width < MIN_PART) return;
  if (all((value) => value.padStart(width, "0")) && values.some(({ length }) => length < width)) {
    yield [`toHex(${hexCase},${width})`];
  }
  // Parts of whole bytes are slices of bits already.
  if (width % 2 === 1 && all((value) => value.slice(-width)) && values.every(({ length }) => length > width)) {
    yield [step, `substring(-${width})`];
  }
  if (width % 2 === 1 && all((value) => value.slice(0, width)) && values.every(({ length }) => length > width)) {
    yield [step, `substring(0,${width})`];
  }
}

/** Each way to write facility code and number, with what stands between them. */
export function* fieldOutputs({ facility, number }: Fields, { numbers }: Goal): Generator<readonly string[]> {
  const codes = facility.words.map((word) => toNumber(word).toString());
  const values = number.words.map((word) => toNumber(word).toString());
  const most = digitsOf(number.words[0]?.length ?? 1);
  const width = sameLength(values);
  for (const pad of new Set([0, most, ...(width === undefined ? [] : [width])])) {
    const behind = values.map((value) => value.padStart(pad, "0"));
    if (!numbers.every((text, at) => text.endsWith(behind[at] ?? ""))) continue;
    const before = numbers.map((text, at) => text.slice(0, text.length - (behind[at] ?? "").length));
    const between = /[^0-9A-Za-z]*$/.exec(before[0] ?? "")?.[0] ?? "";
    const fronts = before.map((text) => (text.endsWith(between) ? text.slice(0, text.length - between.length) : ""));
    const frontWidth = sameLength(fronts);
    for (const front of new Set([0, ...(frontWidth === undefined ? [] : [frontWidth])])) {
      if (!fronts.every((text, at) => text === codes[at]?.padStart(front, "0"))) continue;
      const end = between === "" ? "" : ` | ${call("append", between)}`;
      const left = `${facility.steps.join(" | ")} | ${decimalStep(front)}${end}`;
      const right = `${number.steps.join(" | ")} | ${decimalStep(pad)}`;
      yield [`{ ${left} + ${right} }`];
    }
  }
}

const decimalStep = (width: number): string => (width === 0 ? "toDec" : `toDec(${width})`);

/** Each way to come from text to text. */
export function* textOutputs({ texts }: TextSource, { numbers }: Goal): Generator<readonly string[]> {
  const all = (make: (text: string) => string) => numbers.every((number, at) => number === make(texts[at] ?? ""));
  const changes: readonly (readonly [string | undefined, (text: string) => string])[] = [
    [undefined, (text) => text],
    ["case(upper)", (text) => text.toUpperCase()],
    ["case(lower)", (text) => text.toLowerCase()],
    ["reversePairs", (text) => (text.length % 2 === 0 ? (text.match(/../gs) ?? []).reverse().join("") : text)],
  ];
  const width = sameLength(numbers);
  for (const [step, change] of changes) {
    const steps = step === undefined ? [] : [step];
    if (step !== undefined && texts.every((text) => change(text) === text)) continue;
    if (all(change)) yield steps;
    if (all((text) => change(text).replace(/^0+(?=.)/s, ""))) yield [...steps, "stripZeros"];
    if (width === undefined) continue;
    // Decimal numbers without zeros in front may be shorter for another card.
    const shorter = texts.some((text) => text.length < width) || texts.every((text) => /^[1-9][0-9]*$/.test(text));
    if (shorter && all((text) => change(text).padStart(width, "0"))) yield [...steps, `padLeft(0,${width})`];
    yield* parts(texts.map(change), numbers, width, steps);
  }
}

/** The same part of each text, counted from the front, or from the end where the texts are of several lengths. */
function* parts(
  texts: readonly string[],
  numbers: readonly string[],
  width: number,
  steps: readonly string[],
): Generator<readonly string[]> {
  const shortest = Math.min(...texts.map(({ length }) => length));
  const length = sameLength(texts);
  if (width < MIN_PART || shortest < width || length === width) return;
  for (let from = 0; from + width <= shortest; from += 1) {
    if (numbers.every((number, at) => texts[at]?.startsWith(number, from))) {
      yield [...steps, from + width === length ? `substring(-${width})` : `substring(${from},${width})`];
    }
  }
  if (length === undefined && numbers.every((number, at) => texts[at]?.endsWith(number))) {
    yield [...steps, `substring(-${width})`];
  }
}
