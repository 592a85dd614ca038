import { type JobTicket, PrinterError } from "../../drivers/printer.ts";
import type { Ticket } from "../protocol/ticket.ts";
import { ReleaseError } from "./release-error.ts";

/** Pure: what the printer is told of a manifest's ticket. */
export function jobTicketOf(ticket: Ticket | undefined, password: string | undefined): JobTicket | undefined {
  if (ticket === undefined) return undefined;
  const { "job-password": hasPassword, ...asked } = ticket;
  return hasPassword === true ? { ...asked, "job-password": password } : asked;
}

/** Without the password that its manifest says there is, a job would print for whoever stands there: `job-password-missing`. */
export function mustHavePassword(ticket: Ticket | undefined, password: string | undefined): void {
  if (ticket?.["job-password"] === true && password === undefined) throw new ReleaseError("job-password-missing");
}

/** What a code alone does not tell the person who is to put it right; our own words, or the printer's keywords. */
export function detailOf(error: unknown): { detail?: string } {
  return error instanceof PrinterError && error.code === "printer-ticket-unsupported" ? { detail: error.detail } : {};
}
