import { readFile } from "node:fs/promises";
import { type Learned, learn, type Pair } from "../cards/learn/learn.ts";
import { rawOf, readOf } from "./card-read.ts";
import { CommandError, EXIT, type Invocation, textOption } from "./command.ts";

const MAX_FILE = 64 * 1024;

/** `printgate card learn`: shows card numbers to the person who typed them, and nobody else. */
export async function learnPairs(invocation: Invocation, words: readonly string[]): Promise<number> {
  const kind = textOption(invocation, "kind") ?? "text";
  const file = textOption(invocation, "file");
  if ((file === undefined) === (words.length === 0)) {
    throw new CommandError("usage", "card learn takes RAW=NUMBER for each card, or --file FILE");
  }
  const typed = file === undefined ? words.map((word) => splitAtLast(word, "=")) : pairsOf(await text(file));
  const pairs: Pair[] = typed.map(([raw, number]) => ({ read: readOf(raw, kind), number }));
  const learned = learn(pairs);
  for (const line of shown(learned, pairs.length, kind)) invocation.terminal.line(line);
  const { decider, ...rest } = learned;
  invocation.terminal.result({
    ...rest,
    ...(decider === undefined ? {} : { decider: { ...decider, read: rawOf(decider.read) } }),
  });
  return learned.verdict === "found" ? EXIT.ok : EXIT.failed;
}

async function text(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new CommandError("usage", `${file} cannot be read`, { cause: error });
  });
  if (bytes.length > MAX_FILE) throw new CommandError("usage", `${file} is longer than ${MAX_FILE} bytes`);
  return bytes.toString("latin1");
}

/** A read can have the sign too, a number does not. */
function splitAtLast(line: string, sign: string): readonly [string, string] {
  const at = line.lastIndexOf(sign);
  if (at <= 0 || at === line.length - 1) throw new CommandError("usage", "a card is RAW=NUMBER, neither of them empty");
  return [line.slice(0, at), line.slice(at + 1)];
}

/** The separator is the first of these that every line has. */
const SEPARATORS = ["\t", ",", ";", "="];

export function pairsOf(file: string): (readonly [string, string])[] {
  const lines = file
    .replace(/^\u00ef\u00bb\u00bf/, "")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const quoted = lines.map((line) => /^\s*"((?:[^"]|"")*)"\s*[\t,;=]\s*(.*?)\s*$/.exec(line));
  const separator = SEPARATORS.find((sign) => lines.every((line, at) => quoted[at] !== null || line.includes(sign)));
  if (separator === undefined) throw new CommandError("usage", "a line of the file has no tab, comma, semicolon or =");
  return lines.flatMap((line, at) => {
    const [, raw, rest] = quoted[at] ?? [];
    const [read, number] =
      raw === undefined ? splitAtLast(line, separator).map((side) => side.trim()) : [raw.replaceAll('""', '"'), rest];
    const bare = /^"(.*)"$/.exec(number ?? "")?.[1] ?? number ?? "";
    // The heading of a table.
    if (at === 0 && /[a-z]/i.test(read ?? "") && /^(card ?)?(number|no\.?|id)$/i.test(bare)) return [];
    return [[read ?? "", bare] as const];
  });
}

function* shown(learned: Learned, cards: number, kind: string): Generator<string> {
  const { verdict, pipelines, more, decider, suspect, tried } = learned;
  if (verdict === "found") {
    yield `Found: one pipeline fits all ${cards} cards.`;
    yield `  ${pipelines[0]}`;
    if (cards < 3) yield "Two cards can fit by chance: try a third one.";
    return;
  }
  if (verdict === "nothing") {
    yield `Nothing fits all ${cards} cards: ${tried.hypotheses} combinations were tried.`;
    yield `The reads were taken${kind === "text" ? "" : ` as ${kind},`} as: ${tried.readings.slice(0, 12).join("; ") || "nothing"}.`;
    yield suspect === undefined
      ? "Check that each number belongs to its card. If they do, the server's number is not made from this read alone: many\nsystems print a number on the card that is in a list only."
      : `Without card ${suspect.pair} this one fits: ${suspect.pipeline}\nCheck the read and the number of that card.`;
    return;
  }
  yield `Ambiguous: ${pipelines.length + more} pipelines fit all ${cards} cards and differ for others. The simplest first:`;
  for (const [at, pipeline] of pipelines.entries()) yield `  ${at + 1}  ${pipeline}`;
  if (more > 0) yield `  and ${more} more`;
  if (decider === undefined) return;
  yield `What decides: ${decider.card}. With a read of ${JSON.stringify(rawOf(decider.read))} the number would be`;
  for (const [at, made] of decider.numbers.entries()) {
    yield `  ${at + 1}  ${"number" in made ? made.number : `none: it is refused, ${made.refused}`}`;
  }
}
