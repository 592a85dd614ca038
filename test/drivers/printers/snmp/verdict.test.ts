import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { InputTray } from "../../../../drivers/printer-facts.ts";
import { decodeLevel } from "../../../../drivers/printers/snmp/facts.ts";
import type { DeviceStatus, ErrorBit, PrinterStatus } from "../../../../drivers/printers/snmp/mib.ts";
import { ERROR_BITS } from "../../../../drivers/printers/snmp/mib.ts";
import type { Judgement } from "../../../../drivers/printers/snmp/verdict.ts";
import { judge, NO_VERDICT, nextVerdict } from "../../../../drivers/printers/snmp/verdict.ts";

type Row = [string, DeviceStatus | undefined, PrinterStatus | undefined, ErrorBit[] | undefined, string];

describe("one poll", () => {
  test.each<Row>([
    ["idle", "running", "idle", [], "ready"],
    ["busy", "running", "printing", [], "ready"],
    ["low on paper", "warning", "idle", ["lowPaper"], "ready"],
    ["one tray of several empty", "running", "idle", ["noPaper", "inputTrayEmpty"], "ready"],
    ["wants service", "warning", "printing", ["serviceRequested"], "ready"],
    ["jammed", "down", "other", ["jammed"], "blocked"],
    ["jammed, hrDeviceStatus left at running", "running", "other", ["jammed"], "blocked"],
    ["jam bit alone", "running", "idle", ["jammed"], "ready"],
    ["out of paper", "down", "other", ["noPaper"], "blocked"],
    ["out of paper, hrPrinterStatus left at idle", "down", "idle", ["noPaper"], "blocked"],
    ["going off-line", "warning", "idle", ["offline"], "wait"],
    ["off-line", "down", "other", ["offline"], "blocked"],
    ["warming up", "down", "warmup", [], "wait"],
    ["warming up, already running", "running", "warmup", [], "wait"],
    ["asleep", "running", "other", [], "ready"],
    ["asleep with an off-line bit and an empty tray", "running", "other", ["offline", "noPaper"], "ready"],
    ["unavailable", "down", "other", [], "blocked"],
    ["down and yet idle", "down", "idle", [], "unknown"],
    ["testing", "testing", "other", ["jammed"], "wait"],
    ["only hrPrinterStatus", undefined, "idle", undefined, "ready"],
    ["only the error state", undefined, undefined, ["jammed"], "unknown"],
    ["only down", "down", undefined, undefined, "unknown"],
    ["nothing", undefined, undefined, undefined, "unknown"],
  ])("%s", (_name, device, printer, errors, verdict) => {
    expect(judge({ device, printer, errors }).verdict).toBe(verdict);
  });

  test("no answer is unknown", () => expect(judge(undefined)).toEqual({ verdict: "unknown", conditions: [] }));

  describe("noPaper without down, by the levels of the trays", () => {
    const levels = { "0": 0, "-1": -1, "-2": -2, "-3": -3, "40": 40 };
    const tray = (level: keyof typeof levels): InputTray => ({
      index: "1",
      level: decodeLevel(levels[level]),
      max: { kind: "unknown" },
    });
    test.each<[(keyof typeof levels)[], string]>([
      [["0"], "blocked"],
      [["0", "0"], "blocked"],
      [["0", "-2"], "blocked"], // a bypass that does not know, beside an empty tray
      [["0", "40"], "ready"],
      [["0", "-3"], "ready"],
      [["0", "-1"], "ready"],
      [["-2", "-2"], "ready"], // no second source
      [[], "ready"],
    ])("levels %j: %s", (trays, verdict) => {
      expect(judge({ device: "running", printer: "idle", errors: ["noPaper"] }, trays.map(tray)).verdict).toBe(verdict);
      expect(judge({ device: "warning", printer: "idle", errors: ["lowPaper"] }, trays.map(tray)).verdict).toBe(
        "ready",
      );
      expect(judge({ device: "down", printer: "other", errors: ["noPaper"] }, trays.map(tray)).verdict).toBe("blocked");
    });
  });

  test("what blocks or waits always names a condition", () => {
    const poll = fc.record({
      device: fc.constantFrom(undefined, "unknown", "running", "warning", "testing", "down"),
      printer: fc.constantFrom(undefined, "other", "unknown", "idle", "printing", "warmup"),
      errors: fc.option(fc.subarray([...ERROR_BITS]), { nil: undefined }),
    });
    fc.assert(
      fc.property(poll, (one) => {
        const { verdict, conditions } = judge(one);
        if (verdict === "blocked" || verdict === "wait") expect(conditions).not.toEqual([]);
      }),
    );
  });
});

describe("over several polls", () => {
  const judgement = fc.record<Judgement>({
    verdict: fc.constantFrom("ready", "wait", "blocked", "unknown"),
    conditions: fc.subarray(["jammed", "lowPaper"]),
  });

  test("blocked is shown if and only if the last two polls say so; anything else is shown at once", () => {
    fc.assert(
      fc.property(fc.array(judgement), (polls) => {
        const { shown } = polls.reduce(nextVerdict, NO_VERDICT);
        const [previous, last] = [polls.at(-2), polls.at(-1)];
        expect(shown.verdict === "blocked").toBe(last?.verdict === "blocked" && previous?.verdict === "blocked");
        if (last !== undefined && last.verdict !== "blocked") expect(shown).toEqual(last);
        if (last !== undefined) expect(shown.conditions).toEqual(last.conditions);
      }),
    );
  });
});
