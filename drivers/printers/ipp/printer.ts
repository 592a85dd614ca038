import type { Clock } from "../../clock.ts";
import { codeOf } from "../../coded-error.ts";
import type { Log } from "../../log.ts";
import type {
  DocumentBody,
  JobRequest,
  Printer,
  PrinterCode,
  PrinterHealthReport,
  PrinterJob,
  PrinterJobStatus,
  PrinterState,
  PrinterVerdict,
} from "../../printer.ts";
import { PrinterError } from "../../printer.ts";
import type { TlsRelaxation } from "../../transports/tls.ts";
import { boolean, groupsOf, integer, keyword, mediaType, nameText, operationGroup, uri } from "./attributes.ts";
import type { Login } from "./auth.ts";
import { IppClient, type IppDeadlines } from "./client.ts";
import type { IppAttribute, IppGroup, IppMessage } from "./message.ts";
import {
  CAPABILITY_ATTRIBUTES,
  type Capabilities,
  capabilitiesOf,
  JOB_ATTRIBUTES,
  jobStatusOf,
  printerStateOf,
  refusalOf,
  STATE_ATTRIBUTES,
} from "./state.ts";
import { GROUP, OPERATION, STATUS } from "./tags.ts";

/** The warm verdict of another protocol (SNMP), given by the composition root. */
export interface PrinterHealth {
  readonly verdict: () => PrinterVerdict;
  readonly report: PrinterHealthReport;
  readonly start: () => void;
  readonly look: () => Promise<void>;
  /** Somebody stands at the printer: what a person does at its panel is to be seen at once. */
  readonly hurry: () => void;
  readonly nudge: () => void;
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
  readonly clock: Clock;
  readonly log: Log;
  readonly health?: PrinterHealth;
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
const ABOUT_PRINTER: ReadonlySet<string> = new Set(["state", "createJob", "send"]);
const CAPABILITIES_MS = 300_000;
const FALLBACK_FORMAT = "application/octet-stream";
const UNKNOWN: PrinterVerdict = { verdict: "unknown", conditions: [], at: undefined };

export class IppPrinter implements Printer {
  readonly name: string;
  readonly #options: IppPrinterOptions;
  readonly #client: IppClient;
  readonly #counters: Record<string, number> = { requests: 0, documents: 0, bytes: 0 };
  #capabilities: { readonly known: Capabilities; readonly at: number } | undefined;
  /** Many printers say 0 impressions whatever they printed; a 0 means something only from one that has counted before. */
  #counts = false;
  /** A printer may list Create-Job and still not have it. */
  #noCreateJob = false;
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
      count: (what, by) => this.#add(what, by),
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

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#counters };
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
    await Promise.all([this.#client.close(), this.#options.health?.stop()]);
  }

  prepare(): void {
    this.#options.health?.hurry();
    this.#client.prepare();
  }

  state(signal: AbortSignal): Promise<PrinterState> {
    return this.#counted("state", async () => printerStateOf(await this.#ask(signal)));
  }

  createJob(request: JobRequest, signal: AbortSignal): Promise<PrinterJob | undefined> {
    return this.#counted("createJob", async () => {
      const known = await this.#known(signal);
      formatFor(request.format, known);
      if (!this.#createsJobs(known)) return undefined;
      const group = this.#group(request.user, undefined, nameText("job-name", request.name));
      const reply = await this.#client.call(OPERATION.createJob, [group], false, signal);
      if (reply.code === STATUS.operationNotSupported) {
        this.#noCreateJob = true;
        return undefined;
      }
      const { id, uuid } = created(succeeded(reply), request.name);
      return { id, name: request.name, user: request.user, ...(uuid === undefined ? {} : { uuid }) };
    });
  }

  send(
    job: PrinterJob | undefined,
    request: JobRequest,
    document: DocumentBody,
    signal: AbortSignal,
  ): Promise<PrinterJobStatus> {
    return this.#counted("send", async () => {
      const format = formatFor(request.format, await this.#knownBeforeSending(signal));
      const attributes =
        job === undefined
          ? [nameText("job-name", request.name), mediaType("document-format", format)]
          : [mediaType("document-format", format), boolean("last-document", true)];
      const operation = job === undefined ? OPERATION.printJob : OPERATION.sendDocument;
      const group = this.#group(request.user, job?.id, ...attributes);
      const reply = await this.#client.send(operation, [group], document, signal);
      return this.#believed({ ...created(succeeded(reply), request.name, job), user: request.user }, signal);
    });
  }

  jobStatus(job: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    return this.#counted("jobStatus", () => this.#jobStatus(job, signal));
  }

