import type { PrinterState, PrinterVerdict } from "../../drivers/printer.ts";

/** An SNMP verdict older than this says nothing, in ms. */
export const VERDICT_MAX_AGE_MS = 15_000;

/**
 * Pure: what keeps this printer from putting out paper now; empty means go. IPP is the authority;
 * SNMP may veto with a fresh block (its own machine has seen it in two polls), and can never clear what IPP says.
 */
export function blockingReasons(ipp: PrinterState, snmp: PrinterVerdict, now: number): readonly string[] {
  if (ipp.blocking.length > 0) return ipp.blocking;
  const fresh = snmp.at !== undefined && now - snmp.at <= VERDICT_MAX_AGE_MS;
  return fresh && snmp.verdict === "blocked" ? snmp.conditions : [];
}
