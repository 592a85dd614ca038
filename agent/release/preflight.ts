import type { PrinterCode, PrinterState, PrinterVerdict } from "../../drivers/printer.ts";
import { BLOCKING_CONDITIONS, type Condition, conditionOf } from "../protocol/conditions.ts";

/** What the policy says of it. */
export interface BlockingRules {
  readonly conditions: readonly Condition[];
  /** An SNMP verdict older than this says nothing, in ms. */
  readonly verdictMaxAgeMs: number;
}

/** Where there is no policy. */
export const DEFAULT_BLOCKING: BlockingRules = { conditions: BLOCKING_CONDITIONS, verdictMaxAgeMs: 15_000 };

const BY_DEFAULT: ReadonlySet<string> = new Set(BLOCKING_CONDITIONS);

/**
 * Pure: what keeps this printer from putting out paper now; empty means go. IPP is the authority;
 * SNMP may veto with a fresh block (its own machine has seen it in two polls), and can never clear what IPP says.
 * The policy adds conditions that do not block by themselves, and takes away some that do.
 */
export function blockingReasons(
  ipp: PrinterState,
  snmp: PrinterVerdict,
  now: number,
  { conditions, verdictMaxAgeMs }: BlockingRules = DEFAULT_BLOCKING,
): readonly string[] {
  const listed = (condition: string | undefined) => conditions.some((one) => one === condition);
  const ignored = (word: string) => {
    const condition = conditionOf(word);
    return condition !== undefined && BY_DEFAULT.has(condition) && !listed(condition);
  };
  const added = (word: string) => {
    const condition = conditionOf(word);
    return condition !== undefined && !BY_DEFAULT.has(condition) && listed(condition);
  };
  const told = ipp.blocking.filter((word) => !ignored(word));
  // A printer that stands still prints nothing, whatever the reason is worth to us.
  if (told.length === 0 && ipp.state === "stopped")
    told.push(...(ipp.blocking.length > 0 ? ipp.blocking : ["stopped"]));
  const more = ipp.reasons.filter((word) => added(word) && !told.includes(word));
  if (told.length + more.length > 0) return [...told, ...more];
  if (snmp.at === undefined || now - snmp.at > verdictMaxAgeMs) return [];
  const vetoes = snmp.verdict === "blocked" && !isExcused(snmp.conditions, ignored);
  return vetoes ? snmp.conditions : snmp.conditions.filter(added);
}

/** True if each condition that could have stopped the paper is one that the policy lets pass. */
function isExcused(conditions: readonly string[], ignored: (word: string) => boolean): boolean {
  const stopping = conditions.filter(
    (word) => BY_DEFAULT.has(conditionOf(word) ?? word) || conditionOf(word) === undefined,
  );
  return stopping.length > 0 && stopping.every(ignored);
}

/** A printer that only has no room, or takes no jobs just now, is one to wait for; anything else wants a hand. */
export function blockCode(reasons: readonly string[]): PrinterCode {
  const isFull = (reason: string) => reason.startsWith("spool-area-full");
  if (!reasons.every((reason) => isFull(reason) || reason === "not-accepting-jobs")) return "printer-blocked";
  return reasons.some(isFull) ? "printer-spool-full" : "printer-not-accepting";
}
