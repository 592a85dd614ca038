import { fromBinary, ofBytes, toBinary, toInteger, wholeBytes } from "./bits.ts";
import { CardError } from "./card-error.ts";
import { bitsToBits, bitsToText, MAX_WIDTH, range, type StepTypes } from "./step-type.ts";

const reversed = (binary: string): string => Array.from(binary).reverse().join("");

const CHECKSUMS = {
  xor8: (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum ^ byte, 0),
  sum8: (bytes: Uint8Array) => bytes.reduce((sum, byte) => (sum + byte) & 0xff, 0),
} as const;

/** The steps that begin with bits. */
export const BIT_STEPS: StepTypes = {
  reverseBytes: bitsToBits({ usage: "reverseBytes", doc: "the last byte first" }, () => (bits) => {
    return ofBytes(wholeBytes(bits).toReversed());
  }),
  reverseBits: bitsToBits(
    { usage: "reverseBits(perByte|all)", doc: "the last bit first, in each byte or in the whole" },
    (args) => {
      if (args.word("how", ["perByte", "all"]) === "all") return (bits) => fromBinary(reversed(toBinary(bits)));
      return (bits) => fromBinary(reversed(toBinary(ofBytes(wholeBytes(bits).toReversed()))));
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
  stripParity: bitsToBits(
    {
      usage: "stripParity(lead,trail)",
      doc: "drop so many bits in front and at the end without a look at them, as rf IDEAS readers count them",
    },
    (args) => {
      const lead = args.whole("lead", 0, 15);
      const trail = args.whole("trail", 0, 15);
      return (bits) =>
        fromBinary(toBinary(bits).slice(...range(bits.bitLength, lead, trail === 0 ? undefined : -trail)));
    },
  ),
  checksum: bitsToBits(
    {
      usage: "checksum(xor8|sum8) | checksum(xor8|sum8,keep)",
      doc: "check the last byte, the XOR or the sum of those before it, and drop or keep it",
    },
    (args) => {
      const kind = args.word("kind", ["xor8", "sum8"]);
      const keep = args.optionalWord("keep", ["keep"]) !== undefined;
      return (bits) => {
        const bytes = wholeBytes(bits);
        if (bytes.length < 2) throw new CardError("card-too-short", "a checksum needs two bytes");
        const number = bytes.slice(0, -1);
        if (CHECKSUMS[kind](number) !== bytes.at(-1)) throw new CardError("card-checksum-wrong", kind);
        return keep ? bits : ofBytes(number);
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
