import type { Read } from "../../../drivers/reader.ts";
import { type CardCode, CardError } from "../card-error.ts";
import type { Chain } from "../chain.ts";
import { type Pipeline, parsePipeline, toCardNumber } from "../pipeline.ts";
import { commonPrefix } from "./hypothesis.ts";
import { bitOutputs, fieldOutputs, type Goal, goals, textOutputs } from "./outputs.ts";
import { type Probe, probes } from "./probes.ts";
import { anyRuns, fields, orders, slices } from "./slices.ts";
import { bitSources, textSources } from "./sources.ts";

/** One card: what the reader delivers, and the number that the server knows it by. */
export interface Pair {
  readonly read: Read;
  readonly number: string;
}

/** A card that would tell the pipelines apart. */
export interface Decider {
  /** What is special about it, such as `a card whose UID or word has 00 in byte 1 of 4`. */
  readonly card: string;
  readonly read: Read;
  /** What each pipeline makes of it, or the code with which it refuses it. */
  readonly numbers: readonly (
    | { readonly pipeline: string; readonly number: string }
    | { readonly pipeline: string; readonly refused: CardCode }
  )[];
}

/** All of these pipelines fit; no two of them do the same. */
export interface Learned {
  readonly verdict: "found" | "ambiguous" | "nothing";
  /** Simplest first. */
  readonly pipelines: readonly string[];
  /** Pipelines that fit too and are not in the list, because it has an end. */
  readonly more: number;
  readonly decider?: Decider;
  /** Where nothing fits: the pair (1 is the first) without which this pipeline does. Its number may be another card's. */
  readonly suspect?: { readonly pair: number; readonly pipeline: string };
  readonly tried: {
    readonly hypotheses: number;
    /** How the reads were understood. */
    readonly readings: readonly string[];
  };
}

const MAX_PAIRS = 50;
const MAX_READ = 512;
const MAX_NUMBER = 128;
/** Of those that fit, so many are compared, the simplest first. */
const MAX_COMPARED = 200;
const MAX_SHOWN = 8;
const MAX_SUSPECTS = 6;
const MIN_TELLING = 4;

/**
 * Every pipeline that turns each read into its number. It only searches: nothing is stored and nothing is logged.
 * @throws CardError card-learn-input when the pairs cannot be learned from.
 */
export function learn(pairs: readonly Pair[]): Learned {
  const { reads, numbers } = checked(pairs);
  const search = new Search(reads, numbers);
  let fitting = search.structured(goals(numbers));
  const suspect = fitting.length === 0 ? suspicious(reads, numbers) : undefined;
  // By the looser ways a single wrong pair fits something by chance.
  if (fitting.length === 0 && suspect === undefined) fitting = search.structured(constantInFront(numbers));
  if (fitting.length === 0 && suspect === undefined) fitting = search.anywhere(goals(numbers));
  const { kept, more, decider } = compare(fitting, probes(reads));
  const pipelines = kept.map(({ text }) => text);
  return {
    verdict: pipelines.length === 0 ? "nothing" : pipelines.length === 1 ? "found" : "ambiguous",
    pipelines,
    more,
    ...(decider === undefined ? {} : { decider }),
    ...(suspect === undefined ? {} : { suspect }),
    tried: search.tried,
  };
}

function checked(pairs: readonly Pair[]): { reads: Read[]; numbers: string[] } {
  const wrong = (detail: string) => new CardError("card-learn-input", detail);
  const known = new Map<string, Pair>();
  for (const [at, pair] of pairs.entries()) {
    const { read, number } = pair;
    const size = read.kind === "text" ? read.text.length : Math.ceil(read.bitLength / 4);
    if (size === 0 || size > MAX_READ) throw wrong(`the read of pair ${at + 1} is empty or longer than ${MAX_READ}`);
    if (number === "" || number.length > MAX_NUMBER) {
      throw wrong(`the number of pair ${at + 1} is empty or longer than ${MAX_NUMBER} characters`);
    }
    const key = read.kind === "text" ? read.text : `${Buffer.from(read.bytes).toString("hex")}:${read.bitLength}`;
    const other = known.get(key);
    if (other !== undefined && other.number !== number) throw wrong(`pair ${at + 1} has the read of another card`);
    known.set(key, pair);
  }
  const different = [...known.values()];
  if (different.length < 2) throw wrong("fewer than two different cards");
  if (different.length > MAX_PAIRS) throw wrong(`more than ${MAX_PAIRS} cards`);
  if (new Set(different.map(({ read }) => read.kind)).size > 1) throw wrong("some reads are text and some are bits");
  if (new Set(different.map(({ number }) => number)).size < 2) throw wrong("all cards have the same number");
  return { reads: different.map(({ read }) => read), numbers: different.map(({ number }) => number) };
}

