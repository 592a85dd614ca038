import * as z from "zod/mini";
import { WORDS } from "../protocol/schema.ts";
import { AppendLog, type Recovered } from "../storage/append-log.ts";
import { claimed, hasEnded, PHASES, type Release } from "./machine.ts";

/** What identifies a claimed job over restarts. */
export interface Claim {
  readonly jobId: string;
  readonly claimId: string;
  readonly tapId: string;
  readonly printer: string;
}

export interface LedgerEntry extends Claim {
  readonly release: Release;
  /** ISO time of the last change, by this machine's clock. */
  readonly at: string;
  /** The central server has taken the outcome. */
  readonly reported: boolean;
}

const Job = z.object({ id: z.int(), name: z.string(), uuid: z.optional(z.string()) });
const ReleaseRecord = z.object({
  phase: z.enum(PHASES),
  failures: z.int(),
  job: z.optional(Job),
  broken: z.optional(z.string()),
  end: z.optional(
    z.object({
      word: z.enum(WORDS),
      reason: z.string(),
      impressions: z.optional(z.int()),
      sheets: z.optional(z.int()),
    }),
  ),
});
/** One line of the file: a claim's first record names it in full, later ones by `c` alone. */
const LedgerRecord = z.union([
  z.object({
    c: z.string(),
    claim: z.object({ jobId: z.string(), tapId: z.string(), printer: z.string() }),
    at: z.string(),
  }),
  z.object({ c: z.string(), release: ReleaseRecord, at: z.string() }),
  z.object({ c: z.string(), reported: z.literal(true), at: z.string() }),
]);
type LedgerRecord = z.infer<typeof LedgerRecord>;

const COMPACT_ABOVE_BYTES = 256 * 1024;
const KEPT_SETTLED = 200;

export interface LedgerHealth {
  readonly fresh: boolean;
  readonly tornBytes: number;
  readonly damagedLines: number;
  /** Records with a good checksum that this version does not understand. */
  readonly unknownRecords: number;
}

/**
 * The durable record of what the agent did with each claimed job. Its owner is the only writer.
 * `trusted` is false when something was lost from the file: then "not sent" may not be concluded from silence.
 */
export class Ledger {
  readonly health: LedgerHealth;
  readonly #log: AppendLog;
  readonly #entries: Map<string, LedgerEntry>;

  private constructor(log: AppendLog, entries: Map<string, LedgerEntry>, health: LedgerHealth) {
    this.#log = log;
    this.#entries = entries;
    this.health = health;
  }

  static async open(path: string): Promise<Ledger> {
    const { log, recovered } = await AppendLog.open(path);
    const { entries, unknownRecords } = replay(recovered);
    const { fresh, tornBytes, damagedLines } = recovered;
    return new Ledger(log, entries, { fresh, tornBytes, damagedLines, unknownRecords });
  }

  get trusted(): boolean {
    const { fresh, tornBytes, damagedLines, unknownRecords } = this.health;
    return !fresh && tornBytes === 0 && damagedLines === 0 && unknownRecords === 0;
  }

  get entries(): readonly LedgerEntry[] {
    return [...this.#entries.values()];
  }

  has(claimId: string): boolean {
    return this.#entries.has(claimId);
  }

  /** Entries that have not ended. */
  get open(): readonly LedgerEntry[] {
    return this.entries.filter((entry) => !hasEnded(entry.release));
  }

  /** Entries that ended and that the central server does not know of yet. */
  get unreported(): readonly LedgerEntry[] {
    return this.entries.filter((entry) => hasEnded(entry.release) && !entry.reported);
  }

  claim(claim: Claim, at: string): Promise<void> {
    const { claimId, ...rest } = claim;
    this.#entries.set(claimId, { ...claim, release: claimed, at, reported: false });
    return this.#append({ c: claimId, claim: rest, at }, false);
  }

  /** `durable` is asked for SENDING: its promise resolves after the fsync. */
  record(claimId: string, release: Release, at: string, durable: boolean): Promise<void> {
    this.#update(claimId, { release, at });
    return this.#append({ c: claimId, release, at }, durable);
  }

  reported(claimId: string, at: string): Promise<void> {
    this.#update(claimId, { reported: true, at });
    return this.#append({ c: claimId, reported: true, at }, false);
  }

  /** Rewrites the file when it has grown: all that is open or unreported, and the newest settled entries. */
  async compactIfLarge(): Promise<void> {
    if (this.#log.size < COMPACT_ABOVE_BYTES) return;
    const settled = this.entries.filter((entry) => hasEnded(entry.release) && entry.reported);
    for (const entry of settled.slice(0, Math.max(0, settled.length - KEPT_SETTLED))) {
      this.#entries.delete(entry.claimId);
    }
    await this.#log.rewrite(this.entries.flatMap(records));
  }

  /** After the open entries were taken up: what was lost is known now, and must not be taken for new damage next time. */
  async rewriteIfDamaged(): Promise<void> {
    if (this.health.damagedLines + this.health.unknownRecords > 0)
      await this.#log.rewrite(this.entries.flatMap(records));
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #update(claimId: string, change: Partial<LedgerEntry>): void {
    const entry = this.#entries.get(claimId);
    if (entry === undefined) throw new Error("the ledger was told of a claim that it never saw");
    this.#entries.set(claimId, { ...entry, ...change });
  }

  #append(record: LedgerRecord, durable: boolean): Promise<void> {
    return this.#log.append(record, durable);
  }
}

function records(entry: LedgerEntry): LedgerRecord[] {
  const { claimId: c, jobId, tapId, printer, release, at, reported } = entry;
  return [
    { c, claim: { jobId, tapId, printer }, at },
    { c, release, at },
    ...(reported ? [{ c, reported, at } as const] : []),
  ];
}

/** Pure: the entries that a file's records amount to, oldest claim first. */
export function replay(recovered: Pick<Recovered, "records">): {
  entries: Map<string, LedgerEntry>;
  unknownRecords: number;
} {
  const entries = new Map<string, LedgerEntry>();
  let unknownRecords = 0;
  for (const raw of recovered.records) {
    const parsed = LedgerRecord.safeParse(raw);
    if (!parsed.success) {
      unknownRecords += 1;
      continue;
    }
    const record = parsed.data as LedgerRecord;
    const { c: claimId, at } = record;
    if ("claim" in record) {
      entries.set(claimId, { claimId, ...record.claim, release: claimed, at, reported: false });
      continue;
    }
    const entry = entries.get(claimId);
    if (entry === undefined) unknownRecords += 1;
    else if ("release" in record) entries.set(claimId, { ...entry, release: record.release as Release, at });
    else entries.set(claimId, { ...entry, reported: true, at });
  }
  return { entries, unknownRecords };
}
