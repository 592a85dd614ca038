import { type Bits, fromBinary, toBinary } from "./bits.ts";
import { CardError } from "./card-error.ts";
import { bitsToBits, type StepTypes } from "./step-type.ts";

interface Parity {
  readonly at: number;
  readonly odd: boolean;
  readonly over: readonly number[];
}

/** One Wiegand word; bit 0 is the first transmitted. Ranges are [first, after the last). */
export interface WiegandFormat {
  readonly bitLength: number;
  readonly facility?: readonly [number, number];
  readonly number: readonly [number, number];
  /** In the order in which they are set: a later one may cover an earlier one. */
  readonly parities: readonly Parity[];
}

const between = (first: number, last: number): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);
const except = (first: number, last: number, remainder: number): readonly number[] =>
  between(first, last).filter((at) => at % 3 !== remainder);

/** 37 bits with or without a facility code: nothing in the word tells which. */
const PARITY_37: readonly Parity[] = [
  { at: 0, odd: false, over: between(1, 18) },
  { at: 36, odd: true, over: between(18, 35) },
];

/**
 * Layouts as the Proxmark client has them (wiegand_formats.c). N10002 is H10306 by another name. The last two are the
 * Corporate 1000 formats of 35 and 48 bits, whose parities cover each other, so that the order counts.
 */
export const WIEGAND_FORMATS = {
  H10301: {
    bitLength: 26,
    facility: [1, 9],
    number: [9, 25],
    parities: [
      { at: 0, odd: false, over: between(1, 12) },
      { at: 25, odd: true, over: between(13, 24) },
    ],
  },
  H10306: {
    bitLength: 34,
    facility: [1, 17],
    number: [17, 33],
    parities: [
      { at: 0, odd: false, over: between(1, 16) },
      { at: 33, odd: true, over: between(17, 32) },
    ],
  },
  H10302: { bitLength: 37, number: [1, 36], parities: PARITY_37 },
  H10304: { bitLength: 37, facility: [1, 17], number: [17, 36], parities: PARITY_37 },
  C1k35s: {
    bitLength: 35,
    facility: [2, 14],
    number: [14, 34],
    parities: [
      { at: 1, odd: false, over: except(2, 33, 1) },
      { at: 34, odd: true, over: except(1, 32, 0) },
      { at: 0, odd: true, over: between(1, 34) },
    ],
  },
  C1k48s: {
    bitLength: 48,
    facility: [2, 24],
    number: [24, 47],
    parities: [
      { at: 1, odd: false, over: except(3, 46, 2) },
      { at: 47, odd: true, over: except(2, 45, 1) },
      { at: 0, odd: true, over: between(1, 47) },
    ],
  },
} as const satisfies Readonly<Record<string, WiegandFormat>>;

export type WiegandName = keyof typeof WIEGAND_FORMATS;
export const WIEGAND_NAMES = ["H10301", "H10306", "H10302", "H10304", "C1k35s", "C1k48s"] as const satisfies readonly [
  WiegandName,
  ...WiegandName[],
];

const parityOf = ({ odd, over }: Parity, binary: string): string =>
  (over.filter((at) => binary[at] === "1").length % 2 === 1) === odd ? "0" : "1";

/** The word with each parity bit as its format wants it. */
export function withParity(format: WiegandFormat, word: Bits): Bits {
  let binary = toBinary(word);
  for (const parity of format.parities) {
    binary = binary.slice(0, parity.at) + parityOf(parity, binary) + binary.slice(parity.at + 1);
  }
  return fromBinary(binary);
}

/** Whether each parity bit of a word of the format's length is right. */
export function parityHolds(format: WiegandFormat, word: Bits): boolean {
  const binary = toBinary(word);
  return format.parities.every((parity) => binary[parity.at] === parityOf(parity, binary));
}

const PARTS = ["all", "facility", "number"] as const;

export const WIEGAND_STEPS: StepTypes = {
  wiegand: bitsToBits(
    {
      usage: "wiegand(format) | wiegand(format,all|facility|number) | wiegand(format,part,reject|warn|accept)",
      doc: `the bits of a Wiegand word without its parity bits: all (facility code, then number) or one of the two; wrong parity is rejected (default), told and let pass, or not looked at. Formats: ${WIEGAND_NAMES.join(", ")}`,
    },
    (args) => {
      const name = args.word("format", WIEGAND_NAMES);
      const part = args.optionalWord("part", PARTS) ?? "all";
      const policy = args.optionalWord("parity", ["reject", "warn", "accept"]) ?? "reject";
      const format: WiegandFormat = WIEGAND_FORMATS[name];
      const { facility = [0, 0], number } = format;
      if (part === "facility" && format.facility === undefined) {
        throw new CardError("card-pipeline-syntax", `${name} has no facility code`);
      }
      return (bits, warn) => {
        if (bits.bitLength !== format.bitLength) {
          throw new CardError("card-wrong-length", `${name} has ${format.bitLength} bits, the read ${bits.bitLength}`);
        }
        if (policy !== "accept" && !parityHolds(format, bits)) {
          const wrong = new CardError("card-parity-wrong", name);
          if (policy === "reject") throw wrong;
          warn(wrong);
        }
        const binary = toBinary(bits);
        return fromBinary(
          (part === "number" ? "" : binary.slice(...facility)) + (part === "facility" ? "" : binary.slice(...number)),
        );
      };
    },
  ),
};
