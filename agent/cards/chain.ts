import { CardError } from "./card-error.ts";
import type { Convert, Kind, Value, Warn } from "./step-type.ts";

/** One step of a pipeline, its arguments read. */
export interface Step {
  /** As written. */
  readonly text: string;
  /** Its name, or `{` for branches side by side. */
  readonly name: string;
  readonly args: readonly string[];
  /** Of `{ a + b }`; empty for a step with a name. */
  readonly branches: readonly Chain[];
  readonly from: Kind;
  readonly to: Kind;
  readonly convert: Convert;
}

/** Steps in a row. */
export type Chain = readonly [Step, ...Step[]];

/** Characters of a read or of any step's result: all tracks of a magnetic stripe fit. */
export const MAX_TEXT = 512;

/** Each step must take what the one before it gives, and the last must give text. */
export function checkChain(chain: Chain): void {
  for (const [at, step] of chain.entries()) {
    const next = chain[at + 1];
    if (next !== undefined && step.to !== next.from) {
      throw new CardError("card-pipeline-type", `${step.text} gives ${step.to}, but ${next.text} takes ${next.from}`);
    }
    if (next === undefined && step.to !== "text") {
      throw new CardError("card-pipeline-type", `the last step ${step.text} gives bits; end with toHex or toDec`);
    }
  }
}

/** All steps, those inside branches too. */
export function countSteps(chain: Chain): number {
  return chain.reduce(
    (sum, { branches }) => sum + 1 + branches.reduce((inner, branch) => inner + countSteps(branch), 0),
    0,
  );
}

/** @throws CardError naming the step that failed, and nothing of the read. */
export function runChain(chain: Chain, read: Value, warn: Warn, trace?: (step: string, value: Value) => void): Value {
  let value = checked(read);
  for (const [at, step] of chain.entries()) {
    const named = (error: CardError) =>
      new CardError(error.code, `step ${at + 1}, ${step.text}: ${error.detail}`, { cause: error });
    try {
      value = checked(step.convert(value, (warning) => warn(named(warning))));
    } catch (error) {
      if (!(error instanceof CardError)) throw error;
      throw named(error);
    }
    trace?.(step.text, value);
  }
  return value;
}

/** Branches side by side: each gets the same value, and what they give is put together in order. */
export function sideBySide(text: string, branches: readonly [Chain, ...Chain[]]): Step {
  const [[{ from }]] = branches;
  for (const branch of branches) {
    checkChain(branch);
    if (branch[0].from !== from) {
      throw new CardError(
        "card-pipeline-type",
        `in ${text} one branch takes ${from} and ${branch[0].text} takes ${branch[0].from}`,
      );
    }
  }
  return {
    text,
    name: "{",
    args: [],
    branches,
    from,
    to: "text",
    convert(value, warn) {
      const parts = branches.map((branch) => {
        const part = runChain(branch, value, warn);
        return part.kind === "text" ? part.text : "";
      });
      return { kind: "text", text: parts.join("") };
    },
  };
}

function checked(value: Value): Value {
  if (value.kind === "text" && value.text.length > MAX_TEXT) {
    throw new CardError("card-too-long", `more than ${MAX_TEXT} characters`);
  }
  return value;
}
