import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CardCode, CardError } from "../../../../agent/cards/card-error.ts";
import { exportRule, importRule, SYSTEMS, type System } from "../../../../agent/cards/import/rule.ts";
import { parsePipeline, toCardNumber } from "../../../../agent/cards/pipeline.ts";
import { code, failure, text } from "../card-reads.ts";

const taken = (system: System, rule: string) => importRule(system, rule, { hexCase: "upper" }).text;
const by = (system: System, rule: string, raw: string) => toCardNumber(parsePipeline(taken(system, rule)), text(raw));
const given = (system: System, pipeline: string) => exportRule(system, parsePipeline(pipeline)).text;

describe("a rule taken over does what it did", () => {
  it.each<[System, string, string, string]>([
    // PaperCut: regex, then converters. Sources: facts of its embedded manuals.
    ["papercut", "hex2dec", "946EBD28", "2490285352"],
    ["papercut", "dec2hex", "2490285352", "946EBD28"],
    ["papercut", "ascii-enc", "3934364542443238", "946EBD28"],
    ["papercut", "ascii-enc|hex2dec", "3934364542443238", "2490285352"],
    ["papercut", " ascii-enc | hex2dec ", "3934364542443238", "2490285352"],
    ["papercut", "hex2dec", "946EBD28=8", "2490285352"],
    ["papercut", "(.{10})", "5235092385=8", "5235092385"],
    ["papercut", "card-no-regex=(.{8}) card-no-converter=hex2dec", "946EBD28=8", "2490285352"],
    ["papercut", "ext-device.card-no-regex=(.{8})\next-device.card-no-converter=hex2dec", "946EBD28=8", "2490285352"],
    ["papercut", "card-no-converter=hex2dec", "946EBD28=8", "2490285352"],
    ["papercut", "card-no-regex=(.*)", "946EBD28=8", "946EBD28=8"],
    ["papercut", "^(?:;0)?(\\d{8})", ";012345678", "12345678"],
    ["papercut", "(a(b))(c)", "xabc", "ab"],
    ["papercut", "[(](\\d+)", "x(12)", "12"],
    // SavaPage, as it should be.
    ["savapage", "DECIMAL,MSB", "4234685818", "7a2d68fc"],
    ["savapage", "HEX MSB", "fc682d7a", "7a2d68fc"],
    ["savapage", "HEX,MSB", ";FC682D7A?", "7a2d68fc"],
    ["savapage", "DEC,MSB", "*4234685818=6/", "7a2d68fc"],
    ["savapage", "DECIMAL,MSB", "3721\\106078", "9e92cbdd"],
    ["savapage", "HEX,MSB", "04A1B2C3D4E5F6", "f6e5d4c3b2a104"],
    ["savapage", "HEX,MSB", "DDCB9200", "0092cbdd"],
    ["savapage", "DECIMAL,LSB", "0007625328", "00745a70"],
    ["savapage", "HEX,LSB", "00745A70", "00745a70"],
    ["savapage", "HEX,MSB", "8877665544332211", "1122334455667788"],
    ["savapage", "HEX,MSB", "04A2B3C4D5E6819A7B0C", "0c7b9a81e6d5c4b3a204"],
    ["savapage", "DECIMAL,LSB,7", "1304792892040832", "04a2b3c4d5e680"],
    // SafeQ and Dispatcher Paragon: `+` binds tighter than `;`.
    ["safeq", "LeftPadding(0,3) + Substring(2,6)", "1a2b3c4d", "1a2b3c4d2b3c"],
    ["safeq", "ASCII2Hex;Hex2Dec;Substring(-8)", "3934364542443238", "90285352"],
    ["safeq", "ASCII2Hex;Hex2Dec;Substring(-8)", "946EBD28", "90285352"],
    [
      "safeq",
      "Substring(2);Hex2Dec;LeftPadding(0,3) + Substring(2,6);Hex2Dec",
      "xx946EBD28",
      0x24902853529028n.toString(),
    ],
    ["safeq", "Hex2Dec", "04A2B3C4D5E680", "1304792892040832"],
    ["safeq", "Hex2Dec", "FFFFFFFFFFFFFFFFFFFF", "1208925819614629174706175"],
    ["safeq", "LeftPadding(0,12);", "123456", "000000123456"],
    ["safeq", "Bin2Dec", "11000011010110111", "100023"],
    ["safeq", "Dec2Bin", "100023", "11000011010110111"],
    ["safeq", "Dec2Hex", "2490285352", "946EBD28"],
    ["safeq", "LeftAppend(AB);RightAppend(CD)", "12", "AB12CD"],
    ["safeq", "Const(X) + Substring(0,2) + Const(-) + Substring(2)", "1234", "X12-34"],
    ["safeq", "Hex2Dec;CardNo + Const(/) + Substring(-3)", "946EBD28", "946EBD28/352"],
    ["safeq", "CardNo + Hex2Dec", "0A", "0A10"],
    // MyQ: each example of its manual.
    ["myq", "ltrim(2)", "123456", "3456"],
    ["myq", "rtrim(2)", "123456", "1234"],
    ["myq", "prepend(AB)", "123456", "AB123456"],
    ["myq", "append(AB)", "123456", "123456AB"],
    ["myq", "left(2)", "123456", "12"],
    ["myq", "right(2)", "123456", "56"],
    ["myq", "mid(2,2)", "123456", "34"],
    ["myq", "lpad(12,0)", "123456", "000000123456"],
    ["myq", "hex2dec()", "1000AB", "1048747"],
    ["myq", "dec2hex()", "1048747", "1000AB"],
    ["myq", "hex2bin()", "1000AB", "100000000000010101011"],
    ["myq", "bin2hex()", "100000000000010101011", "1000AB"],
    ["myq", "dec2bin()", "100023", "11000011010110111"],
    ["myq", "bin2dec()", "11000011010110111", "100023"],
    ["myq", "reverse()", "1234AB", "AB3412"],
    ["myq", "reverse();hex2dec();lpad(10,0)", "04A2B3C4", "3300106756"],
    ["myq", "reverse() hex2dec", "04A2B3C4D5E680", "36282602821493252"],
    ["myq", "ltrim(0);mid(0,0)", "1234", "1234"],
  ])("%s %s: %s is %s", (system, rule, raw, wanted) => expect(by(system, rule, raw)).toBe(wanted));

  it.each<[string, string, string]>([
    ["4234685818", "DECIMAL,MSB", "7a2d68fc"],
    ["fc682d7a", "HEX,MSB", "7a2d68fc"],
    [";FC682D7A?", "HEX,MSB", "7a2d68fc"],
    ["*4234685818=6/", "DECIMAL,MSB", "7a2d68fc"],
    ["3721\\106078", "DECIMAL,MSB", "9e92cbdd"],
    ["04A1B2C3D4E5F6", "HEX,MSB", "f6e5d4c3b2a10400"],
    ["DDCB9200", "HEX,MSB", "92cbdd"],
    ["0007625328", "DECIMAL,LSB", "745a70"],
    ["00745A70", "HEX,LSB", "00745a70"],
    ["FC682D7A12345678=9", "HEX,MSB", 0x7856341200000000n.toString(16).replace(/0{8}$/, "")],
    ["[1234567890", "DECIMAL,LSB", "499602d2"],
    ["-1234567890", "DECIMAL,LSB", "ffffffffb669fd2e"],
  ])("and so does SavaPage's own arithmetic: %s %s is %s", (raw, rule, wanted) => {
    expect(by("savapage", `${rule},compat`, raw)).toBe(wanted);
  });

  it.each<[string, string, CardCode]>([
    ["8877665544332211", "HEX,MSB", "card-too-long"],
    ["8877665544332211", "HEX,LSB", "card-too-long"],
    ["04A2B3C4D5E6819A7B", "HEX,LSB", "card-too-long"],
    ["04A2B3C4D5E6819A7B0C", "HEX,MSB", "card-too-long"],
    ["745A70", "HEX,LSB", "card-too-short"],
    ["123456789", "DECIMAL,LSB", "card-too-short"],
    // The checksum is looked for in digits only: nothing is left before `=`.
    ["FC682D7A=9", "HEX,MSB", "card-too-short"],
    ["   ", "HEX,MSB", "card-empty"],
    ["FC682D7G", "HEX,MSB", "card-not-hex"],
    ["12345A7890", "DECIMAL,MSB", "card-not-decimal"],
  ])("with its refusals: %s %s", (raw, rule, wanted) => {
    expect(code(() => by("savapage", `${rule},compat`, raw))).toBe(wanted);
  });

  it("where SafeQ's manual leaves open what comes of it, the read is refused", () => {
    expect(code(() => by("safeq", "ASCII2Hex", "3934364542443238ffff"))).toBe("card-not-ascii");
    expect(by("safeq", "ASCII2Hex", "04A2B3C4")).toBe("04A2B3C4");
  });
});

