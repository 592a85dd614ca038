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
  /**
   * Nothing of it was printed, for this reason: the claim goes back as soon as no job of ours is left at the printer, or
   * that cannot be learnt.
   */
  readonly returning?: { readonly reason: string; readonly detail?: string };
  /** We canceled a job that the printer has, because it stood there too long. */
  readonly givenUp?: {
    readonly reason: string;
    /** The look right before the cancel, and each one since, showed that the printer had not begun with it. */
    readonly unbegun: boolean;
  };
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
    /** What the reason is about, for people. */
    readonly detail?: string;
    readonly impressions?: number;
    readonly sheets?: number;
  };
}

export type Input =
  /** The whole document, or the first chunk of one that streams, is here and verified. */
  | { readonly type: "fetched" }
  | { readonly type: "created"; readonly job?: PrinterJob }
  /** Fetching, preflight, Create-Job or the ledger failed: no document byte left. */
  | { readonly type: "failed"; readonly code: string; readonly retry: boolean; readonly detail?: string }
  /** "Bytes may leave" is on the disk. */
  | { readonly type: "durable" }
  | { readonly type: "sent"; readonly status: PrinterJobStatus }
  /** `notTaken`: it is certain that the printer has no byte of the document (nothing left, or Print-Job was refused). */
  | { readonly type: "sendFailed"; readonly code: string; readonly notTaken: boolean; readonly detail?: string }
  /** `overdue`: it has stood so for as long as it may (`mayStandMs`). */
  | { readonly type: "status"; readonly status: PrinterJobStatus; readonly overdue?: boolean }
  /** The printer answers, and does not know our job. `forgets`: it is one that keeps no job that has ended. */
  | { readonly type: "gone"; readonly forgets?: boolean }
  /** The printer did not answer the look-up. */
  | { readonly type: "lookupFailed" }
  /** No job of ours is at the printer any more, or that could not be learnt. `paper`: one was, and it has put out some. */
  | { readonly type: "discarded"; readonly paper?: boolean }
  /** Nothing was learnt for as long as we are willing to ask. */
  | { readonly type: "deadline" };

export type Effect =
  | { readonly type: "fetch" }
  | { readonly type: "create" }
  /** Write SENDING to the ledger and fsync it; only then comes `durable`. */
  | { readonly type: "recordIntent" }
  | { readonly type: "send" }
  | { readonly type: "lookUp" }
  /** Cancel-Job, because the document may have arrived cut, or the job stands too long. */
  | { readonly type: "cancel" }
  /** Find and cancel a job at the printer that never got a document, and see it end; then comes `discarded`. */
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
  if (state.returning !== undefined && !hasEnded(state)) return leaving(state, state.returning, input);
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
  if (!input.retry || retry === undefined) return returned(state, input.code, input.detail);
  return {
    state: { ...state, failures: state.failures + 1, trouble: input.code },
    effects: [{ type: "later", effect: retry }],
  };
}

function returned(state: Release, reason: string, detail?: string): Step {
  if (state.phase === "CLAIMED") return end(state, "RETURNED", "not printed", reason, undefined, detail);
  // A lost Create-Job reply may have left an empty job at the printer: the next one must not find it there.
  const returning = { reason, ...(detail === undefined ? {} : { detail }) };
  return { state: { ...state, returning }, effects: [{ type: "discard" }] };
}

/** The printer said that it took nothing, or nothing left; only paper speaks against that. */
function leaving(state: Release, { reason, detail }: NonNullable<Release["returning"]>, input: Input): Step {
  if (input.type !== "discarded" && input.type !== "deadline") return { state, effects: [] };
  if (state.phase === "SENDING" && input.type === "discarded" && input.paper === true)
    return end(state, "IN_DOUBT", "unknown", reason, undefined, detail);
  return end(state, "RETURNED", "not printed", reason, undefined, detail);
}

function sending(state: Release, input: Input): Step {
  switch (input.type) {
    case "sent":
      return watching(known({ ...state, phase: "SENT" }, input.status), { type: "status", status: input.status });
    case "sendFailed":
      if (input.notTaken) return returned(state, input.code, input.detail);
      return { state: { ...state, broken: input.code }, effects: [{ type: "cancel" }, { type: "lookUp" }] };
    case "status":
      return state.broken === undefined ? { state, effects: [] } : afterBreak(state, input, state.broken);
    case "gone":
    case "deadline":
      return end(state, "IN_DOUBT", "unknown", state.broken ?? "release-deadline");
    case "lookupFailed":
      return { state, effects: [{ type: "lookUp" }] };
    default:
      return { state, effects: [] };
  }
}

