import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { STEPS } from "../../../agent/cards/steps.ts";
import { command } from "../../../agent/commands/card.ts";
import { pairsOf } from "../../../agent/commands/card-learn.ts";
import type { Invocation } from "../../../agent/commands/command.ts";

async function run(words: readonly string[], options: Invocation["options"] = {}) {
  const lines: string[] = [];
  const results: unknown[] = [];
  const terminal = {
    json: true,
    line: (text: string) => lines.push(text),
    note: (text: string) => lines.push(text),
    result: (value: unknown) => results.push(value),
  };
  const exit = await command.run({ options, words, terminal, signal: new AbortController().signal });
  return { exit, lines, results };
}

describe("card convert", () => {
  it("shows the card number, and each step with --json", async () => {
    expect(await run(["convert", "04A2B3C4"], { pipeline: "hexDecode|reverseBytes|toDec" })).toEqual({
      exit: 0,
      lines: ["3300106756"],
      results: [
        {
          cardNumber: "3300106756",
          pipeline: "hexDecode|reverseBytes|toDec",
          steps: [
            { step: "hexDecode", hex: "04A2B3C4", bits: 32 },
            { step: "reverseBytes", hex: "C4B3A204", bits: 32 },
            { step: "toDec", text: "3300106756" },
          ],
          warnings: [],
        },
      ],
    });
  });

  it("converts as a reader without a pipeline would", async () => {
    expect((await run(["convert", " 04a2 "])).lines).toEqual(["04a2"]);
    expect((await run(["convert", "04a2b3c4"], { kind: "hex" })).lines).toEqual(["04A2B3C4"]);
    expect((await run(["convert", "BB032180"], { kind: "bits:26" })).lines).toEqual(["2EC0C86"]);
  });

  it.each<[readonly string[], Invocation["options"]]>([
    [[], {}],
    [["revert", "04"], {}],
    [["convert"], {}],
    [["convert", "04", "A2"], {}],
    [["convert", "04"], { kind: "octal" }],
    [["convert", "04"], { kind: "bits:9" }],
    [["convert", "04"], { kind: "bits:0" }],
    [["convert", "04".repeat(200)], { kind: "bits:1025" }],
    [["convert", "0"], { kind: "hex" }],
    [["convert", "0x"], { kind: "hex" }],
    [["convert", ""], { kind: "hex" }],
    [["convert", "04"], { pipeline: ["trim", "trim"] }],
    [["convert", "04"], { import: "papercut" }],
    [["convert", "hex2dec", "04", "05"], { import: "papercut" }],
    [["convert", "hex2dec", "04"], { import: "equitrac" }],
    [["convert", "hex2dec", "04"], { import: "papercut", pipeline: "trim" }],
    [["convert", "Dec2Hex", "04"], { import: "safeq", "hex-case": "Upper" }],
    [["import", "myq"], {}],
    [["import", "myq", "reverse()", "04"], {}],
    [["import", "uniflow", "reverse()"], {}],
    [["export", "myq"], {}],
    [["learn"], {}],
    [["learn", "04=1"], { file: "cards.csv" }],
    [["learn", "04", "05"], {}],
    [["learn", "04=", "05=2"], {}],
    [["learn", "04=1", "05=2"], { kind: "octal" }],
    [["learn"], { file: "/nonexistent/cards.csv" }],
  ])("%j %j is wrong usage", async (words, options) => {
    await expect(run(words, options)).rejects.toMatchObject({ code: "usage" });
  });

  it("fails with the code of the step", async () => {
    await expect(run(["convert", "04"], { pipeline: "regex(^(x))" })).rejects.toMatchObject({ code: "card-no-match" });
    await expect(run(["convert", "04"], { pipeline: "toDec" })).rejects.toMatchObject({ code: "card-wrong-read" });
    await expect(run(["convert", "04"], { pipeline: "hexdecode" })).rejects.toMatchObject({
      code: "card-pipeline-syntax",
    });
  });

  it("takes a rule of another system, and shows the pipeline with --json", async () => {
    const { lines, results } = await run(["convert", "LeftPadding(0,3) + Substring(2,6)", "1a2b3c4d"], {
      import: "safeq",
    });
    expect(lines.at(-1)).toBe("1a2b3c4d2b3c");
    expect(results).toMatchObject([
      { cardNumber: "1a2b3c4d2b3c", pipeline: "{ padLeft(0,3) + substring(2,4) }", warnings: [] },
    ]);
  });

  it("tells wrong parity that the pipeline lets pass", async () => {
    const options = { pipeline: "wiegand(H10301,number,warn) | toDec", kind: "bits:26" };
    const { lines, results } = await run(["convert", "BB032100"], options);
    expect(lines.at(-1)).toBe("1602");
    expect(lines[0]).toContain("card-parity-wrong");
    expect(results).toMatchObject([{ warnings: [{ code: "card-parity-wrong" }] }]);
  });

  it("explains every step in its help", () => {
    for (const { usage, doc } of Object.values(STEPS)) {
      expect(command.help).toContain(usage);
      expect(command.help).toContain(doc);
    }
  });
});

