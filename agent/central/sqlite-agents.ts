import { CLAIM_MS } from "../protocol/claim.ts";
import type { AgentEntry, Approval, EnrolmentRow, KnownAgent, KnownEnrolment } from "./agent-store.ts";
import { CentralError } from "./central-error.ts";
import type { Sqlite } from "./sqlite.ts";
import type { Agent, AuditEntry, By } from "./store.ts";

/** Requests that nobody approved, or that were approved and never used, are forgotten after this. */
const FORGET_MS = 3_600_000;
const FORGET_APPROVED_MS = 7 * 86_400_000;
/** An old boot of a copied card speaks again within seconds, as a rule; a copy may also lie in a drawer. */
const BOOTS_MS = 30 * 86_400_000;
const MAX_BOOTS = 1000;

type Record = (by: By, event: string, detail: AuditEntry["detail"]) => void;

const REQUEST =
  "id, tls_key AS tlsKey, signing_key AS signingKey, sealing_key AS sealingKey, proof, address, requested_at AS requestedAt";

/** By the wall clock, which may have been set: a request from the future is as old as one from the past. */
const pending = "content IS NULL AND abs(? - requested_at) < ?";

/** Agents and requests to become one. Every method that changes something is called within a transaction. */
export class SqliteAgents {
  readonly #db: Sqlite;
  readonly #record: Record;

  constructor(db: Sqlite, record: Record) {
    this.#db = db;
    this.#record = record;
  }

