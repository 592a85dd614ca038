import { fromBinary, ofBytes, toBinary } from "../../../../agent/cards/bits.ts";
import { WIEGAND_FORMATS, type WiegandName, withParity } from "../../../../agent/cards/wiegand.ts";
import type { Read } from "../../../../drivers/reader.ts";

/** A way in which a site's readers and its server write a card. */
export interface Encoding {
  readonly name: string;
  /** What the reader delivers for a card. */
  readonly read: (card: Uint8Array) => Read;
  /** The pipeline that is to be found, or one that does the same. */
  readonly pipeline: string;
  readonly bytes: number;
  /** Three cards leave something open that they cannot show; how it is told apart is tested elsewhere. */
  readonly open?: true;
}

const text = (value: string): Read => ({ kind: "text", text: value });
const upper = (card: Uint8Array) => card.toHex().toUpperCase();
const hex = (card: Uint8Array): Read => text(upper(card));
const number = (card: Uint8Array) => BigInt(`0x${card.toHex()}`);
const decimal = (card: Uint8Array): Read => text(number(card).toString());
const xor = (card: Uint8Array) => card.reduce((sum, byte) => sum ^ byte, 0);
const sum = (card: Uint8Array) => card.reduce((total, byte) => (total + byte) & 0xff, 0);
const byte = (value: number) => value.toString(16).toUpperCase().padStart(2, "0");
const grouped = (sign: string) => (card: Uint8Array) => text((upper(card).match(/../g) ?? []).join(sign));

function luhn(digits: string): string {
  let total = 0;
  for (const [at, c] of [...digits].reverse().entries()) {
    const value = Number(c) * (at % 2 === 0 ? 2 : 1);
    total += Math.floor(value / 10) + (value % 10);
  }
  return digits + ((10 - (total % 10)) % 10);
}

/** The card's last bits as a word of the format. */
function word(name: WiegandName, card: Uint8Array) {
  const { bitLength } = WIEGAND_FORMATS[name];
  const bits = toBinary(ofBytes(card)).padStart(bitLength, "0").slice(-bitLength);
  return withParity(WIEGAND_FORMATS[name], fromBinary(bits));
}
const wiegand =
  (name: WiegandName) =>
  (card: Uint8Array): Read =>
    word(name, card);
const value = (name: WiegandName, card: Uint8Array) => BigInt(`0b${toBinary(word(name, card))}`);
const printed =
  (name: WiegandName, digits: number) =>
  (card: Uint8Array): Read =>
    text(value(name, card).toString(16).toUpperCase().padStart(digits, "0"));

const row = (name: string, bytes: number, read: Encoding["read"], pipeline: string, open?: true): Encoding => ({
  name,
  bytes,
  read,
  pipeline,
  ...(open === undefined ? {} : { open }),
});

