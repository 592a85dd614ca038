import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Bits, fromBinary, toBinary } from "../../../agent/cards/bits.ts";
import type { CardError } from "../../../agent/cards/card-error.ts";
import { parsePipeline, toCardNumber } from "../../../agent/cards/pipeline.ts";
import {
  parityHolds,
  WIEGAND_FORMATS,
  WIEGAND_NAMES,
  type WiegandFormat,
  type WiegandName,
  withParity,
} from "../../../agent/cards/wiegand.ts";
import { code, convert, failure, hex } from "./card-reads.ts";

/** format, facility code, number, the word as a number in hex, the word left-aligned as OSDP has it */
const VECTORS: readonly (readonly [WiegandName, string, string, string, string])[] = [
  ["H10301", "118", "1603", "2EC0C86", "BB032180"],
  ["H10301", "101", "1337", "0CA0A73", "32829CC0"],
  ["H10301", "31", "337", "23E02A3", "8F80A8C0"],
  ["H10301", "1", "1", "2020002", "80800080"],
  ["H10301", "255", "65535", "1FFFFFF", "7FFFFFC0"],
  ["H10306", "118", "1603", "200EC0C86", "803B032180"],
  ["H10306", "1234", "56789", "209A5BBAA", "82696EEA80"],
  ["H10302", "", "1234567890", "10932C05A5", "8499602D28"],
  ["H10302", "", "1603", "C86", "0000006430"],
  ["H10304", "1234", "123456", "104D23C481", "82691E2408"],
  ["H10304", "118", "1603", "1007600C86", "803B006430"],
  ["C1k35s", "118", "1603", "60EC00C87", "C1D80190E0"],
  ["C1k35s", "1234", "567890", "69A5154A4", "D34A2A9480"],
  ["C1k48s", "118", "1603", "400076000C86", "400076000C86"],
  ["C1k48s", "12345", "678901", "303914B7EA", "00303914B7EA"],
];

const formatOf = (name: WiegandName): WiegandFormat => WIEGAND_FORMATS[name];

function encode(name: WiegandName, facility: bigint, number: bigint): Bits {
  const format = formatOf(name);
  const bits = Array.from({ length: format.bitLength }, () => "0");
  const put = (value: bigint, [from, to]: readonly [number, number]) => {
    const binary = value.toString(2).padStart(to - from, "0");
    expect(binary).toHaveLength(to - from);
    bits.splice(from, to - from, ...binary);
  };
  if (format.facility !== undefined) put(facility, format.facility);
  put(number, format.number);
  return withParity(format, fromBinary(bits.join("")));
}

