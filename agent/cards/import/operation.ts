import { CardError } from "../card-error.ts";
import type { Chain, Step } from "../chain.ts";
import { argumentText } from "../grammar.ts";
import type { Pipeline } from "../pipeline.ts";

/**
 * What the rule languages of print servers have in common: text to text, one operation after the other. Each system's file
 * reads its rules into operations and writes operations as its rules; this file does the same with our pipelines.
 */
export type Operation =
  /** Between the number systems. What comes out has no zeros in front. */
  | { readonly do: "hexToDec" | "hexToBin" | "decToBin" | "binToDec" }
  | { readonly do: "decToHex" | "binToHex"; readonly case: HexCase }
  | { readonly do: "asciiDecode" | "safeqAsciiDecode" | "reversePairs" }
  /** A negative start counts from the end, a negative length leaves so many at the end. */
  | { readonly do: "part"; readonly start: number; readonly length?: number }
  | { readonly do: "prepend" | "append" | "cut"; readonly text: string }
  | { readonly do: "pad"; readonly fill: string; readonly width: number }
  | { readonly do: "match"; readonly pattern: string }
  | { readonly do: "join"; readonly branches: readonly (readonly Operation[])[] };

export type HexCase = "upper" | "lower";

/** A rule or a pipeline, taken over. */
export interface Taken {
  readonly text: string;
  /** Where the two may differ, and what was relied on. */
  readonly notes: readonly string[];
}

/** Bytes that decDecode makes room for: any number whose binary digits are not too long as a text. */
const ROOM = 64;

/** @throws CardError card-import-unsupported when there is nothing to do. */
export function pipelineText(operations: readonly Operation[]): string {
  // Every pipeline has a step; this one changes nothing.
  return operations.length === 0 ? "substring(0)" : operations.map(stepText).join(" | ");
}

function stepText(operation: Operation): string {
  switch (operation.do) {
    case "hexToDec":
      return "hexDecode | toDec";
    case "hexToBin":
      return "hexDecode | toBin | stripZeros";
    case "decToBin":
      return `decDecode(${ROOM}) | toBin | stripZeros`;
    case "binToDec":
      return "binDecode | toDec";
    case "decToHex":
      return `decDecode(${ROOM}) | toHex(${operation.case}) | stripZeros`;
    case "binToHex":
      return `binDecode | toHex(${operation.case}) | stripZeros`;
    case "asciiDecode":
      return "asciiHexDecode";
    case "safeqAsciiDecode":
      return "safeqAscii2Hex";
    case "reversePairs":
      return "reversePairs";
    case "part":
      return `substring(${operation.start}${operation.length === undefined ? "" : `,${operation.length}`})`;
    case "prepend":
    case "append":
    case "cut":
      return `${operation.do}(${argumentText(operation.text)})`;
    case "pad":
      return `padLeft(${argumentText(operation.fill)},${operation.width})`;
    case "match":
      return `regex(${operation.pattern})`;
    case "join":
      return `{ ${operation.branches.map(pipelineText).join(" + ")} }`;
  }
}

/** @throws CardError card-export-unsupported, naming the step that is no operation. */
export function operationsOf(pipeline: Pipeline): { operations: readonly Operation[]; notes: readonly string[] } {
  if (pipeline.from !== "text") {
    throw unsupported(pipeline.steps[0], "it takes bits, and the other system's rules begin with the reader's text");
  }
  const notes = new Set<string>();
  return { operations: read(pipeline.steps, notes), notes: [...notes] };
}

export function unsupported(step: Step | string, why: string): CardError {
  return new CardError("card-export-unsupported", `${typeof step === "string" ? step : step.text}: ${why}`);
}

function read(chain: Chain, notes: Set<string>): Operation[] {
  const operations: Operation[] = [];
  for (let at = 0; at < chain.length; ) {
    const step = chain[at];
    if (step === undefined) break;
    const { taken, found } =
      step.to === "bits" ? numbers(chain.slice(at), notes) : { taken: 1, found: texts(step, notes) };
    operations.push(...found);
    at += taken;
  }
  return operations;
}

