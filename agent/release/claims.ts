import { type Clock, isoTime } from "../../drivers/clock.ts";
import { codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import type { Claim, Ledger } from "./ledger.ts";
import type { Central } from "./ports.ts";

export interface ClaimsContext {
  readonly central: Central;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  /** True for a tap whose answer may still come. */
  readonly inFlight: (tapId: string) => boolean;
  /** Ends all that is under way. */
  readonly stopping: AbortSignal;
  /** Entries were added to the ledger that the central server must hear of. */
  readonly settled: () => void;
}

/** How often the claims are compared when nothing happened, and how soon after something went wrong, in ms. */
const RECONCILE_MS = 300_000;
const RECONCILE_SOON_MS = 2000;
const RENEW_AGAIN_MS = 5000;

/** Our side of the claims: leases renewed while a release lasts, and an answer for every claim the server thinks we hold. */
export class Claims {
  readonly counters: Record<string, number> = {};
  readonly #context: ClaimsContext;
  /** Later than `stopping`: a transfer that is finished first needs its lease until then. */
  readonly #ended = new AbortController();
  readonly #leases = new Map<string, { until: number; cancel: () => void }>();
  #reconciling: Promise<void> | undefined;
  #reconciledOnce = false;
  #doubtful = false;
  /** Why the last comparison failed: with the line down for a weekend, the log says it once. */
  #told: string | undefined;
  #cancelNext: () => void = () => {};

  constructor(context: ClaimsContext) {
    this.#context = context;
  }

  /** Monotonic ms until which this claim is ours; 0 if it is not. */
  leaseUntil(claimId: string): number {
    return this.#leases.get(claimId)?.until ?? 0;
  }

  /** Renews at half of the lease for as long as the release lasts; at once where the lease is not known. */
  keep(claim: Claim, until = 0, leaseMs = 0): void {
    const cancel = this.#context.clock.after(leaseMs / 2, () => void this.#renew(claim));
    this.#leases.set(claim.claimId, { until: Math.max(until, this.leaseUntil(claim.claimId)), cancel });
  }

  drop(claimId: string): void {
    this.#leases.get(claimId)?.cancel();
    this.#leases.delete(claimId);
  }

  /** Rejects while the claims could not be compared for the first time: until then no tap may be served. */
  async ready(): Promise<void> {
    if (!this.#reconciledOnce) await this.reconcile();
  }

  /** An answer of the server may have been lost; what it claimed for us is given back soon. */
  doubt(): void {
    if (this.#doubtful) return; // it is on its way; one tap after the other must not put it off
    this.#doubtful = true;
    this.#next(RECONCILE_SOON_MS);
  }

  /** Compares the server's list with the ledger, now. Concurrent calls share one request. */
  reconcile(): Promise<void> {
    this.#reconciling ??= this.#reconcile().then(
      () => {
        this.#reconciledOnce = true;
        this.#told = undefined;
        this.#done(RECONCILE_MS);
      },
      (error: unknown) => {
        this.#done(RECONCILE_SOON_MS * 5);
        throw error;
      },
    );
    return this.#reconciling;
  }

  /** Compares without anybody waiting for it; a failure is counted, told, and tried again later. */
  start(): void {
    this.reconcile().catch((error: unknown) => this.#failed("reconcile", error));
  }

  /** To be called after `stopping` was aborted and the last release ended. */
  async stop(): Promise<void> {
    this.#ended.abort();
    this.#cancelNext();
    for (const claimId of [...this.#leases.keys()]) this.drop(claimId);
    await this.#reconciling?.catch(() => {}); // its caller has the error
  }

  #done(nextMs: number): void {
    this.#reconciling = undefined;
    // A list that was asked for before the doubt does not settle it.
    this.#next(this.#doubtful ? RECONCILE_SOON_MS : nextMs);
  }

  #next(ms: number): void {
    this.#cancelNext();
    if (this.#context.stopping.aborted) return;
    this.#cancelNext = this.#context.clock.after(ms, () => this.start());
  }

  /**
   * A claim that the ledger does not know was never sent, because SENDING is on the disk before a byte leaves.
   * Only with a ledger that lost records or is new that conclusion is not sound; the first comparison settles that.
   */
  async #reconcile(): Promise<void> {
    const { central, ledger, clock, log, inFlight, settled, stopping } = this.#context;
    this.#doubtful = false;
    const { claims } = await central.claims(stopping);
    const sound = ledger.trusted;
    for (const claim of claims) {
      // A server that was set back to an older state has forgotten what it was told; a repeat does no harm.
      ledger.tellAgain(claim.claimId);
      if (ledger.has(claim.claimId) || inFlight(claim.tapId)) continue;
      log.warn({ claim: claim.claimId, sound }, "the central server holds a claim that the ledger does not know");
      const at = isoTime(clock);
      await ledger.claim(claim, at);
      const end = { word: sound ? "not printed" : "unknown", reason: "claim-not-in-ledger" } as const;
      await ledger.record(claim.claimId, { phase: sound ? "RETURNED" : "IN_DOUBT", failures: 0, end }, at, true);
      this.#count(end.word);
    }
    await ledger.vouch();
    settled();
  }

  async #renew(claim: Claim): Promise<void> {
    const { central, clock } = this.#context;
    const asked = clock.monotonic();
    try {
      const { leaseMs } = await central.renewLease(claim.jobId, claim.claimId, this.#ended.signal);
      if (this.#leases.has(claim.claimId)) this.keep(claim, asked + leaseMs, leaseMs);
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      this.#failed("lease", error);
      // A lost claim is somebody else's at once; else the line may come back before the lease is over.
      if (codeOf(error) === "link-claim-lost") this.drop(claim.claimId);
      else if (this.#leases.has(claim.claimId)) this.keep(claim, 0, RENEW_AGAIN_MS * 2);
    }
  }

  #failed(what: "reconcile" | "lease", error: unknown): void {
    const code = codeOf(error);
    this.#count(`${what}-${code}`);
    if (what === "reconcile") {
      if (code === this.#told) return;
      this.#told = code;
    }
    this.#context.log.warn(
      { code },
      what === "lease" ? "a lease could not be renewed" : "the claims could not be compared",
    );
  }

  #count(name: string): void {
    this.counters[name] = (this.counters[name] ?? 0) + 1;
  }
}
