import { renameSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Clock } from "../../drivers/clock.ts";
import { booleanOf, numbersOf, stringsOf } from "../../drivers/printers/ipp/attributes.ts";
import type { IppAttribute, IppGroup } from "../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";
import { jobAttributes, type MfdState, PRINTER_STATE, printerAttributes } from "./mfd-attributes.ts";
import { MfdConditions } from "./mfd-conditions.ts";
import { IppEndpoint, type IppReply, type IppRequest } from "./mfd-endpoint.ts";
import type { MfdFault } from "./mfd-faults.ts";
import { takeDocument } from "./mfd-intake.ts";
import { JOB_STATE, type MfdDocument, type MfdJob, MfdQueue } from "./mfd-jobs.ts";
import type { MfdOptions, Print } from "./mfd-options.ts";
import { judgedTicket, TEMPLATE } from "./mfd-ticket.ts";

// RFC 8011 B.1: those that a client of ours needs no name for.
const ATTRIBUTES_NOT_SUPPORTED = 0x040b;
const COMPRESSION_NOT_SUPPORTED = 0x040f;
const MULTIPLE_DOCUMENTS_NOT_SUPPORTED = 0x0509;

/** What Create-Job, Print-Job and Send-Document tell of the job (RFC 8011 4.2.1.2). */
const JOB_REPLY = ["job-id", "job-uri", "job-uuid", "job-state", "job-state-reasons"];

const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ["application/pdf", "pdf"],
  ["image/jpeg", "jpg"],
]);

export type { MfdOptions, Print } from "./mfd-options.ts";

/** Where documents wait for their turn, inside the folder. */
const SPOOL = ".spool";

/** A small IPP/2.0 printer (RFC 8010, RFC 8011, PWG 5100.12) that answers as a real one does and "prints" to a folder. */
export class VirtualMfd {
  /** Everything that came out on paper, in order. */
  readonly prints: Print[] = [];
  /** Documents whose transfer broke off. */
  readonly cuts: { readonly jobId: number; readonly name: string; readonly size: number }[] = [];
  /** Requests by operation-id. */
  readonly requests = new Map<number, number>();
  /** What went wrong inside, such as a full disk. */
  readonly failures: unknown[] = [];
  #uri = "";
  readonly #options: MfdOptions;
  readonly #clock: Clock;
  readonly #queue: MfdQueue;
  readonly #endpoint: IppEndpoint;
  readonly #conditions: MfdConditions;
  #poweredAt: number;

  /** Resolves when it listens. */
  static async start(options: MfdOptions): Promise<VirtualMfd> {
    if (options.folder !== undefined) await mkdir(join(options.folder, SPOOL), { recursive: true });
    const mfd = new VirtualMfd(options);
    const host = options.host ?? "127.0.0.1";
    const port = await mfd.#endpoint.listen(host, options.port ?? 0);
    mfd.#uri = `${options.tls ? "ipps" : "ipp"}://${host.includes(":") ? `[${host}]` : host}:${port}/ipp/print`;
    return mfd;
  }