describe("card import and card export", () => {
  it("show the pipeline of a rule and the rule of a pipeline", async () => {
    expect(await run(["import", "papercut", "ascii-enc|hex2dec"])).toMatchObject({
      exit: 0,
      lines: ["cut(=) | asciiHexDecode | hexDecode | toDec"],
      results: [{ pipeline: "cut(=) | asciiHexDecode | hexDecode | toDec", notes: [] }],
    });
    expect(await run(["export", "myq", "hexDecode | reverseBytes | toDec(10)"])).toMatchObject({
      exit: 0,
      lines: ["reverse();hex2dec();lpad(10,0)"],
      results: [{ rule: "reverse();hex2dec();lpad(10,0)", notes: [] }],
    });
    expect((await run(["import", "safeq", "Dec2Hex"], { "hex-case": "lower" })).lines).toEqual([
      "decDecode(64) | toHex(lower) | stripZeros",
      "note: Dec2Hex: no zeros in front, as of a number; try a card whose number begins with 0",
    ]);
  });

  it("refuse with a code what cannot be said", async () => {
    await expect(run(["import", "papercut", "javascript:x.js"])).rejects.toMatchObject({
      code: "card-import-unsupported",
    });
    await expect(run(["import", "safeq", "Dec2Hex"])).rejects.toMatchObject({ code: "card-import-open" });
    await expect(run(["export", "myq", "cut(=)"])).rejects.toMatchObject({ code: "card-export-unsupported" });
    await expect(run(["export", "myq", "nothing"])).rejects.toMatchObject({ code: "card-pipeline-syntax" });
  });
});