export const ENCODINGS: readonly Encoding[] = [
  row("hex as read", 4, hex, "substring(0)"),
  row("hex, last byte first, lower case", 4, hex, "hexDecode | reverseBytes | toHex(lower)"),
  row("hex, lower case", 4, hex, "case(lower)"),
  row("hex to decimal", 4, hex, "hexDecode | toDec"),
  row("hex to 10 digits", 4, hex, "hexDecode | toDec(10)"),
  row("reversed decimal", 4, hex, "hexDecode | reverseBytes | toDec"),
  row("reversed 10 digits", 4, hex, "hexDecode | reverseBytes | toDec(10)"),
  row("bits reversed in each byte", 4, hex, "hexDecode | reverseBits(perByte) | toHex(upper)"),
  row("all bits reversed", 4, hex, "hexDecode | reverseBits(all) | toHex(upper)"),
  row("all bits reversed, decimal", 4, hex, "hexDecode | reverseBits(all) | toDec(10)"),
  row("nibbles swapped", 4, hex, "hexDecode | swapNibbles | toHex(upper)"),
  row("nibbles reversed", 4, hex, "hexDecode | reverseBytes | swapNibbles | toHex(upper)"),
  row("bits reversed in each half byte", 4, hex, "hexDecode | reverseBits(perByte) | swapNibbles | toHex(upper)"),
  row(
    "bits reversed in each half byte, last byte first",
    4,
    hex,
    "hexDecode | reverseBits(all) | swapNibbles | toHex(lower)",
  ),
  row("inverted", 4, hex, "hexDecode | invert | toHex(upper)", true),
  row("inverted and reversed, decimal", 4, hex, "hexDecode | reverseBytes | invert | toDec"),
  row("binary", 4, hex, "hexDecode | toBin"),
  row("low 3 bytes, decimal", 4, hex, "hexDecode | bits(-24) | toDec"),
  row("first 3 bytes, 8 digits", 4, hex, "hexDecode | bits(0,24) | toDec(8)"),
  row("8 + 16 bits, 3 and 5 digits", 4, hex, "hexDecode | { bits(-24,8) | toDec(3) + bits(-16) | toDec(5) }", true),
  row(
    "8 + 16 bits with a comma",
    4,
    hex,
    "hexDecode | { bits(-24,8) | toDec | append(\\,) + bits(-16) | toDec }",
    true,
  ),
  row(
    "16 + 16 bits, reversed",
    4,
    hex,
    "hexDecode | reverseBytes | { bits(-32,16) | toDec(5) + bits(-16) | toDec(5) }",
    true,
  ),
  row("last 8 decimal digits", 4, hex, "hexDecode | toDec(10) | substring(-8)"),
  row("hex without zeros in front", 4, hex, "hexDecode | toHex(upper) | stripZeros"),
  row("12 hex digits, zeros in front", 4, hex, "hexDecode | toHex(upper,12)"),
  row("decimal to hex", 4, decimal, "decDecode(4) | toHex(upper)"),
  row("decimal to hex, reversed", 4, decimal, "decDecode(4) | reverseBytes | toHex(lower)"),
  row("decimal to reversed decimal", 4, decimal, "decDecode(4) | reverseBytes | toDec"),
  row("decimal, zeros in front", 4, decimal, "padLeft(0,10)"),
  row("hex with colons", 4, grouped(":"), "remove(:) | hexDecode | toDec(10)"),
  row("hex with spaces, reversed", 4, grouped(" "), "remove(\\ ) | hexDecode | reverseBytes | toHex(upper)"),
  row(
    "sentinels and a tail",
    4,
    (card) => text(`;${number(card)}=8?`),
    "trim(;?) | cut(=) | decDecode(4) | reverseBytes | toHex(lower)",
  ),
  row("a letter in front", 4, (card) => text(`S${upper(card)}`), "stripPrefix(S) | hexDecode | toDec"),
  row("white space around", 4, (card) => text(` ${upper(card)}\r`), "trim | hexDecode | toDec"),
  row(
    "ASCII codes of hex",
    4,
    (card) => text(Buffer.from(upper(card)).toString("hex").toUpperCase()),
    "asciiHexDecode | hexDecode | toDec",
  ),
  row("to ASCII codes of hex", 4, hex, "asciiHexEncode"),
  row("a prefix in the database", 4, hex, "hexDecode | toDec | prepend(EMP-)"),
  row(
    "EM4100 with its checksum, 10 digits",
    5,
    (card) => text(upper(card) + byte(xor(card))),
    "hexDecode | checksum(xor8) | bits(-32) | toDec(10)",
    true,
  ),
  row("a sum behind", 4, (card) => text(upper(card) + byte(sum(card))), "hexDecode | checksum(sum8) | toDec"),
  row("a Luhn digit behind", 4, (card) => text(luhn(number(card).toString().padStart(10, "0"))), "luhn"),
  row("7 bytes, decimal", 7, hex, "hexDecode | toDec"),
  row("7 bytes, reversed hex", 7, hex, "hexDecode | reverseBytes | toHex(lower)"),
  row("7 bytes, reversed decimal", 7, hex, "hexDecode | reverseBytes | toDec"),
  row("7 bytes, last 4", 7, hex, "hexDecode | bits(-32) | toDec", true),
  row(
    "7 bytes as bits, first 4 reversed",
    7,
    (card) => ofBytes(card),
    "bits(0,32) | reverseBytes | toHex(upper)",
    true,
  ),
  row("10 bytes, decimal", 10, hex, "hexDecode | toDec"),
  row("10 bytes as bits, reversed", 10, (card) => ofBytes(card), "reverseBytes | toHex(upper)"),
  row("H10301, number", 4, wiegand("H10301"), "wiegand(H10301,number) | toDec", true),
  row("H10301, number, 5 digits", 4, wiegand("H10301"), "wiegand(H10301,number) | toDec(5)", true),
  row(
    "H10301, both with a dash",
    4,
    wiegand("H10301"),
    "{ wiegand(H10301,facility) | toDec | append(-) + wiegand(H10301,number) | toDec(5) }",
    true,
  ),
  row("H10301, 24 bits, hex", 4, wiegand("H10301"), "wiegand(H10301) | toHex(upper)", true),
  row(
    "H10301 printed in hex, both",
    4,
    printed("H10301", 7),
    "hexDecode | bits(-26) | { wiegand(H10301,facility) | toDec(3) + wiegand(H10301,number) | toDec(5) }",
    true,
  ),
  row(
    "H10306, both",
    5,
    wiegand("H10306"),
    "{ wiegand(H10306,facility) | toDec(5) + wiegand(H10306,number) | toDec(5) }",
    true,
  ),
  row("H10302, number", 5, wiegand("H10302"), "wiegand(H10302,number) | toDec"),
  row(
    "H10302 printed in decimal, number",
    5,
    (card) => text(value("H10302", card).toString()),
    "decDecode(5) | bits(-37) | wiegand(H10302,number) | toDec",
  ),
  row(
    "H10304, both",
    5,
    wiegand("H10304"),
    "{ wiegand(H10304,facility) | toDec | append(-) + wiegand(H10304,number) | toDec(6) }",
  ),
  row("Corporate 1000-35, number", 5, wiegand("C1k35s"), "wiegand(C1k35s,number) | toDec(7)"),
  row(
    "Corporate 1000-48, both",
    6,
    wiegand("C1k48s"),
    "{ wiegand(C1k48s,facility) | toDec | append(-) + wiegand(C1k48s,number) | toDec }",
    true,
  ),
  row(
    "an unnamed field of 34 bits",
    5,
    (card) => fromBinary(toBinary(ofBytes(card)).slice(0, 39)),
    "bits(5,21) | toDec",
  ),
  row(
    "H10301 in hex as OSDP fills it up, number",
    4,
    (card) => text(word("H10301", card).bytes.toHex().toUpperCase()),
    "hexDecode | bits(0,26) | wiegand(H10301,number) | toDec",
    true,
  ),
  row(
    "a magnetic stripe's second track",
    7,
    (card) => text(`;${number(card).toString().padStart(17, "0")}=99${card.at(-1)}?`),
    "substring(1,17)",
  ),
  row(
    "10 printed digits to 3 + 5",
    4,
    decimal,
    "decDecode(4) | { bits(-24,8) | toDec(3) + bits(-16) | toDec(5) }",
    true,
  ),
];

/**
 * Three cards that show what can be shown: zeros and ones in front whichever way they are read, letters and none, each
 * byte another.
 */
export const CARDS: Readonly<Record<number, readonly string[]>> = {
  4: ["04A2B3C4", "703DF105", "9EC85B60"],
  5: ["04A2B3C4D7", "703DF1A205", "9EC85B6E60"],
  6: ["04A2B3C4D5E7", "703DF1A22B05", "9EC85B6E1160"],
  7: ["04A2B3C4D5E681", "703DF1A22B9C05", "9EC85B6E114460"],
  10: ["04A2B3C4D5E6819A7B", "703DF1A22B9C13E705", "9EC85B6E114467F260"].map(
    (hex) => `${hex.slice(0, 8)}5A${hex.slice(8)}`,
  ),
};
