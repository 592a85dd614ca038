import { CardError } from "./card-error.ts";
import { type StepTypes, textToText } from "./step-type.ts";

/** Steps that do what another product does, where that is not what one would write oneself. */
export const COMPATIBLE_STEPS: StepTypes = {
  savapageCompat: textToText(
    {
      usage: "savapageCompat(HEX|DECIMAL,LSB|MSB)",
      doc: "the number that SavaPage stores, with its faults: it loses zero bytes, adds one to 7-byte UIDs, takes 63 bits",
    },
    (args) => {
      const radix = args.word("format", ["HEX", "DECIMAL"]) === "HEX" ? 16 : 10;
      const msbFirst = args.word("first", ["LSB", "MSB"]) === "MSB";
      return (text) => savapage(text, radix, msbFirst);
    },
  ),
  safeqAscii2Hex: textToText(
    {
      usage: "safeqAscii2Hex",
      doc: "SafeQ's ASCII2Hex: codes 30-39 and 40-49 of ASCII characters to these; other text stays as it is",
    },
    () => (text) => {
      if (!/^(?:[34][0-9])+(?:[fF]{2})*$/.test(text)) return text;
      // Its manual has the filling in the format, and does not say what becomes of it.
      if (/[fF]/.test(text)) throw new CardError("card-not-ascii", "filled with FF; drop that first, with trim(Ff)");
      return Buffer.from(text, "hex").toString("latin1");
    },
  ),
};

const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;

/**
 * SavaPage's normalisation of a card number, rule by rule: sentinels, a checksum behind `=`, two stray signs, a least
 * length, then a signed 64-bit number whose hexadecimal form loses its zeros in front and eight zeros at the end.
 */
function savapage(read: string, radix: 10 | 16, msbFirst: boolean): string {
  if (read.trim() === "") throw new CardError("card-empty", "a blank read");
  let text = /^[;*]/.test(read) ? read.slice(1) : read;
  if (/[?/]$/.test(text)) text = text.slice(0, -1);
  text = /([0-9]*)=/.exec(text)?.[1] ?? text;
  text = text.replace(/[\\[]/g, "");
  if (text.length < (radix === 16 ? 8 : 10)) {
    throw new CardError("card-too-short", `SavaPage takes ${radix === 16 ? 8 : 10} digits or more`);
  }
  const [, sign, digits] = (radix === 16 ? /^([+-]?)([0-9A-Fa-f]+)$/ : /^([+-]?)([0-9]+)$/).exec(text) ?? [];
  if (digits === undefined) throw new CardError(radix === 16 ? "card-not-hex" : "card-not-decimal", "not a number");
  const magnitude = BigInt(radix === 16 ? `0x${digits}` : digits);
  const value = sign === "-" ? -magnitude : magnitude;
  if (value < LONG_MIN || value > LONG_MAX) throw new CardError("card-too-long", "SavaPage takes 63 bits");
  if (radix === 16 && !msbFirst) return text.toLowerCase();
  const hex = BigInt.asUintN(64, value).toString(16);
  const ordered = msbFirst
    ? BigInt(`0x${(hex.padStart(16, "0").match(/../g) ?? []).reverse().join("")}`).toString(16)
    : hex;
  return ordered.endsWith("00000000") ? ordered.slice(0, -8) : ordered;
}
