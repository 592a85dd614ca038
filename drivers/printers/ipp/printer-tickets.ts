import type { Clock } from "../../clock.ts";
import type { JobTicket } from "../../job-ticket.ts";
import type { PrinterError } from "../../printer.ts";
import type { IppGroup, IppMessage } from "./message.ts";
import {
  checkedTicket,
  type MappedTicket,
  TICKET_ATTRIBUTES,
  type TicketCapabilities,
  ticketCapabilitiesOf,
  ticketRefusalOf,
} from "./ticket.ts";

/** How long what a printer said of tickets is believed, in ms. */
const BELIEVED_MS = 300_000;

/**
 * What one printer can do with tickets, as last heard. Asked more rarely than the rest, which comes with each state: lists
 * of media and sizes are long. After a ticket that it cannot do it is asked anew: a finisher may have been put on.
 */
export class PrinterTickets {
  readonly #clock: Clock;
  readonly #secure: boolean;
  readonly #ask: (signal: AbortSignal) => Promise<IppGroup | undefined>;
  #heard: { readonly known: TicketCapabilities; readonly at: number } | undefined;

  /** `secure`: it is reached over TLS. `ask` asks for `wanted`, and lets `learn` know. */
  constructor(clock: Clock, secure: boolean, ask: (signal: AbortSignal) => Promise<IppGroup | undefined>) {
    this.#clock = clock;
    this.#secure = secure;
    this.#ask = ask;
  }

  /** What is to be asked for now. */
  get wanted(): readonly string[] {
    return this.#fresh() === undefined ? TICKET_ATTRIBUTES : [];
  }

  /** The reply to a request for `wanted`. */
  learn(wanted: readonly string[], printer: IppGroup | undefined): void {
    if (wanted.length > 0) this.#heard = { known: ticketCapabilitiesOf(printer), at: this.#clock.monotonic() };
  }

  /** `printer-ticket-unsupported`; asks where the printer was not asked lately. */
  async mapped(ticket: JobTicket | undefined, signal: AbortSignal): Promise<MappedTicket> {
    const known = this.#fresh() ?? ticketCapabilitiesOf(await this.#ask(signal));
    try {
      return checkedTicket(ticket, known, this.#secure);
    } catch (error) {
      this.#heard = undefined;
      throw error;
    }
  }

  /** As `ticketRefusalOf`. */
  refusal(reply: IppMessage, ticket: JobTicket | undefined, mapped: MappedTicket): PrinterError | undefined {
    const refusal = ticketRefusalOf(reply, ticket, mapped);
    if (refusal !== undefined) this.#heard = undefined;
    return refusal;
  }

  #fresh(): TicketCapabilities | undefined {
    const isFresh = this.#heard !== undefined && this.#clock.monotonic() - this.#heard.at < BELIEVED_MS;
    return isFresh ? this.#heard?.known : undefined;
  }
}
