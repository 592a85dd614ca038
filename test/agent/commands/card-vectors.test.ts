import { describe, expect, it } from "vitest";
import { command } from "../../../agent/commands/card.ts";
import type { Invocation } from "../../../agent/commands/command.ts";

/** Every card number that the field's own documents give, through the command: where it stands, the options, the words, the number. */
type Row = readonly [where: string, options: Invocation["options"], words: readonly string[], wanted: string];

const by = (where: string, pipeline: string, raw: string, wanted: string, kind?: string): Row => [
  where,
  { pipeline, ...(kind === undefined ? {} : { kind }) },
  [raw],
  wanted,
];
const rule = (where: string, system: string, text: string, raw: string, wanted: string): Row => [
  where,
  { import: system },
  [text, raw],
  wanted,
];

const UID = "04A2B3C4";
const EM4100 = "hexDecode | checksum(xor8) | bits(-32) | toDec(10)";
const FIELDS = "{ bits(-24,8) | toDec | append(\\,) + bits(-16) | toDec }";
const WIDE = "{ bits(0,16) | toDec | append(\\,) + bits(-16) | toDec }";
const OMNIKEY = "00000101000000100101001001";

const ROWS: readonly Row[] = [
  by("RDM6300", EM4100, "100086F44426", "0008844356"),
  by("RDM6300", EM4100, "3C00CE754CCB", "0013530444"),
  by("ID-12", EM4100, "62E3086CED08", "3808980205"),
  by("8H/3+5", `hexDecode | checksum(xor8) | ${FIELDS}`, "3C00CE754CCB", "206,30028"),
  by("OMNIKEY 5x27, hex", "binDecode | toHex", `00000110${OMNIKEY}000000`, "0605025240"),
  by("OMNIKEY 5x27, decimal", "binDecode | toDec", `00000110${OMNIKEY}000000`, "25853841984"),
  by("OMNIKEY 5x27, bits", "toBin", "05025240", OMNIKEY, "bits:26"),
  by("hex MSB first", "hexDecode | toHex", UID, "04A2B3C4"),
  by("hex LSB first", "hexDecode | reverseBytes | toHex(lower)", UID, "c4b3a204"),
  by("decimal MSB", "hexDecode | toDec", UID, "77771716"),
  by("decimal MSB, 10 digits", "hexDecode | toDec(10)", UID, "0077771716"),
  by("decimal of reversed bytes", "hexDecode | reverseBytes | toDec", UID, "3300106756"),
  by("bits reversed per byte", "hexDecode | reverseBits(perByte) | toHex", UID, "2045CD23"),
  by("bits reversed in the whole word", "hexDecode | reverseBits(all) | toHex", UID, "23CD4520"),
  by("nibbles swapped", "hexDecode | swapNibbles | toHex", UID, "402A3B4C"),
  by("inverted", "hexDecode | invert | toHex", UID, "FB5D4C3B"),
  by("ASCII-encoded hex", "asciiHexEncode", UID, "3034413242334334"),
  by("ASCII-encoded hex, back", "asciiHexDecode", "3034413242334334", UID),
  by("low 3 bytes", "hexDecode | bits(-24) | toDec", UID, "10662852"),
  by("first 3 bytes", "hexDecode | bits(0,24) | toDec", UID, "303795"),
  by("26 of the low 24 bits", `hexDecode | ${FIELDS}`, UID, "162,46020"),
  by("26 of the reversed UID", `hexDecode | reverseBytes | ${FIELDS}`, UID, "179,41476"),
  by("34", `hexDecode | ${WIDE}`, UID, "1186,46020"),
  by("34, reversed", `hexDecode | reverseBytes | ${WIDE}`, UID, "50355,41476"),
  by("binary", "hexDecode | toBin", UID, "00000100101000101011001111000100"),
  by("BCC", "hexDecode | checksum(xor8,keep) | bits(-8) | toHex", `${UID}D1`, "D1"),
  by("7 bytes, decimal", "hexDecode | toDec", "04A2B3C4D5E680", "1304792892040832"),
  by("7 bytes, reversed", "hexDecode | reverseBytes | toHex", "04A2B3C4D5E680", "80E6D5C4B3A204"),
  by("7 bytes, reversed, beyond 2^53", "hexDecode | reverseBytes | toDec", "04A2B3C4D5E680", "36282602821493252"),
  by("7 bytes, last 4", "hexDecode | bits(-32) | toDec", "04A2B3C4D5E680", "3302352512"),
  by("7 bytes, as a UID", "reverseBytes | toDec", "04A2B3C4D5E680", "36282602821493252", "hex"),
  by("10 bytes, as a UID", "toDec", "FFEEDDCCBBAA99887766", "1208609760576821428516710", "hex"),
  by("946EBD28", "hexDecode | toDec", "946EBD28", "2490285352"),
  by("946EBD28, reversed hex", "hexDecode | reverseBytes | toHex", "946EBD28", "28BD6E94"),
  by("946EBD28, reversed", "hexDecode | reverseBytes | toDec", "946EBD28", "683503252"),
  by("EM4100, 40 bits", "hexDecode | toDec", "62E3086CED", "424715775213"),
  by("EM4100, 32 bits", "hexDecode | bits(-32) | toDec", "62E3086CED", "3808980205"),
  by("PAC to Equitrac", "remove(\\ ) | hexDecode | reverseBytes | toHex", "4C DD A1 5F", "5FA1DD4C"),
  by("Wiegand to MFRC522", "hexDecode | reverseBytes | toHex", "7186A61E", "1EA68671"),
  by("a float rounded it", "decDecode(4) | toDec(10)", "0009040399", "0009040399"),
  rule("PaperCut", "papercut", "hex2dec", "946EBD28", "2490285352"),
  rule("PaperCut", "papercut", "dec2hex", "2490285352", "946EBD28"),
  rule("PaperCut", "papercut", "ascii-enc", "3934364542443238", "946EBD28"),
  rule("PaperCut", "papercut", "ascii-enc|hex2dec", "3934364542443238", "2490285352"),
  rule("PaperCut, at =", "papercut", "card-no-regex=", "5235092385=8", "5235092385"),
  rule("PaperCut, 10 characters", "papercut", "(.{10})", "5235092385=8", "5235092385"),
  rule("SafeQ", "safeq", "LeftPadding(0,3) + Substring(2,6)", "1a2b3c4d", "1a2b3c4d2b3c"),
  rule("SafeQ", "safeq", "ASCII2Hex;Hex2Dec;Substring(-8)", "3934364542443238", "90285352"),
  rule("MyQ", "myq", "ltrim(2)", "123456", "3456"),
  rule("MyQ", "myq", "prepend(AB)", "123456", "AB123456"),
  rule("MyQ", "myq", "mid(2,2)", "123456", "34"),
  rule("MyQ", "myq", "lpad(12,0)", "123456", "000000123456"),
  rule("MyQ", "myq", "hex2dec()", "1000AB", "1048747"),
  rule("MyQ", "myq", "reverse()", "4CDDA15F", "5FA1DD4C"),
  ...(
    [
      ["4234685818", "DECIMAL,MSB", "7a2d68fc", "7a2d68fc"],
      ["fc682d7a", "HEX,MSB", "7a2d68fc", "7a2d68fc"],
      [";FC682D7A?", "HEX,MSB", "7a2d68fc", "7a2d68fc"],
      ["*4234685818=6/", "DECIMAL,MSB", "7a2d68fc", "7a2d68fc"],
      ["3721\\106078", "DECIMAL,MSB", "9e92cbdd", "9e92cbdd"],
      ["04A1B2C3D4E5F6", "HEX,MSB", "f6e5d4c3b2a10400", "f6e5d4c3b2a104"],
      ["DDCB9200", "HEX,MSB", "92cbdd", "0092cbdd"],
      ["0007625328", "DECIMAL,LSB", "745a70", "00745a70"],
    ] as const
  ).flatMap(([raw, text, theirs, right]) => [
    rule("SavaPage as it is", "savapage", `${text},compat`, raw, theirs),
    rule("SavaPage as it should be", "savapage", text, raw, right),
  ]),
  rule("SavaPage, 8 bytes", "savapage", "HEX,MSB", "8877665544332211", "1122334455667788"),
  rule("SavaPage, 10 bytes", "savapage", "HEX,LSB", "04A2B3C4D5E6819A7B0C", "04a2b3c4d5e6819a7b0c"),
];

async function run(options: Invocation["options"], words: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const terminal = { json: false, line: (text: string) => lines.push(text), note() {}, result() {} };
  await command.run({ options, words, terminal, signal: new AbortController().signal });
  return lines.join("\n");
}

describe("card convert", () => {
  it.each(ROWS)("%s: %j %j is %s", async (_, options, words, wanted) => {
    expect(await run(options, ["convert", ...words])).toBe(wanted);
  });

  it.each([
    ["8877665544332211", "HEX,MSB"],
    ["04A2B3C4D5E6819A7B", "HEX,MSB"],
    ["04A2B3C4D5E6819A7B0C", "HEX,LSB"],
  ])("as SavaPage, refuses %s", async (raw, text) => {
    await expect(run({ import: "savapage" }, ["convert", `${text},compat`, raw])).rejects.toMatchObject({
      code: "card-too-long",
    });
  });
});