describe("card learn", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "printgate-card-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("finds the pipeline", async () => {
    const { exit, lines, results } = await run([
      "learn",
      "04A2B3C4=3300106756",
      "703DF105=99695984",
      "9EC85B60=1616627870",
    ]);
    expect(exit).toBe(0);
    expect(lines).toEqual(["Found: one pipeline fits all 3 cards.", "  hexDecode | reverseBytes | toDec"]);
    expect(results).toMatchObject([{ verdict: "found", pipelines: ["hexDecode | reverseBytes | toDec"], more: 0 }]);
  });

  it("takes reads that have the sign themselves, and UIDs", async () => {
    const swiped = [";1234567=8?=1234567", ";7654321=4?=7654321", ";0192837=1?=0192837"];
    expect((await run(["learn", ...swiped])).results).toMatchObject([
      { verdict: "found", pipelines: ["trim(;?) | cut(=)"] },
    ]);
    const uids = ["04A2B3C4D5E681=0481E6D5C4B3A204", "703DF1A22B9C05=0C059C2BA2F13D70"];
    expect((await run(["learn", ...uids], { kind: "hex" })).exit).toBe(1);
    const words = ["BB032180=118-1603", "32829CC0=101-1337", "8F80A8C0=31-337"];
    const { lines, results } = await run(["learn", ...words], { kind: "bits:26" });
    expect(results).toMatchObject([
      {
        verdict: "found",
        pipelines: ["{ wiegand(H10301,facility) | toDec | append(-) + wiegand(H10301,number) | toDec }"],
      },
    ]);
    expect(lines).toHaveLength(2);
  });

  it("says what is ambiguous, and shows the card that decides as it would be typed", async () => {
    const { exit, lines, results } = await run(["learn", "4EA2B3C4=1319285700", "5A00B3C4=1509995460"]);
    expect(exit).toBe(1);
    expect(lines).toEqual([
      "Ambiguous: 2 pipelines fit all 2 cards and differ for others. The simplest first:",
      "  1  hexDecode | toDec",
      "  2  hexDecode | toDec(10)",
      expect.stringMatching(
        /^What decides: a card whose UID or word has 00 in byte 1 of 4. With a read of "00[0-9A-F]{6}" the number would be$/,
      ),
      expect.stringMatching(/^ {2}1 {2}[1-9][0-9]*$/),
      expect.stringMatching(/^ {2}2 {2}0[0-9]{9}$/),
    ]);
    expect(results).toMatchObject([
      { verdict: "ambiguous", decider: { read: expect.stringMatching(/^00[0-9A-F]{6}$/) } },
    ]);
  });

  it("says what was tried when nothing fits, and whose number looks wrong", async () => {
    const nothing = await run(["learn", "04A2B3C4=1", "703DF105=2", "9EC85B60=3"]);
    expect([nothing.exit, nothing.lines[0]]).toEqual([
      1,
      expect.stringMatching(/^Nothing fits all 3 cards: [0-9]+ combinations/),
    ]);
    const wrong = await run(["learn", "04A2B3C4=77771716", "703DF105=1883107589", "9EC85B60=2663930721"]);
    expect(wrong.lines.join("\n")).toContain("Without card 3 this one fits: hexDecode | toDec");
  });

  it.each([
    [
      "commas, a heading and remarks",
      "# three cards\nread,card number\n04A2B3C4,77771716\r\n\n703DF105, 1883107589\n9EC85B60,2663930720\n",
    ],
    ["tabs", "04A2B3C4\t77771716\n703DF105\t1883107589\n9EC85B60\t2663930720"],
    ["semicolons and quotes", '"04A2B3C4";"77771716"\n"703DF105";"1883107589"\n"9EC85B60";"2663930720"'],
    ["equals signs", "04A2B3C4=77771716\n703DF105=1883107589\n9EC85B60=2663930720"],
  ])("reads a file with %s", async (_, content) => {
    const file = join(folder, "cards");
    await writeFile(file, content);
    expect((await run(["learn"], { file })).results).toMatchObject([
      { verdict: "found", pipelines: ["hexDecode | toDec"] },
    ]);
  });

  it("keeps commas of a read that is in quotes", () => {
    expect(pairsOf('"118,1603",1603\n"a ""b""", 2\n')).toEqual([
      ["118,1603", "1603"],
      ['a "b"', "2"],
    ]);
  });

  it("refuses a long file and one without numbers", async () => {
    const file = join(folder, "cards");
    await writeFile(file, "04A2B3C4\n703DF105\n");
    await expect(run(["learn"], { file })).rejects.toMatchObject({ code: "usage" });
    await writeFile(file, "04,1\n".repeat(20_000));
    await expect(run(["learn"], { file })).rejects.toMatchObject({ code: "usage" });
    await writeFile(file, "");
    await expect(run(["learn"], { file })).rejects.toMatchObject({ code: "card-learn-input" });
  });
});
