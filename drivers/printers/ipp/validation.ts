import type { Clock } from "../../clock.ts";
import { type JobRequest, type PrinterCode, PrinterError } from "../../printer.ts";
import { mediaType, nameText } from "./attributes.ts";
import type { PrinterTickets } from "./printer-tickets.ts";
import type { AppliedQuirks } from "./quirks.ts";
import type { Requests } from "./requests.ts";
import { refusalOf } from "./state.ts";
import { OPERATION, STATUS } from "./tags.ts";
import { jobGroups } from "./ticket.ts";

/** How long what the printer took once is taken to be good: its settings change seldom, and Create-Job asks again anyway. */
const VALID_MS = 600_000;
/** Kinds of jobs remembered; tickets differ in little. */
const KEPT = 64;
/** Validate-Job is an extra: a printer that does not answer it within this time, or the next request after it, is not asked it again. */
const VALIDATE_MS = 3000;
const AFTER_MS = 15_000;
/** No word from the printer: it hangs, or broke the connection. */
const SILENT: ReadonlySet<string> = new Set<PrinterCode>(["printer-timeout", "printer-broken-connection"]);
/** What Validate-Job may refuse a job for; anything else may be an error in its Validate-Job. */
const REASONS: ReadonlySet<string> = new Set<PrinterCode>([
  "printer-format-unsupported",
  "printer-ticket-unsupported",
  "printer-account-refused",
  "printer-auth-required",
  "printer-not-accepting",
  "printer-busy",
]);

export interface ValidatorOptions {
  readonly requests: Requests;
  readonly quirks: AppliedQuirks;
  readonly tickets: PrinterTickets;
  readonly clock: Clock;
  readonly count: (what: string) => void;
}

/** Validate-Job at one printer. It knows which kinds of jobs were validated lately, so that all but the first of a kind cost nothing. */
export class Validator {
  readonly #options: ValidatorOptions;
  readonly #until = new Map<string, number>();
  #askedAt = Number.NEGATIVE_INFINITY;
  /** It lists Validate-Job and has it not. */
  #isMissing = false;

  constructor(options: ValidatorOptions) {
    this.#options = options;
  }

  /** `format` is what is to be announced. Rejects where the printer names a reason not to take the job. */
  async validate(request: JobRequest, format: string, signal: AbortSignal): Promise<void> {
    const { requests, quirks, tickets, clock } = this.#options;
    if (this.#isMissing || quirks.has("no-validate-job") || this.#knows(request)) return;
    const ticket = await tickets.mapped(request.ticket, signal);
    const limit = new AbortController();
    const cancel = clock.after(VALIDATE_MS, () => limit.abort());
    const both = AbortSignal.any([signal, limit.signal]);
    try {
      const attributes = [
        nameText("job-name", request.name),
        mediaType("document-format", format),
        ...ticket.operation,
      ];
      const asked = [OPERATION.validateJob, request.user, undefined, attributes, true, both] as const;
      const reply = await requests.ask(...asked, jobGroups(ticket));
      this.#askedAt = clock.monotonic();
      if (reply.code === STATUS.operationNotSupported) this.#isMissing = true;
      else this.#answered(request, tickets.refusal(reply, request.ticket, ticket) ?? refusalOf(reply));
    } catch (error) {
      if (!isSilence(error) || signal.aborted) throw error;
      quirks.met("no-validate-job");
    } finally {
      cancel();
    }
  }

  /** To be told of what the request after it met. */
  failedAfter(error: unknown): void {
    const { quirks, clock } = this.#options;
    if (isSilence(error) && clock.monotonic() - this.#askedAt < AFTER_MS) quirks.met("no-validate-job");
  }

  #answered(request: JobRequest, refusal: PrinterError | undefined): void {
    if (refusal !== undefined && REASONS.has(refusal.code)) throw refusal;
    // What it says without a reason that is known is left to Create-Job, which is the one that counts.
    if (refusal !== undefined) this.#options.count("validate-refused");
    const kind = kindOf(request);
    this.#until.delete(kind);
    this.#until.set(kind, this.#options.clock.monotonic() + VALID_MS);
    for (const oldest of this.#until.keys()) {
      if (this.#until.size <= KEPT) break;
      this.#until.delete(oldest);
    }
  }

  #knows(request: JobRequest): boolean {
    return this.#options.clock.monotonic() < (this.#until.get(kindOf(request)) ?? 0);
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof PrinterError && SILENT.has(error.code);
}

/** All that Validate-Job is asked about, but for whose job it is. That there is a password, and how long it is, is remembered; what it is, is not. */
function kindOf({ name: _name, user: _user, ticket, ...kind }: JobRequest): string {
  return JSON.stringify({ ...kind, ...ticket, "job-password": ticket?.["job-password"]?.length });
}
