import { setImmediate as nextTurn } from "node:timers/promises";
import { type Clock, isoTime } from "../../drivers/clock.ts";
import { CodedError, codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import type { Printer, PrinterState } from "../../drivers/printer.ts";
import type { Read, Signal } from "../../drivers/reader.ts";
import { openManifest } from "../protocol/envelope.ts";
import type { Credential, Manifest, TapAnswer } from "../protocol/schema.ts";
import { Claims } from "./claims.ts";
import { PrinterExecutor } from "./executor.ts";
import { signalForAnswer, signalForEnd, signalForFailure, signalForWait } from "./feedback.ts";
import { Keypad } from "./keypad.ts";
import type { Claim, Ledger } from "./ledger.ts";
import { hasEnded, orphaned, type Release, resume } from "./machine.ts";
import type { EntryRules } from "./pin-entry.ts";
import type { Central } from "./ports.ts";
import type { BlockingRules } from "./preflight.ts";
import { ReleaseError } from "./release-error.ts";
import { Reporter } from "./reporter.ts";
import type { RamSpool } from "./spool.ts";
import type { Stage, TapTrace } from "./trace.ts";

export interface LoopContext {
  readonly agentName: string;
  readonly central: Central;
  readonly printers: ReadonlyMap<string, Printer>;
  readonly ledger: Ledger;
  readonly spool: RamSpool;
  readonly manifestKey: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly uuid: () => string;
  /** The conversion pipeline and the keyed hash; throws a `CodedError` for a read that is no card. */
  readonly toToken: (reader: string, read: Read) => string;
  readonly signal: (reader: string, signal: Signal) => void;
  /** The readers with a keypad, by name; any other takes cards alone, and no keys. */
  readonly keypads?: ReadonlyMap<string, EntryRules & { readonly printer: string }>;
  /** What the policy says of printers, asked at each release; the defaults where absent. */
  readonly blocking?: (() => BlockingRules) | undefined;
  /** Called at every stage of a tap. */
  readonly traced?: (trace: TapTrace, stage: Stage | "signal") => void;
}

/** Taps that may be on their way to the central server at once. */
const MAX_TAPS = 8;
const KEPT_TRACES = 50;

/** From a read at a reader to its owner's jobs on paper. */
export class ReleaseLoop {
  readonly counters: Record<string, number> = {};
  readonly #context: LoopContext;
  readonly #executors = new Map<string, PrinterExecutor>();
  readonly #reporter: Reporter;
  readonly #claims: Claims;
  readonly #keypads = new Map<string, Keypad>();
  readonly #traceOf = new Map<string, { readonly trace: TapTrace; readonly at: number }>();
  readonly #traces: TapTrace[] = [];
  readonly #stopping = new AbortController();
  readonly #taps = new Map<string, Promise<void>>();

  constructor(context: LoopContext) {
    this.#context = context;
    const { central, ledger, spool, clock, log, blocking } = context;
    for (const [name, printer] of context.printers) {
      const amended = () => this.#reporter.kick();
      const context = { printer, central, ledger, spool, clock, log, blocking, amended };
      this.#executors.set(name, new PrinterExecutor(context));
    }
    for (const [reader, rules] of context.keypads ?? []) {
      const keypad = new Keypad({
        ...{ rules, clock },
        present: (credential, at) => this.#begin(reader, rules.printer, credential, at),
        signal: (signal) => this.#signal(reader, signal),
        count: (event) => this.#count(event),
      });
      this.#keypads.set(reader, keypad);
    }
    const reported = (claimId: string) => this.#reported(claimId);
    this.#reporter = new Reporter({ central, ledger, clock, log, reported });
    this.#claims = new Claims({
      ...{ central, ledger, clock, log, stopping: this.#stopping.signal },
      inFlight: (tapId) => this.#taps.has(tapId),
      settled: () => this.#reporter.kick(),
    });
  }

  /** The newest taps, oldest first. */
  get traces(): readonly TapTrace[] {
    return this.#traces;
  }

  get executors(): ReadonlyMap<string, PrinterExecutor> {
    return this.#executors;
  }

  get reporter(): Reporter {
    return this.#reporter;
  }

  get claims(): Claims {
    return this.#claims;
  }

  /** Replays the ledger: every open entry is resolved, or queued at its printer ahead of any tap. */
  resume(): void {
    const { ledger, log } = this.#context;
    const { trusted } = ledger;
    if (!trusted && !ledger.health.fresh)
      log.error({ ...ledger.health }, "the ledger lost records; open entries are looked up");
    for (const entry of ledger.open) {
      const executor = this.#executors.get(entry.printer);
      const start = resume(entry.release, trusted);
      log.warn({ claim: entry.claimId, phase: entry.release.phase, printer: entry.printer }, "resuming a release");
      // Without its printer nobody can look the job up; that it was not sent is known all the same.
      const state = executor === undefined && !hasEnded(start.state) ? orphaned(start.state) : start.state;
      ledger.record(entry.claimId, state, this.#now(), false).catch((error: unknown) => {
        // The next start finds the entry as it was, and comes to the same conclusion.
        this.#count(codeOf(error));
        log.error({ claim: entry.claimId, code: codeOf(error) }, "the ledger could not be written");
      });
      if (executor === undefined) continue;
      this.#claims.keep(entry);
      executor.enqueue({
        claim: entry,
        start,
        leaseUntil: () => this.#claims.leaseUntil(entry.claimId),
        ended: (release) => this.#ended(entry, release),
      });
    }
    this.#reporter.kick();
  }

  /** One presentation of a card. Never throws; what goes wrong is counted, logged and told at the reader. */
  read(reader: string, printerName: string, read: Read, at: number): void {
    if (this.#stopping.signal.aborted) return;
    const { toToken } = this.#context;
    const credential = (): Credential => ({ kind: "card", token: toToken(reader, read) });
    const keypad = this.#keypads.get(reader);
    if (keypad === undefined) {
      this.#begin(reader, printerName, credential, at);
      return;
    }
    if (keypad.takesAsPin(read)) {
      keypad.keys(read.text, at);
      return;
    }
    let token: string;
    try {
      token = toToken(reader, read);
    } catch {
      // It fails there again, and is told as any other tap that is no card.
      this.#begin(reader, printerName, credential, at);
      return;
    }
    keypad.card(token, at);
  }

  /** Keys of a reader's keypad. They may be a PIN: nothing that is logged, counted or traced tells which they were. */
  keys(reader: string, keys: string, at: number): void {
    if (this.#stopping.signal.aborted) return;
    const keypad = this.#keypads.get(reader);
    if (keypad === undefined) this.#count("entry-key-ignored");
    else keypad.keys(keys, at);
  }

  /** A credential is whole. It is read before this returns. */
  #begin(reader: string, printerName: string, credential: () => Credential, at: number): void {
    if (this.#taps.size >= MAX_TAPS) {
      this.#count("tap-flood");
      this.#signal(reader, "fault");
      return;
    }
    const trace: TapTrace = {
      tapId: this.#context.uuid(),
      reader,
      printer: printerName,
      at: this.#now(),
      stagesMs: {},
      jobs: [],
    };
    this.#traces.push(trace);
    if (this.#traces.length > KEPT_TRACES) this.#traces.shift();
    const tap = this.#tap(trace, credential, at)
      .catch((error: unknown) => {
        this.#failed(trace, error);
        // The server may have claimed jobs in an answer that was lost.
        if (codeOf(error).startsWith("link-")) this.#claims.doubt();
      })
      .finally(() => this.#taps.delete(trace.tapId));
    this.#taps.set(trace.tapId, tap);
  }

  /** Resolves when no tap, release or report is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#taps.values());
    for (const executor of this.#executors.values()) await executor.idle();
    await this.#reporter.idle();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const keypad of this.#keypads.values()) keypad.stop();
    await Promise.all(this.#taps.values());
    await Promise.all([...this.#executors.values()].map((executor) => executor.stop()));
    // What was given back is free for the next tap only when the central server knows: one try, not more.
    await this.#reporter.idle();
    await this.#reporter.stop();
    await this.#claims.stop();
  }

  async #tap(trace: TapTrace, credentialOf: () => Credential, at: number): Promise<void> {
    const { central, clock, log, printers } = this.#context;
    const { signal } = this.#stopping;
    const printer = printers.get(trace.printer);
    const executor = this.#executors.get(trace.printer);
    if (printer === undefined || executor === undefined)
      throw new Error("a reader is bound to a printer that is not there");
    const credential = credentialOf();
    trace.credential = credential.kind;
    if (credential.kind !== "id-pin") trace.card = credential.token.slice(0, 8);
    const stage = (name: Stage) => this.#stage(trace, name, at);
    stage("converted");
    await this.#claims.ready();
    const askedAt = clock.monotonic();
    const asked = central.tap(
      {
        tapId: trace.tapId,
        at: trace.at,
        reader: trace.reader,
        printer: trace.printer,
        credential,
      },
      signal,
    );
    // The printer is asked while the central server thinks; both answers are met below.
    // A turn later: what it costs to ask must not hold up the question that the person waits for.
    const preflight = nextTurn().then(() => {
      const state = printer.state(signal);
      printer.prepare();
      executor.prepare();
      return state;
    });
    preflight.catch(() => {}); // met where it is awaited, or not needed at all
    const answer = await asked;
    stage("answered");
    this.#count(answer.result);
    const jobs = answer.result === "accepted" ? answer.jobs.length : 0;
    const { tapId, reader, card } = trace;
    const { kind } = credential;
    log.info(
      { tap: tapId, reader, printer: trace.printer, credential: kind, card, result: answer.result, jobs },
      "tap",
    );
    const keypad = this.#keypads.get(reader);
    const asksForPin = keypad?.asksForPin === true;
    const { result } = answer;
    this.#tell(trace, signalForAnswer({ result, jobs, credential: kind, asksForPin, queued: executor.depth > 0 }));
    if (answer.result === "pin-needed" && credential.kind === "card") keypad?.pinNeeded(credential.token);
    // Counted from the question: the server's time runs since then.
    if (answer.result === "accepted" && jobs > 0)
      this.#accept(trace, answer, executor, preflight, askedAt + answer.leaseMs, at);
  }

  #accept(
    trace: TapTrace,
    answer: Extract<TapAnswer, { result: "accepted" }>,
    executor: PrinterExecutor,
    preflight: Promise<PrinterState>,
    leaseUntil: number,
    at: number,
  ): void {
    const { ledger, log } = this.#context;
    for (const [index, envelope] of answer.jobs.entries()) {
      const manifest = this.#manifest(envelope, trace);
      if (manifest === undefined) continue;
      if (ledger.has(manifest.claimId)) {
        // A manifest that comes twice would print twice.
        this.#failed(trace, new ReleaseError("claim-repeated", manifest.claimId));
        continue;
      }
      const claim: Claim = {
        jobId: manifest.jobId,
        claimId: manifest.claimId,
        tapId: trace.tapId,
        printer: trace.printer,
      };
      trace.jobs.push({ jobId: claim.jobId });
      this.#traceOf.set(claim.claimId, { trace, at });
      ledger.claim(claim, this.#now()).catch((error: unknown) => {
        // The release meets the same disk at its durable SENDING, and is returned there.
        this.#count(codeOf(error));
        log.error({ claim: claim.claimId, code: codeOf(error) }, "the ledger could not be written");
      });
      this.#claims.keep(claim, leaseUntil, answer.leaseMs);
      executor.enqueue({
        claim,
        manifest,
        jobPassword: answer.jobPasswords?.find(({ claimId }) => claimId === claim.claimId)?.password,
        ...(index === 0 ? { preflight, stage: (name: Stage) => this.#stage(trace, name, at) } : {}),
        leaseUntil: () => this.#claims.leaseUntil(claim.claimId),
        waits: this.#waits(trace),
        ended: (release) => this.#ended(claim, release),
      });
    }
  }

  /** Tells the person what one job waits for: once, until it is something else. */
  #waits(trace: TapTrace): (release: Release) => void {
    let told: Signal | undefined;
    return (release) => {
      const signal = signalForWait(release);
      if (signal !== undefined && signal !== told) this.#tell(trace, signal);
      told = signal;
    };
  }

  /** A manifest that does not hold is not printed; its claim runs out at the server, which an administrator sees. */
  #manifest(envelope: Parameters<typeof openManifest>[0], trace: TapTrace): Manifest | undefined {
    try {
      const manifest = openManifest(envelope, this.#context.manifestKey);
      if (manifest.agent === this.#context.agentName && manifest.printer === trace.printer) return manifest;
      throw new ReleaseError("manifest-not-ours", `${manifest.agent}, ${manifest.printer}`);
    } catch (error) {
      this.#failed(trace, error);
      return undefined;
    }
  }

  #ended(claim: Claim, release: Release): void {
    const trace = this.#traceOf.get(claim.claimId)?.trace;
    const job = trace?.jobs.find(({ jobId }) => jobId === claim.jobId);
    if (trace !== undefined && job !== undefined && release.end !== undefined) {
      job.word = release.end.word;
      job.reason = release.end.reason;
      if (release.end.detail !== undefined) job.detail = release.end.detail;
      const signal = signalForEnd(release, trace.jobs);
      if (signal !== undefined) this.#tell(trace, signal);
    }
    const { phase, end } = release;
    this.#context.log.info(
      { job: claim.jobId, printer: claim.printer, phase, word: end?.word, reason: end?.reason, detail: end?.detail },
      "release ended",
    );
    this.#claims.drop(claim.claimId);
    this.#reporter.kick();
  }

  #reported(claimId: string): void {
    const traced = this.#traceOf.get(claimId);
    this.#traceOf.delete(claimId);
    if (traced !== undefined) this.#stage(traced.trace, "reported", traced.at);
    this.#context.ledger.compactIfLarge().catch((error: unknown) => {
      this.#count(codeOf(error));
      this.#context.log.error({ code: codeOf(error) }, "the ledger could not be compacted");
    });
  }

  #failed(trace: TapTrace, error: unknown): void {
    const code = codeOf(error);
    this.#count(code);
    trace.code = code;
    const fields = { tap: trace.tapId, reader: trace.reader, card: trace.card, code };
    // Only our own coded errors are known to hold no secret.
    if (error instanceof CodedError) this.#context.log.warn({ ...fields, detail: error.detail }, "a tap failed");
    else this.#context.log.error({ ...fields, err: error }, "a tap failed unexpectedly");
    this.#tell(trace, signalForFailure(code));
  }

  #tell(trace: TapTrace, signal: Signal): void {
    trace.signal = signal;
    this.#signal(trace.reader, signal);
    this.#context.traced?.(trace, "signal");
  }

  /** A reader that breaks its contract and throws must not cost a release. */
  #signal(reader: string, signal: Signal): void {
    try {
      this.#context.signal(reader, signal);
    } catch (error) {
      this.#count("signal-failed");
      this.#context.log.error({ reader, signal, err: error }, "a reader's signal failed");
    }
  }

  #stage(trace: TapTrace, stage: Stage, at: number): void {
    trace.stagesMs[stage] = this.#context.clock.monotonic() - at;
    this.#context.traced?.(trace, stage);
  }

  #now(): string {
    return isoTime(this.#context.clock);
  }

  #count(name: string): void {
    this.counters[name] = (this.counters[name] ?? 0) + 1;
  }
}
