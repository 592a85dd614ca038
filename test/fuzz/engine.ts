import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What one input did: a summary in which a new value means new behaviour, and so an input worth keeping. */
export type Behaviour = string;

/** Something that takes bytes from outside. */
export interface Target {
  readonly name: string;
  /** Good inputs, to begin with. */
  readonly seeds: readonly Uint8Array[];
  /** How many mutations `npm test` tries; a thousand by default. */
  readonly triedInTests?: number;
  /** Throws or rejects when a promise is broken: that is a finding. `random` chooses chunks and times. */
  run(input: Uint8Array, random: Random): Behaviour | Promise<Behaviour>;
  /** Gives back what runs opened. */
  close?(): Promise<void>;
}

/** Numbers that can be had again: xorshift32, seeded. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** 0 ≤ n < `below`. */
  below(below: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % below;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError("nothing to pick from");
    return picked;
  }
}

const LONGEST = 8192;
/** Ends of ranges, framing characters, lengths that lie. */
const TELLING = [0x00, 0x01, 0x02, 0x03, 0x0a, 0x0d, 0x1b, 0x25, 0x3b, 0x3f, 0x53, 0x7b, 0x7d, 0x7f, 0x80, 0xfe, 0xff];

/** One to four changes: bits, bytes, pieces left out, doubled, or taken from another input. */
export function mutated(input: Uint8Array, corpus: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(input);
  for (let times = 1 + random.below(4); times > 0; times -= 1) bytes = changed(bytes, corpus, random);
  return bytes.subarray(0, LONGEST);
}

function changed(bytes: Uint8Array, corpus: readonly Uint8Array[], random: Random): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(64, bytes.length - at + 1));
  const cut = (insert: Uint8Array, skip: number) =>
    Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + skip)]);
  switch (random.below(7)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.pick(TELLING);
      return bytes;
    case 2:
      return cut(Uint8Array.of(random.pick(TELLING)), 0);
    case 3:
      return cut(new Uint8Array(0), length);
    case 4:
      return cut(bytes.subarray(at, at + length), 0);
    case 5:
      return cut(
        Uint8Array.from({ length: 1 + random.below(32) }, () => random.below(256)),
        0,
      );
    default: {
      const other = random.pick(corpus);
      const from = random.below(other.length + 1);
      return cut(other.subarray(from, from + random.below(256)), length);
    }
  }
}

export interface Finding {
  readonly target: string;
  readonly error: Error;
  readonly input: Uint8Array;
  readonly seed: number;
  readonly file: string;
}

/** Inputs that were findings or showed new behaviour, one file each: its hexadecimal, so that a diff can show it. */
export class Corpus {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  inputs(target: string): Uint8Array[] {
    const folder = join(this.#folder, target);
    return filesIn(folder).map((name) => Uint8Array.fromHex(readFileSync(join(folder, name), "latin1").trim()));
  }

  /** The file. */
  keep(target: string, name: string, input: Uint8Array): string {
    const folder = join(this.#folder, target);
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${name}.hex`);
    writeFileSync(file, `${input.toHex()}\n`);
    return file;
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".hex"))
      .sort();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

export interface FuzzResult {
  readonly runs: number;
  readonly behaviours: number;
  readonly finding?: Finding;
  /** Of the whole process, from the first warm moment to the end. */
  readonly grownMiB: number;
  readonly slowestMs: number;
}

/** Beyond it an input is a hang in the making: a good one takes far less than a millisecond. */
const TOO_SLOW_MS = 2000;
const GROWTH_MIB = 64;
/** V8 has compiled and collected by then: what grows after it is the target's. */
const WARM_RUNS = 50_000;

/** What throws beside the promise, in a timer or a socket's listener, would end the agent: it is a finding too. */
async function inTime(result: Promise<Behaviour>): Promise<Behaviour> {
  let thrown = (_error: Error): void => {};
  const beside = new Promise<never>((_, reject) => {
    thrown = reject;
  });
  const timer = setTimeout(() => thrown(new Error(`nothing within ${TOO_SLOW_MS} ms`)), TOO_SLOW_MS);
  process.on("uncaughtException", thrown);
  try {
    return await Promise.race([result, beside]);
  } finally {
    clearTimeout(timer);
    process.off("uncaughtException", thrown);
  }
}

/** Tries inputs until `over()`; those that show new behaviour are built upon. Ends at the first finding. */
export async function fuzz(
  target: Target,
  corpus: Corpus,
  seed: number,
  over: (runs: number) => boolean,
): Promise<FuzzResult> {
  const random = new Random(seed);
  const pool = [...target.seeds, ...corpus.inputs(target.name)];
  const seen = new Set<Behaviour>();
  let runs = 0;
  let slowestMs = 0;
  /** What the pool itself holds is not the target's growth. */
  let kept = 0;
  let warm: number | undefined;
  const fail = (error: Error, input: Uint8Array): FuzzResult => {
    const file = corpus.keep(target.name, `finding-${seed}-${runs}`, input);
    const finding = { target: target.name, error, input, seed, file };
    return { runs, behaviours: seen.size, finding, grownMiB: 0, slowestMs };
  };
  while (!over(runs)) {
    const first = pool[runs];
    const input = first ?? mutated(random.pick(pool), pool, random);
    const begin = performance.now();
    try {
      const result = target.run(input, random);
      const behaviour = typeof result === "string" ? result : await inTime(result);
      if (!seen.has(behaviour) && seen.size < 5000) {
        seen.add(behaviour);
        if (first === undefined) {
          pool.push(Uint8Array.from(input));
          kept += input.length;
        }
      }
    } catch (error) {
      return fail(error instanceof Error ? error : new Error(String(error)), input);
    }
    const ms = performance.now() - begin;
    if (ms > slowestMs) slowestMs = ms;
    if (ms > TOO_SLOW_MS) return fail(new Error(`took ${Math.round(ms)} ms`), input);
    runs += 1;
    if (runs === WARM_RUNS) warm = process.memoryUsage.rss() - kept;
  }
  const grownMiB = warm === undefined ? 0 : (process.memoryUsage.rss() - kept - warm) / 2 ** 20;
  if (grownMiB > GROWTH_MIB) return fail(new Error(`grew by ${Math.round(grownMiB)} MiB`), new Uint8Array(0));
  return { runs, behaviours: seen.size, grownMiB, slowestMs };
}
