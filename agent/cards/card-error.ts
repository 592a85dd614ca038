import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

export const CARD_CODES = {
  "card-pipeline-syntax": {
    what: "The conversion pipeline cannot be read.",
    next: "Correct it at the place named; `printgate card convert --help` lists the steps.",
  },
  "card-pipeline-type": {
    what: "A step of the conversion pipeline gets text where it needs bits, or bits where it needs text.",
    next: "Put hexDecode or decDecode before the steps that work on bits, and toHex or toDec at the end.",
  },
  "card-pattern-unsupported": {
    what: "The pattern of a regex step uses something that is not supported.",
    next: "Write it with characters, classes, groups, alternatives, repeats and exactly one capturing group.",
  },
  "card-wrong-read": {
    what: "The reader delivers bits where its pipeline begins with text, or the other way round.",
    next: "Begin the reader's pipeline with a step that fits what the reader delivers.",
  },
  "card-empty": {
    what: "Nothing is left of the read after its conversion.",
    next: "Try the read with `printgate card convert` and correct the reader's pipeline.",
  },
  "card-no-match": {
    what: "The read does not match the pattern of its reader's pipeline.",
    next: "It may be another kind of card; try it with `printgate card convert` and widen the pattern if it is a good one.",
  },
  "card-not-hex": {
    what: "The read is not the hexadecimal number that its reader's pipeline expects.",
    next: "Try the read with `printgate card convert`; trim or cut what is not part of the number.",
  },
  "card-not-decimal": {
    what: "The read is not the decimal number that its reader's pipeline expects.",
    next: "Try the read with `printgate card convert`; trim or cut what is not part of the number.",
  },
  "card-not-binary": {
    what: "The read is not the binary number that its reader's pipeline expects.",
    next: "Try the read with `printgate card convert`; trim or cut what is not part of the number.",
  },
  "card-not-ascii": {
    what: "The decoded bytes of the read are not printable ASCII.",
    next: "Leave asciiHexDecode out of the reader's pipeline unless the reader encodes its text twice; trim what fills it up.",
  },
  "card-not-bytes": {
    what: "A step that works on whole bytes got a number of bits that is not a multiple of 8.",
    next: "Take the bits that are meant with bits(offset,length) first, or reverse with reverseBits(all).",
  },
  "card-too-long": {
    what: "The read is longer than its reader's pipeline can take.",
    next: "Check the reader's framing; cut the read, or give the step that is named more room.",
  },
  "card-too-short": {
    what: "The read is shorter than its reader's pipeline expects.",
    next: "Present the card again; if it stays, it is another kind of card or the reader drops leading zeros (padLeft).",
  },
  "card-checksum-wrong": {
    what: "The checksum in the read is wrong.",
    next: "Present the card again; if it stays, check the reader's cable and the kind of checksum.",
  },
  "card-wrong-length": {
    what: "The read has not as many bits as the Wiegand format of its reader's pipeline.",
    next: "Try the read with `printgate card convert`; it is another format, or bits(offset,length) must take the word out first.",
  },
  "card-parity-wrong": {
    what: "A parity bit of the Wiegand word is wrong.",
    next: "Present the card again; if only some cards do this, check the reader's cable; if all do, it is another Wiegand format.",
  },
  "card-import-unsupported": {
    what: "The rule of the other system has something that cannot be taken over.",
    next: "Correct the rule, or write that part as a pipeline; `printgate card learn` finds one from three cards.",
  },
  "card-import-open": {
    what: "The rule does something that its public manual leaves open, and it is not guessed.",
    next: "Answer the question that is named, or let `printgate card learn` find the pipeline from three cards.",
  },
  "card-export-unsupported": {
    what: "The pipeline has a step that the other system's rules cannot express.",
    next: "Do that step on one side only, or store the card numbers in another form there.",
  },
  "card-learn-input": {
    what: "These pairs of read and card number cannot be learned from.",
    next: "Give at least two, better three, different cards: what the reader sends, and the number that the server knows.",
  },
} as const satisfies CodeTable;

export type CardCode = keyof typeof CARD_CODES;

/** `detail` names the step and why, never the card number or a part of it. */
export class CardError extends codedError(CARD_CODES) {}
