import type { Read } from "../../drivers/reader.ts";
import { MAX_BITS, ofBytes } from "../cards/bits.ts";
import { DEFAULT_PIPELINES, parsePipeline, type Trace, toCardNumber } from "../cards/pipeline.ts";
import { STEPS } from "../cards/steps.ts";
import { type Command, CommandError, EXIT, textOption } from "./command.ts";

const STEP_LINES = Object.values(STEPS).map(({ usage, doc, from, to }) => `  ${usage}\n      ${from} to ${to}: ${doc}`);

export const command: Command = {
  summary: "convert a raw read into a card number",
  help: `
usage: printgate card convert [--pipeline STEPS] [--kind text|hex|bits:N] RAW

Shows the card number that RAW becomes; with --json each step's result too. This is the only command that shows a card
number: the one that was typed.

  --pipeline STEPS  as a reader's \`pipeline\`: steps joined by |. Default: trim for text, toHex(upper) for bits.
  --kind text       RAW is the text that a reader sends (default)
  --kind hex        RAW is bytes in hexadecimal, such as a UID
  --kind bits:N     RAW is N bits in hexadecimal, the first one at the left; what is left over at the right does not count
  --json            {"cardNumber", "steps": [{"step", "text"} or {"step", "hex", "bits"}]}

Steps:
${STEP_LINES.join("\n")}

In an argument, \\ before a sign takes the sign as it is: remove(\\,) drops commas. The pattern of regex needs none of that:
it ends at its closing parenthesis. It knows characters, . [...] \\d \\w \\s ^ $ | (?:...) * + ? {n,m} and one (...).

Example: printgate card convert --pipeline 'hexDecode | reverseBytes | toDec' 04A2B3C4

Exit codes: 0 converted, 1 it cannot be converted, 2 wrong usage.`,
  options: { pipeline: { type: "string" }, kind: { type: "string" } },
  async run(invocation) {
    const [action, raw, ...rest] = invocation.words;
    if (action !== "convert") throw new CommandError("usage", "say `card convert RAW`");
    if (raw === undefined || rest.length > 0)
      throw new CommandError("usage", "card convert takes one RAW; quote spaces");
    const read = readOf(raw, textOption(invocation, "kind") ?? "text");
    const steps = textOption(invocation, "pipeline");
    const pipeline = steps === undefined ? DEFAULT_PIPELINES[read.kind] : parsePipeline(steps);
    const traces: Trace[] = [];
    const cardNumber = toCardNumber(pipeline, read, { trace: (entry) => traces.push(entry) });
    invocation.terminal.line(cardNumber);
    invocation.terminal.result({ cardNumber, steps: traces.map(shown) });
    return EXIT.ok;
  },
};

function readOf(raw: string, kind: string): Read {
  if (kind === "text") return { kind: "text", text: raw };
  const bits = kind === "hex" ? raw.length * 4 : Number(/^bits:([1-9][0-9]{0,3})$/.exec(kind)?.[1] ?? Number.NaN);
  if (!(bits >= 0 && bits <= MAX_BITS))
    throw new CommandError("usage", `--kind is text, hex or bits:N, N at most ${MAX_BITS}`);
  const whole = raw.length % 2 === 0 && /^[0-9A-Fa-f]+$/.test(raw);
  if (!whole || raw.length * 4 < bits)
    throw new CommandError("usage", `RAW is not ${bits} bits in hexadecimal, two digits per byte`);
  return { ...ofBytes(Uint8Array.fromHex(raw)), bitLength: bits };
}

function shown({ step, value }: Trace): object {
  if (value.kind === "text") return { step, text: value.text };
  return { step, hex: Buffer.from(value.bytes).toString("hex").toUpperCase(), bits: value.bitLength };
}
