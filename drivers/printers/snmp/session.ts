import type { Clock } from "../../clock.ts";
import type { Log } from "../../log.ts";
import type { PrinterHealthReport, PrinterVerdict } from "../../printer.ts";
import type { LifeCount } from "../../printer-counts.ts";
import type { SnmpConnection, SnmpTarget } from "./connection.ts";
import { openSnmp, SnmpError } from "./connection.ts";
import { readLifeCount } from "./life-count.ts";
import type { Poll } from "./mib.ts";
import { CHANGE_COLUMNS, decodePoll, HR_DEVICE_PRINTER, HR_DEVICE_TYPE, POLL_COLUMNS } from "./mib.ts";
import { SlowFacts } from "./slow-facts.ts";
import { judge, NO_VERDICT, nextVerdict } from "./verdict.ts";

export interface SnmpOptions extends Omit<SnmpTarget, "timeoutMs"> {
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds for each of two tries; 1250 by default. */
  readonly timeoutMs?: number;
}

const IDLE_MS = 5_000;
const HURRY_MS = 1_000;
const HURRY_FOR_MS = 30_000;
/** A verdict that rests on an older poll is no verdict. */
const STALE_MS = 15_000;
/** A session that fails is replaced at most this often. */
const REBUILD_MS = 5_000;
/** An agent that lists no printer is searched again this often. */
const SEARCH_MS = 60_000;
const SEARCH_ROWS = 64;

/** Keeps a verdict on one printer warm by polling its SNMP agent. Advice and veto: it never holds a release up. */
export class SnmpHealth {
  readonly counters = { polls: 0, answers: 0, failures: 0, malformed: 0, sessions: 0 };
  #target: SnmpTarget;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #facts: SlowFacts;
  #running = false;
  #state = NO_VERDICT;
  #answeredAt: number | undefined;
  #problem: SnmpError | undefined;
  #connection: SnmpConnection | undefined;
  #openedAt = Number.NEGATIVE_INFINITY;
  /** hrDeviceIndex of the printer, once found. */
  #index: string | undefined;
  #searchedAt = Number.NEGATIVE_INFINITY;
  #startedAt = Number.NEGATIVE_INFINITY;
  /** Polls that are to come a second apart, whoever waits or not. */
  #nudges = 0;
  #hurryUntil = Number.NEGATIVE_INFINITY;
  #poll: Promise<void> | undefined;
  #cancelTimer = (): void => {};

  constructor({ host, port, access, clock, log, timeoutMs = 1250 }: SnmpOptions) {
    this.#target = { host, port, access, timeoutMs };
    this.#clock = clock;
    this.#log = log.child({ snmp: `${host}:${port}` });
    this.#facts = new SlowFacts(clock);
  }

  /** Why the last poll gave no verdict; undefined when it did. */
  get problem(): SnmpError | undefined {
    return this.#problem;
  }

