import {
  attribute,
  boolean,
  enumeration,
  integer,
  keyword,
  mediaType,
  nameText,
  text,
  uri,
} from "../../drivers/printers/ipp/attributes.ts";
import type { IppAttribute } from "../../drivers/printers/ipp/message.ts";
import { TAG } from "../../drivers/printers/ipp/tags.ts";
import { DOCUMENT_TIMEOUT_S, type MfdJob } from "./mfd-jobs.ts";

/** RFC 8011 5.4.11. */
export const PRINTER_STATE = { idle: 3, processing: 4, stopped: 5 } as const;

export interface MfdState {
  readonly uri: string;
  readonly uuid: string;
  readonly operations: readonly number[];
  readonly formats: readonly string[];
  readonly state: number;
  readonly reasons: readonly string[];
  readonly accepting: boolean;
  readonly queued: number;
  readonly counts: "pages" | "zero" | "never";
  /** Seconds since power on, from 1. */
  readonly upTime: number;
  /** What it can do with tickets. */
  readonly template: readonly IppAttribute[];
}

function description(mfd: MfdState): readonly IppAttribute[] {
  const secure = mfd.uri.startsWith("ipps:");
  const webPage = `${mfd.uri.replace(/^ipp/, "http").replace(/\/ipp\/print$/, "/")}`;
  return [
    uri("printer-uri-supported", mfd.uri),
    keyword("uri-security-supported", secure ? "tls" : "none"),
    keyword("uri-authentication-supported", "requesting-user-name"),
    nameText("printer-name", "Printgate Virtual MFD"),
    text("printer-info", "Printgate Virtual MFD"),
    text("printer-location", "Demo"),
    text("printer-make-and-model", "Printgate Virtual MFD"),
    text("printer-device-id", "MFG:Printgate;MDL:Virtual MFD;CMD:PDF,JPEG;"),
    uri("printer-uuid", mfd.uuid),
    uri("printer-more-info", webPage),
    enumeration("printer-state", mfd.state),
    keyword("printer-state-reasons", ...(mfd.reasons.length > 0 ? mfd.reasons : ["none"])),
    boolean("printer-is-accepting-jobs", mfd.accepting),
    integer("queued-job-count", mfd.queued),
    integer("printer-up-time", mfd.upTime),
    keyword("ipp-versions-supported", "1.1", "2.0"),
    enumeration("operations-supported", ...mfd.operations),
    attribute("charset-configured", TAG.charset, "utf-8"),
    attribute("charset-supported", TAG.charset, "us-ascii", "utf-8"),
    attribute("natural-language-configured", TAG.naturalLanguage, "en"),
    attribute("generated-natural-language-supported", TAG.naturalLanguage, "en"),
    mediaType("document-format-default", mfd.formats[0] ?? "application/octet-stream"),
    mediaType("document-format-supported", ...mfd.formats),
    keyword("compression-supported", "none"),
    keyword("pdl-override-supported", "attempted"),
    boolean("multiple-document-jobs-supported", false),
    integer("multiple-operation-time-out", DOCUMENT_TIMEOUT_S),
    keyword("multiple-operation-time-out-action", "abort-job"),
    keyword("which-jobs-supported", "completed", "not-completed"),
    boolean("color-supported", true),
    integer("pages-per-minute", 40),
    integer("pages-per-minute-color", 40),
  ];
}

/** Get-Printer-Attributes: what `requested` names, all if it is empty. */
export function printerAttributes(mfd: MfdState, requested: readonly string[]): readonly IppAttribute[] {
  return [
    ...select(description(mfd), requested, "printer-description"),
    ...select(mfd.template, requested, "job-template"),
  ];
}

/** `seconds` turns the monotonic clock into printer-up-time. */
export function jobAttributes(
  job: MfdJob,
  mfd: MfdState,
  seconds: (monotonic: number) => number,
  requested: readonly string[],
): readonly IppAttribute[] {
  const time = (name: string, at: number | undefined) =>
    at === undefined ? attribute(name, TAG.noValue, null) : integer(name, seconds(at));
  const pages = mfd.counts === "zero" ? 0 : (job.pagesClaimed ?? job.pages);
  const counts = [integer("job-impressions-completed", pages), integer("job-media-sheets-completed", pages)];
  const all = [
    integer("job-id", job.id),
    uri("job-uri", `${mfd.uri}/${job.id}`),
    // The end of the printer's uuid, and the job's serial number: unique although ids come again.
    uri("job-uuid", `${mfd.uuid.slice(0, -12)}${job.serial.toString(16).padStart(12, "0")}`),
    uri("job-printer-uri", mfd.uri),
    nameText("job-name", job.name),
    nameText("job-originating-user-name", job.user),
    enumeration("job-state", job.state),
    keyword("job-state-reasons", ...job.reasons),
    time("time-at-creation", job.createdAt),
    time("time-at-processing", job.processingAt),
    time("time-at-completed", job.endedAt),
    integer("job-printer-up-time", mfd.upTime),
    integer("job-k-octets", Math.ceil((job.document?.size ?? 0) / 1024)),
    ...(mfd.counts === "never" ? [] : counts),
  ];
  // A password is told to nobody.
  const ticket = job.ticket.filter(({ name }) => !name.startsWith("job-password"));
  return [...select(all, requested, "job-description"), ...select(ticket, requested, "job-template")];
}

function select(attributes: readonly IppAttribute[], requested: readonly string[], group: string) {
  if (requested.length === 0 || requested.includes("all") || requested.includes(group)) return attributes;
  return attributes.filter(({ name }) => requested.includes(name));
}
