import { CardError } from "../card-error.ts";
import { bounded, type Call, CallArguments, calls, refused } from "./call.ts";
import { type HexCase, type Operation, pipelineText, type Taken, unsupported } from "./operation.ts";

/**
 * The conversion of YSoft SafeQ and Dispatcher Paragon: rules joined by `;`, each on the result of the one before; `+` puts
 * rules side by side and joins what they give, and binds tighter. Names are case-sensitive. Source: "Using Card Number
 * Conversion" in the manuals of both.
 */
export function importSafeq(rule: string, hexCase?: HexCase): Taken {
  const { calls: found, between } = calls(bounded(rule));
  const [lead = "", ...gaps] = between.map((gap) => gap.trim());
  const tail = gaps.pop() ?? "";
  if (found.length === 0 || lead !== "") throw refused(lead.slice(0, 20) || "the rule", "no function stands there");
  if (tail !== "" && tail !== ";") throw refused(tail.slice(0, 20), "nothing may stand at the end");
  const groups: [Call, ...Call[]][] = [];
  for (const [at, call] of found.entries()) {
    const gap = at === 0 ? ";" : gaps[at - 1];
    if (gap === ";") groups.push([call]);
    else if (gap === "+") groups.at(-1)?.push(call);
    else throw refused(call.name, "functions are joined by ; or +");
  }
  const notes = new Set<string>();
  let operations: Operation[] = [];
  for (const [call, ...more] of groups) {
    if (more.length === 0) operations.push(...alone(call, hexCase, notes));
    else operations = join(operations, [call, ...more], hexCase, notes);
  }
  return { text: pipelineText(operations), notes: [...notes] };
}

const KNOWN =
  "ASCII2Hex, Bin2Dec, CardNo, Const, Dec2Bin, Dec2Hex, Hex2Dec, LeftAppend, LeftPadding, RightAppend and Substring";

function alone(call: Call, hexCase: HexCase | undefined, notes: Set<string>): Operation[] {
  switch (call.name) {
    case "ASCII2Hex":
      new CallArguments(call, 0);
      notes.add(
        "ASCII2Hex: a read that is filled with FF is refused, as the manual does not say what becomes of the filling",
      );
      return [{ do: "safeqAsciiDecode" }];
    case "Hex2Dec":
      new CallArguments(call, 0);
      return [{ do: "hexToDec" }];
    case "Bin2Dec":
      new CallArguments(call, 0);
      return [{ do: "binToDec" }];
    case "Dec2Bin":
      new CallArguments(call, 0);
      notes.add("Dec2Bin: no zeros in front, as of a number; try a card whose number begins with 0");
      return [{ do: "decToBin" }];
    case "Dec2Hex":
      new CallArguments(call, 0);
      if (hexCase === undefined) {
        throw new CardError("card-import-open", "Dec2Hex: are the digits A-F or a-f? Say --hex-case upper or lower");
      }
      notes.add("Dec2Hex: no zeros in front, as of a number; try a card whose number begins with 0");
      return [{ do: "decToHex", case: hexCase }];
    case "LeftPadding": {
      const args = new CallArguments(call, 2);
      return [{ do: "pad", fill: args.word(0, 1), width: args.whole(1, 1, 512) }];
    }
    case "LeftAppend":
      return [{ do: "prepend", text: new CallArguments(call, 1).word(0, 64) }];
    case "RightAppend":
      return [{ do: "append", text: new CallArguments(call, 1).word(0, 64) }];
    case "Substring": {
      const args = new CallArguments(call, 1, 2);
      notes.add("Substring: a read that is too short is refused; the manual does not say what SafeQ does with it");
      if (call.args.length === 1) {
        const start = args.whole(0, -512, 512);
        return start === 0 ? [] : [{ do: "part", start }];
      }
      const start = args.whole(0, 0, 512);
      return [{ do: "part", start, length: args.whole(1, start + 1, 512) - start }];
    }
    case "CardNo":
    case "Const":
      throw refused(call.name, "alone it would forget the rules before it; it belongs beside another one, with +");
    default:
      throw refused(call.name.slice(0, 40), `no function that is known here; there are ${KNOWN} (mind the case)`);
  }
}

