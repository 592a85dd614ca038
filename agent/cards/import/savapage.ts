import type { Pipeline } from "../pipeline.ts";
import { bounded, refused } from "./call.ts";
import { type Taken, unsupported } from "./operation.ts";

/** What SavaPage's rules do before they read the number: sentinels, a checksum behind `=`, two signs that slip in. */
const CLEAN = "trim(;*?/) | cut(=) | remove(\\\\[)";

/**
 * SavaPage has two settings, the format and the byte that comes first; it stores lower-case hexadecimal, least significant byte
 * first. A rule is `HEX|DECIMAL,LSB|MSB`, then `compat` for SavaPage's own arithmetic with its faults, or the bytes of a
 * decimal number (4), which its digits do not tell. Source: its manual, appendix NFC authentication, and facts of its behaviour.
 */
export function importSavapage(rule: string): Taken {
  const [format = "", first = "", option, ...rest] = bounded(rule)
    .trim()
    .split(/[\s,]+/);
  const hex = /^hex$/i.test(format);
  if (!hex && !/^dec(imal)?$/i.test(format)) throw refused(format.slice(0, 40), "the format is HEX or DECIMAL");
  const msb = /^msb$/i.test(first);
  if (!msb && !/^lsb$/i.test(first)) throw refused(first.slice(0, 40) || "the rule", "the first byte is LSB or MSB");
  if (rest.length > 0) throw refused(rest.join(" ").slice(0, 40), "nothing more is known");
  if (option === "compat") {
    return { text: `savapageCompat(${hex ? "HEX" : "DECIMAL"},${msb ? "MSB" : "LSB"})`, notes: [] };
  }
  const bytes = option === undefined ? 4 : /^(?:[1-9]|1[0-6])$/.test(option) && !hex ? Number(option) : 0;
  if (bytes === 0)
    throw refused(option?.slice(0, 40) ?? "", "compat, or with DECIMAL the bytes of the number, 1 to 16");
  const decode = hex ? "hexDecode" : `decDecode(${bytes})`;
  const notes = ["SavaPage itself loses zero bytes and cannot store UIDs of 8 bytes and more: compat does as it does"];
  if (!hex && option === undefined) notes.push("numbers of 4 bytes; say DECIMAL,LSB,7 or the like for longer ones");
  return { text: `${CLEAN} | ${decode}${msb ? " | reverseBytes" : ""} | toHex(lower)`, notes };
}

export function exportSavapage({ steps }: Pipeline): Taken {
  const [last, ...before] = steps.toReversed();
  if (last?.name === "savapageCompat" && before.length === 0)
    return { text: `${last.args.join(",")},compat`, notes: [] };
  if (last?.name !== "toHex" || last.args[0] !== "lower" || last.args[1] !== undefined) {
    throw unsupported(last ?? "", "SavaPage stores toHex(lower)");
  }
  const notes = [
    "SavaPage itself gives other numbers where zero bytes are lost: try the cards with the rule and compat",
  ];
  let msb = false;
  for (const step of before) {
    if (step.name === "reverseBytes") msb = !msb;
    else if (step.name === "hexDecode")
      return { text: `HEX,${msb ? "MSB" : "LSB"}`, notes: [...notes, ...cleaned(before, step)] };
    else if (step.name === "decDecode") {
      const text = `DECIMAL,${msb ? "MSB" : "LSB"}${step.args[0] === "4" ? "" : `,${step.args[0]}`}`;
      return { text, notes: [...notes, ...cleaned(before, step)] };
    } else throw unsupported(step, "SavaPage has hexDecode or decDecode, reverseBytes and toHex(lower)");
  }
  throw unsupported(steps[0], "SavaPage has hexDecode or decDecode, reverseBytes and toHex(lower)");
}

/** Before the number SavaPage does its own cleaning; anything else is not possible there. */
function cleaned(before: readonly { text: string; name: string }[], decode: { text: string; name: string }): string[] {
  const steps = before.slice(before.indexOf(decode) + 1);
  const other = steps.find(({ text }) => text !== "trim" && !CLEAN.split(" | ").includes(text));
  if (other !== undefined) throw unsupported(other.text, "SavaPage drops only ; * ? / at the ends and what follows =");
  return steps.some(({ text }) => text === "trim")
    ? ["SavaPage does not trim: the reader must send no spaces around"]
    : [];
}
