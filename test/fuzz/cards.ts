import { CardError } from "../../agent/cards/card-error.ts";
import { MAX_TEXT } from "../../agent/cards/chain.ts";
import { exportRule, importRule, SYSTEMS } from "../../agent/cards/import/rule.ts";
import { learn, type Pair } from "../../agent/cards/learn/learn.ts";
import { type Pipeline, parsePipeline, toCardNumber } from "../../agent/cards/pipeline.ts";
import type { Read } from "../../drivers/reader.ts";
import type { Behaviour, Target } from "./engine.ts";

const seeds = (...texts: readonly string[]): readonly Uint8Array[] => texts.map((text) => Buffer.from(text, "latin1"));
const textOf = (input: Uint8Array): string => Buffer.from(input).toString("latin1");

/** What it gives, or the code with which it was refused; nothing else may be thrown. */
function codeOr(run: () => string): string {
  try {
    return run();
  } catch (error) {
    if (error instanceof CardError) return error.code;
    throw error;
  }
}

function convert(pipeline: Pipeline, read: Read): string {
  const number = toCardNumber(pipeline, read);
  if (number === "" || number.length > MAX_TEXT) throw new Error(`a card number of ${number.length} characters`);
  return `number of ${number.length}`;
}

/** A pipeline, a line end, and a read: a card number within bounds, or a code. */
const pipeline: Target = {
  name: "card-pipeline",
  seeds: seeds(
    "trim(;?) | cut(=) | decDecode(4) | reverseBytes | toHex(lower)\n;4234685818=6?",
    "hexDecode | { bits(-24,8) | toDec(3) | append(-) + bits(-16) | toDec(5) }\n04A2B3C4",
    "wiegand(H10301,number,warn) | toDec(5) | padLeft(0,9)\n\xbb\x03\x21\x80",
    "regex(^(?:;0)?([0-9A-F]{8,20})) | hexDecode | checksum(xor8) | swapNibbles | invert | toBin\n04A2B3C4D1",
    "asciiHexDecode | substring(2,-2) | reversePairs | luhn(keep)\n3934364542443238",
    "savapageCompat(HEX,MSB)\n04A1B2C3D4E5F6",
  ),
  run(input): Behaviour {
    const end = input.indexOf(0x0a);
    const [written, rest] = end < 0 ? [input, input] : [input.subarray(0, end), input.subarray(end + 1)];
    let parsed: Pipeline | undefined;
    const refused = codeOr(() => {
      parsed = parsePipeline(textOf(written));
      return "";
    });
    if (parsed === undefined) return refused;
    const { from, steps } = parsed;
    const read: Read =
      from === "text"
        ? { kind: "text", text: textOf(rest) }
        : { kind: "bits", bytes: rest, bitLength: rest.length * 8 };
    const chosen = parsed;
    const number = codeOr(() => convert(chosen, read));
    const rules = SYSTEMS.map((system) => codeOr(() => exportRule(system, chosen).text.slice(0, 3)));
    return `${steps.map(({ name }) => name).join()} ${number} ${rules.join()}`;
  },
};

/** A rule of each system: a pipeline that can be parsed, or a code; given back and taken over again it is the same one. */
const rules: Target = {
  name: "card-rules",
  seeds: seeds(
    "card-no-regex=(.{10}) card-no-converter=ascii-enc|hex2dec|dec2hex",
    "DECIMAL,MSB,7",
    "HEX,LSB,compat",
    "Substring(2);Hex2Dec;LeftPadding(0,3) + Substring(2,6) + Const(-);CardNo + Dec2Hex",
    "ltrim(2);mid(2,2);reverse();hex2dec();lpad(10,0);prepend(AB)",
    "javascript:custom/card.js",
  ),
  run(input): Behaviour {
    const rule = textOf(input);
    return SYSTEMS.map((system) =>
      codeOr(() => {
        const { text } = importRule(system, rule, { hexCase: "upper" });
        const back = codeOr(
          () => importRule(system, exportRule(system, parsePipeline(text)).text, { hexCase: "upper" }).text,
        );
        return `${parsePipeline(text).steps.map(({ name }) => name)} ${back === text}`;
      }),
    ).join(";");
  },
};

/** Lines of read, `=` and number: an answer whose pipelines fit, or a code. */
const learning: Target = {
  name: "card-learn",
  seeds: seeds(
    "04A2B3C4=3300106756\n703DF105=99695984\n9EC85B60=1616627870",
    ";4234685818=8?=7a2d68fc\n;3721106078=4?=9e92cbdd\n;1234567890=1?=d2029649",
    "118,01603=1603\n7,60001=60001\n101,00337=337",
    "3934364542443238=2490285352\n3034413242334334=77771716",
  ),
  run(input): Behaviour {
    const pairs = textOf(input.subarray(0, 400))
      .split("\n", 3)
      .flatMap((line): Pair[] => {
        const at = line.lastIndexOf("=");
        return at < 0 ? [] : [{ read: { kind: "text", text: line.slice(0, at) }, number: line.slice(at + 1) }];
      });
    return codeOr(() => {
      const { verdict, pipelines } = learn(pairs);
      for (const text of pipelines) {
        const found = parsePipeline(text);
        for (const { read, number } of pairs) {
          if (toCardNumber(found, read) !== number) throw new Error("it does not fit");
        }
      }
      return `${verdict} ${pipelines.length} ${pipelines[0]?.replace(/\(.*?\)/g, "")}`;
    });
  },
};

export const CARD_TARGETS: readonly Target[] = [pipeline, rules, learning];
