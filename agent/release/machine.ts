import type { PrinterJob, PrinterJobState, PrinterJobStatus } from "../../drivers/printer.ts";
import type { Word } from "../protocol/schema.ts";

/**
 * The release of one claimed job, as a pure machine: `step(state, input)` gives the next state and what to do.
 * From SENDING on there is no effect that sends a document: only look-ups and, after a break, a cancel.
 */
export const PHASES = [
  "CLAIMED",
  "FETCHED",
  "CREATED",
  "SENDING",
  "SENT",
  "PRINTING",
  "DONE",
  "CANCELED",
  "ABORTED",
  "RETURNED",
  "IN_DOUBT",
] as const;
export type Phase = (typeof PHASES)[number];

export type EndPhase = "DONE" | "CANCELED" | "ABORTED" | "RETURNED" | "IN_DOUBT";

export interface Release {
  readonly phase: Phase;
  /** The printer's job; absent before CREATED, and with Print-Job until it is known. */
  readonly job?: PrinterJob;
  /** Set when the transfer broke, or the agent died in it: whether the printer has the whole document is not known. */
  readonly broken?: string;
  /** How often fetching or creating failed so far, and why the last time. */
  readonly failures: number;
  readonly trouble?: string;
  /** The job's state at the printer, as the latest look-up after the document had it; not kept over a restart. */
  readonly seen?: PrinterJobState;
  /** The printer called it completed, and had counted no page of it; not kept over a restart. */
  readonly blank?: true;
  readonly end?: {
    readonly word: Word;
    readonly reason: string;
    readonly impressions?: number;
    readonly sheets?: number;
  };
}

export type Input =
  /** The whole document, or the first chunk of one that streams, is here and verified. */
  | { readonly type: "fetched" }
  | { readonly type: "created"; readonly job?: PrinterJob }
  /** Fetching, preflight, Create-Job or the ledger failed: no document byte left. */
  | { readonly type: "failed"; readonly code: string; readonly retry: boolean }
  /** "Bytes may leave" is on the disk. */
  | { readonly type: "durable" }
  | { readonly type: "sent"; readonly status: PrinterJobStatus }
  /** `notTaken`: it is certain that the printer has no byte of the document (nothing left, or Print-Job was refused). */
  | { readonly type: "sendFailed"; readonly code: string; readonly notTaken: boolean }
  | { readonly type: "status"; readonly status: PrinterJobStatus }
  /** The printer answers, and does not know our job. */
  | { readonly type: "gone" }
  /** The printer did not answer the look-up. */
  | { readonly type: "lookupFailed" }
  /** Nothing was learnt for as long as we are willing to ask. */
  | { readonly type: "deadline" };

export type Effect =
  | { readonly type: "fetch" }
  | { readonly type: "create" }
  /** Write SENDING to the ledger and fsync it; only then comes `durable`. */
  | { readonly type: "recordIntent" }
  | { readonly type: "send" }
  | { readonly type: "lookUp" }
  /** Cancel-Job, once, because the document may have arrived cut. */
  | { readonly type: "cancel" }
  /** Find and cancel a job at the printer that never got a document. */
  | { readonly type: "discard" }
  /** Back off, then do `effect`. */
  | { readonly type: "later"; readonly effect: "fetch" | "create" }
  /** Durable in the ledger, then reported to the central server. */
  | { readonly type: "settle" };

export interface Step {
  readonly state: Release;
  readonly effects: readonly Effect[];
}

export const claimed: Release = { phase: "CLAIMED", failures: 0 };
export const firstEffect: Effect = { type: "fetch" };

export function hasEnded(state: Release): boolean {
  return state.end !== undefined;
}

export function step(state: Release, input: Input): Step {
  switch (state.phase) {
    case "CLAIMED":
      if (input.type === "fetched") return { state: { ...state, phase: "FETCHED" }, effects: [{ type: "create" }] };
      return beforeSending(state, input, "fetch");
    case "FETCHED":
      if (input.type === "created") {
        const job = input.job === undefined ? {} : { job: input.job };
        return { state: { ...state, ...job, phase: "CREATED" }, effects: [{ type: "recordIntent" }] };
      }
      return beforeSending(state, input, "create");
    case "CREATED":
      if (input.type === "durable") return { state: { ...state, phase: "SENDING" }, effects: [{ type: "send" }] };
      return beforeSending(state, input, undefined);
    case "SENDING":
      return sending(state, input);
    case "SENT":
    case "PRINTING":
      return watching(state, input);
    case "DONE":
    case "CANCELED":
    case "ABORTED":
    case "RETURNED":
    case "IN_DOUBT":
      return { state, effects: [] };
  }
}

/** Nothing was printed: try again, or give the claim back. */
function beforeSending(state: Release, input: Input, retry: "fetch" | "create" | undefined): Step {
  if (input.type === "deadline") return returned(state, state.trouble ?? "release-deadline");
  if (input.type !== "failed") return { state, effects: [] };
  if (!input.retry || retry === undefined) return returned(state, input.code);
  return {
    state: { ...state, failures: state.failures + 1, trouble: input.code },
    effects: [{ type: "later", effect: retry }],
  };
}

