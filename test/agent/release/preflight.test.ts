import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCKING_CONDITIONS, CONDITION_NAMES, CONDITIONS } from "../../../agent/protocol/conditions.ts";
import { blockCode, blockingReasons, DEFAULT_BLOCKING } from "../../../agent/release/preflight.ts";
import type { PrinterState, PrinterVerdict } from "../../../drivers/printer.ts";
import { ERROR_BITS } from "../../../drivers/printers/snmp/mib.ts";

const ipp = (...blocking: string[]): PrinterState => ({ state: "idle", accepting: true, reasons: blocking, blocking });
const snmp = (verdict: PrinterVerdict["verdict"], at: number | undefined): PrinterVerdict => ({
  verdict,
  conditions: ["jammed"],
  at,
});
const NOW = 1_000_000;
const VERDICT_MAX_AGE_MS = DEFAULT_BLOCKING.verdictMaxAgeMs;

test("what IPP says blocks, whatever SNMP says", () => {
  for (const verdict of ["ready", "wait", "blocked", "unknown"] as const) {
    expect(blockingReasons(ipp("cover-open"), snmp(verdict, NOW), NOW)).toEqual(["cover-open"]);
  }
});

test("of SNMP only a fresh `blocked` vetoes", () => {
  expect(blockingReasons(ipp(), snmp("blocked", NOW), NOW)).toEqual(["jammed"]);
  expect(blockingReasons(ipp(), snmp("blocked", NOW - VERDICT_MAX_AGE_MS), NOW)).toEqual(["jammed"]);
  expect(blockingReasons(ipp(), snmp("blocked", NOW - VERDICT_MAX_AGE_MS - 1), NOW)).toEqual([]);
  expect(blockingReasons(ipp(), snmp("blocked", undefined), NOW)).toEqual([]);
  for (const verdict of ["ready", "wait", "unknown"] as const) {
    expect(blockingReasons(ipp(), snmp(verdict, NOW), NOW)).toEqual([]);
  }
});

describe("what the policy says", () => {
  const rules = (...conditions: (typeof CONDITION_NAMES)[number][]) => ({ ...DEFAULT_BLOCKING, conditions });
  const without = (gone: string) => rules(...BLOCKING_CONDITIONS.filter((name) => name !== gone));
  const told = (conditions: string[], verdict: PrinterVerdict["verdict"] = "ready") => ({
    verdict,
    conditions,
    at: NOW,
  });

  test("takes a condition away, over IPP and over SNMP", () => {
    expect(blockingReasons(ipp("toner-empty"), snmp("ready", NOW), NOW, without("supply-empty"))).toEqual([]);
    expect(blockingReasons(ipp("toner-empty-error"), snmp("ready", NOW), NOW, without("supply-empty"))).toEqual([]);
    expect(blockingReasons(ipp(), told(["noToner", "lowPaper"], "blocked"), NOW, without("supply-empty"))).toEqual([]);
    expect(blockingReasons(ipp("toner-empty", "media-jam"), snmp("ready", NOW), NOW, without("supply-empty"))).toEqual([
      "media-jam",
    ]);
    const both = told(["noToner", "jammed"], "blocked");
    expect(blockingReasons(ipp(), both, NOW, without("supply-empty"))).toEqual(["noToner", "jammed"]);
    expect(blockingReasons(ipp(), told(["noToner", "down"], "blocked"), NOW, without("supply-empty"))).not.toEqual([]);
  });

  test("never lets a printer print that stands still or takes no jobs", () => {
    const stopped: PrinterState = { ...ipp("media-jam"), state: "stopped" };
    expect(blockingReasons(stopped, snmp("ready", NOW), NOW, rules())).toEqual(["media-jam"]);
    for (const word of ["stopped", "not-accepting-jobs", "paused", "shutdown", "com.example-odd-error"])
      expect(blockingReasons(ipp(word), snmp("ready", NOW), NOW, rules())).toEqual([word]);
  });

  test("adds a condition that does not block by itself, over IPP whatever its severity, over SNMP while it is fresh", () => {
    const low = rules(...BLOCKING_CONDITIONS, "supply-low");
    const state: PrinterState = { ...ipp(), reasons: ["toner-low-report"] };
    expect(blockingReasons(state, snmp("ready", NOW), NOW, low)).toEqual(["toner-low-report"]);
    expect(blockingReasons(ipp(), told(["lowToner"]), NOW, low)).toEqual(["lowToner"]);
    expect(blockingReasons(ipp(), told(["lowToner"]), NOW + 15_001, low)).toEqual([]);
    expect(blockingReasons(state, snmp("ready", NOW), NOW)).toEqual([]);
  });

  test("says how old an SNMP verdict may be", () => {
    const patient = { ...DEFAULT_BLOCKING, verdictMaxAgeMs: 600_000 };
    expect(blockingReasons(ipp(), snmp("blocked", NOW), NOW + 600_000, patient)).toEqual(["jammed"]);
  });

  test("changes nothing where it says what holds by default", () => {
    const words = fc.constantFrom(...Object.values(CONDITIONS).flatMap(({ ipp: own }) => own), "paused", "x-error");
    const bits = fc.subarray([...ERROR_BITS, "down"]);
    fc.assert(
      fc.property(
        fc.uniqueArray(words),
        bits,
        fc.constantFrom("ready", "blocked", "wait"),
        (blocking, conditions, verdict) => {
          const before = blocking.length > 0 ? blocking : verdict === "blocked" ? conditions : [];
          expect(blockingReasons(ipp(...blocking), told(conditions, verdict), NOW)).toEqual(before);
        },
      ),
    );
  });

  test("has a name for every bit of SNMP", () => {
    const named: readonly string[] = CONDITION_NAMES.flatMap((name) => [...CONDITIONS[name].snmp]);
    expect([...ERROR_BITS].sort()).toEqual([...named].sort());
  });
});

test.each([
  [["not-accepting-jobs"], "printer-not-accepting"],
  [["spool-area-full"], "printer-spool-full"],
  [["spool-area-full-error", "not-accepting-jobs"], "printer-spool-full"],
  [["not-accepting-jobs", "media-jam"], "printer-blocked"],
  [["stopped"], "printer-blocked"],
])("%j is %s", (reasons, code) => {
  expect(blockCode(reasons)).toBe(code);
});