  private constructor(options: MfdOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#poweredAt = this.#clock.monotonic();
    const { printMs = 40, pendingMs = 0, pages = 1, lieCompleted = false } = options;
    this.#queue = new MfdQueue(this.#clock, {
      ...{ printMs, pendingMs, pages },
      printed: (job) => this.#printed(job),
      jammed: (clearedAfterMs) => this.#conditions.jam(clearedAfterMs),
    });
    this.#endpoint = new IppEndpoint({
      clock: this.#clock,
      tls: options.tls,
      met: async ({ code }) => {
        await options.onRequest?.(code, "here");
        return this.#conditions.meet(code);
      },
      answering: async ({ code }) => options.onRequest?.(code, "performed"),
      perform: (request) => this.#perform(request),
      failed: (error) => this.failures.push(error),
    });
    this.#conditions = new MfdConditions({
      clock: this.#clock,
      queue: this.#queue,
      endpoint: this.#endpoint,
      printsCut: lieCompleted,
      powerCycle: () => this.powerCycle(),
    });
  }

  get uri(): string {
    return this.#uri;
  }

  jam(): void {
    this.#conditions.jam();
  }

  clearJam(): void {
    this.#conditions.trouble("media-jam-error", false);
  }

  paperOut(): void {
    this.#conditions.trouble("media-empty-error", true);
  }

  paperIn(): void {
    this.#conditions.trouble("media-empty-error", false);
  }

  /** Somebody copies at the panel: every new job gets server-error-busy. */
  busy(on: boolean): void {
    this.#conditions.busy = on;
  }

  /** Takes one job at a time: while one is active, a second one gets server-error-busy. */
  singleJob(on: boolean): void {
    this.#conditions.singleJob = on;
  }

  /** How long the jobs that begin from now on take to print. */
  slow(printMs: number): void {
    this.#queue.printMs = printMs;
  }

  stopAccepting(): void {
    this.#conditions.accepting = false;
  }

  startAccepting(): void {
    this.#conditions.accepting = true;
  }

  /** Off and on: connections break, jobs and history are lost, ids and up-time begin again, a jam stays. */
  powerCycle(): void {
    this.#queue.forget();
    this.#poweredAt = this.#clock.monotonic();
    this.#endpoint.breakConnections();
  }

  /** Something goes wrong, from now on; what has a duration ends by itself. */
  inject(fault: MfdFault): void {
    this.#conditions.inject(fault);
  }

  /** A technician comes: every fault ends, jams are cleared, what waits at the panel is released. Resolves when it listens. */
  heal(): Promise<void> {
    return this.#conditions.heal();
  }

  /** The job of this name, if the printer still knows it. */
  jobNamed(name: string): Readonly<MfdJob> | undefined {
    return [...this.#queue.active, ...this.#queue.history].find((job) => job.name === name);
  }

  /** No job that has its document is on its way: no paper will come out. */
  get idle(): boolean {
    return this.#queue.active.every(({ document }) => document === undefined);
  }

  async stop(): Promise<void> {
    this.#conditions.stop();
    this.#queue.forget();
    await this.#endpoint.close();
    if (this.#options.folder !== undefined)
      await rm(join(this.#options.folder, SPOOL), { recursive: true, force: true });
  }

  #printed({ id: jobId, name, ticket, document, pages }: MfdJob): void {
    if (document === undefined) return;
    const { folder } = this.#options;
    const file = folder && document.file && join(folder, basename(document.file));
    // What lies in the folder itself is on paper: nothing else ever appears there.
    if (file && document.file) this.#move(document.file, file);
    const ofPages = this.#options.pages ?? 1;
    const print: Print = { jobId, name, ticket, ...document, pages, ofPages, file, at: this.#clock.monotonic() };
    this.prints.push(print);
    this.#options.onPrinted?.(print);
  }

  #move(from: string, to: string): void {
    try {
      renameSync(from, to);
    } catch (error) {
      this.failures.push(error);
    }
  }

  get #state(): MfdState {
    const { reasons, accepting, stopped } = this.#conditions;
    const busy = this.#conditions.busy || this.#queue.printing;
    return {
      uri: this.uri,
      uuid: this.#options.uuid ?? "urn:uuid:7e1c5a0e-6f0b-4c53-9a54-6d0c2f7b9e11",
      operations: Object.values(OPERATION).filter((operation) => this.#offers(operation)),
      formats: this.#options.formats ?? ["application/pdf", "image/jpeg", "application/octet-stream"],
      state: stopped ? PRINTER_STATE.stopped : busy ? PRINTER_STATE.processing : PRINTER_STATE.idle,
      reasons,
      accepting,
      queued: this.#queue.active.length,
      counts: this.#options.counts ?? "pages",
      upTime: this.#seconds(this.#clock.monotonic()),
      template: this.#options.template ?? TEMPLATE,
    };
  }

  #seconds(monotonic: number): number {
    return 1 + Math.floor((monotonic - this.#poweredAt) / 1000);
  }

  #offers(operation: number): boolean {
    if (operation === OPERATION.createJob || operation === OPERATION.sendDocument) {
      return this.#options.withoutCreateJob !== true;
    }
    return Object.values<number>(OPERATION).includes(operation);
  }

  async #perform(request: IppRequest): Promise<IppReply> {
    const { message, operation } = request;
    if (!this.#conditions.keepsHistory) this.#queue.forgetEnded();
    if (!this.#offers(message.code)) return { code: STATUS.operationNotSupported };
    this.requests.set(message.code, (this.requests.get(message.code) ?? 0) + 1);
    switch (message.code) {
      case OPERATION.getPrinterAttributes: {
        const attributes = printerAttributes(this.#state, stringsOf(operation, "requested-attributes"));
        return { code: STATUS.ok, groups: [{ tag: GROUP.printer, attributes }] };
      }
      case OPERATION.validateJob:
        return this.#checked(request, async () => ({ code: STATUS.ok }));
      case OPERATION.createJob:
        return this.#checked(request, (ticket) => this.#created(operation, ticket, async (job) => this.#jobReply(job)));
      case OPERATION.printJob:
        return this.#checked(request, (ticket) =>
          this.#created(operation, ticket, (job) => this.#receive(job, request, true)),
        );
      case OPERATION.sendDocument:
        return this.#sendDocument(request);
      case OPERATION.getJobs:
        return this.#getJobs(operation);
      case OPERATION.getJobAttributes: {
        const job = this.#jobOf(operation);
        return job ? this.#jobReply(job, stringsOf(operation, "requested-attributes")) : { code: STATUS.notFound };
      }
      case OPERATION.cancelJob: {
        const job = this.#jobOf(operation);
        if (job === undefined) return { code: STATUS.notFound };
        return { code: this.#queue.cancel(job) ? STATUS.ok : STATUS.notPossible };
      }
      default:
        return { code: STATUS.operationNotSupported };
    }
  }

  /** What Validate-Job, Create-Job and Print-Job check alike (RFC 8011 4.2.1 and 4.2.3). */
  async #checked(
    { message, operation }: IppRequest,
    then: (ticket: readonly IppAttribute[]) => Promise<IppReply>,
  ): Promise<IppReply> {
    const formatError = this.#formatError(operation);
    if (formatError !== undefined) return { code: formatError };
    const judged = judgedTicket(message, this.#state.template);
    if (judged.unsupported.length === 0) return then(judged.accepted);
    const unsupported = { tag: GROUP.unsupported, attributes: judged.unsupported };
    if (booleanOf(operation, "ipp-attribute-fidelity") === true) {
      return { code: ATTRIBUTES_NOT_SUPPORTED, groups: [unsupported] };
    }
    const { code, groups = [] } = await then(judged.accepted);
    return code === STATUS.ok
      ? { code: STATUS.okIgnoredAttributes, groups: [unsupported, ...groups] }
      : { code, groups };
  }

  async #created(
    operation: IppGroup,
    ticket: readonly IppAttribute[],
    then: (job: MfdJob) => Promise<IppReply>,
  ): Promise<IppReply> {
    const refusal = this.#conditions.refusal;
    if (refusal !== undefined) return { code: refusal };
    const [name = "Untitled"] = stringsOf(operation, "job-name");
    const [user = "anonymous"] = stringsOf(operation, "requesting-user-name");
    return then(this.#queue.create(name, user, ticket));
  }

  #formatError(operation: IppGroup): number | undefined {
    const [format] = stringsOf(operation, "document-format");
    const [compression = "none"] = stringsOf(operation, "compression");
    if (format !== undefined && !this.#state.formats.includes(format)) return STATUS.documentFormatNotSupported;
    return compression === "none" ? undefined : COMPRESSION_NOT_SUPPORTED;
  }

  async #sendDocument(request: IppRequest): Promise<IppReply> {
    const { operation } = request;
    const job = this.#jobOf(operation);
    if (job === undefined) return { code: STATUS.notFound };
    const last = booleanOf(operation, "last-document");
    if (last === undefined) return { code: STATUS.badRequest };
    if (!job.reasons.includes("job-incoming")) return { code: STATUS.notPossible };
    const formatError = this.#formatError(operation);
    if (formatError !== undefined) return { code: formatError };
    return this.#receive(job, request, last);
  }

  /** Takes the document's bytes as they come. */
  async #receive(job: MfdJob, { operation, document }: IppRequest, last: boolean): Promise<IppReply> {
    const [format = ""] = stringsOf(operation, "document-format");
    const taken = await this.#take(job, document, EXTENSIONS.get(format) ?? "prn");
    if (taken === undefined) return { code: MULTIPLE_DOCUMENTS_NOT_SUPPORTED };
    // An empty Send-Document that is the last one closes a job whose document came before (RFC 8011 4.3.1).
    if (taken.size > 0 || taken.cut) job.document ??= taken;
    if (taken.cut) {
      this.cuts.push({ jobId: job.id, name: job.name, size: taken.size });
      if (!this.#conditions.printsCut || taken.size === 0) {
        this.#queue.abort(job);
        if (taken.file !== undefined) await rm(taken.file, { force: true });
        return { code: STATUS.badRequest };
      }
    }
    if (job.state >= JOB_STATE.canceled) return { code: STATUS.jobCanceled };
    if (job.document === undefined) {
      this.#queue.abort(job);
      return { code: STATUS.badRequest };
    }
    if (last || taken.cut) this.#queue.close(job);
    return this.#jobReply(job);
  }

  /** Undefined if this would be a second document. */
  async #take(job: MfdJob, chunks: AsyncIterable<Uint8Array>, extension: string): Promise<MfdDocument | undefined> {
    const { folder } = this.#options;
    const path = folder && join(folder, SPOOL, `${String(job.serial).padStart(4, "0")}-job-${job.id}.${extension}`);
    try {
      return await takeDocument(
        chunks,
        path,
        () => job.document !== undefined,
        () => {
          const at = this.#clock.monotonic();
          this.#queue.incoming(job);
          this.#options.onFirstByte?.({ jobId: job.id, name: job.name, at });
          return at;
        },
      );
    } catch (error) {
      this.#queue.abort(job);
      throw error;
    }
  }

  #getJobs(operation: IppGroup): IppReply {
    const [which = "not-completed"] = stringsOf(operation, "which-jobs");
    if (which !== "completed" && which !== "not-completed") return { code: ATTRIBUTES_NOT_SUPPORTED };
    const [limit = Number.POSITIVE_INFINITY] = numbersOf(operation, "limit");
    if (limit < 1) return { code: STATUS.badRequest };
    const [user] = stringsOf(operation, "requesting-user-name");
    const mine = booleanOf(operation, "my-jobs") === true;
    const requested = stringsOf(operation, "requested-attributes");
    const jobs = (which === "completed" ? this.#queue.history : this.#queue.active)
      .filter((job) => !mine || job.user === user)
      .slice(0, limit);
    const wanted = requested.length > 0 ? requested : ["job-id", "job-uri"];
    return { code: STATUS.ok, groups: jobs.map((job) => this.#jobGroup(job, wanted)) };
  }

  /** By job-id beside printer-uri, or by job-uri (RFC 8011 4.1.5). */
  #jobOf(operation: IppGroup): MfdJob | undefined {
    const [jobUri] = stringsOf(operation, "job-uri");
    const [id] = jobUri === undefined ? numbersOf(operation, "job-id") : [Number(/\/(\d+)$/.exec(jobUri)?.[1])];
    return this.#queue.find(id);
  }

  #jobReply(job: MfdJob, requested: readonly string[] = JOB_REPLY): IppReply {
    return { code: STATUS.ok, groups: [this.#jobGroup(job, requested)] };
  }

  #jobGroup(job: MfdJob, requested: readonly string[]): IppGroup {
    const attributes = jobAttributes(job, this.#state, (at) => this.#seconds(at), requested);
    return { tag: GROUP.job, attributes };
  }
}