  add(request: EnrolmentRow, limits: { address: number; all: number }): "added" | "full" | "over" {
    const { id, address, requestedAt: now } = request;
    this.#forget(now);
    // A replayed request of an agent that has been enrolled since.
    if (this.byKey(Buffer.from(id, "hex")) !== undefined) return "over";
    const waiting = this.pending(now);
    const here = waiting.filter((other) => other.address === address).length;
    if (waiting.length >= limits.all || here >= limits.address) return "full";
    this.#db.run(
      "INSERT INTO enrolments (id, tls_key, signing_key, sealing_key, proof, address, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      request.tlsKey,
      request.signingKey,
      request.sealingKey,
      request.proof,
      address,
      now,
    );
    this.#record({ actor: "central", at: now }, "enrolment-requested", { request: id.slice(0, 16), address });
    return "added";
  }

  #forget(now: number): void {
    this.#db.run("DELETE FROM enrolments WHERE content IS NULL AND abs(? - requested_at) >= ?", now, FORGET_MS);
    this.#db.run("DELETE FROM enrolments WHERE abs(? - requested_at) >= ?", now, FORGET_APPROVED_MS);
  }

  request(id: string): KnownEnrolment | undefined {
    return this.#db.get<KnownEnrolment>(
      `SELECT ${REQUEST}, content, approval_proof AS approvalProof FROM enrolments WHERE id = ?`,
      id,
    );
  }

  pending(now: number): EnrolmentRow[] {
    return this.#db.all<EnrolmentRow>(
      `SELECT ${REQUEST} FROM enrolments WHERE ${pending} ORDER BY requested_at, id`,
      now,
      CLAIM_MS,
    );
  }

  drop(by: By, ids: readonly string[]): void {
    for (const id of ids) this.#db.run("DELETE FROM enrolments WHERE id = ? AND content IS NULL", id);
    this.#record(by, "enrolments-dropped", { requests: ids.map((id) => id.slice(0, 16)) });
  }

  approve(by: By, approval: Approval): void {
    const { id, name, replace, certificateUntil, content, approvalProof } = approval;
    const request = this.#db.get<EnrolmentRow>(
      `SELECT ${REQUEST} FROM enrolments WHERE id = ? AND ${pending}`,
      id,
      by.at,
      CLAIM_MS,
    );
    if (request === undefined) throw new CentralError("claim-unknown");
    const before = this.#db.get<{ id: number }>("SELECT id FROM agents WHERE name = ?", name);
    if (before !== undefined && !replace) throw new CentralError("agent-exists", name);
    const keyHash = Buffer.from(id, "hex");
    const { signingKey, sealingKey } = request;
    if (before === undefined) {
      this.#db.run(
        `INSERT INTO agents (name, key_hash, added_at, certificate_until, signing_key, sealing_key)
         VALUES (?, ?, ?, ?, ?, ?)`,
        ...[name, keyHash, by.at, certificateUntil, signingKey, sealingKey],
      );
    } else {
      // The row stays, so that the device answers for the claims that it had under its old key.
      this.#db.run(
        `UPDATE agents SET key_hash = ?, next_key_hash = NULL, enabled = 1, certificate_until = ?,
           signing_key = ?, sealing_key = ?, boot_id = NULL, cloned_at = NULL WHERE id = ?`,
        ...[keyHash, certificateUntil, signingKey, sealingKey, before.id],
      );
      this.#db.run("DELETE FROM agent_boots WHERE agent_id = ?", before.id);
    }
    this.#db.run("UPDATE enrolments SET content = ?, approval_proof = ? WHERE id = ?", content, approvalProof, id);
    this.#record(by, before === undefined ? "agent-enrolled" : "agent-replaced", {
      agent: name,
      key: id.slice(0, 16),
      address: request.address,
    });
  }

  byKey(keyHash: Uint8Array): KnownAgent | undefined {
    const row = this.#db.get<Omit<KnownAgent, "enabled" | "byNextKey"> & { enabled: number; byNextKey: number }>(
      `SELECT id, name, enabled, cloned_at AS clonedAt, boot_id AS boot,
         key_hash <> ?1 AS byNextKey FROM agents WHERE key_hash = ?1 OR next_key_hash = ?1`,
      keyHash,
    );
    return row === undefined ? undefined : { ...row, enabled: row.enabled === 1, byNextKey: row.byNextKey === 1 };
  }

  offerKey(agent: Agent, keyHash: Uint8Array, certificateUntil: number, now: number): boolean {
    const owner = this.byKey(keyHash);
    if (owner !== undefined && owner.id !== agent.id) return false;
    this.#db.run("UPDATE agents SET certificate_until = ? WHERE id = ?", certificateUntil, agent.id);
    const renewsSame = owner?.byNextKey === false;
    if (!renewsSame) this.#db.run("UPDATE agents SET next_key_hash = ? WHERE id = ?", keyHash, agent.id);
    const key = Buffer.from(keyHash).toString("hex", 0, 8);
    this.#record(actorOf(agent, now), "certificate-renewed", { key, sameKey: renewsSame });
    return true;
  }

  changeKey(agent: Agent, now: number): void {
    const changed = this.#db.run(
      "UPDATE agents SET key_hash = next_key_hash, next_key_hash = NULL WHERE id = ? AND next_key_hash IS NOT NULL",
      agent.id,
    );
    if (changed > 0) this.#record(actorOf(agent, now), "agent-key-changed", {});
  }

  booted(agent: Agent, boot: string, now: number): "current" | "cloned" {
    const row = this.#db.get<{ boot: string | null }>("SELECT boot_id AS boot FROM agents WHERE id = ?", agent.id);
    if (row?.boot === boot) return "current";
    if (this.#db.get("SELECT 1 FROM agent_boots WHERE agent_id = ? AND boot_id = ?", agent.id, boot) !== undefined) {
      this.#db.run("UPDATE agents SET cloned_at = ? WHERE id = ? AND cloned_at IS NULL", now, agent.id);
      this.#record(actorOf(agent, now), "agent-cloned", { boots: [boot.slice(0, 8), row?.boot?.slice(0, 8)] });
      return "cloned";
    }
    this.#db.run("INSERT INTO agent_boots (agent_id, boot_id, first_seen) VALUES (?, ?, ?)", agent.id, boot, now);
    this.#db.run("UPDATE agents SET boot_id = ? WHERE id = ?", boot, agent.id);
    this.#db.run(
      `DELETE FROM agent_boots WHERE agent_id = ?1 AND boot_id <> ?2 AND (first_seen <= ?3 OR boot_id NOT IN
         (SELECT boot_id FROM agent_boots WHERE agent_id = ?1 ORDER BY first_seen DESC LIMIT ?4))`,
      ...[agent.id, boot, now - BOOTS_MS, MAX_BOOTS],
    );
    // It has its certificate: what it was sent to get it is not needed any more.
    this.#db.run("DELETE FROM enrolments WHERE id = (SELECT lower(hex(key_hash)) FROM agents WHERE id = ?)", agent.id);
    this.#record(actorOf(agent, now), "agent-booted", { boot: boot.slice(0, 8) });
    return "current";
  }

  revoke(by: By, name: string): void {
    const changed = this.#db.run("UPDATE agents SET enabled = 0 WHERE name = ?", name);
    if (changed === 0) throw new CentralError("agent-unknown", name);
    this.#record(by, "agent-revoked", { agent: name });
  }

  entries(): AgentEntry[] {
    return this.#db
      .all<Omit<AgentEntry, "enabled"> & { enabled: number }>(
        `SELECT name, enabled, added_at AS addedAt, certificate_until AS certificateUntil,
           cloned_at AS clonedAt FROM agents ORDER BY name`,
      )
      .map((row) => ({ ...row, enabled: row.enabled === 1 }));
  }
}

const actorOf = (agent: Agent, at: number): By => ({ actor: `agent:${agent.name}`, at });
