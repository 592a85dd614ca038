import type { HexCase } from "../cards/import/operation.ts";
import { exportRule, importRule, SYSTEMS, type System } from "../cards/import/rule.ts";
import { DEFAULT_PIPELINES, type Pipeline, parsePipeline, type Trace, toCardNumber } from "../cards/pipeline.ts";
import { STEPS } from "../cards/steps.ts";
import { learnPairs } from "./card-learn.ts";
import { readOf } from "./card-read.ts";
import { type Command, CommandError, EXIT, type Invocation, textOption } from "./command.ts";

const STEP_LINES = Object.values(STEPS).map(({ usage, doc, from, to }) => `  ${usage}\n      ${from} to ${to}: ${doc}`);

export const command: Command = {
  summary: "convert a raw read into a card number, learn how, take over other systems' rules",
  help: `
usage: printgate card convert [--pipeline STEPS] [--kind text|hex|bits:N] RAW
       printgate card convert --import SYSTEM RULE [--hex-case upper|lower] RAW
       printgate card learn [--kind text|hex|bits:N] RAW=NUMBER ...
       printgate card learn [--kind text|hex|bits:N] --file FILE
       printgate card import SYSTEM RULE [--hex-case upper|lower]
       printgate card export SYSTEM PIPELINE

convert shows the card number that RAW becomes; with --json each step's result too. Only convert and learn show card numbers:
the ones that were typed, and none is kept.

learn finds the pipeline from cards of which you know both sides: RAW is what the reader sends, NUMBER what the server knows.
Take three cards that are as different as possible. It says "ambiguous" when several pipelines fit, and which card decides.
FILE has one card a line, RAW and NUMBER separated by a tab, comma, semicolon or =; quotes around either, # before a remark.

import shows the pipeline that does what a rule of another system does, export the rule that does what a pipeline does. What
cannot be said in the other language is refused, with the function or step.

  --pipeline STEPS  as a reader's \`pipeline\`: steps joined by |. Default: trim for text, toHex(upper) for bits.
  --kind text       RAW is the text that a reader sends (default)
  --kind hex        RAW is bytes in hexadecimal, such as a UID
  --kind bits:N     RAW is N bits in hexadecimal, the first one at the left; what is left over at the right does not count
  --import SYSTEM   the pipeline is made from RULE
  --hex-case        how a rule that leaves it open (SafeQ's Dec2Hex) writes hexadecimal digits
  --json            convert: {"cardNumber", "pipeline", "steps": [{"step", "text"} or {"step", "hex", "bits"}], "warnings"}
                    learn: {"verdict": "found", "ambiguous" or "nothing", "pipelines", "decider", ...}
                    import: {"pipeline", "notes"}; export: {"rule", "notes"}

Systems and their rules:
  papercut  'hex2dec', 'ascii-enc|hex2dec', '(.{10})' or 'card-no-regex=(.{10}) card-no-converter=hex2dec'
  savapage  'HEX,MSB' or 'DECIMAL,LSB'; 'DECIMAL,MSB,7' for numbers of 7 bytes; 'HEX,MSB,compat' with SavaPage's faults
  safeq     'ASCII2Hex;Hex2Dec;Substring(-8)', 'LeftPadding(0,3) + Substring(2,6)'; Dispatcher Paragon too
  myq       'reverse();hex2dec();lpad(10,0)'

Steps:
${STEP_LINES.join("\n")}
  { STEPS + STEPS }
      each branch gets the same value; what they give is put together: { bits(0,8) | toDec(3) + bits(8) | toDec(5) }

In an argument, \\ before a sign takes the sign as it is: remove(\\,) drops commas. The pattern of regex needs none of that:
it ends at its closing parenthesis. It knows characters, . [...] \\d \\w \\s ^ $ | (?:...) * + ? {n,m} and one (...).

Examples: printgate card convert --pipeline 'hexDecode | reverseBytes | toDec' 04A2B3C4
          printgate card learn 04A2B3C4=3300106756 703DF105=99695984 9EC85B60=1616627870

Exit codes: 0 done, for learn one pipeline fits; 1 it cannot be done, for learn none or several fit; 2 wrong usage.`,
  options: {
    pipeline: { type: "string" },
    kind: { type: "string" },
    import: { type: "string" },
    "hex-case": { type: "string" },
    file: { type: "string" },
  },
  async run(invocation) {
    const [action, ...words] = invocation.words;
    switch (action) {
      case "convert":
        return convert(invocation, words);
      case "learn":
        return learnPairs(invocation, words);
      case "import":
        return importShown(invocation, words);
      case "export":
        return exportShown(invocation, words);
      default:
        throw new CommandError("usage", "say `card convert`, `card learn`, `card import` or `card export`");
    }
  },
};

