import type { Read } from "../../drivers/reader.ts";
import { type Bits, fromBinary, fromInteger, ofBytes, toBinary, toInteger, wholeBytes } from "./bits.ts";
import { CardError } from "./card-error.ts";
import { compilePattern } from "./pattern.ts";

/** What travels through a pipeline is a read, all the way. */
export type Value = Read;
export type Kind = Value["kind"];

/** The arguments of one step, taken in order. Each refusal is a card-pipeline-syntax. */
export interface Arguments {
  text(name: string): string;
  optionalText(name: string): string | undefined;
  whole(name: string, min: number, max: number): number;
  optionalWhole(name: string, min: number, max: number): number | undefined;
  word<W extends string>(name: string, words: readonly [W, ...W[]]): W;
  optionalWord<W extends string>(name: string, words: readonly [W, ...W[]]): W | undefined;
}

export interface StepType {
  /** As written, with its arguments: `cut(text)`. */
  readonly usage: string;
  readonly doc: string;
  readonly from: Kind;
  readonly to: Kind;
  /** Its one argument is a pattern: everything up to the matching parenthesis, taken as it is. */
  readonly takesPattern?: true;
  /** Reads the arguments once; the function converts one value of kind `from` into one of kind `to`. */
  bind(args: Arguments): (value: Value) => Value;
}

type Common = Pick<StepType, "usage" | "doc" | "takesPattern">;

const asText = (value: Value): string => {
  if (value.kind !== "text") throw new CardError("card-pipeline-type", "text is needed");
  return value.text;
};
const asBits = (value: Value): Bits => {
  if (value.kind !== "bits") throw new CardError("card-pipeline-type", "bits are needed");
  return value;
};
const ofText = (text: string): Value => ({ kind: "text", text });

const textToText = (common: Common, bind: (args: Arguments) => (text: string) => string): StepType => ({
  ...common,
  from: "text",
  to: "text",
  bind(args) {
    const convert = bind(args);
    return (value) => ofText(convert(asText(value)));
  },
});
const textToBits = (common: Common, bind: (args: Arguments) => (text: string) => Bits): StepType => ({
  ...common,
  from: "text",
  to: "bits",
  bind(args) {
    const convert = bind(args);
    return (value) => convert(asText(value));
  },
});
const bitsToBits = (common: Common, bind: (args: Arguments) => (bits: Bits) => Bits): StepType => ({
  ...common,
  from: "bits",
  to: "bits",
  bind(args) {
    const convert = bind(args);
    return (value) => convert(asBits(value));
  },
});
const bitsToText = (common: Common, bind: (args: Arguments) => (bits: Bits) => string): StepType => ({
  ...common,
  from: "bits",
  to: "text",
  bind(args) {
    const convert = bind(args);
    return (value) => ofText(convert(asBits(value)));
  },
});

const MAX_WIDTH = 512;

/** The part [offset, offset + length) of something `size` long; a negative offset counts from the end. */
function range(size: number, offset: number, length: number | undefined): readonly [number, number] {
  const from = offset < 0 ? size + offset : offset;
  const to = length === undefined ? size : from + length;
  // A shorter part would be another card's number, silently.
  if (from < 0 || from > size || to > size) throw new CardError("card-too-short", "it does not reach so far");
  return [from, to];
}