function returned(state: Release, reason: string): Step {
  const ended = end(state, "RETURNED", "not printed", reason);
  // A lost Create-Job reply may have left an empty job at the printer.
  return state.phase === "CLAIMED" ? ended : { ...ended, effects: [...ended.effects, { type: "discard" }] };
}

function sending(state: Release, input: Input): Step {
  switch (input.type) {
    case "sent":
      return watching({ ...state, phase: "SENT", job: input.status }, { type: "status", status: input.status });
    case "sendFailed":
      if (input.notTaken) return returned(state, input.code);
      return { state: { ...state, broken: input.code }, effects: [{ type: "cancel" }, { type: "lookUp" }] };
    case "status":
      return state.broken === undefined ? { state, effects: [] } : afterBreak(state, input.status, state.broken);
    case "gone":
    case "deadline":
      return end(state, "IN_DOUBT", "unknown", state.broken ?? "release-deadline");
    case "lookupFailed":
      return { state, effects: [{ type: "lookUp" }] };
    default:
      return { state, effects: [] };
  }
}

/** The document may be whole, cut or absent at the printer, and a printer may call half a document `completed`. */
function afterBreak(state: Release, status: PrinterJobStatus, broken: string): Step {
  switch (status.state) {
    case "completed":
      return end(state, "IN_DOUBT", "unknown", broken, status);
    case "aborted":
    case "canceled":
      return nothingCameOut(status)
        ? end(state, "RETURNED", "not printed", broken, status)
        : end(state, "IN_DOUBT", "unknown", broken, status);
    case "pending":
    case "pending-held":
    case "processing":
    case "processing-stopped":
      return {
        state: { ...state, job: status },
        // Still waiting for bytes that nobody will send; a job that has them all is left to print.
        effects: status.reasons.some((reason) => WAITS_FOR_DATA.has(reason))
          ? [{ type: "cancel" }, { type: "lookUp" }]
          : [{ type: "lookUp" }],
      };
  }
}

/** RFC 8011 5.3.8. */
const WAITS_FOR_DATA: ReadonlySet<string> = new Set(["job-incoming", "job-data-insufficient"]);

/** The printer has said that it took the whole document. */
function watching(state: Release, input: Input): Step {
  switch (input.type) {
    case "status": {
      const { status } = input;
      switch (status.state) {
        case "completed":
          return completed(state, status);
        case "canceled":
          return end(state, "CANCELED", notPrintedIfNone(status), "canceled-at-printer", status);
        case "aborted":
          return end(state, "ABORTED", notPrintedIfNone(status), "aborted-by-printer", status);
        case "processing":
        case "processing-stopped":
          return { state: { ...state, phase: "PRINTING" }, effects: [{ type: "lookUp" }] };
        case "pending":
        case "pending-held":
          return { state, effects: [{ type: "lookUp" }] };
      }
      break;
    }
    case "gone":
      return end(state, "IN_DOUBT", "unknown", "job-gone-at-printer");
    case "deadline":
      return end(state, "IN_DOUBT", "unknown", "release-deadline");
    case "lookupFailed":
      return { state, effects: [{ type: "lookUp" }] };
    default:
      return { state, effects: [] };
  }
}

/** A printer that counts pages and counts none of a job printed none, whatever it calls that. The count may be late: it is read twice. */
function completed(state: Release, status: PrinterJobStatus): Step {
  if (!nothingCameOut(status)) return end(state, "DONE", "printed", "none", status);
  if (state.blank !== true) return { state: { ...state, blank: true }, effects: [{ type: "lookUp" }] };
  return end(state, "IN_DOUBT", "unknown", "completed-without-pages", status);
}

function notPrintedIfNone(status: PrinterJobStatus): Word {
  return nothingCameOut(status) ? "not printed" : "unknown";
}

/** Some printers count sheets and leave their impressions at 0. */
function nothingCameOut({ impressions, sheets }: PrinterJobStatus): boolean {
  return impressions === 0 && (sheets ?? 0) === 0;
}

function end(state: Release, phase: EndPhase, word: Word, reason: string, status?: PrinterJobStatus): Step {
  const counts = {
    ...(status?.impressions === undefined ? {} : { impressions: status.impressions }),
    ...(status?.sheets === undefined ? {} : { sheets: status.sheets }),
  };
  return { state: { ...state, phase, end: { word, reason, ...counts } }, effects: [{ type: "settle" }] };
}

/**
 * Where a restarted agent goes on with what the ledger holds. `trusted` is false when records of the ledger were lost:
 * then an entry that looks unsent may have been sent.
 */
export function resume(state: Release, trusted: boolean): Step {
  switch (state.phase) {
    case "CLAIMED":
    case "FETCHED":
    case "CREATED":
      if (trusted) return returned({ ...state, phase: "CREATED" }, "agent-restarted");
      return { state: { ...state, phase: "SENDING", broken: "ledger-damaged" }, effects: [{ type: "lookUp" }] };
    case "SENDING":
      return { state: { ...state, broken: "agent-restarted" }, effects: [{ type: "lookUp" }] };
    case "SENT":
    case "PRINTING":
      return { state, effects: [{ type: "lookUp" }] };
    case "DONE":
    case "CANCELED":
    case "ABORTED":
    case "RETURNED":
    case "IN_DOUBT":
      return { state, effects: [] };
  }
}