  /** All that is known beside the verdict; costs nothing. */
  get report(): PrinterHealthReport {
    const counters = { ...this.counters, ...this.#facts.counters };
    return { problem: this.#problem, latest: this.#facts.latest, counters };
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#schedule();
  }

  /** The cached verdict; costs nothing. `unknown` when it rests on a poll older than 15 s. */
  verdict(): PrinterVerdict {
    const at = this.#answeredAt;
    const fresh = at !== undefined && this.#clock.monotonic() - at <= STALE_MS;
    return { ...(fresh ? this.#state.shown : NO_VERDICT.shown), at };
  }

  /** Somebody stands at the printer: polls every second for the next 30 s. */
  hurry(): void {
    this.#hurryUntil = this.#clock.monotonic() + HURRY_FOR_MS;
    this.#schedule();
  }

  /** The printer is at another address: whatever is known of it stays, the next poll asks there. */
  moveTo(host: string): void {
    if (host === this.#target.host) return;
    this.#target = { ...this.#target, host };
    this.#close();
  }

  /** Something may have changed at the printer: the next two polls, because a block takes two, come a second apart. */
  nudge(): void {
    this.#nudges = 2;
    this.#schedule();
  }

  /** The life count, read now, beside the polls. Undefined while the printer is not found, and where it has none to trust. Never rejects. */
  async lifeCount(): Promise<LifeCount | undefined> {
    const [connection, index] = [this.#connection, this.#index];
    if (!this.#running || connection === undefined || index === undefined) return undefined;
    return readLifeCount(connection, index, this.#clock);
  }

  /** In place of `start`: two polls at once, because a block takes two, and one reading of the facts. For `doctor`. */
  async look(): Promise<void> {
    this.#running = true;
    const twice = async () => {
      await this.#pollOnce();
      if (this.#running && this.#problem === undefined) await this.#pollOnce();
      await this.#facts.idle;
    };
    // Where `stop` waits for it.
    this.#poll = twice();
    await this.#poll;
  }

  /** Resolves when the socket is closed and nothing waits. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelTimer();
    this.#close();
    await this.#poll;
    this.#close();
    await this.#facts.idle;
  }

  /** Sets the one timer for the next poll; while a poll runs, its end does that. */
  #schedule(): void {
    if (!this.#running || this.#poll !== undefined) return;
    this.#cancelTimer();
    const now = this.#clock.monotonic();
    const soon = now < this.#hurryUntil || this.#nudges > 0;
    const due = this.#startedAt + (soon ? HURRY_MS : IDLE_MS);
    this.#cancelTimer = this.#clock.after(Math.max(0, due - now), () => {
      this.#poll = this.#pollOnce().finally(() => {
        this.#poll = undefined;
        this.#schedule();
      });
    });
  }

  async #pollOnce(): Promise<void> {
    this.#startedAt = this.#clock.monotonic();
    this.counters.polls++;
    if (this.#nudges > 0) this.#nudges--;
    try {
      const poll = await this.#ask();
      this.#problem = undefined;
      this.#answeredAt = this.#clock.monotonic();
      this.counters.answers++;
      this.#judge(poll);
    } catch (error) {
      if (!this.#running) return;
      this.counters.failures++;
      this.#failed(error instanceof SnmpError ? error : new SnmpError("snmp-bad-answer", "", { cause: error }));
    }
  }

  #judge(poll: Poll | undefined): void {
    const { shown } = this.#state;
    this.#state = nextVerdict(this.#state, judge(poll, this.#facts.latest?.facts.inputs));
    const { verdict, conditions } = this.#state.shown;
    if (verdict === shown.verdict && conditions.join() === shown.conditions.join()) return;
    this.#log.info({ verdict, conditions, code: this.#problem?.code }, "SNMP verdict on the printer");
  }

  #failed(problem: SnmpError): void {
    if (problem.code !== this.#problem?.code) {
      this.#log.warn({ code: problem.code, detail: problem.detail }, problem.row.what);
    }
    this.#problem = problem;
    this.#judge(undefined);
    // A session does not always recover by itself: a v3 agent whose time went back is refused for ever.
    if (problem.code !== "snmp-no-printer" && this.#clock.monotonic() - this.#openedAt >= REBUILD_MS) this.#close();
  }

  async #ask(): Promise<Poll> {
    const connection = await this.#open();
    const index = this.#index ?? (await this.#findPrinter(connection));
    const values = await connection.get([...POLL_COLUMNS, ...CHANGE_COLUMNS].map((column) => `${column}.${index}`));
    const poll = decodePoll(values);
    // The device table may be renumbered when the agent restarts.
    const gone = values.slice(0, POLL_COLUMNS.length).every((value) => value === undefined);
    this.#index = gone ? undefined : index;
    const changes = values.slice(POLL_COLUMNS.length).map((value) => (typeof value === "number" ? value : ""));
    if (!gone) this.#facts.polled([...changes, ...(poll.errors ?? [])].join(), connection, index);
    return poll;
  }

  async #open(): Promise<SnmpConnection> {
    if (this.#connection) return this.#connection;
    const connection = await openSnmp(this.#target, this.#clock, () => this.counters.malformed++);
    this.counters.sessions++;
    this.#connection = connection;
    this.#openedAt = this.#clock.monotonic();
    if (!this.#running) throw new SnmpError("snmp-closed");
    return connection;
  }

  #close(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** The hrDeviceIndex of the first printer, by GETNEXT, because some printers answer GETBULK badly. */
  async #findPrinter(connection: SnmpConnection): Promise<string> {
    const now = this.#clock.monotonic();
    if (now - this.#searchedAt < SEARCH_MS) throw new SnmpError("snmp-no-printer");
    const prefix = `${HR_DEVICE_TYPE}.`;
    let oid = HR_DEVICE_TYPE;
    for (let row = 0; row < SEARCH_ROWS; row++) {
      const [next] = await connection.next([oid]);
      if (next === undefined || !next.oid.startsWith(prefix)) break;
      if (next.value === HR_DEVICE_PRINTER) return next.oid.slice(prefix.length);
      oid = next.oid;
    }
    this.#searchedAt = now;
    throw new SnmpError("snmp-no-printer");
  }
}
