import type { Signal } from "../../drivers/reader.ts";
import type { CredentialKind, TapAnswer } from "../protocol/schema.ts";
import type { Release } from "./machine.ts";
import type { TracedJob } from "./trace.ts";

export interface Answered {
  readonly result: TapAnswer["result"];
  /** How many jobs were claimed. */
  readonly jobs: number;
  readonly credential: CredentialKind;
  /** The reader has a keypad that takes a PIN after a card. */
  readonly asksForPin: boolean;
  /** The printer works on earlier jobs. */
  readonly queued: boolean;
}

/**
 * Pure: what the person is told as soon as the central server has answered. Its refusal is one for every reason, so it
 * is told as what the person can have done wrong: shown a card that nobody knows, or mistyped. `offline-accepted` is for
 * a release without the central server.
 */
export function signalForAnswer({ result, jobs, credential, asksForPin, queued }: Answered): Signal {
  switch (result) {
    case "accepted":
      if (jobs === 0) return "no-jobs";
      return queued ? "printing-later" : "accepted";
    case "refused":
      return credential === "card" ? "unknown-card" : "denied";
    case "pin-needed":
      return credential === "card" && asksForPin ? "enter-pin" : "denied";
  }
}

/** Pure: what the person at the reader is told when a job ended; undefined while others of the tap still go on well. */
export function signalForEnd(release: Release, jobs: readonly TracedJob[]): Signal | undefined {
  if (release.end === undefined) return undefined;
  if (release.end.word === "printed") return jobs.every(({ word }) => word === "printed") ? "printed" : undefined;
  if (release.end.reason === "canceled-at-printer") return undefined; // the person did it
  return isPrinters(release.end.reason) ? "printer-blocked" : "fault";
}

function isPrinters(reason: string): boolean {
  return isPrinterCode(reason) || reason === "held-at-printer" || reason === "stopped-at-printer";
}

/** Pure: what the person waits for while a job goes on; undefined where it goes on by itself. */
export function signalForWait({ end, seen, trouble }: Release): Signal | undefined {
  if (end !== undefined) return undefined;
  // It waits for a PIN or a button there, or for somebody to clear a jam.
  if (seen === "pending-held" || seen === "processing-stopped") return "see-panel";
  return seen === undefined && trouble !== undefined && isPrinterCode(trouble) ? "printing-later" : undefined;
}

/** Pure: what the person is told when the tap itself failed. A read that is no card looks like an unknown card. */
export function signalForFailure(code: string): Signal {
  if (code.startsWith("card-")) return "unknown-card";
  return isPrinterCode(code) ? "printer-blocked" : "fault";
}

function isPrinterCode(code: string): boolean {
  return code.startsWith("printer-");
}