describe("a rule that cannot be taken over", () => {
  it.each<[System, string, CardCode, RegExp]>([
    [
      "papercut",
      "javascript:custom/card.js",
      "card-import-unsupported",
      /javascript: a script is not run .* three cards/,
    ],
    ["papercut", "hex2dec|javascript:custom/card.js", "card-import-unsupported", /javascript/],
    ["papercut", "card-no-converter=javascript:a|hex2dec", "card-import-unsupported", /javascript/],
    ["papercut", "hex2oct", "card-import-unsupported", /hex2oct: no converter; there are hex2dec/],
    ["papercut", "\\d{8}", "card-import-unsupported", /parentheses/],
    ["papercut", "[a[b]](.)", "card-import-unsupported", /sets inside sets/],
    ["papercut", "[a-z&&b](.)", "card-import-unsupported", /sets inside sets/],
    ["papercut", "(\\d++)", "card-pattern-unsupported", /pattern/],
    ["papercut", "(?i)(a)", "card-pattern-unsupported", /pattern/],
    ["papercut", "(a)\\1", "card-pattern-unsupported", /pattern/],
    ["papercut", "(", "card-pattern-unsupported", /pattern/],
    ["papercut", " ", "card-import-unsupported", /empty/],
    ["savapage", "OCTAL,MSB", "card-import-unsupported", /OCTAL: the format is HEX or DECIMAL/],
    ["savapage", "HEX", "card-import-unsupported", /LSB or MSB/],
    ["savapage", "HEX,MSB,7", "card-import-unsupported", /7: compat/],
    ["savapage", "DECIMAL,MSB,17", "card-import-unsupported", /1 to 16/],
    ["savapage", "HEX,MSB,compat,now", "card-import-unsupported", /now/],
    ["safeq", "hex2dec", "card-import-unsupported", /hex2dec: no function that is known here.*mind the case/],
    ["safeq", "Reverse", "card-import-unsupported", /Reverse/],
    ["safeq", "CardNo", "card-import-unsupported", /CardNo: alone/],
    ["safeq", "Hex2Dec;Const(1)", "card-import-unsupported", /Const: alone/],
    ["safeq", "Const(1) + Const(2)", "card-import-unsupported", /nothing of the card/],
    ["safeq", "Substring(6,2)", "card-import-unsupported", /Substring: parameter 2/],
    ["safeq", "Substring(a)", "card-import-unsupported", /Substring: parameter 1/],
    ["safeq", "Substring", "card-import-unsupported", /Substring: it takes 1 to 2/],
    ["safeq", "LeftPadding(00,3)", "card-import-unsupported", /LeftPadding: parameter 1/],
    ["safeq", "Hex2Dec(1)", "card-import-unsupported", /Hex2Dec: it takes 0/],
    ["safeq", "Hex2Dec Dec2Bin", "card-import-unsupported", /joined by ; or \+/],
    ["safeq", "+ Hex2Dec", "card-import-unsupported", /no function stands there/],
    ["safeq", "Hex2Dec +", "card-import-unsupported", /at the end/],
    ["safeq", ";".repeat(2000), "card-import-unsupported", /longer/],
    ["safeq", "Hex2Dec;".repeat(40), "card-import-unsupported", /more than/],
    ["myq", "upper()", "card-import-unsupported", /upper: no function that is known here/],
    ["myq", "constructor()", "card-import-unsupported", /constructor: no function/],
    ["myq", "ltrim()", "card-import-unsupported", /ltrim: it takes 1/],
    ["myq", "ltrim(-1)", "card-import-unsupported", /ltrim: parameter 1/],
    ["myq", "prepend('A')", "card-import-unsupported", /quotes/],
    ["myq", "lpad(0,12)", "card-import-unsupported", /lpad: parameter 2/],
    ["myq", "ltrim(2)+rtrim(2)", "card-import-unsupported", /separated by ;/],
    ["myq", "12", "card-import-unsupported", /no function stands there/],
  ])("%s %s", (system, rule, wanted, detail) => {
    const error = failure(() => importRule(system, rule));
    expect([error.code, detail.test(error.detail)]).toEqual([wanted, true]);
  });

  it("asks what SafeQ's manual does not say, and takes the answer", () => {
    const error = failure(() => importRule("safeq", "Dec2Hex"));
    expect([error.code, error.detail]).toEqual([
      "card-import-open",
      "Dec2Hex: are the digits A-F or a-f? Say --hex-case upper or lower",
    ]);
    expect(importRule("safeq", "Dec2Hex", { hexCase: "lower" }).text).toBe("decDecode(64) | toHex(lower) | stripZeros");
  });
});