  findJob(name: string, user: string, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    return this.#counted("findJob", async () => {
      // In this order a job that ends between the two requests is still found.
      for (const which of ["not-completed", "completed"] as const) {
        const found = await this.#jobs(which, user, signal);
        const ours = found.find((candidate) => candidate?.name === name);
        if (ours !== undefined) return this.#believed({ ...ours, user }, signal);
      }
      return undefined;
    });
  }

  cancelJob(job: PrinterJob, signal: AbortSignal): Promise<void> {
    return this.#counted("cancelJob", async () => {
      // After a power cycle the id may be another person's job: that one must not be cancelled.
      if ((await this.#jobStatus(job, signal)) === undefined) return;
      const group = this.#group(job.user ?? "", job.id);
      const reply = await this.#client.call(OPERATION.cancelJob, [group], true, signal);
      if (reply.code === STATUS.notPossible || isUnknownJob(reply)) return;
      succeeded(reply);
    });
  }

  async #jobStatus(job: PrinterJob, signal: AbortSignal): Promise<PrinterJobStatus | undefined> {
    const group = this.#group(job.user ?? "", job.id, keyword("requested-attributes", ...JOB_ATTRIBUTES));
    const reply = await this.#client.call(OPERATION.getJobAttributes, [group], true, signal);
    if (isUnknownJob(reply)) return undefined;
    const status = jobStatusOf(groupsOf(succeeded(reply), GROUP.job)[0]);
    if (status?.id !== job.id || status.name !== job.name) return undefined;
    const otherUuid = job.uuid !== undefined && status.uuid !== undefined && status.uuid !== job.uuid;
    if (otherUuid) return undefined;
    return this.#believed(job.user === undefined ? status : { ...status, user: job.user }, signal);
  }

  async #jobs(which: "not-completed" | "completed", user: string, signal: AbortSignal) {
    const wanted = keyword("requested-attributes", ...JOB_ATTRIBUTES);
    const group = this.#group(user, undefined, integer("limit", 50), wanted, keyword("which-jobs", which));
    const reply = succeeded(await this.#client.call(OPERATION.getJobs, [group], true, signal));
    const found = groupsOf(reply, GROUP.job).map((jobGroup) => jobStatusOf(jobGroup));
    this.#counts ||= found.some((other) => (other?.impressions ?? 0) > 0);
    return found;
  }

  async #believed(status: PrinterJobStatus, signal: AbortSignal): Promise<PrinterJobStatus> {
    const { impressions, ...uncounted } = status;
    this.#counts ||= (impressions ?? 0) > 0;
    // Only the end of a job that did not print rests on a 0; then its other jobs may show that the printer counts.
    const matters = impressions === 0 && (status.state === "canceled" || status.state === "aborted");
    if (matters && !this.#counts) await this.#jobs("completed", status.user ?? "", signal);
    return impressions === 0 && !this.#counts ? uncounted : status;
  }

  async #ask(signal: AbortSignal): Promise<IppGroup | undefined> {
    const wanted = keyword("requested-attributes", ...STATE_ATTRIBUTES, ...CAPABILITY_ATTRIBUTES);
    const group = this.#group("", undefined, wanted);
    const reply = await this.#client.call(OPERATION.getPrinterAttributes, [group], true, signal);
    const printer = groupsOf(succeeded(reply), GROUP.printer)[0];
    const known = capabilitiesOf(printer);
    this.#capabilities = { known, at: this.#options.clock.monotonic() };
    if (known.versions.length > 0 && !known.versions.includes("2.0")) this.#client.speakOldVersion();
    return printer;
  }

  async #known(signal: AbortSignal): Promise<Capabilities> {
    const cached = this.#capabilities;
    if (cached !== undefined && this.#options.clock.monotonic() - cached.at < CAPABILITIES_MS) return cached.known;
    return capabilitiesOf(await this.#ask(signal));
  }

  /** As `#known`; whatever fails here, no byte of the document's request has left. */
  async #knownBeforeSending(signal: AbortSignal): Promise<Capabilities> {
    try {
      return await this.#known(signal);
    } catch (cause) {
      if (!(cause instanceof PrinterError)) throw cause;
      throw new PrinterError(cause.code, cause.detail, { cause, nothingSent: true });
    }
  }

  #createsJobs({ operations }: Capabilities): boolean {
    return !this.#noCreateJob && operations.has(OPERATION.createJob) && operations.has(OPERATION.sendDocument);
  }

  /** RFC 8011 4.1.5: the target (printer-uri, and job-id if one is given) comes right after charset and language. */
  #group(user: string, jobId: number | undefined, ...rest: readonly IppAttribute[]): IppGroup {
    const id = jobId === undefined ? [] : [integer("job-id", jobId)];
    const name = user === "" ? (this.#options.userName ?? "printgate") : user;
    return operationGroup(
      uri("printer-uri", this.#options.uri),
      ...id,
      nameText("requesting-user-name", nameOf(name)),
      ...rest,
    );
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

function succeeded(reply: IppMessage): IppMessage {
  const refusal = refusalOf(reply);
  if (refusal !== undefined) throw refusal;
  return reply;
}

function isUnknownJob({ code }: IppMessage): boolean {
  return code === STATUS.notFound || code === STATUS.gone;
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

/** RFC 8011 5.1.3: a name has at most 255 octets; cut between two characters. */
function nameOf(user: string): string {
  let name = "";
  let octets = 0;
  for (const character of user.toWellFormed()) {
    octets += Buffer.byteLength(character);
    if (octets > 255) break;
    name += character;
  }
  return name;
}
