import { expect, test } from "vitest";
import { blockingReasons, VERDICT_MAX_AGE_MS } from "../../../agent/release/preflight.ts";
import type { PrinterState, PrinterVerdict } from "../../../drivers/printer.ts";

const ipp = (...blocking: string[]): PrinterState => ({ state: "idle", accepting: true, reasons: blocking, blocking });
const snmp = (verdict: PrinterVerdict["verdict"], at: number | undefined): PrinterVerdict => ({
  verdict,
  conditions: ["jammed"],
  at,
});
const NOW = 1_000_000;

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