describe("a pipeline given to another system", () => {
  it.each<[System, string, string]>([
    ["papercut", "cut(=)", "card-no-regex=([^=]*)"],
    ["papercut", "trim", "card-no-regex=(.*)"],
    ["papercut", "cut(=) | hexDecode | toDec", "card-no-converter=hex2dec"],
    ["papercut", "hexDecode | toDec", "card-no-regex=(.*) card-no-converter=hex2dec"],
    ["papercut", "substring(2,8) | hexDecode | toDec", "card-no-regex=^.{2}(.{8}) card-no-converter=hex2dec"],
    ["papercut", "asciiHexDecode | hexDecode | toDec", "card-no-regex=(.*) card-no-converter=ascii-enc|hex2dec"],
    ["papercut", "decDecode(4) | toHex | stripZeros", "card-no-regex=(.*) card-no-converter=dec2hex"],
    ["papercut", "cut(]) | stripZeros | trim".replace(" | stripZeros", ""), "card-no-regex=^([^\\]]*)"],
    ["savapage", "trim(;*?/) | cut(=) | hexDecode | reverseBytes | toHex(lower)", "HEX,MSB"],
    ["savapage", "hexDecode | toHex(lower)", "HEX,LSB"],
    ["savapage", "trim | decDecode(7) | reverseBytes | toHex(lower)", "DECIMAL,MSB,7"],
    ["savapage", "savapageCompat(DECIMAL,LSB)", "DECIMAL,LSB,compat"],
    ["safeq", "{ padLeft(0,3) + substring(2,4) }", "LeftPadding(0,3) + Substring(2,6)"],
    ["safeq", "safeqAscii2Hex | hexDecode | toDec | substring(-8)", "ASCII2Hex;Hex2Dec;Substring(-8)"],
    ["safeq", "hexDecode | toDec(10)", "Hex2Dec;LeftPadding(0,10)"],
    ["safeq", "{ substring(0,2) | append(-) + substring(2) }", "Substring(0,2) + Const(-) + Substring(2)"],
    ["myq", "hexDecode | reverseBytes | toDec(10)", "reverse();hex2dec();lpad(10,0)"],
    ["myq", "substring(2,-2) | prepend(AB)", "mid(2,2);prepend(AB)"],
    ["myq", "substring(-8,4)", "right(8);left(4)"],
    ["myq", "hexDecode | toBin | stripZeros", "hex2bin()"],
    ["myq", "stripPrefix(ID:)", "ltrim(3)"],
  ])("%s from %s", (system, pipeline, wanted) => expect(given(system, pipeline)).toBe(wanted));

  it.each<[System, string, RegExp]>([
    ["papercut", "hexDecode | reverseBytes | toDec", /reversePairs: PaperCut has only/],
    ["papercut", "toHex", /toHex: it takes bits/],
    ["papercut", "decDecode(4) | toHex", /toHex: it keeps zeros in front/],
    ["papercut", "hexDecode | invert | toDec", /invert: it works on bits/],
    ["papercut", "luhn", /luhn: it has no counterpart/],
    ["savapage", "hexDecode | toDec", /toDec: SavaPage stores toHex\(lower\)/],
    ["savapage", "hexDecode | swapNibbles | toHex(lower)", /swapNibbles/],
    ["savapage", "substring(2) | hexDecode | toHex(lower)", /substring\(2\): SavaPage drops only/],
    ["savapage", "wiegand(H10301) | toHex(lower)", /wiegand\(H10301\)/],
    ["safeq", "reversePairs", /reversePairs: no function/],
    ["safeq", "regex((.))", /regex\(\(\.\)\): SafeQ has no patterns/],
    ["safeq", "substring(2,-2)", /from the front only/],
    ["safeq", "{ substring(2) | hexDecode | toDec + trim }", /each side of \+/],
    ["safeq", "append(;)", /append\(;\): its text/],
    ["myq", "{ trim + trim }", /MyQ puts nothing side by side/],
    ["myq", "decDecode(4) | toHex(lower) | stripZeros", /upper case/],
    ["myq", "cut(=)", /cut\(=\): MyQ has no patterns/],
    ["myq", "case(upper)", /case\(upper\)/],
  ])("%s cannot say %s", (system, pipeline, detail) => {
    const error = failure(() => given(system, pipeline));
    expect([error.code, detail.test(error.detail)]).toEqual(["card-export-unsupported", true]);
  });

  it("says where the two may differ", () => {
    expect(exportRule("myq", parsePipeline("trim | hexDecode | reverseBytes | toHex")).notes).toEqual([
      expect.stringContaining("trim has no counterpart"),
      expect.stringContaining("in upper case"),
    ]);
    expect(importRule("safeq", "Dec2Hex", { hexCase: "upper" }).notes).toEqual([
      expect.stringContaining("no zeros in front"),
    ]);
  });
});

