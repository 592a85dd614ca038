import { randomUUID } from "node:crypto";
import type { Outcome } from "../protocol/schema.ts";
import type { TicketAttributes } from "../protocol/ticket.ts";
import { PERSON_RULE, type Rule } from "./lockout.ts";
import type { PinHash } from "./pins.ts";
import { Sqlite } from "./sqlite.ts";
import { SqliteAgents } from "./sqlite-agents.ts";
import { SqlitePeople } from "./sqlite-people.ts";
import { SqlitePolicies } from "./sqlite-policies.ts";
import type {
  Agent,
  AuditEntry,
  By,
  Claim,
  ClaimAnswer,
  ClaimRef,
  ClaimRequest,
  OpenClaim,
  ReleaseStore,
  Settlement,
} from "./store.ts";

/** How long ended jobs, their claims and taps are remembered where no policy says it; the audit keeps them for ever. */
export const RETENTION_MS = 30 * 86_400_000;

/** An audit row shows no more of a card token than this. */
export const MASKED_DIGITS = 8;

interface JobRow {
  readonly seq: number;
  readonly id: string;
  readonly format: string;
  readonly size: number;
  readonly sha256: string;
  readonly chunk_size: number;
  readonly chunks: Uint8Array;
  readonly ticket: string | null;
  readonly job_password: Uint8Array | null;
}

interface TapRow {
  readonly agent_id: number;
  readonly tap_hash: Uint8Array;
  /** Null: refused, or a PIN was needed. */
  readonly user_id: number | null;
  readonly pin_needed: number;
}

const JOB_COLUMNS = "j.seq, j.id, j.format, j.size, j.sha256, j.chunk_size, j.chunks, j.ticket, j.job_password";

const claimOf = (claimId: string, job: JobRow): Claim => ({
  claimId,
  jobId: job.id,
  format: job.format,
  size: job.size,
  sha256: job.sha256,
  chunkSize: job.chunk_size,
  chunks: job.chunks,
  ticket: ticketOf(job.ticket) ?? undefined,
  jobPassword: job.job_password ?? undefined,
});

/** What `addJob` wrote there. */
export const ticketOf = (json: string | null): TicketAttributes | null =>
  json === null ? null : (JSON.parse(json) as TicketAttributes);

/** What the server asks while agents tap, in SQLite. */
export class SqliteReleaseStore implements ReleaseStore {
  protected readonly db: Sqlite;
  protected readonly people: SqlitePeople;
  protected readonly agentRows: SqliteAgents;
  protected readonly policies: SqlitePolicies;
  readonly #uuid: () => string;

  constructor(file: string, uuid: () => string = randomUUID) {
    this.db = Sqlite.open(file);
    this.people = new SqlitePeople(this.db);
    this.agentRows = new SqliteAgents(this.db, (by, event, detail) => this.record(by, event, detail));
    this.policies = new SqlitePolicies(this.db);
    this.#uuid = uuid;
  }

  async pinOf(credential: { token: string } | { idToken: string }): Promise<Omit<PinHash, "hash"> | undefined> {
    return this.people.pinOf(credential);
  }

  async claim(request: ClaimRequest): Promise<ClaimAnswer> {
    return this.db.atomic(() => {
      const before = this.db.get<TapRow>(
        "SELECT agent_id, tap_hash, user_id, pin_needed FROM taps WHERE id = ?",
        request.tapId,
      );
      if (before === undefined) return this.#claimFirst(request);
      const same = before.agent_id === request.agent.id && Buffer.compare(before.tap_hash, request.tapHash) === 0;
      return same ? this.#claimAgain(request, before) : { result: "reused" };
    });
  }

