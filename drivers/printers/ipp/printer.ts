import type { Clock } from "../../clock.ts";
import { codeOf } from "../../coded-error.ts";
import type { Whereabouts } from "../../discovery/follow-machine.ts";
import type { Follower } from "../../discovery/follower.ts";
import type { Log } from "../../log.ts";
import type {
  DocumentBody,
  JobRequest,
  Printer,
  PrinterCode,
  PrinterHealthReport,
  PrinterJob,
  PrinterJobStatus,
  PrinterQuirk,
  PrinterState,
  PrinterVerdict,
} from "../../printer.ts";
import { PrinterError } from "../../printer.ts";
import type { JobCounts, LifeCount } from "../../printer-counts.ts";
import type { TlsRelaxation } from "../../transports/tls.ts";
import { boolean, groupsOf, keyword, mediaType, nameText, numbersOf } from "./attributes.ts";
import type { Login } from "./auth.ts";
import { IppClient, type IppDeadlines } from "./client.ts";
import { CLOCK_ATTRIBUTES, PrinterTime } from "./identity.ts";
import { isUnknownJob, JobLookups } from "./job-lookups.ts";
import type { IppGroup, IppMessage } from "./message.ts";
import { PrinterTickets } from "./printer-tickets.ts";
import { AppliedQuirks, type Quirk } from "./quirks.ts";
import { Requests } from "./requests.ts";
import {
  CAPABILITY_ATTRIBUTES,
  type Capabilities,
  capabilitiesOf,
  jobStatusOf,
  printerStateOf,
  refusalOf,
  STATE_ATTRIBUTES,
  succeeded,
} from "./state.ts";
import { GROUP, OPERATION, STATUS } from "./tags.ts";
import { jobGroups, NO_TICKET } from "./ticket.ts";
import { Validator } from "./validation.ts";

/** The warm verdict of another protocol (SNMP), given by the composition root. */
export interface PrinterHealth {
  readonly verdict: () => PrinterVerdict;
  readonly report: PrinterHealthReport;
  readonly start: () => void;
  readonly look: () => Promise<void>;
  /** Somebody stands at the printer: what a person does at its panel is to be seen at once. */
  readonly hurry: () => void;
  readonly nudge: () => void;
  /** Read now. Never rejects. */
  readonly lifeCount: () => Promise<LifeCount | undefined>;
  readonly stop: () => Promise<void>;
}

export interface IppPrinterOptions {
  readonly name: string;
  /** `ipp://host[:631]/path` or `ipps://host[:631]/path`; the constructor throws a TypeError for anything else. */
  readonly uri: string;
  /** For ipps: SHA-256 of the printer's key, `sha256/BASE64`, one or more; an empty list trusts nobody. */
  readonly keyPins: readonly string[];
  /** For ipps: what this printer is allowed because it can do no better. */
  readonly tlsAllow?: readonly TlsRelaxation[];
  /** Where the printer asks for one; Basic is answered on ipps only. */
  readonly login?: Login;
  /** requesting-user-name where no person's is known; `printgate` by default. */
  readonly userName?: string;
  /** Documents go with Content-Length instead of in chunks, for printers that cannot read chunks. */
  readonly contentLength?: boolean;
  /** What the operator knows of it; see `quirks.ts`. */
  readonly quirks?: readonly Quirk[];
  readonly clock: Clock;
  readonly log: Log;
  readonly health?: PrinterHealth;
  /** How it is found again when its address changed; without one it is where its uri says. */
  readonly follow?: Follower;
  readonly deadlines?: Partial<IppDeadlines>;
}

/** What does not pass by itself: until somebody acts, nothing is printed here. */
const NEEDS_A_PERSON: ReadonlySet<PrinterCode> = new Set([
  "printer-key-unknown",
  "printer-tls-refused",
  "printer-auth-required",
  "printer-auth-refused",
  "printer-auth-unsupported",
]);
/** A printer may also refuse one person's job to another; that says nothing of the printer. */
const ABOUT_PRINTER: ReadonlySet<string> = new Set(["state", "validate", "createJob", "send"]);
const CAPABILITIES_MS = 300_000;
/** A job that the printer made and does not know when the document comes may be lost in a power cycle: once is no quirk. */
const LOST_JOBS = 2;
const FALLBACK_FORMAT = "application/octet-stream";
const UNKNOWN: PrinterVerdict = { verdict: "unknown", conditions: [], at: undefined };

