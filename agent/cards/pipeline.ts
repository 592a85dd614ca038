import type { Read } from "../../drivers/reader.ts";
import { CardError } from "./card-error.ts";
import { type Chain, checkChain, countSteps, runChain } from "./chain.ts";
import { parseSteps } from "./grammar.ts";
import type { Kind, Value, Warn } from "./step-type.ts";

export { MAX_TEXT } from "./chain.ts";

/** A conversion from a reader's reads to card numbers, parsed and type-checked. */
export interface Pipeline {
  /** As written in the configuration. */
  readonly text: string;
  /** The kind of read that it takes; it always ends in text. */
  readonly from: Kind;
  readonly steps: Chain;
}

/** What one step made of the read. Holds a card number: for `card convert` only, never for a log. */
export interface Trace {
  readonly step: string;
  readonly value: Value;
}

export interface Watcher {
  readonly trace?: (entry: Trace) => void;
  /** What a step noticed and let pass, such as wrong parity: a code with its row, fit for a log. */
  readonly warn?: Warn;
}

/** No card needs more; it bounds what a configuration can make of one tap. */
const MAX_STEPS = 32;
const MAX_PIPELINE = 1000;

/**
 * Reads `step | step(argument,...) | { branch + branch } | ...`; the whole grammar is in README.md.
 * @throws CardError card-pipeline-syntax, card-pipeline-type or card-pattern-unsupported, naming the step.
 */
export function parsePipeline(text: string): Pipeline {
  if (text.length > MAX_PIPELINE) throw new CardError("card-pipeline-syntax", `longer than ${MAX_PIPELINE} characters`);
  const steps = parseSteps(text);
  if (countSteps(steps) > MAX_STEPS) throw new CardError("card-pipeline-syntax", `more than ${MAX_STEPS} steps`);
  checkChain(steps);
  return { text, from: steps[0].from, steps };
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
export function toCardNumber(pipeline: Pipeline, read: Read, watcher: Watcher = {}): string {
  if (read.kind !== pipeline.from) {
    throw new CardError("card-wrong-read", `the pipeline takes ${pipeline.from}, the read is ${read.kind}`);
  }
  const { trace, warn = () => {} } = watcher;
  const value = runChain(
    pipeline.steps,
    read,
    warn,
    trace === undefined ? undefined : (step, value) => trace({ step, value }),
  );
  if (value.kind !== "text" || value.text === "") throw new CardError("card-empty", "the last step gives nothing");
  return value.text;
}
