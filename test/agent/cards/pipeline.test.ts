import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ofBytes } from "../../../agent/cards/bits.ts";
import { CARD_CODES, type CardCode, CardError } from "../../../agent/cards/card-error.ts";
import { MAX_TEXT } from "../../../agent/cards/chain.ts";
import { DEFAULT_PIPELINES, parsePipeline, toCardNumber } from "../../../agent/cards/pipeline.ts";
import { STEPS } from "../../../agent/cards/steps.ts";
import type { Read } from "../../../drivers/reader.ts";
import { code, convert, failure, hex, text } from "./card-reads.ts";

describe("every representation of one card", () => {
  it.each([
    ["hex, as read", "hexDecode | toHex", "04A2B3C4", "04A2B3C4"],
    ["hex, last byte first", "hexDecode | reverseBytes | toHex(lower)", "04A2B3C4", "c4b3a204"],
    ["decimal", "hexDecode | toDec", "04A2B3C4", "77771716"],
    ["decimal, 10 digits", "hexDecode | toDec(10)", "04A2B3C4", "0077771716"],
    ["decimal of the reversed bytes", "hexDecode | reverseBytes | toDec", "04A2B3C4", "3300106756"],
    ["bits reversed in each byte", "hexDecode | reverseBits(perByte) | toHex", "04A2B3C4", "2045CD23"],
    ["all bits reversed", "hexDecode | reverseBits(all) | toHex", "04A2B3C4", "23CD4520"],
    ["nibbles swapped", "hexDecode | swapNibbles | toHex", "04A2B3C4", "402A3B4C"],
    ["inverted", "hexDecode | invert | toHex", "04A2B3C4", "FB5D4C3B"],
    ["ASCII-encoded hex", "asciiHexDecode", "3034413242334334", "04A2B3C4"],
    ["ASCII-encoded hex to decimal", "asciiHexDecode | hexDecode | toDec", "3934364542443238", "2490285352"],
    ["low 3 bytes", "hexDecode | bits(-24) | toDec", "04A2B3C4", "10662852"],
    ["first 3 bytes", "hexDecode | bits(0,24) | toDec", "04A2B3C4", "303795"],
    ["facility of the low 24 bits", "hexDecode | bits(-24,8) | toDec", "04A2B3C4", "162"],
    ["card of the low 24 bits", "hexDecode | bits(-16) | toDec", "04A2B3C4", "46020"],
    ["facility of the reversed low 24 bits", "hexDecode | reverseBytes | bits(-24,8) | toDec", "04A2B3C4", "179"],
    ["card of the reversed low 24 bits", "hexDecode | reverseBytes | bits(-16) | toDec", "04A2B3C4", "41476"],
    ["facility of 32 bits", "hexDecode | bits(0,16) | toDec", "04A2B3C4", "1186"],
    ["facility of 32 reversed bits", "hexDecode | reverseBytes | bits(0,16) | toDec", "04A2B3C4", "50355"],
    ["binary", "hexDecode | toBin", "04A2B3C4", "00000100101000101011001111000100"],
    ["with its check byte", "hexDecode | checksum(xor8) | toHex", "04A2B3C4D1", "04A2B3C4"],
    ["7 bytes, decimal", "hexDecode | toDec", "04A2B3C4D5E680", "1304792892040832"],
    ["7 bytes reversed, beyond 2^53", "hexDecode | reverseBytes | toDec", "04A2B3C4D5E680", "36282602821493252"],
    ["7 bytes, last 4", "hexDecode | bits(-32) | toDec", "04A2B3C4D5E680", "3302352512"],
    ["hex to decimal", "hexDecode | toDec", "946EBD28", "2490285352"],
    ["decimal to hex", "decDecode(4) | toHex", "2490285352", "946EBD28"],
    ["hex to reversed decimal", "hexDecode | reverseBytes | toDec", "946EBD28", "683503252"],
    ["EM4100, 40 bits", "hexDecode | toDec", "62E3086CED", "424715775213"],
    ["EM4100, 32 bits, as printed", "hexDecode | bits(-32) | toDec(10)", "62E3086CED", "3808980205"],
    ["EM4100 with its checksum", "hexDecode | checksum(xor8) | bits(-32) | toDec(10)", "3C00CE754CCB", "0013530444"],
    ["EM4100, 8H/3+5: card", "hexDecode | bits(-16) | toDec", "3C00CE754C", "30028"],
    ["EM4100, 8H/3+5: facility", "hexDecode | bits(-24,8) | toDec", "3C00CE754C", "206"],
  ])("%s", (_, pipeline, raw, wanted) => expect(convert(pipeline, raw)).toBe(wanted));

  it.each([
    [
      "HEX, most significant byte first",
      "trim(;?*/) | hexDecode | reverseBytes | toHex(lower)",
      ";FC682D7A?",
      "7a2d68fc",
    ],
    ["decimal", "decDecode(4) | reverseBytes | toHex(lower)", "4234685818", "7a2d68fc"],
    [
      "sentinels and a tail",
      "trim(*/) | cut(=) | decDecode(4) | reverseBytes | toHex(lower)",
      "*4234685818=6/",
      "7a2d68fc",
    ],
    ["backslash inside", "remove(\\\\[) | decDecode(4) | reverseBytes | toHex(lower)", "3721\\106078", "9e92cbdd"],
    ["7 bytes", "hexDecode | reverseBytes | toHex(lower)", "04A1B2C3D4E5F6", "f6e5d4c3b2a104"],
    ["a last zero byte", "hexDecode | reverseBytes | toHex(lower)", "DDCB9200", "0092cbdd"],
    ["decimal with a leading zero byte", "decDecode(4) | toHex(lower)", "0007625328", "00745a70"],
    ["8 bytes with the top bit", "hexDecode | reverseBytes | toHex(lower)", "8877665544332211", "1122334455667788"],
    ["a float would round it", "decDecode(4) | toDec(10)", "0009040399", "0009040399"],
    ["the last eight", "substring(-8)", "0004A2B3C4", "04A2B3C4"],
    ["a part", "substring(2,6)", "1a2b3c4d", "2b3c4d"],
    ["padding", "padLeft(0,12)", "123456", "000000123456"],
    [
      "everything",
      "trim | cut(=) | regex(^;0?([0-9A-F]{8})) | hexDecode | reverseBytes | toDec(10)",
      " ;004A2B3C4=99? ",
      "3300106756",
    ],
  ])("as other products have it: %s", (_, pipeline, raw, wanted) => {
    expect(convert(pipeline, raw)).toBe(wanted);
  });

  it("takes words that are no whole bytes", () => {
    expect(convert("toHex", hex("BB032180", 26))).toBe("2EC0C86");
    expect(convert("bits(1,8)|toDec", hex("BB032180", 26))).toBe("118");
    expect(convert("bits(9,16)|toDec", hex("BB032180", 26))).toBe("1603");
    expect(convert("bits(1,35)|toDec", hex("8499602D28", 37))).toBe("1234567890");
  });
});

