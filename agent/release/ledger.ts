import * as z from "zod/mini";
import { Account } from "../protocol/account.ts";
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
  /** Only of a release that ended. */
  readonly account?: Account;
  /** ISO time of the last change, by this machine's clock. */
  readonly at: string;
  /** The central server has taken the outcome, with this account. */
  readonly reported: boolean;
}

const Job = z.object({
  id: z.int(),
  name: z.string(),
  uuid: z.optional(z.string()),
  created: z.optional(
    z.object({ upTime: z.optional(z.number()), bootedAt: z.optional(z.number()), date: z.optional(z.number()) }),
  ),
  user: z.optional(z.string()),
});
const ReleaseRecord = z.object({
  phase: z.enum(PHASES),
  failures: z.int(),
  job: z.optional(Job),
  broken: z.optional(z.string()),
  returning: z.optional(z.object({ reason: z.string(), detail: z.optional(z.string()) })),
  givenUp: z.optional(z.object({ reason: z.string(), unbegun: z.boolean() })),
  trouble: z.optional(z.string()),
  end: z.optional(
    z.object({
      word: z.enum(WORDS),
      reason: z.string(),
      detail: z.optional(z.string()),
      impressions: z.optional(z.int()),
      sheets: z.optional(z.int()),
    }),
  ),
});
const ClaimRecord = z.object({ jobId: z.string(), tapId: z.string(), printer: z.string() });
/** One line of the file: a claim's first record names it in full, and so does one after a write that failed; others by `c` alone. */
const LedgerRecord = z.union([
  z.object({
    ...{ c: z.string(), claim: z.optional(ClaimRecord), release: ReleaseRecord, at: z.string() },
    // Beside the release and not alone, so that an older version understands the record. What it does not know of an account costs no entry.
    account: z.catch(z.optional(Account), undefined),
  }),
  z.object({ c: z.string(), claim: ClaimRecord, at: z.string() }),
  z.object({ c: z.string(), reported: z.literal(true), at: z.string() }),
  z.object({ vouched: z.literal(true) }),
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
 * `trusted` is false when something was lost from the file, or the whole file: then "not sent" may not be concluded from
 * silence. It stays false over any number of starts until `vouch`.
 */
export class Ledger {
  readonly health: LedgerHealth;
  readonly #log: AppendLog;
  readonly #entries: Map<string, LedgerEntry>;
  /** By claim, the number of its last record, until that is in the file; a record after a lost one must stand alone. */
  readonly #unwritten = new Map<string, number>();
  #appended = 0;
  #trusted: boolean;

  private constructor(log: AppendLog, entries: Map<string, LedgerEntry>, vouched: boolean, health: LedgerHealth) {
    const { tornBytes, damagedLines, unknownRecords } = health;
    this.#log = log;
    this.#entries = entries;
    this.health = health;
    this.#trusted = vouched && tornBytes + damagedLines + unknownRecords === 0;
  }

  static async open(path: string): Promise<Ledger> {
    const { log, recovered } = await AppendLog.open(path);
    const { entries, vouched, unknownRecords } = replay(recovered);
    const { fresh, tornBytes, damagedLines } = recovered;
    return new Ledger(log, entries, vouched, { fresh, tornBytes, damagedLines, unknownRecords });
  }

  get trusted(): boolean {
    return this.#trusted;
  }

  get entries(): readonly LedgerEntry[] {
    return [...this.#entries.values()];
  }

  /** Takes back, in memory, that the outcome of this claim was reported, if it was. */
  tellAgain(claimId: string): void {
    const entry = this.#entries.get(claimId);
    if (entry?.reported === true) this.#entries.set(claimId, { ...entry, reported: false });
  }

  has(claimId: string): boolean {
    return this.#entries.has(claimId);
  }

  /** Of its file: begun and ended, as `AppendLog` counts them. */
  get writes(): AppendLog["writes"] {
    return this.#log.writes;
  }

  /** Entries that have not ended. */
  get open(): readonly LedgerEntry[] {
    return this.entries.filter((entry) => !hasEnded(entry.release));
  }

  /** Entries that ended and that the central server does not know of yet. */
  get unreported(): readonly LedgerEntry[] {
    return this.entries.filter((entry) => hasEnded(entry.release) && !entry.reported);
  }

  /** A claim that is known already must never begin anew. */
  claim({ jobId, claimId, tapId, printer }: Claim, at: string): Promise<void> {
    if (this.has(claimId)) throw new Error("the ledger was told of a claim twice");
    this.#entries.set(claimId, { jobId, claimId, tapId, printer, release: claimed, at, reported: false });
    return this.#append(claimId, { c: claimId, claim: { jobId, tapId, printer }, at }, false);
  }

  /** `durable` is asked for SENDING: its promise resolves after the fsync. */
  record(claimId: string, release: Release, at: string, durable: boolean): Promise<void> {
    this.#update(claimId, { release, at });
    return this.#append(claimId, { c: claimId, release, at }, durable);
  }

  /** What came out of a release that ended, as far as it is known by now; the central server is to hear of it. */
  account(claimId: string, account: Account, at: string): Promise<void> {
    this.#update(claimId, { account, at, reported: false });
    const { release } = this.#entry(claimId);
    return this.#append(claimId, { c: claimId, release, account, at }, false);
  }

  accountOf(claimId: string): Account | undefined {
    return this.#entries.get(claimId)?.account;
  }

  reported(claimId: string, at: string): Promise<void> {
    this.#update(claimId, { reported: true, at });
    return this.#append(claimId, { c: claimId, reported: true, at }, false);
  }

  /** Rewrites the file when it has grown: all that is open or unreported, and the newest settled entries. */
  async compactIfLarge(): Promise<void> {
    if (this.#log.size < COMPACT_ABOVE_BYTES) return;
    const settled = this.entries.filter((entry) => hasEnded(entry.release) && entry.reported);
    for (const entry of settled.slice(0, Math.max(0, settled.length - KEPT_SETTLED))) {
      this.#entries.delete(entry.claimId);
      this.#unwritten.delete(entry.claimId);
    }
    await this.#rewrite(this.#trusted);
  }

  /**
   * Every open entry was taken up, and every claim that the central server knows of has its answer here:
   * from now on, what the ledger does not know did not happen.
   */
  async vouch(): Promise<void> {
    if (this.#trusted) return;
    await this.#rewrite(true);
    this.#trusted = true;
  }

  close(): Promise<void> {
    return this.#log.close();
  }

  #update(claimId: string, change: Partial<LedgerEntry>): void {
    this.#entries.set(claimId, { ...this.#entry(claimId), ...change });
  }

  #entry(claimId: string): LedgerEntry {
    const entry = this.#entries.get(claimId);
    if (entry === undefined) throw new Error("the ledger was told of a claim that it never saw");
    return entry;
  }

  #rewrite(vouched: boolean): Promise<void> {
    return this.#log.rewrite(() => [...(vouched ? [{ vouched }] : []), ...this.entries.flatMap(records)]);
  }

  async #append(claimId: string, record: LedgerRecord, durable: boolean): Promise<void> {
    const entry = this.#unwritten.has(claimId) ? this.#entries.get(claimId) : undefined;
    const number = ++this.#appended;
    this.#unwritten.set(claimId, number);
    const standing = entry === undefined ? [record] : records(entry);
    await Promise.all(standing.map((one) => this.#log.append(one, durable)));
    if (this.#unwritten.get(claimId) === number) this.#unwritten.delete(claimId);
  }
}

function records(entry: LedgerEntry): LedgerRecord[] {
  const { claimId: c, jobId, tapId, printer, release, account, at, reported } = entry;
  const accounted = account === undefined ? {} : { account };
  return [
    { c, claim: { jobId, tapId, printer }, release, ...accounted, at },
    ...(reported ? [{ c, reported, at } as const] : []),
  ];
}

/** Pure: the entries that a file's records amount to, oldest claim first. */
export function replay(recovered: Pick<Recovered, "records">): {
  entries: Map<string, LedgerEntry>;
  vouched: boolean;
  unknownRecords: number;
} {
  const entries = new Map<string, LedgerEntry>();
  let [vouched, unknownRecords] = [false, 0];
  for (const raw of recovered.records) {
    const parsed = LedgerRecord.safeParse(raw);
    if (!parsed.success) {
      unknownRecords += 1;
      continue;
    }
    const record = parsed.data as LedgerRecord;
    if ("vouched" in record) {
      vouched = true;
      continue;
    }
    const { c: claimId, at } = record;
    // A first record may stand twice around a rewrite; it never takes an entry back to its beginning.
    const entry =
      entries.get(claimId) ??
      ("claim" in record && record.claim !== undefined
        ? { claimId, ...record.claim, release: claimed, at, reported: false }
        : undefined);
    if (entry === undefined) unknownRecords += 1;
    else if ("release" in record) {
      const { account } = record;
      const accounted = account === undefined ? {} : { account, reported: false };
      entries.set(claimId, { ...entry, release: record.release as Release, ...accounted, at });
    } else entries.set(claimId, "reported" in record ? { ...entry, reported: true, at } : entry);
  }
  return { entries, vouched, unknownRecords };
}
