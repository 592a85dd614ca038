import type { PrinterJob, PrinterMoment } from "../../printer.ts";
import { numbersOf, stringsOf, valuesOf } from "./attributes.ts";
import type { IppGroup } from "./message.ts";

/** Whose job a group of job attributes tells of. `unproven`: it may be ours, and nothing in it shows that. */
export type Whose = "ours" | "other" | "unproven";

/** How far two readings of the printer's seconds for one moment may lie apart: rounding, and the time that a reply takes. */
const SAME_MOMENT_S = 5;
/** How far two readings of when it was switched on may lie apart: two clocks drift. No power cycle is as short. */
const SAME_BOOT_S = 20;

/** Attributes by which a printer tells time in a reply about itself, and about a job. */
export const CLOCK_ATTRIBUTES = ["printer-up-time", "printer-current-time"] as const;
export const MOMENT_ATTRIBUTES = ["time-at-creation", "date-time-at-creation", "job-printer-up-time"] as const;

/**
 * Pure. Ids are reused after a power cycle. Our names are unique over all time, so a name decides; then the uuid, which is
 * the printer's own. Where both are hidden, when the job was made: two jobs with one id are never made within seconds.
 * Time by printer-up-time says that only as long as the printer was not switched off, which it shows by counting on.
 */
export function whose(group: IppGroup | undefined, job: PrinterJob, wallS: number, hidesNames = false): Whose {
  if (group === undefined || numbersOf(group, "job-id")[0] !== job.id) return "other";
  const name = stringsOf(group, "job-name")[0] ?? "";
  if (name === job.name) return sameUuid(group, job) === false ? "other" : "ours";
  if (name !== "" && !hidesNames) return "other";
  const verdict = sameUuid(group, job) ?? sameMoment(group, job.created, wallS);
  if (verdict === undefined) return "unproven";
  return verdict ? "ours" : "other";
}

function sameUuid(group: IppGroup, { uuid }: PrinterJob): boolean | undefined {
  const seen = stringsOf(group, "job-uuid")[0];
  return uuid === undefined || seen === undefined ? undefined : seen === uuid;
}

function sameMoment(group: IppGroup, created: PrinterMoment | undefined, wallS: number): boolean | undefined {
  const date = dateOf(group, "date-time-at-creation");
  if (created?.date !== undefined && date !== undefined) return Math.abs(date - created.date) <= SAME_MOMENT_S;
  const [upTime, now] = [numbersOf(group, "time-at-creation")[0], numbersOf(group, "job-printer-up-time")[0]];
  if (created?.upTime === undefined || created.bootedAt === undefined || upTime === undefined || now === undefined)
    return undefined;
  const sameBoot = Math.abs(wallS - now - created.bootedAt) <= SAME_BOOT_S;
  return sameBoot && Math.abs(upTime - created.upTime) <= SAME_MOMENT_S;
}

/** The printer's own time as it was last told, from which it is known at any later moment. */
export class PrinterTime {
  #told: { readonly upTime: number | undefined; readonly date: number | undefined; readonly atMs: number } | undefined;

  /** From a reply that tells of the printer. */
  told(group: IppGroup | undefined, nowMs: number): void {
    const [upTime] = numbersOf(group, "printer-up-time");
    const date = dateOf(group, "printer-current-time");
    if (upTime !== undefined || date !== undefined) this.#told = { upTime, date, atMs: nowMs };
  }

  /** What a job that is made now will be told to have been made at; undefined where the printer tells no time. */
  moment(nowMs: number, wallS: number): PrinterMoment | undefined {
    if (this.#told === undefined) return undefined;
    const { upTime, date, atMs } = this.#told;
    const since = (nowMs - atMs) / 1000;
    return {
      ...(upTime === undefined
        ? {}
        : { upTime: Math.round(upTime + since), bootedAt: Math.round(wallS - upTime - since) }),
      ...(date === undefined ? {} : { date: Math.round(date + since) }),
    };
  }
}

/** RFC 2579 DateAndTime, 11 octets, as seconds since 1970; undefined for none, or one that is no date. */
export function dateOf(group: IppGroup | undefined, name: string): number | undefined {
  const value = valuesOf(group, name)[0]?.value;
  if (!(value instanceof Uint8Array) || value.length !== 11) return undefined;
  const [high = 0, low = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, , sign = 0, hours = 0, minutes = 0] =
    value;
  const utc = Date.UTC(high * 256 + low, month - 1, day, hour, minute, second) / 1000;
  const east = (hours * 60 + minutes) * 60 * (sign === 0x2d ? -1 : 1);
  const isDate = month >= 1 && month <= 12 && day >= 1 && day <= 31 && (sign === 0x2b || sign === 0x2d);
  return isDate ? utc - east : undefined;
}
