import { type Bits, fromBinary, fromInteger, wholeBytes } from "./bits.ts";
import { CardError } from "./card-error.ts";
import { compilePattern } from "./pattern.ts";
import { MAX_WIDTH, range, type StepTypes, textToBits, textToText } from "./step-type.ts";

/** Also what a name, a prefix or a constant of a rule may be at most; more is no card. */
const MAX_AFFIX = 64;

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

function decimal(text: string): string {
  if (!/^[0-9]+$/.test(text)) throw new CardError("card-not-decimal", "digits 0-9 are needed");
  return text;
}

/** The digit that makes the weighted sum of ISO/IEC 7812-1 annex B a multiple of ten. */
function luhnDigit(digits: string): number {
  let sum = 0;
  for (let at = digits.length - 1, double = true; at >= 0; at -= 1, double = !double) {
    const digit = Number(digits.charAt(at)) * (double ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return (10 - (sum % 10)) % 10;
}

function affix(text: string): string {
  if (text.length > MAX_AFFIX) {
    throw new CardError("card-pipeline-syntax", `the text is at most ${MAX_AFFIX} characters`);
  }
  return text;
}

/** The steps that begin with text. */
export const TEXT_STEPS: StepTypes = {
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
  stripPrefix: textToText(
    { usage: "stripPrefix(text)", doc: "drop `text`, which the read must begin with" },
    (args) => {
      const prefix = affix(args.text("text"));
      return (text) => {
        if (!text.startsWith(prefix)) throw new CardError("card-no-match", "it does not begin so");
        return text.slice(prefix.length);
      };
    },
  ),
  stripSuffix: textToText({ usage: "stripSuffix(text)", doc: "drop `text`, which the read must end with" }, (args) => {
    const suffix = affix(args.text("text"));
    return (text) => {
      if (!text.endsWith(suffix)) throw new CardError("card-no-match", "it does not end so");
      return text.slice(0, text.length - suffix.length);
    };
  }),
  prepend: textToText({ usage: "prepend(text)", doc: "put `text` in front" }, (args) => {
    const prefix = affix(args.text("text"));
    return (text) => prefix + text;
  }),
  append: textToText({ usage: "append(text)", doc: "put `text` behind" }, (args) => {
    const suffix = affix(args.text("text"));
    return (text) => text + suffix;
  }),
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
      doc: "a part of the text; a negative start counts from the end, a negative length leaves so many at the end",
    },
    (args) => {
      const start = args.whole("start", -MAX_WIDTH, MAX_WIDTH);
      const length = args.optionalWhole("length", -MAX_WIDTH, MAX_WIDTH);
      if (length === 0) throw new CardError("card-pipeline-syntax", "a part of no characters is no card number");
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
  stripZeros: textToText(
    { usage: "stripZeros", doc: "drop the zeros in front, as a number has none; the last character stays" },
    () => (text) => text.replace(/^0+(?=.)/s, ""),
  ),
  case: textToText({ usage: "case(upper|lower)", doc: "upper or lower case" }, (args) => {
    const upper = args.word("case", ["upper", "lower"]) === "upper";
    return (text) => (upper ? text.toUpperCase() : text.toLowerCase());
  }),
  reversePairs: textToText(
    { usage: "reversePairs", doc: "the last two characters first, and so on: 1234AB is AB3412" },
    () => (text) => {
      if (text.length % 2 !== 0) throw new CardError("card-not-bytes", "an odd number of characters");
      return (text.match(/../gs) ?? []).reverse().join("");
    },
  ),
  luhn: textToText(
    { usage: "luhn | luhn(keep)", doc: "check the last digit, the Luhn digit of those before it, and drop or keep it" },
    (args) => {
      const keep = args.optionalWord("keep", ["keep"]) !== undefined;
      return (text) => {
        if (decimal(text).length < 2) throw new CardError("card-too-short", "a checksum needs two digits");
        const number = text.slice(0, -1);
        if (!text.endsWith(String(luhnDigit(number)))) throw new CardError("card-checksum-wrong", "luhn");
        return keep ? text : number;
      };
    },
  ),
  asciiHexDecode: textToText(
    { usage: "asciiHexDecode", doc: "hexadecimal codes of ASCII characters to these: 3034 is 04" },
    () => (text) => {
      const ascii = String.fromCharCode(...wholeBytes(hexDecode(text)));
      if (!/^[\x20-\x7e]*$/.test(ascii)) throw new CardError("card-not-ascii", "a byte outside 20-7E");
      return ascii;
    },
  ),
  asciiHexEncode: textToText(
    { usage: "asciiHexEncode", doc: "ASCII characters to their hexadecimal codes: 04 is 3034" },
    () => (text) => {
      if (!/^[\x20-\x7e]*$/.test(text)) throw new CardError("card-not-ascii", "a character outside 20-7E");
      return Buffer.from(text, "latin1").toString("hex").toUpperCase();
    },
  ),
  hexDecode: textToBits({ usage: "hexDecode", doc: "hexadecimal digits to bits, four each" }, () => hexDecode),
  decDecode: textToBits({ usage: "decDecode(bytes)", doc: "a decimal number to so many bytes" }, (args) => {
    const bytes = args.whole("bytes", 1, 128);
    return (text) => fromInteger(BigInt(decimal(text)), bytes * 8);
  }),
  binDecode: textToBits({ usage: "binDecode", doc: "one bit for each 0 or 1" }, () => (text) => {
    if (!/^[01]+$/.test(text)) throw new CardError("card-not-binary", "digits 0 and 1 are needed");
    return fromBinary(text);
  }),
};
