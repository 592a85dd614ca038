import { describe, expect, it } from "vitest";
import { STEPS } from "../../../agent/cards/steps.ts";
import { command } from "../../../agent/commands/card.ts";
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
          steps: [
            { step: "hexDecode", hex: "04A2B3C4", bits: 32 },
            { step: "reverseBytes", hex: "C4B3A204", bits: 32 },
            { step: "toDec", text: "3300106756" },
          ],
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

  it("explains every step in its help", () => {
    for (const { usage, doc } of Object.values(STEPS)) {
      expect(command.help).toContain(usage);
      expect(command.help).toContain(doc);
    }
  });
});
