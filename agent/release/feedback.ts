import type { Signal } from "../../drivers/reader.ts";
import type { Release } from "./machine.ts";
import type { TracedJob } from "./trace.ts";

/** Pure: what the person at the reader is told when a job ended; undefined while others of the tap still go on well. */
export function signalForEnd(release: Release, jobs: readonly TracedJob[]): Signal | undefined {
  if (release.end === undefined) return undefined;
  if (release.end.word === "printed") return jobs.every(({ word }) => word === "printed") ? "printed" : undefined;
  if (release.end.reason === "canceled-at-printer") return undefined; // the person did it
  return isPrinterCode(release.end.reason) ? "printer-blocked" : "fault";
}

/** Pure: what the person is told when the tap itself failed. A read that is no card looks like an unknown card. */
export function signalForFailure(code: string): Signal {
  if (code.startsWith("card-")) return "unknown-card";
  return isPrinterCode(code) ? "printer-blocked" : "fault";
}

function isPrinterCode(code: string): boolean {
  return code.startsWith("printer-");
}