/** What of a status tells the job from others; the rest of it is old soon, and each record of the ledger would repeat it. */
function known(state: Release, { id, name, uuid, user, created }: PrinterJob): Release {
  const job: PrinterJob = {
    ...{ ...state.job, id, name },
    ...(uuid === undefined ? {} : { uuid }),
    ...(user === undefined ? {} : { user }),
    ...(created === undefined ? {} : { created }),
  };
  return { ...state, job };
}

type Status = Extract<Input, { type: "status" }>;

/** The document may be whole, cut or absent at the printer, and a printer may call half a document `completed`. */
function afterBreak(state: Release, input: Status, broken: string): Step {
  const { status } = input;
  if (!isOver(input)) {
    // Still waiting for bytes that nobody will send; a job that has them all is left to print, for as long as it may stand.
    const isCut = status.reasons.some((reason) => WAITS_FOR_DATA.has(reason));
    return onward(known(state, status), input, isCut || input.overdue === true ? broken : undefined);
  }
  if (status.state !== "completed" && nothingCameOut(state, status))
    return end(state, "RETURNED", "not printed", broken, status);
  return end(state, "IN_DOUBT", "unknown", broken, status);
}

/** RFC 8011 5.3.8. */
const WAITS_FOR_DATA: ReadonlySet<string> = new Set(["job-incoming", "job-data-insufficient"]);

/** The printer has said that it took the whole document. */
function watching(state: Release, input: Input): Step {
  switch (input.type) {
    case "status":
      return isOver(input) ? ended(state, input.status) : onward(state, input, tooLong(input));
    case "gone":
      return end(state, "IN_DOUBT", "unknown", input.forgets === true ? "no-job-history" : "job-gone-at-printer");
    case "deadline":
      return end(state, "IN_DOUBT", "unknown", state.givenUp?.reason ?? "release-deadline");
    case "lookupFailed":
      return { state, effects: [{ type: "lookUp" }] };
    default:
      return { state, effects: [] };
  }
}

function tooLong({ status, overdue }: Status): string | undefined {
  if (overdue !== true) return undefined;
  if (status.state === "pending-held") return "held-at-printer";
  return status.state === "processing-stopped" ? "stopped-at-printer" : "release-deadline";
}

/** RFC 8011 5.3.7: a canceled job may still be busy stopping, and its counts with it. */
function isOver({ status, overdue }: Status): boolean {
  return ENDS.has(status.state) && (overdue === true || status.state === "completed" || !isStopping(status));
}

const ENDS: ReadonlySet<string> = new Set(["completed", "aborted", "canceled"]);

function isStopping({ reasons }: Pick<PrinterJobStatus, "reasons">): boolean {
  return reasons.includes("processing-to-stop-point");
}

/** The job is not at its end: it is looked up again; with a `reason` to give it up, it is canceled, until the printer stops it. */
function onward(before: Release, { status, overdue }: Status, reason: string | undefined): Step {
  const begun = status.state !== "pending" && status.state !== "pending-held";
  const printing = begun && before.phase === "SENT" ? ({ phase: "PRINTING" } as const) : {};
  const state: Release = { ...before, ...printing, seen: status.state };
  const { givenUp } = state;
  if (givenUp !== undefined && overdue === true) return end(state, "IN_DOUBT", "unknown", givenUp.reason, status);
  if (givenUp === undefined && reason === undefined) return { state, effects: [{ type: "lookUp" }] };
  const unbegun = !begun && (givenUp?.unbegun ?? true);
  const same = givenUp?.unbegun === unbegun ? givenUp : undefined;
  return {
    state: { ...state, givenUp: same ?? { reason: givenUp?.reason ?? reason ?? "release-deadline", unbegun } },
    effects: isStopping(status) ? [{ type: "lookUp" }] : [{ type: "cancel" }, { type: "lookUp" }],
  };
}