function texts(step: Step, notes: Set<string>): Operation[] {
  const [first = "", second] = step.args;
  switch (step.name) {
    case "substring": {
      const start = Number(first);
      if (second === undefined) return start === 0 ? [] : [{ do: "part", start }];
      return [{ do: "part", start, length: Number(second) }];
    }
    case "prepend":
    case "append":
    case "cut":
      return [{ do: step.name, text: first }];
    case "padLeft":
      return [{ do: "pad", fill: first, width: Number(second) }];
    case "regex":
      return [{ do: "match", pattern: first }];
    case "stripPrefix":
      notes.add(`${step.text} refuses a read that begins otherwise, the rule does not`);
      return [{ do: "part", start: first.length }];
    case "stripSuffix":
      notes.add(`${step.text} refuses a read that ends otherwise, the rule does not`);
      return [{ do: "part", start: 0, length: -first.length }];
    case "trim":
      if (step.args.length > 0) break;
      notes.add("trim has no counterpart: the reader must send no spaces or control characters around the number");
      return [];
    case "reversePairs":
      return [{ do: "reversePairs" }];
    case "asciiHexDecode":
      return [{ do: "asciiDecode" }];
    case "safeqAscii2Hex":
      return [{ do: "safeqAsciiDecode" }];
    case "{":
      return [{ do: "join", branches: step.branches.map((branch) => read(branch, notes)) }];
  }
  throw unsupported(step, "it has no counterpart");
}

/** A decoding step, what happens to the bits, and the step that makes text again. */
function numbers(chain: readonly Step[], notes: Set<string>): { taken: number; found: Operation[] } {
  const end = chain.findIndex(({ from, to }) => from === "bits" && to === "text");
  const [decode, ...inner] = chain.slice(0, end);
  const encode = chain[end];
  if (decode === undefined || encode === undefined) throw unsupported(chain[0] ?? "", "it has no counterpart");
  const from = { hexDecode: "hex", decDecode: "dec", binDecode: "bin" }[decode.name];
  const to = { toHex: "hex", toDec: "dec", toBin: "bin" }[encode.name];
  if (from === undefined) throw unsupported(decode, "it has no counterpart");
  if (to === undefined) throw unsupported(encode, "it has no counterpart");
  const other = inner.find(({ name }) => name !== "reverseBytes");
  if (other !== undefined) throw unsupported(other, "it works on bits, the other system's rules on text");
  const reversed = inner.length % 2 === 1;
  if (reversed && from !== "hex") throw unsupported("reverseBytes", "the other system reverses hexadecimal text only");
  const found: Operation[] = reversed ? [{ do: "reversePairs" }] : [];
  const stripped = chain[end + 1]?.name === "stripZeros";
  const taken = end + (stripped ? 2 : 1);
  const hexCase = encode.args[0] === "lower" ? "lower" : "upper";
  if (from === to && from === "hex" && !stripped) {
    if (encode.args[1] !== undefined) throw unsupported(encode, "put padLeft(0,width) after it for that");
    notes.add(`the reader must send its hexadecimal digits in ${hexCase} case, as nothing changes the case there`);
    return { taken, found };
  }
  if (from === to) throw unsupported(encode, "from and to the same number system");
  if (to !== "dec" && !stripped) {
    throw unsupported(
      encode,
      "it keeps zeros in front, which the rule would lose: put stripZeros after it, then padLeft",
    );
  }
  found.push(conversion(from, to, hexCase));
  const width = to === "dec" && !stripped ? encode.args[0] : undefined;
  if (width !== undefined) found.push({ do: "pad", fill: "0", width: Number(width) });
  return { taken, found };
}

function conversion(from: string, to: string, hexCase: HexCase): Operation {
  if (to === "hex") return { do: from === "dec" ? "decToHex" : "binToHex", case: hexCase };
  if (to === "dec") return { do: from === "hex" ? "hexToDec" : "binToDec" };
  return { do: from === "hex" ? "hexToBin" : "decToBin" };
}
