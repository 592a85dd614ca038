import type { PrinterJob, PrinterJobState, PrinterJobStatus, PrinterState } from "../../printer.ts";
import { PrinterError } from "../../printer.ts";
import { booleanOf, numbersOf, stringsOf } from "./attributes.ts";
import { countOf } from "./counts.ts";
import { MOMENT_ATTRIBUTES } from "./identity.ts";
import type { IppGroup, IppMessage } from "./message.ts";
import { STATUS } from "./tags.ts";

/** What a printer can do, from Get-Printer-Attributes. */
export interface Capabilities {
  readonly operations: ReadonlySet<number>;
  readonly formats: readonly string[];
  /** ipp-versions-supported, such as `2.0`. */
  readonly versions: readonly string[];
  /** printer-make-and-model; empty where it tells none. */
  readonly makeAndModel: string;
}

/** RFC 8011 5.4.11 and 5.3.7: the enums as keywords. */
const PRINTER_STATES: ReadonlyMap<number, PrinterState["state"]> = new Map([
  [3, "idle"],
  [4, "processing"],
  [5, "stopped"],
]);

const JOB_STATES: ReadonlyMap<number, PrinterJobState> = new Map([
  [3, "pending"],
  [4, "pending-held"],
  [5, "processing"],
  [6, "processing-stopped"],
  [7, "canceled"],
  [8, "aborted"],
  [9, "completed"],
]);

/** RFC 8011 5.4.12: a reason without a severity is to be read as an error; of these that means that no paper comes out. */
const BLOCKING = new Set([
  "cover-open",
  "door-open",
  "input-tray-missing",
  "interlock-open",
  "marker-supply-empty",
  "media-empty",
  "media-jam",
  "media-needed",
  "output-area-full",
  "paused",
  "shutdown",
  "spool-area-full",
  "stopped-partly",
  "toner-empty",
]);

export const STATE_ATTRIBUTES = [
  "printer-state",
  "printer-state-reasons",
  "printer-is-accepting-jobs",
  "queued-job-count",
] as const;
export const CAPABILITY_ATTRIBUTES = [
  "operations-supported",
  "document-format-supported",
  "ipp-versions-supported",
  "printer-make-and-model",
] as const;
export const JOB_ATTRIBUTES = [
  "job-id",
  "job-name",
  "job-uuid",
  "job-state",
  "job-state-reasons",
  "job-impressions-completed",
  "job-media-sheets-completed",
  ...MOMENT_ATTRIBUTES,
] as const;

export function printerStateOf(group: IppGroup | undefined): PrinterState {
  const state = PRINTER_STATES.get(numbersOf(group, "printer-state")[0] ?? 0);
  if (state === undefined) throw new PrinterError("printer-bad-reply", "printer-state is missing or unknown");
  const reasons = reasonsOf(group, "printer-state-reasons");
  const accepting = booleanOf(group, "printer-is-accepting-jobs") ?? true;
  const blocking = reasons.filter((reason) => reason.endsWith("-error") || BLOCKING.has(reason));
  if (!accepting) blocking.push("not-accepting-jobs");
  if (state === "stopped" && blocking.length === 0) blocking.push("stopped");
  const queued = countOf(group, "queued-job-count");
  return { state, accepting, reasons, blocking, ...(queued === undefined ? {} : { queued }) };
}

export function capabilitiesOf(group: IppGroup | undefined): Capabilities {
  return {
    operations: new Set(numbersOf(group, "operations-supported")),
    formats: stringsOf(group, "document-format-supported").map((format) => format.toLowerCase()),
    versions: stringsOf(group, "ipp-versions-supported"),
    makeAndModel: stringsOf(group, "printer-make-and-model")[0] ?? "",
  };
}

/** What the group says of a job; `known` fills in what the printer did not repeat. Undefined without an id or a name. */
export function jobStatusOf(group: IppGroup | undefined, known?: Partial<PrinterJob>): PrinterJobStatus | undefined {
  const id = numbersOf(group, "job-id")[0] ?? known?.id;
  const name = stringsOf(group, "job-name")[0] ?? known?.name;
  if (id === undefined || name === undefined) return undefined;
  const uuid = stringsOf(group, "job-uuid")[0] ?? known?.uuid;
  const impressions = countOf(group, "job-impressions-completed");
  const sheets = countOf(group, "job-media-sheets-completed");
  return {
    id,
    name,
    ...(uuid === undefined ? {} : { uuid }),
    state: JOB_STATES.get(numbersOf(group, "job-state")[0] ?? 0) ?? "pending",
    reasons: reasonsOf(group, "job-state-reasons"),
    ...(impressions === undefined ? {} : { impressions }),
    ...(sheets === undefined ? {} : { sheets }),
  };
}

/** The error that an IPP status stands for; undefined for success (RFC 8011 B.1). */
export function refusalOf(reply: IppMessage): PrinterError | undefined {
  if (reply.code < 0x0100) return undefined;
  // The status-message is the printer's own text and may repeat what we sent, so it stays out of the detail.
  const detail = `IPP status 0x${reply.code.toString(16).padStart(4, "0")}`;
  switch (reply.code) {
    case STATUS.forbidden:
    case STATUS.notAuthenticated:
    case STATUS.notAuthorized:
      return new PrinterError("printer-auth-required", detail);
    case STATUS.documentFormatNotSupported:
      return new PrinterError("printer-format-unsupported", detail);
    case STATUS.serviceUnavailable:
    case STATUS.deviceError:
    case STATUS.temporaryError:
      return new PrinterError("printer-unavailable", detail);
    case STATUS.notAcceptingJobs:
      return new PrinterError("printer-not-accepting", detail);
    case STATUS.busy:
      return new PrinterError("printer-busy", detail);
    case STATUS.attributesNotSupported:
    case STATUS.conflictingAttributes:
      return new PrinterError("printer-ticket-unsupported", detail);
    case STATUS.accountInfoNeeded:
    case STATUS.accountClosed:
    case STATUS.accountLimitReached:
    case STATUS.accountAuthorizationFailed:
      return new PrinterError("printer-account-refused", detail);
    default:
      // 0x05xx is the printer's own trouble, whatever its name (RFC 8011 B.1.5); it may have taken the job all the same.
      return new PrinterError(reply.code >= 0x0500 ? "printer-unavailable" : "printer-refused", detail);
  }
}

export function succeeded(reply: IppMessage): IppMessage {
  const refusal = refusalOf(reply);
  if (refusal !== undefined) throw refusal;
  return reply;
}

function reasonsOf(group: IppGroup | undefined, name: string): string[] {
  return stringsOf(group, name).filter((reason) => reason !== "none");
}
