import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CardCode, CardError } from "../../../agent/cards/card-error.ts";
import { MAX_TEXT } from "../../../agent/cards/chain.ts";
import { parsePipeline, toCardNumber } from "../../../agent/cards/pipeline.ts";
import type { Kind } from "../../../agent/cards/step-type.ts";
import { STEPS } from "../../../agent/cards/steps.ts";
import type { Read } from "../../../drivers/reader.ts";
import { code, convert, failure, hex } from "./card-reads.ts";

describe("a step", () => {
  it.each<[string, Read | string, string]>([
    ["stripPrefix(ID:)", "ID:04A2", "04A2"],
    ["stripSuffix(\\ H)", "04A2 H", "04A2"],
    ["prepend(AB)", "123456", "AB123456"],
    ["append(\\,)", "123456", "123456,"],
    ["substring(2,-2)", "123456", "34"],
    ["substring(-4,-1)", "123456", "345"],
    ["stripZeros", "0007625328", "7625328"],
    ["stripZeros", "0000", "0"],
    ["stripZeros", "100", "100"],
    ["reversePairs", "1234AB", "AB3412"],
    ["reversePairs", "04a2B3c4", "c4B3a204"],
    ["luhn", "79927398713", "7992739871"],
    ["luhn(keep)", "79927398713", "79927398713"],
    ["asciiHexEncode", "946EBD28", "3934364542443238"],
    ["asciiHexDecode | asciiHexEncode", "3934364542443238", "3934364542443238"],
    ["binDecode | toHex", "00000100101000101011001111000100", "04A2B3C4"],
    ["binDecode | toDec", "11000011010110111", "100023"],
    ["stripParity(1,1) | toHex", hex("BB032180", 26), "760643"],
    ["stripParity(0,1) | toBin", hex("A0", 4), "101"],
    ["stripParity(2,0) | toBin", hex("A0", 4), "10"],
    ["hexDecode | checksum(xor8) | toHex", "04A2B3C4D1", "04A2B3C4"],
    ["hexDecode | checksum(sum8) | toHex", "04A2B3C41D", "04A2B3C4"],
    ["hexDecode | checksum(xor8,keep) | toHex", "04A2B3C4D1", "04A2B3C4D1"],
  ])("%s of %j is %s", (pipeline, read, wanted) => expect(convert(pipeline, read)).toBe(wanted));

  it.each<[string, Read | string, CardCode]>([
    ["stripPrefix(ID:)", "id:04A2", "card-no-match"],
    ["stripSuffix(H)", "04A2", "card-no-match"],
    ["stripPrefix(AB)", "AB", "card-empty"],
    ["substring(3,-3)", "12345", "card-too-short"],
    ["substring(-2,-3)", "12345", "card-too-short"],
    ["reversePairs", "123", "card-not-bytes"],
    ["luhn", "79927398710", "card-checksum-wrong"],
    ["luhn", "7", "card-too-short"],
    ["luhn", "7A", "card-not-decimal"],
    ["asciiHexEncode", "\u00e4", "card-not-ascii"],
    ["asciiHexEncode", "1".repeat(300), "card-too-long"],
    ["append(1)", "1".repeat(MAX_TEXT), "card-too-long"],
    ["binDecode | toHex", "102", "card-not-binary"],
    ["binDecode | toHex", "", "card-not-binary"],
    ["stripParity(1,3) | toBin", hex("A0", 3), "card-too-short"],
    ["stripParity(15,15) | toBin", hex("A000", 16), "card-too-short"],
    ["hexDecode | checksum(sum8) | toHex", "04A2B3C4D1", "card-checksum-wrong"],
  ])("%s of %j is refused: %s", (pipeline, read, wanted) => expect(code(() => convert(pipeline, read))).toBe(wanted));

  it.each([
    ["substring(1,0)"],
    ["stripPrefix"],
    ["stripPrefix()"],
    [`prepend(${"x".repeat(65)})`],
    ["luhn(drop)"],
    ["stripParity(1) | toBin"],
    ["stripParity(16,0) | toBin"],
    ["checksum(luhn) | toHex"],
    ["checksum(xor8,strip) | toHex"],
  ])("%s is refused when it is parsed", (pipeline) => {
    expect(code(() => parsePipeline(pipeline))).toBe("card-pipeline-syntax");
  });

  it("finds every wrong digit and most swaps by Luhn", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(digits, fc.nat(), fc.integer({ min: 1, max: 9 }), (number, at, by) => {
        const last = [..."0123456789"].filter((digit) => valid(number + digit));
        expect(last).toHaveLength(1);
        const good = number + last[0];
        const index = at % good.length;
        const other = good.slice(0, index) + ((Number(good[index]) + by) % 10) + good.slice(index + 1);
        expect(valid(other)).toBe(false);
      }),
    );
    function valid(text: string): boolean {
      try {
        return convert("luhn(keep)", text) === text;
      } catch (error) {
        if (error instanceof CardError && error.code === "card-checksum-wrong") return false;
        throw error;
      }
    }
  });
});

