import type { JobTicket } from "../../drivers/printer.ts";
import type { Ticket } from "../protocol/ticket.ts";
import { ReleaseError } from "./release-error.ts";

/** Pure: what the printer is told of a manifest's ticket. Without the password that the manifest says there is, nothing is printed. */
export function jobTicketOf(
  ticket: Ticket | undefined,
  password: string | undefined,
): JobTicket | ReleaseError | undefined {
  if (ticket === undefined) return undefined;
  const { "job-password": hasPassword, ...asked } = ticket;
  if (hasPassword !== true) return asked;
  return password === undefined ? new ReleaseError("job-password-missing") : { ...asked, "job-password": password };
}
