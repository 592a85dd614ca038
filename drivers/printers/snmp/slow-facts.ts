import type { Clock } from "../../clock.ts";
import type { PrinterFacts } from "../../printer-facts.ts";
import type { SnmpConnection } from "./connection.ts";
import { decodeFacts, GENERAL_COLUMNS, TABLES } from "./facts.ts";
import { Budget, type Row, type TableShape, walkTable } from "./walk.ts";

const EVERY_MS = 60_000;
/** An agent whose change counters move with every poll is not read more often. */
const AT_MOST_EVERY_MS = 5_000;
/** Older than this they are not shown and are no source for a verdict: three readings were missed. */
const STALE_MS = 200_000;
const MAX_REQUESTS = 400;
const MAX_OCTETS = 64 * 1024;
const MAX_MS = 30_000;

/** The facts that change slowly: read beside the polls, each minute and when the printer says that they changed. */
export class SlowFacts {
  readonly counters = { factReadings: 0, factFailures: 0 };
  readonly #clock: Clock;
  #facts: PrinterFacts | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #startedAt = Number.NEGATIVE_INFINITY;
  #seen: string | undefined;
  #changed = false;
  #reading: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The latest reading, with its age in ms; undefined where there is none that is recent. */
  get latest(): { readonly facts: PrinterFacts; readonly ageMs: number } | undefined {
    const ageMs = this.#clock.monotonic() - this.#readAt;
    return this.#facts === undefined || ageMs > STALE_MS ? undefined : { facts: this.#facts, ageMs };
  }

  /** Resolves when no reading is under way; closing the connection ends one. */
  get idle(): Promise<void> {
    return this.#reading ?? Promise.resolve();
  }

  /**
   * After each poll that was answered. `seen`: whatever of it says, by moving, that facts may have changed.
   * Starts a reading where one is due; never throws.
   */
  polled(seen: string, connection: SnmpConnection, device: string): void {
    if (this.#seen !== undefined && seen !== this.#seen) this.#changed = true;
    this.#seen = seen;
    const now = this.#clock.monotonic();
    const wait = this.#changed ? AT_MOST_EVERY_MS : EVERY_MS;
    if (this.#reading !== undefined || now - this.#startedAt < wait) return;
    this.#startedAt = now;
    this.#changed = false;
    this.#reading = this.#read(connection, device).finally(() => {
      this.#reading = undefined;
    });
  }

  async #read(connection: SnmpConnection, device: string): Promise<void> {
    const until = this.#clock.monotonic() + MAX_MS;
    const budget = new Budget(MAX_REQUESTS, MAX_OCTETS, () => this.#clock.monotonic() > until);
    try {
      const general = await connection.get(GENERAL_COLUMNS.map((column) => `${column}.${device}`));
      const walk = (shape: TableShape): Promise<readonly Row[]> => walkTable(connection, shape, device, budget);
      // One after the other: a printer's agent is a small machine, and the polls come first.
      const tables = {
        inputs: await walk(TABLES.inputs),
        covers: await walk(TABLES.covers),
        localizations: await walk(TABLES.localizations),
        supplies: await walk(TABLES.supplies),
        colorants: await walk(TABLES.colorants),
        alerts: await walk(TABLES.alerts),
        outputs: await walk(TABLES.outputs),
        markers: await walk(TABLES.markers),
        console: await walk(TABLES.console),
      };
      this.#facts = decodeFacts({ general, tables, truncated: budget.truncated });
      this.#readAt = this.#clock.monotonic();
      this.counters.factReadings++;
    } catch {
      // The polls tell what is wrong with the agent. What was read before stays, until it is too old.
      this.counters.factFailures++;
    }
  }
}
