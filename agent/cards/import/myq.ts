import { bounded, type Call, CallArguments, calls, refused } from "./call.ts";
import { type Operation, pipelineText, type Taken, unsupported } from "./operation.ts";

/**
 * MyQ's ID card transformation: functions, one after the other. Source: "ID card transformation commands" in its manual, which
 * has an example for each. How the functions are separated is not in it: `;` and spaces are both read, `;` is written.
 */
export function importMyq(rule: string): Taken {
  const { calls: found, between } = calls(bounded(rule));
  const [lead = "", ...gaps] = between.map((gap) => gap.trim());
  if (found.length === 0 || lead !== "") throw refused(lead.slice(0, 20) || "the rule", "no function stands there");
  const other = gaps.find((gap) => gap !== "" && gap !== ";");
  if (other !== undefined) throw refused(other.slice(0, 20), "functions are separated by ;");
  const notes = ["functions are separated by ;, which is not in MyQ's manual"];
  return { text: pipelineText(found.flatMap(operation)), notes: found.length > 1 ? notes : [] };
}

const KNOWN =
  "ltrim, rtrim, prepend, append, left, right, mid, lpad, hex2dec, dec2hex, hex2bin, bin2hex, dec2bin, bin2dec and reverse";

const CONVERSIONS: Readonly<Record<string, Operation>> = {
  hex2dec: { do: "hexToDec" },
  dec2hex: { do: "decToHex", case: "upper" },
  hex2bin: { do: "hexToBin" },
  bin2hex: { do: "binToHex", case: "upper" },
  dec2bin: { do: "decToBin" },
  bin2dec: { do: "binToDec" },
  reverse: { do: "reversePairs" },
};

function operation(call: Call): Operation[] {
  if (Object.hasOwn(CONVERSIONS, call.name)) {
    new CallArguments(call, 0);
    const conversion = CONVERSIONS[call.name];
    return conversion === undefined ? [] : [conversion];
  }
  switch (call.name) {
    case "ltrim":
      return part(new CallArguments(call, 1).whole(0, 0, 512), 0);
    case "rtrim":
      return part(0, new CallArguments(call, 1).whole(0, 0, 512));
    case "mid": {
      const args = new CallArguments(call, 2);
      return part(args.whole(0, 0, 512), args.whole(1, 0, 512));
    }
    case "left":
      return [{ do: "part", start: 0, length: new CallArguments(call, 1).whole(0, 1, 512) }];
    case "right":
      return [{ do: "part", start: -new CallArguments(call, 1).whole(0, 1, 512) }];
    case "prepend":
    case "append":
      return [{ do: call.name, text: new CallArguments(call, 1).word(0, 64) }];
    case "lpad": {
      const args = new CallArguments(call, 2);
      return [{ do: "pad", fill: args.word(1, 1), width: args.whole(0, 1, 512) }];
    }
    default:
      throw refused(call.name.slice(0, 40), `no function that is known here; there are ${KNOWN}`);
  }
}

/** Without so many characters at the left and at the right. */
function part(left: number, right: number): Operation[] {
  if (right > 0) return [{ do: "part", start: left, length: -right }];
  return left > 0 ? [{ do: "part", start: left }] : [];
}

export function exportMyq(operations: readonly Operation[]): Taken {
  return { text: operations.length === 0 ? "ltrim(0)" : operations.map(functions).join(";"), notes: [] };
}

function functions(operation: Operation): string {
  const no = (why: string) => unsupported(pipelineText([operation]), why);
  switch (operation.do) {
    case "hexToDec":
      return "hex2dec()";
    case "hexToBin":
      return "hex2bin()";
    case "decToBin":
      return "dec2bin()";
    case "binToDec":
      return "bin2dec()";
    case "decToHex":
    case "binToHex":
      if (operation.case === "lower") throw no("MyQ writes hexadecimal digits in upper case");
      return operation.do === "decToHex" ? "dec2hex()" : "bin2hex()";
    case "reversePairs":
      return "reverse()";
    case "pad":
      return `lpad(${operation.width},${word(operation.fill, no)})`;
    case "prepend":
    case "append":
      return `${operation.do}(${word(operation.text, no)})`;
    case "part":
      return cut(operation.start, operation.length);
    case "asciiDecode":
    case "safeqAsciiDecode":
      throw no("MyQ has no function for ASCII codes");
    case "match":
    case "cut":
      throw no("MyQ has no patterns; cut by position with substring");
    case "join":
      throw no("MyQ puts nothing side by side");
  }
}

function cut(start: number, length: number | undefined): string {
  if (start < 0) {
    if (length === undefined) return `right(${-start})`;
    return `right(${-start});${length > 0 ? `left(${length})` : `rtrim(${-length})`}`;
  }
  if (length === undefined) return `ltrim(${start})`;
  if (length < 0) return start === 0 ? `rtrim(${-length})` : `mid(${start},${-length})`;
  return start === 0 ? `left(${length})` : `ltrim(${start});left(${length})`;
}

function word(text: string, no: (why: string) => Error): string {
  if (!/^[\x21-\x7e]+$/.test(text) || /[(),;"'`]/.test(text))
    throw no("its text has a sign that MyQ's rules use themselves");
  return text;
}
