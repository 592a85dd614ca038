import { CardError } from "./card-error.ts";

/**
 * Patterns of the regex step: a subset of JavaScript's regular expressions with the same meaning, matched in time
 * proportional to pattern times input whatever both are. JavaScript's own engine backtracks, so that a harmless looking
 * pattern and a crafted card could hold the whole agent for hours.
 *
 * Supported: characters, `.`, `[...]`, \d \w \s \D \W \S, escaped punctuation, `^`, `$`, `|`, (?:...), one capturing (...),
 * `* + ? {n} {n,} {n,m}` and their lazy forms.
 */
export interface Pattern {
  /** What the capturing group holds in the leftmost match; undefined where there is no match. Input: see MAX_INPUT. */
  capture(input: string): string | undefined;
}

/** UTF-16 code units; longer input is refused (card-too-long). */
export const MAX_INPUT = 128;
const MAX_STATES = 2000;
const MAX_DEPTH = 32;

type Test = (unit: number) => boolean;
type Node =
  | { readonly kind: "unit"; readonly test: Test }
  | { readonly kind: "start" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly Node[] }
  | { readonly kind: "capture"; readonly part: Node }
  | {
      readonly kind: "repeat";
      readonly part: Node;
      readonly min: number;
      readonly max: number;
      readonly lazy: boolean;
    };

const DIGIT: Test = (unit) => unit >= 0x30 && unit <= 0x39;
const WORD: Test = (unit) =>
  DIGIT(unit) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a) || unit === 0x5f;
const SPACE: Test = (unit) => /\s/.test(String.fromCharCode(unit));
const LINE_END: Test = (unit) => unit === 0x0a || unit === 0x0d || unit === 0x2028 || unit === 0x2029;
const not =
  (test: Test): Test =>
  (unit) =>
    !test(unit);
const CLASSES: Readonly<Record<string, Test>> = {
  d: DIGIT,
  D: not(DIGIT),
  w: WORD,
  W: not(WORD),
  s: SPACE,
  S: not(SPACE),
};

class Parser {
  #at = 0;
  #captures = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node {
    const node = this.#choice(0);
    if (this.#at < this.#text.length) this.#refuse("a ) without its (");
    if (this.#captures !== 1) this.#refuse(`${this.#captures} capturing groups, exactly one is needed`);
    return node;
  }

  #refuse(why: string): never {
    throw new CardError("card-pattern-unsupported", `${why}, at character ${this.#at + 1} of the pattern`);
  }

