import { CardError } from "../card-error.ts";

/** One function of a rule: its name and what stands in its parentheses. */
export interface Call {
  readonly name: string;
  readonly args: readonly string[];
  /** As written, for messages. */
  readonly text: string;
}

/** Longer than any rule; it bounds what is read and what an error can quote. */
const MAX_RULE = 1000;
const MAX_CALLS = 24;

export function refused(what: string, why: string): CardError {
  return new CardError("card-import-unsupported", `${what}: ${why}`);
}

export function bounded(rule: string): string {
  if (rule.length > MAX_RULE) throw refused("the rule", `it is longer than ${MAX_RULE} characters`);
  if (rule.trim() === "") throw refused("the rule", "it is empty");
  return rule;
}

/** Calls with the text between them: separators for the caller to judge. Arguments are taken as they are, without spaces around. */
export function calls(rule: string): { readonly calls: readonly Call[]; readonly between: readonly string[] } {
  const found: Call[] = [];
  const between: string[] = [];
  const call = /[A-Za-z][A-Za-z0-9_]*(?:\s*\(([^()]*)\))?/y;
  for (let at = 0; ; ) {
    const gap = /[^A-Za-z]*/y;
    gap.lastIndex = at;
    between.push(gap.exec(rule)?.[0] ?? "");
    at = gap.lastIndex;
    call.lastIndex = at;
    const match = call.exec(rule);
    if (match === null) return { calls: found, between };
    if (found.length === MAX_CALLS) throw refused("the rule", `it has more than ${MAX_CALLS} functions`);
    const [text, inner] = match;
    found.push({
      name: /^[A-Za-z0-9_]+/.exec(text)?.[0] ?? text,
      args: inner === undefined || inner.trim() === "" ? [] : inner.split(",").map((argument) => argument.trim()),
      text,
    });
    at = call.lastIndex;
  }
}

/** The arguments of one call, taken by form; each refusal names the function. */
export class CallArguments {
  readonly #call: Call;

  constructor(call: Call, least: number, most = least) {
    this.#call = call;
    if (call.args.length < least || call.args.length > most) {
      throw refused(call.name, `it takes ${least === most ? least : `${least} to ${most}`} parameters`);
    }
  }

  whole(at: number, min: number, max: number): number {
    const text = this.#call.args[at] ?? "";
    const number = /^-?[0-9]{1,4}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number === 0 ? 0 : number;
    throw refused(this.#call.name, `parameter ${at + 1} is a whole number from ${min} to ${max}`);
  }

  /** Without quotes and control characters: whether quotes are part of the text is not known. */
  word(at: number, most: number): string {
    const text = this.#call.args[at] ?? "";
    if (text === "" || text.length > most || !/^[\x21-\x7e]+$/.test(text) || /["'`]/.test(text)) {
      throw refused(this.#call.name, `parameter ${at + 1} is 1 to ${most} characters without spaces and quotes`);
    }
    return text;
  }
}