  #claimFirst(request: ClaimRequest): ClaimAnswer {
    const { agent, tapId, credential, reader, printer, now, leaseUntil, limits, rules } = request;
    const judged = this.people.judge(credential, `${agent.id}/${reader}`, now, personRule(rules));
    const user = judged.result === "known" ? judged.person : undefined;
    const order = rules?.mode === "newest" ? "DESC LIMIT min(1, ?)" : "LIMIT ?";
    // Asked for a refused card too: how long a refusal takes must not tell why.
    const waiting = this.db.all<JobRow>(
      `SELECT ${JOB_COLUMNS} FROM jobs j WHERE j.user_id = ? AND j.state = 'held' AND j.expires_at > ? ORDER BY j.seq ${order}`,
      user?.id ?? -1,
      now,
      limits.jobs,
    );
    this.db.run(
      "INSERT INTO taps (id, agent_id, tap_hash, user_id, pin_needed, at) VALUES (?, ?, ?, ?, ?, ?)",
      tapId,
      agent.id,
      request.tapHash,
      user?.id ?? null,
      judged.result === "pin-needed" ? 1 : 0,
      now,
    );
    const claims: Claim[] = [];
    let chunks = 0;
    for (const job of waiting) {
      chunks += job.chunks.length / 32;
      if (claims.length > 0 && chunks > limits.chunks) break;
      const claim = claimOf(this.#uuid(), job);
      this.db.run("UPDATE jobs SET state = 'claimed' WHERE seq = ?", job.seq);
      this.db.run(
        "INSERT INTO claims (id, job_seq, agent_id, tap_id, printer, claimed_at, lease_until) VALUES (?, ?, ?, ?, ?, ?, ?)",
        claim.claimId,
        job.seq,
        agent.id,
        tapId,
        printer,
        now,
        leaseUntil,
      );
      claims.push(claim);
    }
    // Of a person's number nothing is shown: it has so few digits that a part of its token would tell it.
    const card = credential.kind === "id-pin" ? {} : { card: credential.token.slice(0, MASKED_DIGITS) };
    const seen = { tap: tapId, reader, printer, credential: credential.kind, ...card };
    const by = { actor: actorOf(agent), at: now };
    if (judged.result !== "known") {
      this.record(by, `tap-${judged.result}`, { ...seen, reason: judged.why });
      return { result: judged.result };
    }
    const { person } = judged;
    this.record(by, "tap-accepted", { ...seen, user: person.name, jobs: claims.map((claim) => claim.jobId) });
    return { result: "accepted", user: person.name, displayName: person.display_name, claims };
  }