function convert(invocation: Invocation, words: readonly string[]): number {
  const { terminal } = invocation;
  const system = textOption(invocation, "import");
  const steps = textOption(invocation, "pipeline");
  if (system !== undefined && steps !== undefined) throw new CommandError("usage", "--import or --pipeline, not both");
  const [raw, rule] = system === undefined ? words : [words[1], words[0]];
  if (raw === undefined || words.length > (system === undefined ? 1 : 2)) {
    const takes = system === undefined ? "one RAW" : "one RULE and one RAW";
    throw new CommandError("usage", `card convert takes ${takes}; quote spaces`);
  }
  const read = readOf(raw, textOption(invocation, "kind") ?? "text");
  let pipeline: Pipeline = DEFAULT_PIPELINES[read.kind];
  if (steps !== undefined) pipeline = parsePipeline(steps);
  else if (system !== undefined) {
    const taken = importRule(systemOf(system), rule ?? "", { hexCase: hexCaseOf(invocation) });
    for (const note of taken.notes) terminal.note(`note: ${note}`);
    pipeline = parsePipeline(taken.text);
  }
  const traces: Trace[] = [];
  const warnings: { code: string; detail: string }[] = [];
  const cardNumber = toCardNumber(pipeline, read, {
    trace: (entry) => traces.push(entry),
    warn({ code, detail, row }) {
      terminal.note(`warning: ${code}: ${detail}\n  ${row.what}\n  ${row.next}`);
      warnings.push({ code, detail });
    },
  });
  terminal.line(cardNumber);
  terminal.result({ cardNumber, pipeline: pipeline.text, steps: traces.map(shown), warnings });
  return EXIT.ok;
}

function importShown(invocation: Invocation, words: readonly string[]): number {
  const [system, rule] = two(words, "card import takes SYSTEM and RULE");
  const { text, notes } = importRule(systemOf(system), rule, { hexCase: hexCaseOf(invocation) });
  invocation.terminal.line(text);
  for (const note of notes) invocation.terminal.note(`note: ${note}`);
  invocation.terminal.result({ pipeline: text, notes });
  return EXIT.ok;
}

function exportShown(invocation: Invocation, words: readonly string[]): number {
  const [system, pipeline] = two(words, "card export takes SYSTEM and PIPELINE");
  const { text, notes } = exportRule(systemOf(system), parsePipeline(pipeline));
  invocation.terminal.line(text);
  for (const note of notes) invocation.terminal.note(`note: ${note}`);
  invocation.terminal.result({ rule: text, notes });
  return EXIT.ok;
}

function two(words: readonly string[], takes: string): readonly [string, string] {
  const [first, second, ...rest] = words;
  if (first === undefined || second === undefined || rest.length > 0) {
    throw new CommandError("usage", `${takes}; quote spaces`);
  }
  return [first, second];
}

function systemOf(name: string): System {
  const system = SYSTEMS.find((known) => known === name);
  if (system === undefined) throw new CommandError("usage", `the system is ${SYSTEMS.join(", ")}`);
  return system;
}

function hexCaseOf(invocation: Invocation): HexCase | undefined {
  const name = textOption(invocation, "hex-case");
  if (name === undefined || name === "upper" || name === "lower") return name;
  throw new CommandError("usage", "--hex-case is upper or lower");
}

function shown({ step, value }: Trace): object {
  if (value.kind === "text") return { step, text: value.text };
  return { step, hex: Buffer.from(value.bytes).toString("hex").toUpperCase(), bits: value.bitLength };
}
