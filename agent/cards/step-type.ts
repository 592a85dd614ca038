import type { Read } from "../../drivers/reader.ts";
import type { Bits } from "./bits.ts";
import { CardError } from "./card-error.ts";

/** What travels through a pipeline is a read, all the way. */
export type Value = Read;
export type Kind = Value["kind"];

/** Told what a step noticed and let pass, as a code with its row. Never holds a part of the read. */
export type Warn = (warning: CardError) => void;

export type Convert = (value: Value, warn: Warn) => Value;

/** The arguments of one step, taken in order. Each refusal is a card-pipeline-syntax. */
export interface Arguments {
  text(name: string): string;
  optionalText(name: string): string | undefined;
  whole(name: string, min: number, max: number): number;
  optionalWhole(name: string, min: number, max: number): number | undefined;
  word<W extends string>(name: string, words: readonly [W, ...W[]]): W;
  optionalWord<W extends string>(name: string, words: readonly [W, ...W[]]): W | undefined;
}

export interface StepType {
  /** As written, with its arguments: `cut(text)`. */
  readonly usage: string;
  readonly doc: string;
  readonly from: Kind;
  readonly to: Kind;
  /** Its one argument is a pattern: everything up to the matching parenthesis, taken as it is. */
  readonly takesPattern?: true;
  /** Reads the arguments once; the function converts one value of kind `from` into one of kind `to`. */
  bind(args: Arguments): Convert;
}

/** Steps by name. */
export type StepTypes = Readonly<Record<string, StepType>>;

type Common = Pick<StepType, "usage" | "doc" | "takesPattern">;

/** The widest that a step pads to or reaches. */
export const MAX_WIDTH = 512;

const asText = (value: Value): string => {
  if (value.kind !== "text") throw new CardError("card-pipeline-type", "text is needed");
  return value.text;
};
const asBits = (value: Value): Bits => {
  if (value.kind !== "bits") throw new CardError("card-pipeline-type", "bits are needed");
  return value;
};
const ofText = (text: string): Value => ({ kind: "text", text });

export const textToText = (common: Common, bind: (args: Arguments) => (text: string) => string): StepType => ({
  ...common,
  from: "text",
  to: "text",
  bind(args) {
    const convert = bind(args);
    return (value) => ofText(convert(asText(value)));
  },
});
export const textToBits = (common: Common, bind: (args: Arguments) => (text: string) => Bits): StepType => ({
  ...common,
  from: "text",
  to: "bits",
  bind(args) {
    const convert = bind(args);
    return (value) => convert(asText(value));
  },
});
export const bitsToBits = (common: Common, bind: (args: Arguments) => (bits: Bits, warn: Warn) => Bits): StepType => ({
  ...common,
  from: "bits",
  to: "bits",
  bind(args) {
    const convert = bind(args);
    return (value, warn) => convert(asBits(value), warn);
  },
});
export const bitsToText = (common: Common, bind: (args: Arguments) => (bits: Bits) => string): StepType => ({
  ...common,
  from: "bits",
  to: "text",
  bind(args) {
    const convert = bind(args);
    return (value) => ofText(convert(asBits(value)));
  },
});

/**
 * The part [offset, offset + length) of something `size` long. A negative offset counts from the end; a negative length
 * stops so far before the end.
 */
export function range(size: number, offset: number, length: number | undefined): readonly [number, number] {
  const from = offset < 0 ? size + offset : offset;
  const to = length === undefined ? size : length < 0 ? size + length : from + length;
  // A shorter part would be another card's number, silently.
  if (from < 0 || from > size || to > size || to < from) {
    throw new CardError("card-too-short", "it does not reach so far");
  }
  return [from, to];
}