export class IppPrinter implements Printer {
  readonly name: string;
  readonly #options: IppPrinterOptions;
  readonly #client: IppClient;
  readonly #counters: Record<string, number> = { requests: 0, documents: 0, bytes: 0 };
  #capabilities: { readonly known: Capabilities; readonly at: number } | undefined;
  readonly #quirks: AppliedQuirks;
  readonly #jobs: JobLookups;
  readonly #requests: Requests;
  readonly #validator: Validator;
  readonly #tickets: PrinterTickets;
  readonly #time = new PrinterTime();
  /** A printer may list Create-Job and still not have it. */
  #hasNoCreateJob = false;
  #lostJobs = 0;
  #error: PrinterError | undefined;

  constructor(options: IppPrinterOptions) {
    this.name = options.name;
    this.#options = options;
    if (options.uri.startsWith("ipps:") && options.keyPins.length === 0) {
      this.#error = new PrinterError("printer-key-unknown", "no key is trusted yet");
    }
    const { uri: printerUri, keyPins, tlsAllow = [], login, clock, deadlines = {}, contentLength = false } = options;
    this.#client = new IppClient({
      uri: printerUri,
      keyPins,
      tlsAllow,
      login,
      clock,
      deadlines,
      contentLength,
      follow: options.follow,
      count: (what, by) => this.#add(what, by),
    });
    this.#quirks = new AppliedQuirks(options.quirks ?? [], (quirk) => {
      this.#add(`quirk-${quirk}`, 1);
      if (quirk === "ipp-1.1") this.#client.speakOldVersion();
      if (quirk === "content-length") this.#client.announceLength();
    });
    const count = (what: string) => this.#add(what, 1);
    this.#requests = new Requests(this.#client, printerUri, options.userName ?? "printgate", this.#quirks);
    this.#tickets = new PrinterTickets(clock, printerUri.startsWith("ipps:"), (signal) => this.#ask(signal));
    const [requests, quirks, tickets] = [this.#requests, this.#quirks, this.#tickets];
    this.#validator = new Validator({ requests, quirks, tickets, clock, count });
    this.#jobs = new JobLookups({
      requests: this.#requests,
      hidesNames: () => this.#quirks.has("hides-job-names"),
      unproven: () => count("job-unproven"),
      clock,
    });
  }

  get verdict(): PrinterVerdict {
    return this.#options.health?.verdict() ?? UNKNOWN;
  }

  get health(): PrinterHealthReport | undefined {
    return this.#options.health?.report;
  }

  get error(): PrinterError | undefined {
    return this.#error;
  }

  get quirks(): readonly PrinterQuirk[] {
    return this.#quirks.list;
  }

  get whereabouts(): Whereabouts {
    return this.#options.follow?.whereabouts ?? {};
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#counters, ...this.#options.follow?.counters };
  }

  start(): void {
    this.#options.health?.start();
  }

  nudge(): void {
    this.#options.health?.nudge();
  }

  async look(): Promise<void> {
    await this.#options.health?.look();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#client.close(), this.#options.health?.stop(), this.#options.follow?.stop()]);
  }

  prepare(): void {
    this.#options.health?.hurry();
    this.#client.prepare();
  }

  state(signal: AbortSignal): Promise<PrinterState> {
    return this.#counted("state", async () => printerStateOf(await this.#ask(signal)));
  }

  validate(request: JobRequest, signal: AbortSignal): Promise<void> {
    return this.#counted("validate", async () => {
      const known = await this.#known(signal);
      const format = formatFor(request.format, known);
      if (known.operations.has(OPERATION.validateJob)) await this.#validator.validate(request, format, signal);
    });
  }

  createJob(request: JobRequest, signal: AbortSignal): Promise<PrinterJob | undefined> {
    return this.#counted("createJob", async () => {
      const known = await this.#known(signal);
      formatFor(request.format, known);
      const ticket = await this.#tickets.mapped(request.ticket, signal);
      if (!this.#createsJobs(known)) return undefined;
      const attributes = [nameText("job-name", request.name), ...ticket.operation];
      const asked = [OPERATION.createJob, request.user, undefined, attributes, false, signal] as const;
      const reply = await this.#requests.ask(...asked, jobGroups(ticket)).catch((error: unknown) => {
        if (!signal.aborted) this.#validator.failedAfter(error);
        throw error;
      });
      if (reply.code === STATUS.operationNotSupported) {
        this.#hasNoCreateJob = true;
        return undefined;
      }
      const refusal = this.#tickets.refusal(reply, request.ticket, ticket);
      if (refusal !== undefined && reply.code >= 0x0100) throw refusal;
      const { id, uuid } = created(succeeded(reply), request.name);
      if (refusal !== undefined) {
        // It would print otherwise than asked. Where this fails, whoever gives the claim back looks for the job once more.
        await this.#requests.ask(OPERATION.cancelJob, request.user, id, [], true, signal).catch(() => {});
        throw refusal;
      }
      return {
        ...{ id, name: request.name, user: request.user },
        ...(uuid === undefined ? {} : { uuid }),
        ...this.#createdNow(),
      };
    });
  }

  #createdNow(): Pick<PrinterJob, "created"> {
    const { clock } = this.#options;
    const moment = this.#time.moment(clock.monotonic(), clock.wall() / 1000);
    return moment === undefined ? {} : { created: moment };
  }

  send(
    job: PrinterJob | undefined,
    request: JobRequest,
    document: DocumentBody,
    signal: AbortSignal,
  ): Promise<PrinterJobStatus> {
    return this.#counted("send", async () => {
      const format = mediaType(
        "document-format",
        formatFor(request.format, await nothingSent(() => this.#known(signal))),
      );
      // Send-Document has no ticket: the job has it.
      const wanted = job === undefined ? request.ticket : undefined;
      const ticket = job === undefined ? await nothingSent(() => this.#tickets.mapped(wanted, signal)) : NO_TICKET;
      const attributes =
        job === undefined
          ? [nameText("job-name", request.name), format, ...ticket.operation]
          : [format, boolean("last-document", true)];
      const operation = job === undefined ? OPERATION.printJob : OPERATION.sendDocument;
      const groups = [this.#requests.group(request.user, job?.id, ...attributes), ...jobGroups(ticket)];
      const reply = await this.#client.send(operation, groups, document, signal).catch((error: unknown) => {
        // RFC 9110 15.5.12 Length Required: this document is lost for it, the next one goes with its length.
        if (error instanceof PrinterError && error.detail === "HTTP 411") this.#quirks.met("content-length");
        throw error;
      });
      if (job !== undefined && isUnknownJob(reply)) {
        this.#lostJobs += 1;
        if (this.#lostJobs >= LOST_JOBS) this.#quirks.met("no-create-job");
        throw new PrinterError("printer-job-unknown", `job ${job.id}`);
      }
      // What it ignored, it prints without all the same.
      const refusal = reply.code < 0x0100 ? undefined : this.#tickets.refusal(reply, wanted, ticket);
      if (refusal !== undefined) throw new PrinterError(refusal.code, refusal.detail);
      const status = created(succeeded(reply), request.name, job);
      this.#lostJobs = 0;
      const moment = job === undefined ? this.#createdNow() : {};
      return this.#jobs.believed({ ...status, ...moment, user: request.user }, signal);
    });
  }

  jobStatus(job: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    return this.#counted("jobStatus", () => this.#jobs.status(job, signal));
  }

  findJob(name: string, user: string, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    return this.#counted("findJob", () => this.#jobs.find(name, user, signal));
  }

  cancelJob(job: PrinterJob, signal: AbortSignal): Promise<void> {
    return this.#counted("cancelJob", async () => {
      // After a power cycle the id may be another person's job: that one must not be cancelled.
      if ((await this.#jobs.status(job, signal)) === undefined) return;
      const reply = await this.#requests.ask(OPERATION.cancelJob, job.user ?? "", job.id, [], true, signal);
      if (reply.code === STATUS.notPossible || isUnknownJob(reply)) return;
      succeeded(reply);
    });
  }

  jobCounts(job: PrinterJob, signal: AbortSignal): Promise<JobCounts | undefined> {
    return this.#counted("jobCounts", () => this.#jobs.counts(job, signal));
  }

  jobsAfter(job: PrinterJob, signal: AbortSignal): Promise<number | undefined> {
    return this.#counted("jobsAfter", () => this.#jobs.after(job, signal));
  }

  async lifeCount(): Promise<LifeCount | undefined> {
    return this.#options.health?.lifeCount();
  }

  async #ask(signal: AbortSignal): Promise<IppGroup | undefined> {
    const ofTickets = this.#tickets.wanted;
    const names = [...STATE_ATTRIBUTES, ...CLOCK_ATTRIBUTES, ...CAPABILITY_ATTRIBUTES, ...ofTickets];
    const wanted = keyword("requested-attributes", ...names);
    const group = this.#requests.group("", undefined, wanted);
    const ask = () => this.#client.call(OPERATION.getPrinterAttributes, [group], true, signal);
    let reply = await ask();
    // Old ones refuse IPP 2.0 as a bad request, or answer with nothing in it.
    const says = () => refusalOf(reply) === undefined && numbersOf(printerGroup(reply), "printer-state").length > 0;
    const isNothing = reply.code === STATUS.badRequest || (refusalOf(reply) === undefined && !says());
    if (isNothing && !this.#client.speaksOldVersion) {
      this.#client.speakOldVersion();
      reply = await ask();
      if (says()) this.#quirks.met("ipp-1.1");
    }
    succeeded(reply);
    const printer = printerGroup(reply);
    const known = capabilitiesOf(printer);
    const now = this.#options.clock.monotonic();
    this.#capabilities = { known, at: now };
    this.#tickets.learn(ofTickets, printer);
    this.#time.told(printer, now);
    this.#quirks.model(known.makeAndModel);
    if (known.versions.length > 0 && !known.versions.includes("2.0")) this.#client.speakOldVersion();
    return printer;
  }

  async #known(signal: AbortSignal): Promise<Capabilities> {
    const cached = this.#capabilities;
    if (cached !== undefined && this.#options.clock.monotonic() - cached.at < CAPABILITIES_MS) return cached.known;
    return capabilitiesOf(await this.#ask(signal));
  }

  #createsJobs({ operations }: Capabilities): boolean {
    if (this.#quirks.has("no-create-job") || this.#hasNoCreateJob) return false;
    return operations.has(OPERATION.createJob) && operations.has(OPERATION.sendDocument);
  }

  async #counted<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      const done = await work();
      this.#error = undefined;
      return done;
    } catch (error) {
      const code = codeOf(error);
      const isOfPrinter = error instanceof PrinterError && NEEDS_A_PERSON.has(error.code) && ABOUT_PRINTER.has(what);
      if (isOfPrinter) this.#error = error;
      this.#add(code, 1);
      this.#options.log.debug({ printer: this.name, what, code }, "printer request failed");
      throw error;
    }
  }

  #add(what: string, by: number): void {
    this.#counters[what] = (this.#counters[what] ?? 0) + by;
  }
}

/** Whatever fails in it, no byte of the document's request has left. */
async function nothingSent<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof PrinterError)) throw cause;
    throw new PrinterError(cause.code, cause.detail, { cause, nothingSent: true });
  }
}

function printerGroup(reply: IppMessage): IppGroup | undefined {
  return groupsOf(reply, GROUP.printer)[0];
}

/** The job of a successful Create-Job, Send-Document or Print-Job: these replies do not repeat the name. */
function created(reply: IppMessage, name: string, job?: PrinterJob): PrinterJobStatus {
  const status = jobStatusOf(groupsOf(reply, GROUP.job)[0], { ...job, name });
  if (status === undefined) throw new PrinterError("printer-bad-reply", "job-id is missing");
  return { ...status, id: job?.id ?? status.id, name };
}

/** What is announced as document-format: the document's own type, or "find out yourself". */
function formatFor(wanted: string, { formats }: Capabilities): string {
  if (formats.includes(wanted.toLowerCase())) return wanted;
  if (formats.includes(FALLBACK_FORMAT)) return FALLBACK_FORMAT;
  throw new PrinterError("printer-format-unsupported", wanted, { nothingSent: true });
}