/** A number that was typed wrong is the likeliest reason for nothing to fit. */
function suspicious(reads: readonly Read[], numbers: readonly string[]): Learned["suspect"] {
  if (reads.length < 3 || reads.length > MAX_SUSPECTS) return undefined;
  // With two cards left, short numbers fit something by chance.
  if (numbers.some(({ length }) => length < MIN_TELLING)) return undefined;
  for (const at of reads.keys()) {
    const others = numbers.filter((_, index) => index !== at);
    if (new Set(others).size < 2) continue;
    const [first] = new Search(
      reads.filter((_, index) => index !== at),
      others,
    ).structured(goals(others));
    if (first !== undefined) return { pair: at + 1, pipeline: first.text };
  }
  return undefined;
}

/** Digits that all numbers begin with may be the same because the site puts them there. */
function constantInFront(numbers: readonly string[]): Goal[] {
  const shared = commonPrefix(numbers).slice(0, 6);
  return Array.from(shared, (_, at) => shared.slice(0, at + 1))
    .filter((prefix) => numbers.every(({ length }) => length > prefix.length) && /^[0-9A-Za-z]+$/.test(prefix))
    .map((prefix) => ({
      numbers: numbers.map((number) => number.slice(prefix.length)),
      tail: [`prepend(${prefix})`],
    }));
}

class Search {
  readonly #reads: readonly Read[];
  readonly #numbers: readonly string[];
  readonly #texts: ReturnType<typeof textSources>;
  readonly #bits: ReturnType<typeof bitSources>;
  #hypotheses = 0;

  constructor(reads: readonly Read[], numbers: readonly string[]) {
    this.#reads = reads;
    this.#numbers = numbers;
    this.#texts = textSources(reads);
    this.#bits = bitSources(reads, this.#texts);
  }

  get tried(): Learned["tried"] {
    const readings = [...this.#texts, ...this.#bits].map(({ steps }) => steps.join(" | ") || "as it is");
    return { hypotheses: this.#hypotheses, readings: [...new Set(readings)] };
  }

  /** Sources × orders of bytes and bits × parts × ways to write, in the forms that card systems have. */
  structured(all: readonly Goal[]): Pipeline[] {
    const found = new Set<string>();
    const add = (steps: readonly string[], { tail }: Goal) =>
      found.add([...steps, ...tail].join(" | ") || "substring(0)");
    for (const source of this.#texts) {
      for (const goal of all) {
        this.#hypotheses += 1;
        for (const steps of textOutputs(source, goal)) add([...source.steps, ...steps], goal);
      }
    }
    for (const source of this.#bits) {
      for (const order of orders(source)) {
        for (const slice of slices(order)) {
          for (const goal of all) {
            this.#hypotheses += 1;
            for (const steps of bitOutputs(slice, goal)) add([...slice.steps, ...steps], goal);
          }
        }
        for (const pair of fields(order)) {
          for (const goal of all) {
            this.#hypotheses += 1;
            for (const steps of fieldOutputs(pair, goal)) add([...order.steps, ...steps], goal);
          }
        }
      }
    }
    return this.#verified(found);
  }

  /** The numbers in binary anywhere in the bits. */
  anywhere(all: readonly Goal[]): Pipeline[] {
    const found = new Set<string>();
    for (const source of this.#bits) {
      for (const order of orders(source)) {
        for (const goal of all) {
          this.#hypotheses += 1;
          for (const run of anyRuns(order, goal.numbers)) {
            for (const steps of bitOutputs(run, goal)) found.add([...run.steps, ...steps, ...goal.tail].join(" | "));
          }
        }
      }
    }
    return this.#verified(found);
  }

  /** Only what a real pipeline does counts; of what cannot be a pipeline, such as one that is too long, nothing is left. */
  #verified(texts: ReadonlySet<string>): Pipeline[] {
    const fits = (pipeline: Pipeline) =>
      this.#reads.every((read, at) => {
        const made = outcome(pipeline, read);
        return "number" in made && made.number === this.#numbers[at];
      });
    return [...texts]
      .flatMap((text) => {
        try {
          const pipeline = parsePipeline(text);
          return fits(pipeline) ? [{ pipeline, cost: cost(pipeline.steps) }] : [];
        } catch (error) {
          // A separator or prefix can be one that no argument or pattern may hold.
          if (error instanceof CardError) return [];
          throw error;
        }
      })
      .sort((a, b) => a.cost - b.cost || (a.pipeline.text < b.pipeline.text ? -1 : 1))
      .map(({ pipeline }) => pipeline);
  }
}

