import { compilePattern } from "../pattern.ts";
import { bounded, refused } from "./call.ts";
import { type Operation, pipelineText, type Taken, unsupported } from "./operation.ts";

/**
 * PaperCut has two settings per device: `ext-device.card-no-regex`, whose first group is taken (without one it cuts at `=`), then
 * `ext-device.card-no-converter`, converters joined by `|`. Source: the vendor's embedded manuals (Sharp, Ricoh, Konica Minolta).
 * A rule is either of them alone, or both as `card-no-regex=... card-no-converter=...`.
 */
export function importPapercut(rule: string): Taken {
  const { regex, converter } = settings(bounded(rule).trim());
  const operations: Operation[] = [regex === "" ? { do: "cut", text: "=" } : { do: "match", pattern: oneGroup(regex) }];
  const notes =
    regex === ""
      ? []
      : ["a read that does not match is refused here; PaperCut's manual does not say what it does with it"];
  for (const name of converter === "" ? [] : converter.split("|")) {
    operations.push(...convert(name.trim(), notes));
  }
  return { text: pipelineText(operations), notes };
}

const CONVERTER = /^(?:hex2dec|dec2hex|ascii-enc|javascript:.*)$/s;

function settings(rule: string): { regex: string; converter: string } {
  const both = /^(?:(?:ext-device\.)?card-no-regex=(.*?))?(?:(?:^|\s+)(?:ext-device\.)?card-no-converter=(.*))?$/s.exec(
    rule,
  );
  const [, regex, converter] = both ?? [];
  if (regex !== undefined || converter !== undefined) {
    return { regex: regex?.trim() ?? "", converter: converter?.trim() ?? "" };
  }
  const converters = rule
    .split("|")
    .every((name) => CONVERTER.test(name.trim()) || /^[A-Za-z0-9-]+$/.test(name.trim()));
  return converters ? { regex: "", converter: rule } : { regex: rule, converter: "" };
}

function convert(name: string, notes: string[]): Operation[] {
  if (name === "hex2dec") return [{ do: "hexToDec" }];
  if (name === "ascii-enc") return [{ do: "asciiDecode" }];
  if (name === "dec2hex") {
    notes.push("dec2hex: no zeros in front, as of a number; try a card whose number begins with 0");
    return [{ do: "decToHex", case: "upper" }];
  }
  if (name.startsWith("javascript:")) {
    throw refused(
      "javascript",
      "a script is not run on this device, because it could do anything there; say in steps what it does, or let `printgate card learn` find them from three cards",
    );
  }
  throw refused(name.slice(0, 40), "no converter; there are hex2dec, dec2hex and ascii-enc");
}

/** The first group counts, so those after it need not capture. Java's own forms are refused, not read as JavaScript's. */
function oneGroup(regex: string): string {
  let pattern = "";
  let groups = 0;
  let inSet = false;
  for (let at = 0; at < regex.length; at += 1) {
    const c = regex.charAt(at);
    if (c === "\\") {
      pattern += c + regex.charAt(at + 1);
      at += 1;
      continue;
    }
    if (inSet && (c === "[" || regex.startsWith("&&", at))) {
      throw refused("the regex", "sets inside sets are Java's own; write one set");
    }
    if (c === "[") inSet = true;
    else if (c === "]") inSet = false;
    if (c === "(" && !inSet && regex.charAt(at + 1) !== "?") {
      groups += 1;
      pattern += groups === 1 ? "(" : "(?:";
    } else pattern += c;
  }
  if (groups === 0) throw refused("the regex", "put what is meant in parentheses: its first group is the number");
  compilePattern(pattern);
  return pattern;
}

/** At most one operation that chooses a part, which becomes the regex, then converters. */
export function exportPapercut(operations: readonly Operation[]): Taken {
  const [first] = operations;
  const regex = first === undefined ? undefined : choosing(first);
  const rest = regex === undefined ? operations : operations.slice(1);
  const converters = rest.map((operation) => {
    if (operation.do === "hexToDec") return "hex2dec";
    if (operation.do === "asciiDecode") return "ascii-enc";
    if (operation.do === "decToHex" && operation.case === "upper") return "dec2hex";
    throw unsupported(
      pipelineText([operation]),
      "PaperCut has only a regex at the beginning, hex2dec, dec2hex and ascii-enc",
    );
  });
  // Without a regex PaperCut cuts at `=`, which is the rule exactly when the pipeline does so too.
  const cutsAtEquals = first?.do === "cut" && first.text === "=";
  const settings = [
    ...(cutsAtEquals ? [] : [`card-no-regex=${regex ?? "(.*)"}`]),
    ...(converters.length === 0 ? [] : [`card-no-converter=${converters.join("|")}`]),
  ];
  return { text: settings.length === 0 ? "card-no-regex=([^=]*)" : settings.join(" "), notes: [] };
}

/** The regex whose first group is what the operation leaves. */
function choosing(operation: Operation): string | undefined {
  if (operation.do === "match") return operation.pattern;
  if (operation.do === "cut" && operation.text.length === 1) return `^([^${escaped(operation.text)}]*)`;
  if (operation.do !== "part") return undefined;
  const { start, length } = operation;
  if (start >= 0) {
    const skip = start === 0 ? "^" : `^.{${start}}`;
    if (length === undefined) return `${skip}(.*)$`;
    return length > 0 ? `${skip}(.{${length}})` : `${skip}(.*).{${-length}}$`;
  }
  if (length === undefined) return `(.{${-start}})$`;
  const taken = length > 0 ? length : -start + length;
  const left = -start - taken;
  return taken > 0 && left >= 0 ? `(.{${taken}})${left === 0 ? "" : `.{${left}}`}$` : undefined;
}

const escaped = (character: string): string => (/[\\\]^-]/.test(character) ? `\\${character}` : character);
