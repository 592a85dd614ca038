import { CardError } from "./card-error.ts";
import { type Chain, type Step, sideBySide } from "./chain.ts";
import type { Arguments, StepType } from "./step-type.ts";
import { STEPS } from "./steps.ts";

/** At least one step, not yet checked against each other; inside branches they are. The grammar is in README.md. */
export function parseSteps(text: string): Chain {
  return new PipelineText(text).steps();
}

/** An argument as a pipeline has it: signs that would end it behind a `\`, and spaces at its ends too. */
export function argumentText(argument: string): string {
  return argument.replace(/[,)\\]|^\s|\s$/g, "\\$&");
}

const SPACE = /\s/;
const MAX_DEPTH = 4;

function syntax(detail: string): CardError {
  return new CardError("card-pipeline-syntax", detail);
}

/** The characters of a pipeline, read from left to right. */
class PipelineText {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  steps(): Chain {
    const steps = this.#chain(0);
    if (this.#at < this.#text.length) throw this.#unexpected("`|` or the end");
    return steps;
  }

  #chain(depth: number): Chain {
    const steps: [Step, ...Step[]] = [this.#step(depth)];
    while (this.#take("|")) steps.push(this.#step(depth));
    return steps;
  }

  #branches(begin: number, depth: number): Step {
    if (depth > MAX_DEPTH) throw syntax(`more than ${MAX_DEPTH} braces in one another`);
    const branches: [Chain, ...Chain[]] = [this.#chain(depth)];
    while (this.#take("+")) branches.push(this.#chain(depth));
    if (!this.#take("}")) throw this.#unexpected("`|`, `+` or `}`");
    const text = this.#text.slice(begin, this.#at);
    this.#spaces();
    return sideBySide(text, branches);
  }

  #step(depth: number): Step {
    this.#spaces();
    const begin = this.#at;
    if (this.#take("{")) return this.#branches(begin, depth + 1);
    const name = /^[A-Za-z0-9]*/.exec(this.#text.slice(begin))?.[0] ?? "";
    if (name === "") throw this.#unexpected("the name of a step");
    const type = Object.hasOwn(STEPS, name) ? STEPS[name] : undefined;
    if (type === undefined) throw syntax(`there is no step ${name}; there are ${Object.keys(STEPS).join(", ")}`);
    this.#at += name.length;
    this.#spaces();
    const given = this.#take("(") ? this.#arguments(type) : [];
    const text = this.#text.slice(begin, this.#at).trim();
    this.#spaces();
    const args = new StepArguments(text, given);
    try {
      const convert = type.bind(args);
      args.end(type);
      return { text, name, args: given, branches: [], from: type.from, to: type.to, convert };
    } catch (error) {
      if (!(error instanceof CardError) || error.detail.startsWith(text)) throw error;
      throw new CardError(error.code, `${text}: ${error.detail}`, { cause: error });
    }
  }

  #arguments(type: StepType): string[] {
    if (type.takesPattern) return [this.#pattern()];
    const all: string[] = [];
    this.#spaces();
    if (this.#take(")")) return all;
    do all.push(this.#argument());
    while (this.#take(","));
    if (!this.#take(")")) throw this.#unexpected("`)`");
    return all;
  }

  #argument(): string {
    this.#spaces();
    let argument = "";
    /** Up to here the text is the argument's, even if it is a space. */
    let kept = 0;
    for (let c = this.#text[this.#at]; c !== undefined && c !== "," && c !== ")"; c = this.#text[this.#at]) {
      this.#at += 1;
      const escaped = c === "\\" ? this.#text[this.#at] : undefined;
      if (c === "\\" && (escaped === undefined || /[A-Za-z0-9]/.test(escaped))) {
        throw syntax(
          `at character ${this.#at}: \\ takes the meaning from a sign; before letters, digits and the end it is none`,
        );
      }
      if (escaped !== undefined) this.#at += 1;
      argument += escaped ?? c;
      if (escaped !== undefined || !SPACE.test(c)) kept = argument.length;
    }
    return argument.slice(0, kept);
  }

  /** Everything up to the parenthesis that closes the step; those in sets and behind `\` do not count. */
  #pattern(): string {
    const begin = this.#at;
    let depth = 1;
    let inSet = false;
    for (; this.#at < this.#text.length; this.#at += 1) {
      const c = this.#text[this.#at];
      if (c === "\\") this.#at += 1;
      else if (inSet) inSet = c !== "]";
      else if (c === "[") inSet = true;
      else if (c === "(") depth += 1;
      else if (c === ")") depth -= 1;
      if (depth === 0) {
        this.#at += 1;
        return this.#text.slice(begin, this.#at - 1);
      }
    }
    throw syntax("the pattern of regex has a ( without its ), or a [ without its ]");
  }

  #take(character: string): boolean {
    const there = this.#text[this.#at] === character;
    if (there) this.#at += 1;
    return there;
  }

  #spaces(): void {
    while (SPACE.test(this.#text[this.#at] ?? "")) this.#at += 1;
  }

  #unexpected(wanted: string): CardError {
    const found = this.#text[this.#at];
    return syntax(
      `at character ${this.#at + 1}: ${wanted} is expected, there is ${found === undefined ? "nothing" : `\`${found}\``}`,
    );
  }
}

class StepArguments implements Arguments {
  #taken = 0;
  readonly #step: string;
  readonly #given: readonly string[];

  constructor(step: string, given: readonly string[]) {
    this.#step = step;
    this.#given = given;
  }

  text(name: string): string {
    const text = this.optionalText(name);
    if (text === undefined) throw syntax(`${this.#step}: ${name} is missing`);
    return text;
  }

  optionalText(name: string): string | undefined {
    const text = this.#given[this.#taken];
    this.#taken += 1;
    if (text === "") throw syntax(`${this.#step}: ${name} is empty`);
    return text;
  }

  whole(name: string, min: number, max: number): number {
    return this.#number(this.text(name), name, min, max);
  }

  optionalWhole(name: string, min: number, max: number): number | undefined {
    const text = this.optionalText(name);
    return text === undefined ? undefined : this.#number(text, name, min, max);
  }

  word<W extends string>(name: string, words: readonly [W, ...W[]]): W {
    return this.#word(this.text(name), name, words);
  }

  optionalWord<W extends string>(name: string, words: readonly [W, ...W[]]): W | undefined {
    const text = this.optionalText(name);
    return text === undefined ? undefined : this.#word(text, name, words);
  }

  /** Called when the step has taken what it knows. */
  end(type: StepType): void {
    if (this.#given.length > this.#taken) throw syntax(`${this.#step}: too many arguments; it is ${type.usage}`);
  }

  #number(text: string, name: string, min: number, max: number): number {
    const number = /^-?[0-9]{1,6}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw syntax(`${this.#step}: ${name} is a whole number from ${min} to ${max}`);
  }

  #word<W extends string>(text: string, name: string, words: readonly [W, ...W[]]): W {
    const word = words.find((known) => known === text);
    if (word === undefined) throw syntax(`${this.#step}: ${name} is ${words.join(" or ")}`);
    return word;
  }
}