describe("a pipeline is refused when it is parsed", () => {
  it.each<[string, CardCode]>([
    ["", "card-pipeline-syntax"],
    ["trim |", "card-pipeline-syntax"],
    ["| trim", "card-pipeline-syntax"],
    ["trim cut(=)", "card-pipeline-syntax"],
    ["hexdecode", "card-pipeline-syntax"],
    ["constructor", "card-pipeline-syntax"],
    ["cut", "card-pipeline-syntax"],
    ["cut()", "card-pipeline-syntax"],
    ["cut(=", "card-pipeline-syntax"],
    ["cut(=,x)", "card-pipeline-syntax"],
    ["cut(\\n)", "card-pipeline-syntax"],
    ["cut(=\\", "card-pipeline-syntax"],
    ["trim)", "card-pipeline-syntax"],
    ["padLeft(00,4)", "card-pipeline-syntax"],
    ["padLeft(0,x)", "card-pipeline-syntax"],
    ["padLeft(0,99999999999)", "card-pipeline-syntax"],
    ["decDecode", "card-pipeline-syntax"],
    ["decDecode(0)|toHex", "card-pipeline-syntax"],
    ["case(title)", "card-pipeline-syntax"],
    ["hexDecode|toHex(8)", "card-pipeline-syntax"],
    ["regex", "card-pipeline-syntax"],
    ["regex((a)", "card-pipeline-syntax"],
    ["regex([(a)", "card-pipeline-syntax"],
    [`trim${"|trim".repeat(40)}`, "card-pipeline-syntax"],
    ["x".repeat(2000), "card-pipeline-syntax"],
    ["trim | toDec", "card-pipeline-type"],
    ["reverseBytes | trim", "card-pipeline-type"],
    ["hexDecode | hexDecode | toHex", "card-pipeline-type"],
    ["hexDecode", "card-pipeline-type"],
    ["trim | hexDecode | reverseBytes", "card-pipeline-type"],
    ["regex(abc)", "card-pattern-unsupported"],
  ])("%s", (pipeline, wanted) => expect(code(() => parsePipeline(pipeline))).toBe(wanted));

  it("names the steps that do not fit", () => {
    expect(failure(() => parsePipeline("trim | toDec(10)")).detail).toBe("trim gives text, but toDec(10) takes bits");
  });

  it("and never with anything but a CardError", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ...Object.keys(STEPS),
        "|",
        "(",
        ")",
        ",",
        "\\",
        "[",
        "]",
        "?",
        "*",
        "{1,2}",
        " ",
        "0",
        "-1",
        "upper",
        "all",
        "xor8",
      ),
      fc.string({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        try {
          expect(parsePipeline(pieces.join("")).steps.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(CardError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("arguments", () => {
  it("may hold signs behind a backslash, and spaces inside", () => {
    expect(convert("cut(\\))", "12)34")).toBe("12");
    expect(convert("cut( a b )", "12a b34")).toBe("12");
    expect(convert("trim(\\ \\,\\\\)", ", 12\\ ")).toBe("12");
    expect(convert("cut(|)", "12|34")).toBe("12");
  });

  it("of a pattern may hold pipes, commas and parentheses", () => {
    expect(convert("regex(^(?:a|b),\\)[()]*([0-9]{2,3})$) | padLeft(0,4)", "b,)((123")).toBe("0123");
  });

  it("may be left out, with or without parentheses", () => {
    expect(convert("trim() | hexDecode() | toHex()", " 0a ")).toBe("0A");
  });
});

describe("a read that does not fit", () => {
  it.each<[string, Read | string, CardCode]>([
    ["trim", "  \r\n", "card-empty"],
    ["cut(=)", "=123", "card-empty"],
    ["toHex", hex(""), "card-empty"],
    ["trim", hex("04"), "card-wrong-read"],
    ["toHex", "04", "card-wrong-read"],
    ["regex(^([0-9]{8})$)", "1234567", "card-no-match"],
    ["regex(a|(b))", "a", "card-no-match"],
    ["regex(([0-9]*))", "1".repeat(129), "card-too-long"],
    ["trim", "1".repeat(MAX_TEXT + 1), "card-too-long"],
    ["hexDecode|toHex", "1".repeat(257), "card-too-long"],
    ["decDecode(4)|toHex", "4294967296", "card-too-long"],
    ["toHex", { kind: "bits", bytes: new Uint8Array(200), bitLength: 1600 }, "card-too-long"],
    ["toHex", { kind: "bits", bytes: new Uint8Array(1), bitLength: 9 }, "card-too-short"],
    ["hexDecode|toHex", "04:A2", "card-not-hex"],
    ["hexDecode|toHex", "", "card-not-hex"],
    ["decDecode(4)|toHex", "-1", "card-not-decimal"],
    ["decDecode(4)|toHex", "1e3", "card-not-decimal"],
    ["asciiHexDecode", "3", "card-not-bytes"],
    ["asciiHexDecode", "0d0a", "card-not-ascii"],
    ["reverseBytes|toHex", hex("BB032180", 26), "card-not-bytes"],
    ["bits(0,33)|toHex", hex("04A2B3C4"), "card-too-short"],
    ["bits(-33)|toHex", hex("04A2B3C4"), "card-too-short"],
    ["substring(-8)", "1234567", "card-too-short"],
    ["substring(2,6)", "1234567", "card-too-short"],
    ["checksum(xor8)|toHex", hex("04A2B3C4D2"), "card-checksum-wrong"],
    ["checksum(xor8)|toHex", hex("00"), "card-too-short"],
  ])("%s of %j", (pipeline, read, wanted) => expect(code(() => convert(pipeline, read))).toBe(wanted));

  it("gives an error with a row, which names the step and nothing of the read", () => {
    const secret = "7391746082";
    for (const pipeline of [
      "regex(^(x)) ",
      "hexDecode | bits(50) | toHex",
      "decDecode(1) | toDec",
      "substring(9,9)",
      "cut(7)",
    ]) {
      const error = failure(() => convert(pipeline, secret));
      expect(CARD_CODES[error.code]).toBe(error.row);
      for (let at = 0; at + 3 <= secret.length; at += 1) {
        expect(`${error.message} ${String(error.cause)} ${error.stack}`).not.toContain(secret.slice(at, at + 3));
      }
    }
    expect(failure(() => convert("trim | hexDecode | toHex", "xyz")).detail).toBe(
      "step 2, hexDecode: digits 0-9, A-F are needed",
    );
  });

  it("never ends in anything but a CardError, whatever the read", () => {
    const pipelines = [
      "trim | cut(=) | regex(^;?0?([0-9]+)) | decDecode(7) | reverseBytes | toHex",
      "asciiHexDecode | hexDecode | reverseBits(perByte) | swapNibbles | toDec(10)",
      "substring(-8,4) | padLeft(0,10) | case(upper)",
    ].map((pipeline) => parsePipeline(pipeline));
    fc.assert(
      fc.property(
        fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), maxLength: 160 }),
        fc.constantFrom(...pipelines),
        (raw, pipeline) => {
          try {
            expect(toCardNumber(pipeline, text(raw))).not.toBe("");
          } catch (error) {
            expect(error).toBeInstanceOf(CardError);
          }
        },
      ),
    );
  });
});

describe("without a pipeline", () => {
  it("text is trimmed and bits are hexadecimal", () => {
    expect(toCardNumber(DEFAULT_PIPELINES.text, text("\x0004a2 \r"))).toBe("04a2");
    expect(toCardNumber(DEFAULT_PIPELINES.bits, hex("04a2b3c4"))).toBe("04A2B3C4");
  });
});

describe("the width stays", () => {
  const uid = fc.constantFrom(4, 7, 10).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));

  it("through hexadecimal, leading zeros and odd counts included", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 1, maxLength: 256 });
    fc.assert(
      fc.property(digits, (raw) => {
        expect(convert("hexDecode | toHex(lower)", raw)).toBe(raw);
      }),
    );
  });

  it("through decimal, exactly", () => {
    fc.assert(
      fc.property(uid, (bytes) => {
        const decimal = convert("toDec", ofBytes(bytes));
        expect(decimal).toBe(BigInt(`0x${bytes.toHex()}`).toString());
        expect(convert(`decDecode(${bytes.length}) | toHex(lower)`, decimal)).toBe(bytes.toHex());
      }),
    );
  });

  it.each(["reverseBytes", "reverseBits(perByte)", "reverseBits(all)", "swapNibbles", "invert"])(
    "and %s twice changes nothing",
    (step) => {
      fc.assert(
        fc.property(uid, (bytes) => {
          expect(convert(`${step}|${step}|toHex(lower)`, ofBytes(bytes))).toBe(bytes.toHex());
        }),
      );
    },
  );

  it("and bits beyond the bit length do not count", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 5, maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        (bytes, bitLength) => {
          const wanted = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0"))
            .join("")
            .slice(0, bitLength);
          expect(convert("toBin", { kind: "bits", bytes, bitLength })).toBe(wanted);
          expect(convert("invert|invert|toBin", { kind: "bits", bytes, bitLength })).toBe(wanted);
        },
      ),
    );
  });
});