function trim(text: string, drop: (character: string) => boolean): string {
  let from = 0;
  let to = text.length;
  while (from < to && drop(text.charAt(from))) from += 1;
  while (to > from && drop(text.charAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

/** Four bits per digit, leading zeros and odd counts included. */
function hexDecode(text: string): Bits {
  if (!/^[0-9A-Fa-f]+$/.test(text)) throw new CardError("card-not-hex", "digits 0-9, A-F are needed");
  return fromBinary(Array.from(text, (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, "0")).join(""));
}

/** One entry per step: a new one needs nothing but its line here. */
export const STEPS: Readonly<Record<string, StepType>> = {
  trim: textToText(
    {
      usage: "trim | trim(chars)",
      doc: "drop these characters at both ends; without chars, spaces and control characters",
    },
    (args) => {
      const chars = args.optionalText("chars");
      const drop = chars === undefined ? (c: string) => c <= " " || c === "\x7f" : (c: string) => chars.includes(c);
      return (text) => trim(text, drop);
    },
  ),
  cut: textToText(
    { usage: "cut(text)", doc: "keep what is before the first `text`; all, if it is not there" },
    (args) => {
      const end = args.text("text");
      return (text) => text.split(end, 1)[0] ?? "";
    },
  ),
  remove: textToText({ usage: "remove(chars)", doc: "drop each of these characters everywhere" }, (args) => {
    const chars = args.text("chars");
    return (text) =>
      Array.from(text)
        .filter((c) => !chars.includes(c))
        .join("");
  }),
  substring: textToText(
    {
      usage: "substring(start) | substring(start,length)",
      doc: "a part of the text; a negative start counts from the end",
    },
    (args) => {
      const start = args.whole("start", -MAX_WIDTH, MAX_WIDTH);
      const length = args.optionalWhole("length", 1, MAX_WIDTH);
      return (text) => text.slice(...range(text.length, start, length));
    },
  ),
  regex: textToText(
    { usage: "regex(pattern)", doc: "what the pattern's one capturing group holds", takesPattern: true },
    (args) => {
      const pattern = compilePattern(args.text("pattern"));
      return (text) => {
        const captured = pattern.capture(text);
        if (captured === undefined) throw new CardError("card-no-match", "no match");
        return captured;
      };
    },
  ),
  padLeft: textToText(
    { usage: "padLeft(char,width)", doc: "put `char` in front until there are `width` characters; longer text stays" },
    (args) => {
      const fill = args.text("char");
      const width = args.whole("width", 1, MAX_WIDTH);
      if (fill.length !== 1) throw new CardError("card-pipeline-syntax", "char is one character");
      return (text) => text.padStart(width, fill);
    },
  ),
  case: textToText({ usage: "case(upper|lower)", doc: "upper or lower case" }, (args) => {
    const upper = args.word("case", ["upper", "lower"]) === "upper";
    return (text) => (upper ? text.toUpperCase() : text.toLowerCase());
  }),
  asciiHexDecode: textToText(
    { usage: "asciiHexDecode", doc: "hexadecimal codes of ASCII characters to these: 3034 is 04" },
    () => (text) => {
      const ascii = String.fromCharCode(...wholeBytes(hexDecode(text)));
      if (!/^[\x20-\x7e]*$/.test(ascii)) throw new CardError("card-not-ascii", "a byte outside 20-7E");
      return ascii;
    },
  ),
  hexDecode: textToBits({ usage: "hexDecode", doc: "hexadecimal digits to bits, four each" }, () => hexDecode),
  decDecode: textToBits({ usage: "decDecode(bytes)", doc: "a decimal number to so many bytes" }, (args) => {
    const bytes = args.whole("bytes", 1, 128);
    return (text) => {
      if (!/^[0-9]+$/.test(text)) throw new CardError("card-not-decimal", "digits 0-9 are needed");
      return fromInteger(BigInt(text), bytes * 8);
    };
  }),
  reverseBytes: bitsToBits({ usage: "reverseBytes", doc: "the last byte first" }, () => (bits) => {
    return ofBytes(wholeBytes(bits).toReversed());
  }),
  reverseBits: bitsToBits(
    { usage: "reverseBits(perByte|all)", doc: "the last bit first, in each byte or in the whole" },
    (args) => {
      if (args.word("how", ["perByte", "all"]) === "all") {
        return (bits) => fromBinary(Array.from(toBinary(bits)).reverse().join(""));
      }
      return (bits) => {
        const bytes = wholeBytes(bits).toReversed();
        return fromBinary(
          Array.from(toBinary(ofBytes(bytes)))
            .reverse()
            .join(""),
        );
      };
    },
  ),
  swapNibbles: bitsToBits({ usage: "swapNibbles", doc: "exchange the two halves of each byte" }, () => (bits) => {
    return ofBytes(wholeBytes(bits).map((byte) => ((byte & 0x0f) << 4) | (byte >> 4)));
  }),
  invert: bitsToBits({ usage: "invert", doc: "each 0 to 1 and each 1 to 0" }, () => (bits) => {
    return fromBinary(Array.from(toBinary(bits), (bit) => (bit === "0" ? "1" : "0")).join(""));
  }),
  bits: bitsToBits(
    {
      usage: "bits(offset) | bits(offset,length)",
      doc: "a part of the bits, 0 is the first; a negative offset counts from the end",
    },
    (args) => {
      const offset = args.whole("offset", -1024, 1024);
      const length = args.optionalWhole("length", 1, 1024);
      return (bits) => fromBinary(toBinary(bits).slice(...range(bits.bitLength, offset, length)));
    },
  ),
  checksum: bitsToBits(
    { usage: "checksum(xor8)", doc: "check the last byte, the XOR of those before it, and drop it" },
    (args) => {
      args.word("kind", ["xor8"]);
      return (bits) => {
        const bytes = wholeBytes(bits);
        if (bytes.length < 2) throw new CardError("card-too-short", "a checksum needs two bytes");
        if (bytes.reduce((sum, byte) => sum ^ byte, 0) !== 0) throw new CardError("card-checksum-wrong", "xor8");
        return ofBytes(bytes.slice(0, -1));
      };
    },
  ),
  toHex: bitsToText(
    {
      usage: "toHex | toHex(upper|lower) | toHex(upper|lower,width)",
      doc: "hexadecimal, leading zeros kept; zeros in front up to `width`",
    },
    (args) => {
      const lower = args.optionalWord("case", ["upper", "lower"]) === "lower";
      const width = args.optionalWhole("width", 1, MAX_WIDTH) ?? 0;
      return (bits) => {
        const digits =
          bits.bitLength === 0
            ? ""
            : toInteger(bits)
                .toString(16)
                .padStart(Math.ceil(bits.bitLength / 4), "0");
        return (lower ? digits : digits.toUpperCase()).padStart(width, "0");
      };
    },
  ),
  toDec: bitsToText({ usage: "toDec | toDec(width)", doc: "decimal; zeros in front up to `width`" }, (args) => {
    const width = args.optionalWhole("width", 1, MAX_WIDTH) ?? 0;
    return (bits) => (bits.bitLength === 0 ? "" : toInteger(bits).toString().padStart(width, "0"));
  }),
  toBin: bitsToText({ usage: "toBin", doc: "one 0 or 1 for each bit" }, () => toBinary),
};