  #peek(text: string): boolean {
    return this.#text.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    const there = this.#peek(text);
    if (there) this.#at += text.length;
    return there;
  }

  #next(): string {
    const unit = this.#text[this.#at];
    if (unit === undefined) return this.#refuse("the pattern ends too early");
    this.#at += 1;
    return unit;
  }

  #choice(depth: number): Node {
    if (depth > MAX_DEPTH) this.#refuse("too many groups in groups");
    const parts: Node[] = [];
    do parts.push(this.#sequence(depth));
    while (this.#take("|"));
    return { kind: "choice", parts };
  }

  #sequence(depth: number): Node {
    const parts: Node[] = [];
    while (this.#at < this.#text.length && !this.#peek("|") && !this.#peek(")")) parts.push(this.#repeated(depth));
    return { kind: "sequence", parts };
  }

  #repeated(depth: number): Node {
    const captures = this.#captures;
    const part = this.#atom(depth);
    const bounds = this.#bounds();
    if (bounds === undefined) return part;
    const [min, max] = bounds;
    const lazy = this.#take("?");
    if (this.#captures !== captures)
      this.#refuse("the capturing group is repeated or optional; put the repeat inside it");
    if (part.kind === "start" || part.kind === "end") this.#refuse("^ or $ is repeated");
    // Rounds that match nothing are where engines differ; nobody needs them.
    if (max > 1 && matchesNothing(part)) this.#refuse("a part that can match nothing is repeated");
    if (this.#bounds() !== undefined) this.#refuse("a repeat of a repeat without a group");
    return { kind: "repeat", part, min, max, lazy };
  }

  #bounds(): readonly [number, number] | undefined {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    if (!this.#take("{")) return undefined;
    const [whole, low = "", comma, high = ""] = /^(\d{1,4})(,?)(\d{0,4})\}/.exec(this.#text.slice(this.#at)) ?? [];
    if (whole === undefined) return this.#refuse("{ that begins no {n}, {n,} or {n,m}; write \\{ for the character");
    this.#at += whole.length;
    const min = Number(low);
    const max = comma === "" ? min : high === "" ? Number.POSITIVE_INFINITY : Number(high);
    if (max < min) this.#refuse("{n,m} with m less than n");
    return [min, max];
  }

  #atom(depth: number): Node {
    const unit = this.#next();
    switch (unit) {
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "unit", test: not(LINE_END) };
      case "[":
        return { kind: "unit", test: this.#set() };
      case "(":
        return this.#group(depth);
      case "*":
      case "+":
      case "?":
      case "{":
      case "}":
      case "]":
        this.#at -= 1;
        return this.#refuse(`${unit} has nothing to its left that it belongs to; write \\${unit} for the character`);
      case "\\":
        return { kind: "unit", test: this.#escape() };
      default:
        return { kind: "unit", test: same(unit) };
    }
  }

  #group(depth: number): Node {
    if (this.#peek("?=") || this.#peek("?!") || this.#peek("?<=") || this.#peek("?<!")) this.#refuse("lookaround");
    const captures = !this.#take("?:");
    if (this.#peek("?")) this.#refuse("a group with a name or with flags");
    if (captures) this.#captures += 1;
    const part = this.#choice(depth + 1);
    if (!this.#take(")")) this.#refuse("a ( without its )");
    return captures ? { kind: "capture", part } : part;
  }

  #escape(): Test {
    const unit = this.#next();
    const named = Object.hasOwn(CLASSES, unit) ? CLASSES[unit] : undefined;
    if (named !== undefined) return named;
    if (DIGIT(unit.charCodeAt(0))) return this.#refuse("a backreference");
    if (WORD(unit.charCodeAt(0))) return this.#refuse(`\\${unit} is not supported`);
    return same(unit);
  }

  #set(): Test {
    const negated = this.#take("^");
    const tests: Test[] = [];
    while (!this.#take("]")) {
      const [low, test] = this.#member();
      if (this.#peek("-") && !this.#peek("-]")) {
        this.#at += 1;
        const [high] = this.#member();
        if (low === undefined || high === undefined || high < low) return this.#refuse("a range in [...] that is none");
        tests.push((unit) => unit >= low && unit <= high);
      } else tests.push(test);
    }
    const any: Test = (unit) => tests.some((test) => test(unit));
    return negated ? not(any) : any;
  }

  /** One member of a set: its code unit, unless it is a class. */
  #member(): readonly [number | undefined, Test] {
    const unit = this.#next();
    if (unit !== "\\") return [unit.charCodeAt(0), same(unit)];
    const escaped = this.#text[this.#at] ?? "";
    const test = this.#escape();
    return [Object.hasOwn(CLASSES, escaped) ? undefined : escaped.charCodeAt(0), test];
  }
}

const same = (wanted: string): Test => {
  const code = wanted.charCodeAt(0);
  return (unit) => unit === code;
};

function matchesNothing(node: Node): boolean {
  switch (node.kind) {
    case "unit":
      return false;
    case "start":
    case "end":
      return true;
    case "sequence":
      return node.parts.every(matchesNothing);
    case "choice":
      return node.parts.some(matchesNothing);
    case "capture":
      return matchesNothing(node.part);
    case "repeat":
      return node.min === 0 || matchesNothing(node.part);
  }
}