  #claimAgain({ tapId, leaseUntil }: ClaimRequest, before: TapRow): ClaimAnswer {
    if (before.pin_needed === 1) return { result: "pin-needed" };
    const user = this.db.get<{ name: string; display_name: string }>(
      "SELECT name, display_name FROM users WHERE id = ?",
      before.user_id,
    );
    if (user === undefined) return { result: "refused" };
    const open = this.db.all<JobRow & { claim_id: string }>(
      `SELECT ${JOB_COLUMNS}, c.id AS claim_id FROM claims c JOIN jobs j ON j.seq = c.job_seq
       WHERE c.tap_id = ? AND c.ended_at IS NULL AND j.state = 'claimed' ORDER BY j.seq`,
      tapId,
    );
    for (const row of open) this.#prolong(row.claim_id, leaseUntil);
    const claims = open.map((row) => claimOf(row.claim_id, row));
    return { result: "accepted", user: user.name, displayName: user.display_name, claims };
  }

  async claimsOf(agent: Agent, limit: number): Promise<readonly OpenClaim[]> {
    return this.db.all<OpenClaim>(
      `SELECT j.id AS jobId, c.id AS claimId, c.tap_id AS tapId, c.printer FROM claims c JOIN jobs j ON j.seq = c.job_seq
       WHERE c.agent_id = ? AND c.ended_at IS NULL AND j.state = 'claimed' ORDER BY c.claimed_at, j.seq LIMIT ?`,
      agent.id,
      limit,
    );
  }

  async mayFetch({ jobId, claimId, agent }: ClaimRef, now: number): Promise<boolean> {
    const open = this.db.get(
      `SELECT 1 FROM claims c JOIN jobs j ON j.seq = c.job_seq
       WHERE c.id = ? AND j.id = ? AND c.agent_id = ? AND c.ended_at IS NULL AND j.state = 'claimed' AND c.lease_until > ?`,
      claimId,
      jobId,
      agent.id,
      now,
    );
    return open !== undefined;
  }

  async renewLease({ jobId, claimId, agent }: ClaimRef, leaseUntil: number): Promise<boolean> {
    return this.db.atomic(() => {
      const open = this.db.get(
        `SELECT 1 FROM claims c JOIN jobs j ON j.seq = c.job_seq
         WHERE c.id = ? AND j.id = ? AND c.agent_id = ? AND c.ended_at IS NULL AND j.state = 'claimed'`,
        claimId,
        jobId,
        agent.id,
      );
      if (open !== undefined) this.#prolong(claimId, leaseUntil);
      return open !== undefined;
    });
  }

  #prolong(claimId: string, leaseUntil: number): void {
    this.db.run("UPDATE claims SET lease_until = max(lease_until, ?) WHERE id = ?", leaseUntil, claimId);
  }

  async settle({ jobId, claimId, agent }: ClaimRef, outcome: Outcome, now: number): Promise<Settlement> {
    const by = { actor: actorOf(agent), at: now };
    const { claimId: _, ...said } = outcome;
    return this.db.atomic(() => {
      const claim = this.db.get<{
        job_seq: number;
        word: string | null;
        account: string | null;
        ended_at: number | null;
      }>(
        `SELECT c.job_seq, c.word, c.account, c.ended_at FROM claims c JOIN jobs j ON j.seq = c.job_seq
         WHERE c.id = ? AND j.id = ? AND c.agent_id = ?`,
        claimId,
        jobId,
        agent.id,
      );
      const account = outcome.account === undefined ? null : JSON.stringify(outcome.account);
      if (claim?.word === outcome.word) {
        // The word stays as it was taken; only what is known of the paper may come later, or better.
        if (account !== null && account !== claim.account) {
          this.db.run("UPDATE claims SET account = ? WHERE id = ?", account, claimId);
          this.record(by, "account-amended", { job: jobId, claim: claimId, account: outcome.account });
        }
        return { result: "settled", documentDone: false };
      }
      if (claim === undefined || claim.ended_at !== null) {
        this.record(by, "outcome-superseded", { job: jobId, claim: claimId, ...said });
        return { result: "superseded", documentDone: false };
      }
      const state = stateAfter(outcome);
      const ended = state === "in-doubt" ? null : now;
      this.db.run(
        `UPDATE claims SET word = ?, end_state = ?, reason = ?, detail = ?, impressions = ?, sheets = ?, account = ?, ended_at = ?
           WHERE id = ?`,
        outcome.word,
        outcome.state,
        outcome.reason,
        outcome.detail ?? null,
        outcome.impressions ?? null,
        outcome.sheets ?? null,
        account,
        ended,
        claimId,
      );
      const documentDone = state === "printed" || state === "canceled";
      this.db.run(
        "UPDATE jobs SET state = ?, ended_at = ? WHERE seq = ?",
        state,
        documentDone ? now : null,
        claim.job_seq,
      );
      this.forgetPasswords();
      this.record(by, "outcome", { job: jobId, claim: claimId, ...said, jobState: state });
      return { result: "settled", documentDone };
    });
  }

  async expire(now: number, forgetAfterMs = RETENTION_MS): Promise<readonly string[]> {
    return this.db.atomic(() => {
      const over = this.db.all<{ seq: number; id: string }>(
        "SELECT seq, id FROM jobs WHERE state = 'held' AND expires_at <= ?",
        now,
      );
      for (const job of over) {
        this.db.run("UPDATE jobs SET state = 'expired', ended_at = ? WHERE seq = ?", now, job.seq);
        this.record({ actor: "central", at: now }, "job-expired", { job: job.id });
      }
      this.forgetPasswords();
      this.db.run("DELETE FROM jobs WHERE ended_at <= ?", now - forgetAfterMs);
      this.db.run("DELETE FROM taps WHERE at <= ?", now - forgetAfterMs);
      this.people.forgetReaders(now - RETENTION_MS);
      return over.map((job) => job.id);
    });
  }

  async needsDocument(jobId: string, now: number): Promise<boolean> {
    const needed = this.db.get(
      `SELECT 1 FROM jobs j LEFT JOIN claims c ON c.job_seq = j.seq AND c.ended_at IS NULL
       WHERE j.id = ? AND j.ended_at IS NULL AND (j.expires_at > ? OR (j.state = 'claimed' AND c.lease_until > ?))`,
      jobId,
      now,
      now,
    );
    return needed !== undefined;
  }

  async close(): Promise<void> {
    this.db.close();
  }

  /** A job that has ended needs its password no more. */
  protected forgetPasswords(): void {
    this.db.run("UPDATE jobs SET job_password = NULL WHERE ended_at IS NOT NULL AND job_password IS NOT NULL");
  }

  protected record(by: By, event: string, detail: AuditEntry["detail"]): void {
    this.db.run(
      "INSERT INTO audit (at, actor, event, detail) VALUES (?, ?, ?, ?)",
      by.at,
      by.actor,
      event,
      JSON.stringify(detail),
    );
  }
}

function personRule(rules: ClaimRequest["rules"]): Rule {
  return rules === undefined ? PERSON_RULE : { ...PERSON_RULE, tries: rules.pinTries, lockMs: rules.pinLockMs };
}

const actorOf = (agent: Agent): string => `agent:${agent.name}`;

/** Where an agent's word leaves the job. "Not printed" under a state that speaks against it is taken as doubt. */
function stateAfter({ word, state }: Outcome): "printed" | "canceled" | "held" | "in-doubt" {
  if (word === "printed") return "printed";
  if (word === "unknown") return "in-doubt";
  switch (state) {
    case "CANCELED":
      return "canceled";
    case "RETURNED":
    case "ABORTED":
      return "held";
    case "DONE":
    case "IN_DOUBT":
      return "in-doubt";
  }
}
