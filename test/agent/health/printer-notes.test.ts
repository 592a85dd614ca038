import { expect, test } from "vitest";
import { printerNotes, whereaboutsInWords } from "../../../agent/health/printer-notes.ts";
import type { PrinterFacts } from "../../../drivers/printer-facts.ts";

const WELL: PrinterFacts = {
  supplies: [],
  inputs: [],
  outputs: [],
  covers: [],
  alerts: [],
  console: ["Ready"],
  truncated: false,
};
const unknown = { kind: "unknown" } as const;

test("what is well says nothing", () => {
  expect(
    printerNotes({
      ...WELL,
      covers: [{ description: "Front", state: "closed" }],
      supplies: [{ colour: "black", type: "tonerCartridge", level: { kind: "some" }, max: unknown, state: "ok" }],
      inputs: [{ index: "1", level: unknown, max: unknown }],
    }),
  ).toEqual([]);
});

test("what a person should look at is in words, the most urgent first", () => {
  const level = { kind: "amount", value: 0 } as const;
  expect(
    printerNotes({
      ...WELL,
      covers: [{ state: "interlockOpen" }],
      supplies: [
        { colour: "black", type: "tonerCartridge", level, max: unknown, percent: 4, state: "low" },
        { description: "Cyan Toner", level, max: unknown, state: "empty" },
      ],
      inputs: [{ index: "2", media: "A4", level, max: unknown }],
      alerts: [
        { severity: "warning", code: "inputMediaSupplyLow", group: "input" },
        { severity: "critical", code: "jam", group: "mediaPath", groupIndex: 1, description: "Paper jam" },
        { severity: "critical" },
      ],
    }),
  ).toEqual([
    "a cover is open",
    'critical alert: jam, media path 1 ("Paper jam")',
    "critical alert",
    "Cyan Toner is empty",
    "tray 2 (A4) has no paper",
    "black toner cartridge is low (4 %)",
    "warning: input media supply low, input",
  ]);
});

test("a printer with very much to say is cut short", () => {
  const alerts = Array.from({ length: 20 }, () => ({ severity: "warning" }) as const);
  expect(printerNotes({ ...WELL, alerts })).toEqual([...Array(7).fill("warning"), "and 13 more, in --json"]);
});

test("a printer that is followed, and one that is only said to be elsewhere, are told of with what to do", () => {
  const uri = "ipps://10.0.0.21:631/ipp/print";
  expect(whereaboutsInWords({})).toEqual([]);
  expect(whereaboutsInWords({ follows: { uri } })).toEqual([
    "its configured address does not answer; it is followed to ipps://10.0.0.21:631/ipp/print, by its uuid and its pinned key. Write that into `uri`.",
  ]);
  expect(whereaboutsInWords({ seen: { uri, why: "other-key" } })).toEqual([
    "one with its uuid says that it is at ipps://10.0.0.21:631/ipp/print. It has another key than the pinned one, so it is not followed. Find out who that is.",
  ]);
});