/** CardNo is the read before any rule, so with rules before a `+` these move into the other branches. */
function join(
  before: Operation[],
  group: readonly Call[],
  hexCase: HexCase | undefined,
  notes: Set<string>,
): Operation[] {
  const original = group.some(({ name }) => name === "CardNo") && before.length > 0;
  const branches: Operation[][] = [];
  let front = "";
  for (const call of group) {
    if (call.name === "Const") {
      const text = new CallArguments(call, 1).word(0, 64);
      const last = branches.at(-1);
      if (last === undefined) front += text;
      else last.push({ do: "append", text });
    } else if (call.name === "CardNo") {
      new CallArguments(call, 0);
      branches.push([]);
    } else branches.push([...(original ? before : []), ...alone(call, hexCase, notes)]);
  }
  const [first] = branches;
  if (first === undefined) throw refused("Const", "nothing of the card would be left");
  if (front !== "") first.push({ do: "prepend", text: front });
  return [...(original ? [] : before), { do: "join", branches }];
}

export function exportSafeq(operations: readonly Operation[]): Taken {
  if (operations.length === 0) return { text: "Substring(0)", notes: [] };
  const text = operations.map(rules).join(";");
  const notes = [];
  if (text.includes("Dec2Hex")) notes.push("Dec2Hex: the manual does not say whether its digits are A-F or a-f");
  if (operations.some((operation) => operation.do === "asciiDecode")) {
    notes.push("ASCII2Hex takes only the codes 30-39 and 40-49, so a to f must be sent as A to F");
  }
  return { text, notes };
}

function rules(operation: Operation): string {
  const no = (why: string) => unsupported(pipelineText([operation]), why);
  switch (operation.do) {
    case "hexToDec":
      return "Hex2Dec";
    case "binToDec":
      return "Bin2Dec";
    case "decToBin":
      return "Dec2Bin";
    case "decToHex":
      return "Dec2Hex";
    case "hexToBin":
      return "Hex2Dec;Dec2Bin";
    case "binToHex":
      return "Bin2Dec;Dec2Hex";
    case "safeqAsciiDecode":
    case "asciiDecode":
      return "ASCII2Hex";
    case "pad":
      return `LeftPadding(${word(operation.fill, no)},${operation.width})`;
    case "prepend":
      return `LeftAppend(${word(operation.text, no)})`;
    case "append":
      return `RightAppend(${word(operation.text, no)})`;
    case "part":
      if (operation.length === undefined) return `Substring(${operation.start})`;
      if (operation.start >= 0 && operation.length > 0) {
        return `Substring(${operation.start},${operation.start + operation.length})`;
      }
      throw no("SafeQ counts the end of a part from the front only");
    case "join":
      return side(operation.branches, no);
    case "reversePairs":
      throw no("no function for it is known");
    case "match":
    case "cut":
      throw no("SafeQ has no patterns; cut by position with substring");
  }
}

/** Side by side stands one rule each; a constant at an end of a branch is a rule of its own. */
function side(branches: readonly (readonly Operation[])[], no: (why: string) => CardError): string {
  const all = branches.flatMap((branch) => {
    const inner = [...branch];
    const front = inner.at(-1)?.do === "prepend" ? inner.pop() : undefined;
    const behind: Operation[] = [];
    while (inner.at(-1)?.do === "append") behind.unshift(...inner.splice(-1));
    const [rule, ...more] = inner;
    if (more.length > 0 || rule?.do === "join") throw no("in SafeQ one function stands on each side of +");
    // Nothing to do is the value as it is, and not CardNo, which is the read before any rule.
    const text = rule === undefined ? "Substring(0)" : rules(rule);
    if (text.includes(";")) throw no("in SafeQ one function stands on each side of +");
    return [...constant(front, no), text, ...behind.flatMap((operation) => constant(operation, no))];
  });
  return all.join(" + ");
}

function constant(operation: Operation | undefined, no: (why: string) => CardError): string[] {
  return operation?.do === "prepend" || operation?.do === "append" ? [`Const(${word(operation.text, no)})`] : [];
}

function word(text: string, no: (why: string) => CardError): string {
  if (!/^[\x21-\x7e]+$/.test(text) || /[(),;+"'`]/.test(text))
    throw no("its text has a sign that SafeQ's rules use themselves");
  return text;
}