describe("there and back", () => {
  const whole = fc.integer({ min: 1, max: 9 });
  const word = fc.string({ unit: fc.constantFrom(..."ABC019-:"), minLength: 1, maxLength: 5 });
  const myq = fc.oneof(
    fc.constantFrom("hex2dec()", "dec2hex()", "hex2bin()", "bin2hex()", "dec2bin()", "bin2dec()", "reverse()"),
    fc.tuple(fc.constantFrom("ltrim", "rtrim", "left", "right"), whole).map(([name, by]) => `${name}(${by})`),
    fc.tuple(whole, whole).map(([left, right]) => `mid(${left},${right})`),
    fc.tuple(fc.constantFrom("prepend", "append"), word).map(([name, value]) => `${name}(${value})`),
    whole.map((width) => `lpad(${width},0)`),
  );
  const safeqOne = fc.oneof(
    fc.constantFrom("Hex2Dec", "Dec2Hex", "Bin2Dec", "Dec2Bin", "ASCII2Hex"),
    whole.map((start) => `Substring(-${start})`),
    fc.tuple(whole, whole).map(([start, length]) => `Substring(${start},${start + length})`),
    fc.tuple(fc.constantFrom("LeftAppend", "RightAppend"), word).map(([name, value]) => `${name}(${value})`),
    whole.map((width) => `LeftPadding(0,${width})`),
  );
  const papercut = fc
    .tuple(
      fc.constantFrom("", "(.{8})", "^(?:;0)?([0-9A-F]{8})", "([^=]*)"),
      fc.array(fc.constantFrom("hex2dec", "dec2hex", "ascii-enc"), { maxLength: 3 }),
    )
    .map(([regex, chain]) => `card-no-regex=${regex} card-no-converter=${chain.join("|")}`);
  const reads = fc.oneof(
    fc.string({ unit: fc.constantFrom(..."0123456789ABCDEF"), minLength: 4, maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 4, maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(..."01"), minLength: 4, maxLength: 20 }),
  );
  const same = (a: string, b: string, raw: string) => {
    const run = (pipeline: string) => {
      try {
        return toCardNumber(parsePipeline(pipeline), text(raw));
      } catch (error) {
        // Which code, depends on the steps.
        if (error instanceof CardError) return undefined;
        throw error;
      }
    };
    expect(run(b)).toBe(run(a));
  };

  it.each<[System, fc.Arbitrary<string>]>([
    ["myq", fc.array(myq, { minLength: 1, maxLength: 5 }).map((rules) => rules.join(";"))],
    ["safeq", fc.array(safeqOne, { minLength: 1, maxLength: 5 }).map((rules) => rules.join(";"))],
    ["papercut", papercut],
  ])("%s rules do the same", (system, rules) => {
    fc.assert(
      fc.property(rules, reads, (rule, raw) => {
        const pipeline = taken(system, rule);
        same(pipeline, taken(system, given(system, pipeline)), raw);
      }),
      { numRuns: 500 },
    );
  });

  it.each(SYSTEMS)("a pipeline given to %s and taken back does the same, where nothing is noted", (system) => {
    const steps = fc.constantFrom(
      ...["trim(;)", "cut(=)", "substring(0,4)", "substring(-4)", "substring(1,-1)", "substring(-5,3)", "prepend(A)"],
      ...[
        "append(-)",
        "padLeft(0,9)",
        "hexDecode | toDec",
        "hexDecode | toDec(12)",
        "hexDecode | reverseBytes | toDec",
      ],
      ...["decDecode(64) | toHex | stripZeros", "hexDecode | toBin | stripZeros", "binDecode | toDec", "reversePairs"],
      ...[
        "{ substring(0,2) + append(-) }",
        "{ prepend(X) + trim }",
        "regex((.*)0)",
        "asciiHexDecode",
        "stripPrefix(0)",
      ],
      ...["hexDecode | toHex", "trim", "substring(0)", "savapageCompat(HEX,MSB)", "safeqAscii2Hex"],
    );
    let compared = 0;
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 3 }), reads, (chosen, raw) => {
        const pipeline = parsePipeline(chosen.join(" | "));
        try {
          const rule = exportRule(system, pipeline);
          if (rule.notes.length > 0) return;
          same(pipeline.text, taken(system, rule.text), raw);
          compared += 1;
        } catch (error) {
          if (!(error instanceof CardError)) throw error;
          expect(error.code).toBe("card-export-unsupported");
        }
      }),
      { numRuns: 2000 },
    );
    expect(compared).toBeGreaterThan(5);
  });

  it("garbage is refused with a code, and never anything else", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        ..."();+,|\\[]?*{}=-\"' \n",
        "hex2dec",
        "Hex2Dec",
        "Substring",
        "CardNo",
        "Const(",
        "ltrim(",
        "mid(2,2)",
        "javascript:",
        "card-no-regex=",
        "card-no-converter=",
        "HEX,",
        "MSB",
        "compat",
        "12",
        "(.*)",
      ),
      fc.string({ maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 16 }), fc.constantFrom(...SYSTEMS), (pieces, system) => {
        const begin = performance.now();
        try {
          parsePipeline(importRule(system, pieces.join("")).text);
        } catch (error) {
          expect(error).toBeInstanceOf(CardError);
        }
        expect(performance.now() - begin).toBeLessThan(500);
      }),
      { numRuns: 4000 },
    );
  });
});
