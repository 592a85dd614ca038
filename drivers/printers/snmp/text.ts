/** The texts of a printer: octets in a charset of its own choice, on their way to terminals, pages and logs. */

const MAX_CHARACTERS = 80;
/** More of one value is not looked at. */
const MAX_OCTETS = 1024;

/** IANA's MIBenum of a charset, to the label that TextDecoder knows. */
const CHARSETS: Readonly<Record<number, string>> = {
  5: "iso-8859-2",
  6: "iso-8859-3",
  7: "iso-8859-4",
  8: "iso-8859-5",
  9: "iso-8859-6",
  10: "iso-8859-7",
  11: "iso-8859-8",
  12: "windows-1254", // ISO-8859-9, by the WHATWG's table
  17: "shift_jis",
  18: "euc-jp",
  38: "euc-kr",
  39: "iso-2022-jp",
  106: "utf-8",
  109: "iso-8859-13",
  110: "iso-8859-14",
  111: "iso-8859-15",
  113: "gbk",
  114: "gb18030",
  1000: "utf-16be", // ISO-10646-UCS-2
  1013: "utf-16be",
  1014: "utf-16le",
  1015: "utf-16be",
  2024: "shift_jis", // Windows-31J
  2025: "gbk", // GB2312
  2026: "big5",
  2084: "koi8-r",
  2250: "windows-1250",
  2251: "windows-1251",
  2253: "windows-1253",
  2254: "windows-1254",
  2255: "windows-1255",
  2256: "windows-1256",
  2257: "windows-1257",
  2258: "windows-1258",
};

/**
 * `charset` is a prtLocalizationCharacterSet. A charset that is not declared, not known or only Latin is tried as UTF-8
 * first, because printers that declare ASCII send UTF-8 all the same, and Latin text is hardly ever valid UTF-8.
 * An INTEGER where text belongs is its digits. Never throws.
 */
export function decodeText(value: unknown, charset?: number): string | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : undefined;
  if (!(value instanceof Uint8Array)) return undefined;
  const octets = value.subarray(0, MAX_OCTETS);
  const declared = charset === undefined ? undefined : CHARSETS[charset];
  const text =
    decoded(octets, declared ?? "utf-8") ?? decoded(octets, "utf-8") ?? decoded(octets, "windows-1252") ?? "";
  return shown(text);
}

function decoded(octets: Uint8Array, label: string): string | undefined {
  try {
    // Not fatal where the bound may have cut a character in two.
    return new TextDecoder(label, { fatal: octets.length < MAX_OCTETS }).decode(octets);
  } catch {
    return undefined;
  }
}

/** For a terminal: no control character, nothing that turns the writing around or is not seen, one line, not long. */
function shown(text: string): string | undefined {
  const clean = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Zs}]+/gu, " ")
    .replace(/[\p{Cf}\p{Cn}\p{Co}]/gu, "")
    .trim();
  const short = [...clean].slice(0, MAX_CHARACTERS).join("").trimEnd();
  return short === "" ? undefined : short;
}