describe("a Wiegand word", () => {
  it.each(VECTORS)("%s FC %s CN %s as the number %s and left-aligned %s", (name, facility, number, right, left) => {
    const { bitLength } = formatOf(name);
    const word = hex(left, bitLength);
    // A reader that prints the word as a number drops zeros in front.
    const printed = (part: string) =>
      `padLeft(0,12) | hexDecode | bits(-${bitLength}) | wiegand(${name},${part}) | toDec`;
    expect(convert(`wiegand(${name},number) | toDec`, word)).toBe(number);
    expect(convert(printed("number"), right)).toBe(number);
    if (facility === "") {
      expect(code(() => convert(printed("facility"), right))).toBe("card-pipeline-syntax");
    } else {
      expect(convert(`wiegand(${name},facility) | toDec`, word)).toBe(facility);
      expect(convert(printed("facility"), right)).toBe(facility);
      const both = `{ wiegand(${name},facility) | toDec(3) | append(-) + wiegand(${name},number) | toDec(5) }`;
      expect(convert(both, word)).toBe(`${facility.padStart(3, "0")}-${number.padStart(5, "0")}`);
    }
    expect(toBinary(encode(name, BigInt(facility), BigInt(number)))).toBe(toBinary(fromBinary(convert("toBin", word))));
    expect(convert("toHex(upper,12)", word)).toBe(right.padStart(12, "0"));
  });

  const names = fc.constantFrom(...WIEGAND_NAMES);
  const wordOf = names.chain((name) => {
    const { bitLength } = formatOf(name);
    const bits = fc.string({ unit: fc.constantFrom("0", "1"), minLength: bitLength, maxLength: bitLength });
    return fc.tuple(
      fc.constant(name),
      bits.map((word) => withParity(formatOf(name), fromBinary(word))),
    );
  });

  it("comes back from its facility code and number", () => {
    fc.assert(
      fc.property(wordOf, ([name, word]) => {
        const part = (which: string) => BigInt(toCardNumber(parsePipeline(`wiegand(${name},${which}) | toDec`), word));
        const facility = formatOf(name).facility === undefined ? 0n : part("facility");
        expect(toBinary(encode(name, facility, part("number")))).toBe(toBinary(word));
      }),
    );
  });

  it("shows each single flipped bit, at every place", () => {
    fc.assert(
      fc.property(wordOf, ([name, word]) => {
        const binary = toBinary(word);
        for (let at = 0; at < binary.length; at += 1) {
          const flipped = fromBinary(binary.slice(0, at) + (binary[at] === "0" ? "1" : "0") + binary.slice(at + 1));
          expect(parityHolds(formatOf(name), flipped)).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("with wrong parity is rejected, told or taken, as it is configured", () => {
    const flipped = hex("BB032100", 26);
    const told: CardError[] = [];
    const number = (policy: string) =>
      toCardNumber(parsePipeline(`wiegand(H10301,number${policy}) | toDec`), flipped, {
        warn: (warning) => told.push(warning),
      });
    expect(code(() => number(""))).toBe("card-parity-wrong");
    expect(code(() => number(",reject"))).toBe("card-parity-wrong");
    expect(told).toEqual([]);
    expect(number(",accept")).toBe("1602");
    expect(told).toEqual([]);
    expect(number(",warn")).toBe("1602");
    expect(told.map(({ code: own, detail }) => [own, detail])).toEqual([
      ["card-parity-wrong", "step 1, wiegand(H10301,number,warn): H10301"],
    ]);
    expect(told[0]?.row.next).toContain("cable");
  });

  it("with right parity makes no warning", () => {
    const told: CardError[] = [];
    const pipeline = parsePipeline("{ wiegand(H10301,facility,warn) | toDec + wiegand(H10301,number,warn) | toDec }");
    expect(toCardNumber(pipeline, hex("BB032180", 26), { warn: (warning) => told.push(warning) })).toBe("1181603");
    expect(told).toEqual([]);
  });

  it.each(WIEGAND_NAMES)("of another length is no %s", (name) => {
    const { bitLength } = formatOf(name);
    for (const length of [bitLength - 1, bitLength + 1, 1]) {
      const error = failure(() => convert(`wiegand(${name}) | toHex`, fromBinary("0".repeat(length))));
      expect([error.code, error.detail.includes(`${name} has ${bitLength} bits`)]).toEqual(["card-wrong-length", true]);
    }
  });

  it("of 37 bits is what is configured, as nothing in it tells", () => {
    const word = hex("8499602D28", 37);
    expect(convert("wiegand(H10302,number)|toDec", word)).toBe("1234567890");
    expect(convert("wiegand(H10304,number)|toDec", word)).toBe("393938");
    expect(convert("wiegand(H10304,facility)|toDec", word)).toBe("2354");
  });

  it("is refused by a wrong name, part or policy", () => {
    for (const step of [
      "wiegand",
      "wiegand(H10300)",
      "wiegand(H10301,fc)",
      "wiegand(H10301,all,maybe)",
      "wiegand(h10301)",
    ]) {
      expect(code(() => parsePipeline(`${step} | toHex`))).toBe("card-pipeline-syntax");
    }
  });
});
