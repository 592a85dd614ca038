import type { Read } from "../../drivers/reader.ts";
import { CardError } from "./card-error.ts";
import { parseSteps, type Step } from "./grammar.ts";
import type { Kind, Value } from "./steps.ts";

/** A conversion from a reader's reads to card numbers, parsed and type-checked. */
export interface Pipeline {
  /** As written in the configuration. */
  readonly text: string;
  /** The kind of read that it takes; it always ends in text. */
  readonly from: Kind;
  readonly steps: readonly Step[];
}

/** What one step made of the read. Holds a card number: for `card convert` only, never for a log. */
export interface Trace {
  readonly step: string;
  readonly value: Value;
}

/** No card needs more; it bounds what a configuration can make of one tap. */
const MAX_STEPS = 32;
const MAX_PIPELINE = 1000;
/** Characters of a read or of any step's result: all tracks of a magnetic stripe fit. */
export const MAX_TEXT = 512;

/**
 * Reads `step | step(argument,...) | ...`. In an argument `\` takes the meaning from the character after it; spaces around an
 * argument do not count. The argument of regex ends at its matching parenthesis and is taken as it is.
 * @throws CardError card-pipeline-syntax, card-pipeline-type or card-pattern-unsupported, naming the step.
 */
export function parsePipeline(text: string): Pipeline {
  if (text.length > MAX_PIPELINE) throw new CardError("card-pipeline-syntax", `longer than ${MAX_PIPELINE} characters`);
  const steps = parseSteps(text);
  const [first] = steps;
  if (steps.length > MAX_STEPS) throw new CardError("card-pipeline-syntax", `more than ${MAX_STEPS} steps`);
  for (const [at, step] of steps.entries()) {
    const next = steps[at + 1];
    if (next !== undefined && step.to !== next.from) {
      throw new CardError("card-pipeline-type", `${step.text} gives ${step.to}, but ${next.text} takes ${next.from}`);
    }
    if (next === undefined && step.to !== "text") {
      throw new CardError("card-pipeline-type", `the last step ${step.text} gives bits; end with toHex or toDec`);
    }
  }
  return { text, from: first.from, steps };
}

/** For a reader without a pipeline of its own. */
export const DEFAULT_PIPELINES: Readonly<Record<Kind, Pipeline>> = {
  text: parsePipeline("trim"),
  bits: parsePipeline("toHex(upper)"),
};

/**
 * The card number of a read, never empty.
 * @throws CardError naming the step that failed, and nothing of the read.
 */
export function toCardNumber(pipeline: Pipeline, read: Read, trace?: (entry: Trace) => void): string {
  if (read.kind !== pipeline.from) {
    throw new CardError("card-wrong-read", `the pipeline takes ${pipeline.from}, the read is ${read.kind}`);
  }
  let value: Value = checked(read);
  for (const [at, step] of pipeline.steps.entries()) {
    try {
      value = checked(step.convert(value));
    } catch (error) {
      if (!(error instanceof CardError)) throw error;
      throw new CardError(error.code, `step ${at + 1}, ${step.text}: ${error.detail}`, { cause: error });
    }
    trace?.({ step: step.text, value });
  }
  if (value.kind !== "text" || value.text === "") throw new CardError("card-empty", "the last step gives nothing");
  return value.text;
}

function checked(value: Value): Value {
  if (value.kind === "text" && value.text.length > MAX_TEXT) {
    throw new CardError("card-too-long", `more than ${MAX_TEXT} characters`);
  }
  return value;
}