/** States of a non-deterministic automaton, by index. `first` is preferred to `second`, as a backtracking engine would. */
type State =
  | { readonly kind: "unit"; readonly test: Test; readonly next: number }
  | { readonly kind: "start" | "end" | "open" | "close"; readonly next: number }
  | { readonly kind: "split"; first: number; second: number }
  | { readonly kind: "found" };

class Automaton implements Pattern {
  readonly #states: State[] = [];
  readonly #entry: number;

  constructor(tree: Node) {
    this.#entry = this.#compile(tree, this.#add({ kind: "found" }));
  }

  /**
   * Tries in the order in which a backtracking engine would, but no (state, position) twice: it failed the first time,
   * and without backreferences it fails again. So the work is at most states × positions.
   */
  capture(input: string): string | undefined {
    if (input.length > MAX_INPUT) throw new CardError("card-too-long", `a regex step takes ${MAX_INPUT} characters`);
    const width = input.length + 1;
    const tried = new Uint8Array(this.#states.length * width);
    for (let begin = 0; begin <= input.length; begin += 1) {
      const stack: [state: number, at: number, open: number, close: number][] = [[this.#entry, begin, -1, -1]];
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        const [id, at, open, close] = top;
        const state = this.#states[id];
        if (state === undefined || tried[id * width + at] === 1) continue;
        tried[id * width + at] = 1;
        switch (state.kind) {
          case "found":
            return open < 0 ? undefined : input.slice(open, close);
          case "unit":
            if (at < input.length && state.test(input.charCodeAt(at))) stack.push([state.next, at + 1, open, close]);
            break;
          case "start":
            if (at === 0) stack.push([state.next, at, open, close]);
            break;
          case "end":
            if (at === input.length) stack.push([state.next, at, open, close]);
            break;
          case "open":
            stack.push([state.next, at, at, close]);
            break;
          case "close":
            stack.push([state.next, at, open, at]);
            break;
          case "split":
            stack.push([state.second, at, open, close], [state.first, at, open, close]);
            break;
        }
      }
    }
    return undefined;
  }

  #add(state: State): number {
    if (this.#states.length >= MAX_STATES) {
      throw new CardError("card-pattern-unsupported", "the repeats make the pattern too large");
    }
    return this.#states.push(state) - 1;
  }

  /** Builds from the end to the beginning; returns where `node` begins. */
  #compile(node: Node, next: number): number {
    switch (node.kind) {
      case "unit":
        return this.#add({ kind: "unit", test: node.test, next });
      case "start":
      case "end":
        return this.#add({ kind: node.kind, next });
      case "sequence":
        return node.parts.reduceRight((after, part) => this.#compile(part, after), next);
      case "choice":
        return node.parts
          .map((part) => this.#compile(part, next))
          .reduceRight((second, first) => this.#add({ kind: "split", first, second }));
      case "capture":
        return this.#add({ kind: "open", next: this.#compile(node.part, this.#add({ kind: "close", next })) });
      case "repeat":
        return this.#repeat(node, next);
    }
  }

  #repeat({ part, min, max, lazy }: Extract<Node, { kind: "repeat" }>, next: number): number {
    const branch = (again: number) =>
      this.#add({ kind: "split", first: lazy ? next : again, second: lazy ? again : next });
    let begin = next;
    if (max === Number.POSITIVE_INFINITY) {
      const loop: State = { kind: "split", first: next, second: next };
      begin = this.#add(loop);
      const again = this.#compile(part, begin);
      if (lazy) loop.second = again;
      else loop.first = again;
    } else for (let times = min; times < max; times += 1) begin = branch(this.#compile(part, begin));
    for (let times = 0; times < min; times += 1) begin = this.#compile(part, begin);
    return begin;
  }
}

/** @throws CardError card-pattern-unsupported, naming what is not supported and where. */
export function compilePattern(text: string): Pattern {
  return new Automaton(new Parser(text).parse());
}