type Outcome = { readonly number: string } | { readonly refused: CardCode };

function outcome(pipeline: Pipeline, read: Read): Outcome {
  try {
    return { number: toCardNumber(pipeline, read) };
  } catch (error) {
    if (error instanceof CardError) return { refused: error.code };
    throw error;
  }
}

/** What a step costs beside the step itself: the likely ones come first, and those that check the read before those that do not. */
const WEIGHTS: Readonly<Record<string, number>> = {
  wiegand: -6,
  checksum: -12,
  luhn: -12,
  bits: 4,
  stripParity: 3,
  substring: 12,
  regex: 6,
  reverseBits: 3,
  swapNibbles: 4,
  invert: 6,
  stripZeros: 3,
  prepend: 4,
  asciiHexEncode: 2,
};

function cost(chain: Chain): number {
  return chain.reduce((sum, { name, args, branches }) => {
    const inner = branches.reduce((all, branch) => all + cost(branch), 0);
    // More bytes than the numbers need are less likely.
    const bytes = name === "decDecode" ? Number(args[0]) / 10 : 0;
    return sum + 10 + (WEIGHTS[name] ?? 0) + bytes + inner;
  }, 0);
}

interface Meaning {
  readonly pipeline: Pipeline;
  /** For each probe. */
  readonly outcomes: readonly Outcome[];
}

/** One pipeline of each meaning, and the card on which the first ones differ. */
function compare(fitting: readonly Pipeline[], all: readonly Probe[]) {
  const meanings = new Map<string, Meaning>();
  for (const pipeline of fitting.slice(0, MAX_COMPARED)) {
    const outcomes = all.map(({ read }) => outcome(pipeline, read));
    const key = JSON.stringify(outcomes);
    if (!meanings.has(key)) meanings.set(key, { pipeline, outcomes });
  }
  const found = [...meanings.values()];
  const shown = found.slice(0, MAX_SHOWN);
  const decider = shown.length < 2 ? undefined : decide(shown, all);
  return { kept: shown.map(({ pipeline }) => pipeline), more: found.length - shown.length, decider };
}

/** Where almost any card tells some of them apart, the best ordinary one: such a card is at hand. Otherwise the special one that does. */
function decide(shown: readonly Meaning[], all: readonly Probe[]): Decider | undefined {
  const count = all.map((_, at) => new Set(shown.map(({ outcomes }) => JSON.stringify(outcomes[at]))).size);
  const different = (at: number) => count[at] ?? 0;
  const ranked = [...all.keys()].sort((a, b) => different(b) - different(a) || a - b);
  const ordinary = ranked.filter((at) => all[at]?.special === undefined);
  const anyCard = ordinary.filter((at) => different(at) > 1).length * 4 > ordinary.length * 3;
  const best = anyCard ? ordinary[0] : (ranked.find((at) => all[at]?.special !== undefined) ?? ranked[0]);
  const probe = best === undefined ? undefined : all[best];
  if (best === undefined || probe === undefined) return undefined;
  return {
    card: anyCard ? "almost any other card" : (probe.special ?? "another card"),
    read: probe.read,
    numbers: shown.flatMap(({ pipeline: { text }, outcomes }) => {
      const result = outcomes[best];
      return result === undefined ? [] : [{ pipeline: text, ...result }];
    }),
  };
}
