import type { RootEnvelope } from "../protocol/root.ts";
import type { Envelope } from "../protocol/schema.ts";
import type { AgentEntry, Approval, EnrolmentRow, KnownAgent, KnownEnrolment } from "./agent-store.ts";
import { CentralError } from "./central-error.ts";
import type { PinHash } from "./pins.ts";
import { MASKED_DIGITS, SqliteReleaseStore, ticketOf } from "./sqlite-release-store.ts";
import type { Agent, AuditEntry, By, Decision, JobEntry, NewJob, PolicyName, SignedPolicy, Store } from "./store.ts";

/** The whole store in SQLite: what administrators do, on top of what the server asks. */
export class SqliteStore extends SqliteReleaseStore implements Store {
  async addUser(by: By, name: string, displayName: string): Promise<void> {
    this.db.atomic(() => {
      if (this.#userId(name) !== undefined) throw new CentralError("user-exists", name);
      this.db.run("INSERT INTO users (name, display_name, added_at) VALUES (?, ?, ?)", name, displayName, by.at);
      this.record(by, "user-added", { user: name });
    });
  }

  async enableUser(by: By, name: string, enabled: boolean): Promise<void> {
    this.db.atomic(() => {
      this.db.run("UPDATE users SET enabled = ? WHERE id = ?", enabled ? 1 : 0, this.#knownUser(name));
      this.record(by, enabled ? "user-enabled" : "user-disabled", { user: name });
    });
  }

  async setPin(by: By, user: string, pin: PinHash, asked: boolean | undefined): Promise<boolean> {
    return this.db.atomic(() => {
      const id = this.#knownUser(user);
      const required = asked ?? this.people.pinIsRequired(id);
      this.people.setPin(id, pin, required, by.at);
      this.record(by, "pin-set", { user, required });
      return required;
    });
  }

  async clearPin(by: By, user: string): Promise<void> {
    this.db.atomic(() => {
      if (!this.people.clearPin(this.#knownUser(user))) throw new CentralError("pin-none", user);
      this.record(by, "pin-cleared", { user });
    });
  }

  async unlock(by: By, user: string): Promise<void> {
    this.db.atomic(() => {
      this.people.forgetGuesses(this.#knownUser(user));
      this.record(by, "user-unlocked", { user });
    });
  }

  async setId(by: By, user: string, idToken: string | null): Promise<void> {
    this.db.atomic(() => {
      if (!this.people.setId(this.#knownUser(user), idToken)) throw new CentralError("id-taken");
      this.record(by, idToken === null ? "id-cleared" : "id-set", { user });
    });
  }

  async addCard(by: By, user: string, token: string): Promise<void> {
    this.db.atomic(() => {
      const owner = this.#knownUser(user);
      if (this.db.get("SELECT 1 FROM cards WHERE token = ?", token)) throw new CentralError("card-taken");
      this.db.run("INSERT INTO cards (token, user_id, added_at) VALUES (?, ?, ?)", token, owner, by.at);
      this.record(by, "card-added", { user, card: token.slice(0, MASKED_DIGITS) });
    });
  }

  async removeCard(by: By, token: string): Promise<void> {
    this.db.atomic(() => {
      if (this.db.run("DELETE FROM cards WHERE token = ?", token) === 0) throw new CentralError("card-unknown");
      this.record(by, "card-removed", { card: token.slice(0, MASKED_DIGITS) });
    });
  }

  async revokeAgent(by: By, name: string): Promise<void> {
    this.db.atomic(() => this.agentRows.revoke(by, name));
  }

  async agents(): Promise<readonly AgentEntry[]> {
    return this.agentRows.entries();
  }

  async addEnrolment(request: EnrolmentRow, limits: { address: number; all: number }) {
    return this.db.atomic(() => this.agentRows.add(request, limits));
  }

  async enrolment(id: string): Promise<KnownEnrolment | undefined> {
    return this.agentRows.request(id);
  }

  async pendingEnrolments(now: number): Promise<readonly EnrolmentRow[]> {
    return this.agentRows.pending(now);
  }

  async dropEnrolments(by: By, ids: readonly string[]): Promise<void> {
    this.db.atomic(() => this.agentRows.drop(by, ids));
  }

  async approveEnrolment(by: By, approval: Approval): Promise<void> {
    this.db.atomic(() => this.agentRows.approve(by, approval));
  }

  async agentByKey(keyHash: Uint8Array): Promise<KnownAgent | undefined> {
    return this.agentRows.byKey(keyHash);
  }

  async offerKey(agent: Agent, keyHash: Uint8Array, certificateUntil: number, now: number): Promise<boolean> {
    return this.db.atomic(() => this.agentRows.offerKey(agent, keyHash, certificateUntil, now));
  }

  async changeKey(agent: Agent, now: number): Promise<void> {
    this.db.atomic(() => this.agentRows.changeKey(agent, now));
  }

  async booted(agent: Agent, boot: string, now: number): Promise<"current" | "cloned"> {
    return this.db.atomic(() => this.agentRows.booted(agent, boot, now));
  }

  async addJob(by: By, job: NewJob): Promise<void> {
    this.db.atomic(() => {
      this.db.run(
        `INSERT INTO jobs (id, user_id, state, title, format, size, submitted_at, expires_at, sha256, chunk_size, chunks,
           ticket, job_password) VALUES (?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        job.id,
        this.#knownUser(job.user),
        job.title,
        job.format,
        job.size,
        by.at,
        job.expiresAt,
        job.sha256,
        job.chunkSize,
        job.chunks,
        job.ticket === undefined ? null : JSON.stringify(job.ticket),
        job.jobPassword ?? null,
      );
      this.record(by, "job-added", { job: job.id, user: job.user, size: job.size });
    });
  }

  async jobs(now: number, user?: string): Promise<readonly JobEntry[]> {
    const owner = user === undefined ? null : this.#knownUser(user);
    type Stored = { ticket: string | null; hasPassword: number; account: string | null };
    const rows = this.db.all<Omit<JobEntry, keyof Stored> & Stored>(
      `SELECT j.id, u.name AS user, j.title, j.format, j.size, j.submitted_at AS submittedAt, j.expires_at AS expiresAt,
         a.name AS agent, c.printer, c.reason, c.detail, j.ticket, j.job_password IS NOT NULL AS hasPassword,
         c.impressions, c.sheets, c.account,
         CASE WHEN j.state = 'claimed' AND c.lease_until <= ?1 THEN 'unsettled'
              WHEN j.state = 'held' AND j.expires_at <= ?1 THEN 'expired' ELSE j.state END AS state
       FROM jobs j JOIN users u ON u.id = j.user_id
       LEFT JOIN claims c ON c.id = (SELECT id FROM claims WHERE job_seq = j.seq ORDER BY ended_at IS NULL DESC, claimed_at DESC LIMIT 1)
       LEFT JOIN agents a ON a.id = c.agent_id
       WHERE ?2 IS NULL OR j.user_id = ?2 ORDER BY j.seq`,
      now,
      owner,
    );
    return rows.map((row) => ({
      ...row,
      ticket: ticketOf(row.ticket),
      hasPassword: row.hasPassword === 1,
      account: row.account === null ? null : (JSON.parse(row.account) as JobEntry["account"]),
    }));
  }

  async decide(by: By, jobId: string, decision: Decision): Promise<void> {
    this.db.atomic(() => {
      const job = this.db.get<{ seq: number; state: string; expires_at: number; lease_until: number | null }>(
        `SELECT j.seq, j.state, j.expires_at, c.lease_until FROM jobs j
         LEFT JOIN claims c ON c.job_seq = j.seq AND c.ended_at IS NULL WHERE j.id = ?`,
        jobId,
      );
      if (job === undefined) throw new CentralError("job-unknown", jobId);
      const unsettled = job.state === "claimed" && job.lease_until !== null && job.lease_until <= by.at;
      if (!unsettled && job.state !== "in-doubt") throw new CentralError("job-not-doubtful", jobId);
      if (decision === "held" && job.expires_at <= by.at) throw new CentralError("job-expired", jobId);
      this.db.run("UPDATE claims SET ended_at = ? WHERE job_seq = ? AND ended_at IS NULL", by.at, job.seq);
      const ended = decision === "printed" ? by.at : null;
      this.db.run("UPDATE jobs SET state = ?, ended_at = ? WHERE seq = ?", decision, ended, job.seq);
      this.forgetPasswords();
      this.record(by, "job-decided", { job: jobId, decision });
    });
  }

  async audit(limit: number): Promise<readonly AuditEntry[]> {
    return this.db
      .all<{ at: number; actor: string; event: string; detail: string }>(
        "SELECT at, actor, event, detail FROM audit ORDER BY seq DESC LIMIT ?",
        limit,
      )
      .map((row) => ({ ...row, detail: JSON.parse(row.detail) as AuditEntry["detail"] }));
  }

  async changes(): Promise<number> {
    // The first counts other connections' commits, the second our own (sqlite.org/pragma.html#pragma_data_version).
    const others = await this.changesByOthers();
    const own = this.db.get<{ n: number }>("SELECT total_changes() AS n")?.n ?? 0;
    return others * 2 ** 32 + own;
  }

  async changesByOthers(): Promise<number> {
    return this.db.get<{ data_version: number }>("PRAGMA data_version")?.data_version ?? 0;
  }

  async policyName(): Promise<PolicyName | undefined> {
    return this.policies.name();
  }

  async policy(name: PolicyName): Promise<SignedPolicy | undefined> {
    return this.policies.policy(name);
  }

  async root(version: number): Promise<RootEnvelope | undefined> {
    return this.policies.root(version);
  }

  async newestRoot(): Promise<number> {
    return this.policies.newestRoot();
  }

  async beginPolicies(by: By, root: RootEnvelope, policy: SignedPolicy): Promise<void> {
    this.db.atomic(() => {
      this.policies.clear();
      this.policies.addRoot(1, root, by.at);
      this.policies.addPolicy(policy, by.at);
    });
  }

  async publishPolicy(by: By, sign: (name: PolicyName, root: RootEnvelope | undefined) => Envelope): Promise<void> {
    this.db.atomic(() => {
      const newest = this.policies.newestRoot();
      const before = this.policies.name();
      const name = { root: newest, version: before?.root === newest ? before.version + 1 : 1 };
      this.policies.addPolicy({ ...name, envelope: sign(name, this.policies.root(newest)) }, by.at);
      this.record(by, "policy-published", { policy: `${name.root}.${name.version}` });
    });
  }

  async addRoot(by: By, version: number, root: RootEnvelope, policy: Envelope): Promise<void> {
    this.db.atomic(() => {
      this.policies.addRoot(version, root, by.at);
      this.policies.addPolicy({ root: version, version: 1, envelope: policy }, by.at);
      this.record(by, "root-rotated", { root: version });
    });
  }

  #userId(name: string): number | undefined {
    return this.db.get<{ id: number }>("SELECT id FROM users WHERE name = ?", name)?.id;
  }

  #knownUser(name: string): number {
    const id = this.#userId(name);
    if (id === undefined) throw new CentralError("user-unknown", name);
    return id;
  }
}