describe("branches side by side", () => {
  it.each<[string, Read | string, string]>([
    ["{ padLeft(0,3) + substring(2,4) }", "1a2b3c4d", "1a2b3c4d2b3c"],
    ["hexDecode | { bits(-24,8) | toDec(3) | append(-) + bits(-16) | toDec(5) }", "04A2B3C4", "162-46020"],
    ["{bits(0,8)|toHex+bits(8)|toHex(lower)} | padLeft(0,10)", hex("04A2B3C4"), "0004a2b3c4"],
    ["{ { substring(0,1) + substring(1,1) } + substring(2) } | case(lower)", "ABCD", "abcd"],
    ["{ cut(+) + regex([+](.*)$) + append(}) }", "12+34", "123412+34}"],
  ])("%s of %j is %s", (pipeline, read, wanted) => expect(convert(pipeline, read)).toBe(wanted));

  it.each<[string, CardCode]>([
    ["{ trim", "card-pipeline-syntax"],
    ["{ }", "card-pipeline-syntax"],
    ["{ trim + }", "card-pipeline-syntax"],
    ["trim + trim", "card-pipeline-syntax"],
    ["{ trim } }", "card-pipeline-syntax"],
    ["{{{{{ trim }}}}}", "card-pipeline-syntax"],
    [`{ ${"trim + ".repeat(40)}trim }`, "card-pipeline-syntax"],
    ["{ trim + toHex }", "card-pipeline-type"],
    ["{ hexDecode + trim }", "card-pipeline-type"],
    ["hexDecode | { trim + trim }", "card-pipeline-type"],
    ["{ trim + trim } | toHex", "card-pipeline-type"],
  ])("%s is refused: %s", (pipeline, wanted) => expect(code(() => parsePipeline(pipeline))).toBe(wanted));

  it("name the step that failed, and nothing of the read", () => {
    const error = failure(() => convert("trim | { trim + hexDecode | bits(40) | toHex }", "739174608"));
    expect(error.code).toBe("card-too-short");
    expect(error.detail).toContain("step 2, bits(40): it does not reach so far");
    expect(`${error.message} ${String(error.cause)}`).not.toMatch(/739|174/);
  });
});

/** Arguments that a step takes, or nearly; one list each, so that a new step must be added here. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  trim: ["", "(;?)"],
  stripPrefix: ["(0)", "(;)"],
  stripSuffix: ["(0)", "(?)"],
  prepend: [`(${"A".repeat(64)})`, "(0)"],
  append: [`(${"0".repeat(64)})`, "(-)"],
  cut: ["(=)"],
  remove: ["(:0)"],
  substring: ["(0)", "(-8)", "(2,6)", "(1,-1)", "(-512,512)"],
  regex: ["(([0-9A-F]*))", "(^(?:0|1)*(.{1,99}))", "((a?){0})"],
  padLeft: ["(0,10)", "(0,512)"],
  stripZeros: [""],
  case: ["(upper)", "(lower)"],
  reversePairs: [""],
  luhn: ["", "(keep)"],
  asciiHexDecode: [""],
  asciiHexEncode: [""],
  hexDecode: [""],
  decDecode: ["(1)", "(7)", "(128)"],
  binDecode: [""],
  reverseBytes: [""],
  reverseBits: ["(all)", "(perByte)"],
  swapNibbles: [""],
  invert: [""],
  bits: ["(0)", "(-16)", "(1,8)", "(-1024,1024)"],
  stripParity: ["(1,1)", "(15,15)"],
  checksum: ["(xor8)", "(sum8,keep)"],
  wiegand: ["(H10301)", "(H10302,number,warn)", "(C1k48s,facility,accept)"],
  toHex: ["", "(lower)", "(upper,512)"],
  toDec: ["", "(10)", "(512)"],
  toBin: [""],
  savapageCompat: ["(HEX,LSB)", "(DECIMAL,MSB)"],
  safeqAscii2Hex: [""],
};

/** A pipeline that is right by its types, from choices. */
function build(choices: readonly number[], from: Kind): string {
  const steps: string[] = [];
  let kind = from;
  for (const choice of choices) {
    const names = Object.keys(STEPS).filter((name) => STEPS[name]?.from === kind);
    const name = names[choice % names.length] ?? "";
    const args = ARGUMENTS[name] ?? [];
    const step = `${name}${args[Math.floor(choice / names.length) % args.length]}`;
    const end = kind === "bits" && STEPS[name]?.to === "bits" ? `${step} | toHex` : step;
    if (choice % 11 === 0 && !end.endsWith("Decode") && !end.startsWith("decDecode")) {
      steps.push(`{ ${end} + ${end} }`);
      kind = "text";
      continue;
    }
    steps.push(step);
    kind = STEPS[name]?.to ?? kind;
  }
  if (kind === "bits") steps.push("toHex");
  return steps.join(" | ");
}

describe("any pipeline and any read", () => {
  it("has arguments here for each step", () =>
    expect(Object.keys(ARGUMENTS).sort()).toEqual(Object.keys(STEPS).sort()));

  it("gives a bounded card number or a CardError, soon", () => {
    const someText = fc.oneof(
      fc.string({ unit: fc.nat(255).map((unit) => String.fromCharCode(unit)), maxLength: 600 }),
      fc.string({ unit: fc.constantFrom(..."0123456789ABCDEF"), minLength: 1, maxLength: 512 }),
      fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 40 }),
      fc.constantFrom("0".repeat(512), "1".repeat(128), "A".repeat(512)),
    );
    const someBits = fc
      .tuple(fc.uint8Array({ maxLength: 140 }), fc.nat(1100))
      .map(([bytes, bitLength]): Read => ({ kind: "bits", bytes, bitLength }));
    const someRead = fc.oneof(
      someText.map((value): Read => ({ kind: "text", text: value })),
      someBits,
    );
    let numbers = 0;
    fc.assert(
      fc.property(fc.array(fc.nat(100_000), { minLength: 1, maxLength: 12 }), someRead, (choices, read) => {
        const begin = performance.now();
        try {
          const pipeline = parsePipeline(build(choices, read.kind));
          const number = toCardNumber(pipeline, read);
          expect(number.length).toBeGreaterThan(0);
          expect(number.length).toBeLessThanOrEqual(MAX_TEXT);
          numbers += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(CardError);
        }
        expect(performance.now() - begin).toBeLessThan(500);
      }),
      { numRuns: 4000 },
    );
    expect(numbers).toBeGreaterThan(200);
  });
});