/** The end of a job that had its whole document. */
function ended(state: Release, status: PrinterJobStatus): Step {
  const { givenUp } = state;
  const isBlank = nothingCameOut(state, status);
  if (givenUp !== undefined) {
    // A `completed` that follows a cancel may be all of it or a part.
    return status.state !== "completed" && isBlank
      ? end(state, "RETURNED", "not printed", givenUp.reason, status)
      : end(state, "IN_DOUBT", "unknown", givenUp.reason, status);
  }
  if (status.state === "completed") return completed(state, status);
  const word = isBlank ? "not printed" : "unknown";
  // A cancel is somebody's decision; where the printer gives it as its own, it is a fault.
  const isDecision = status.state === "canceled" && !status.reasons.includes("aborted-by-system");
  return isDecision
    ? end(state, "CANCELED", word, "canceled-at-printer", status)
    : end(state, "ABORTED", word, "aborted-by-printer", status);
}

/** A printer that counts pages and counts none of a job printed none, whatever it calls that. The count may be late: it is read twice. */
function completed(state: Release, status: PrinterJobStatus): Step {
  if (!nothingCameOut(state, status)) return end(state, "DONE", "printed", "none", status);
  if (state.blank !== true) return { state: { ...state, blank: true }, effects: [{ type: "lookUp" }] };
  return end(state, "IN_DOUBT", "unknown", "completed-without-pages", status);
}

/**
 * It counted no impression (some printers count sheets and leave their impressions at 0), or it does not count and had not
 * begun when it was canceled: paper takes seconds to come, and the cancel follows its look at once.
 */
function nothingCameOut({ givenUp }: Release, { impressions, sheets }: PrinterJobStatus): boolean {
  if ((sheets ?? 0) > 0) return false;
  return impressions === 0 || (impressions === undefined && givenUp?.unbegun === true);
}

/** How long a job may stand at the printer with no change, in ms; then it is given up, because all others wait behind it. */
export function mayStandMs(state: Release, { state: seen, reasons }: PrinterJobStatus): number {
  // The pages that are under way come out in this time; CUPS says for ever that such a job is stopping.
  if (ENDS.has(seen) && isStopping({ reasons })) return 10_000;
  // What a printer cannot stop in this time it will not tell of either.
  if (state.givenUp !== undefined || isStopping({ reasons })) return 2 * 60_000;
  if (state.broken !== undefined) return 5 * 60_000;
  switch (seen) {
    // Whoever is asked for a PIN or a button at the panel stands there, or has left.
    case "pending-held":
      return 3 * 60_000;
    // Time to clear a jam or fetch paper; later pages would come out with nobody there.
    case "processing-stopped":
      return 10 * 60_000;
    default:
      return 60 * 60_000;
  }
}

function end(
  state: Release,
  phase: EndPhase,
  word: Word,
  reason: string,
  status?: PrinterJobStatus,
  detail?: string,
): Step {
  const more = {
    ...(detail === undefined ? {} : { detail }),
    ...(status?.impressions === undefined ? {} : { impressions: status.impressions }),
    ...(status?.sheets === undefined ? {} : { sheets: status.sheets }),
  };
  return { state: { ...state, phase, end: { word, reason, ...more } }, effects: [{ type: "settle" }] };
}

/**
 * Where a restarted agent goes on with what the ledger holds. `trusted` is false when records of the ledger were lost:
 * then an entry that looks unsent may have been sent; one that says that it is being returned was not.
 */
export function resume(state: Release, trusted: boolean): Step {
  if (state.returning !== undefined && !hasEnded(state)) return { state, effects: [{ type: "discard" }] };
  switch (state.phase) {
    case "CLAIMED":
    case "FETCHED":
    case "CREATED":
      if (trusted) return returned({ ...state, phase: "CREATED" }, "agent-restarted");
      return { state: { ...state, phase: "SENDING", broken: "ledger-damaged" }, effects: [{ type: "lookUp" }] };
    case "SENDING":
      return { state: { ...state, broken: state.broken ?? "agent-restarted" }, effects: [{ type: "lookUp" }] };
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

/** What can be said of a release whose printer is no longer configured: nobody can look its job up. */
export function orphaned(state: Release): Release {
  if (state.returning !== undefined) return step(state, { type: "discarded" }).state;
  return end(state, "IN_DOUBT", "unknown", "printer-not-configured").state;
}
