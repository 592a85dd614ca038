import { timingSafeEqual } from "node:crypto";
import {
  afterWrong,
  asOf,
  type Guesses,
  isLocked,
  NO_GUESSES,
  PERSON_RULE,
  READER_RULE,
  type Rule,
} from "./lockout.ts";
import type { PinHash } from "./pins.ts";
import type { Sqlite } from "./sqlite.ts";
import type { PresentedCredential } from "./store.ts";

export interface Person {
  readonly id: number;
  readonly name: string;
  readonly display_name: string;
}

/** Who presents a credential, or why it is nobody: `why` is for the audit alone. */
export type Judgement =
  | { readonly result: "known"; readonly person: Person }
  | { readonly result: "refused" | "pin-needed"; readonly why: string };

interface PersonRow extends Person {
  readonly enabled: number;
  readonly required: number | null;
  readonly hash: Uint8Array | null;
  readonly salt: Uint8Array | null;
  readonly cost_n: number;
  readonly cost_r: number;
  readonly cost_p: number;
}

const PERSON = `u.id, u.name, u.display_name, u.enabled, p.required, p.hash, p.salt, p.cost_n, p.cost_r, p.cost_p`;
const BY_CARD = `SELECT ${PERSON} FROM cards c JOIN users u ON u.id = c.user_id LEFT JOIN pins p ON p.user_id = u.id WHERE c.token = ?`;
const BY_ID = `SELECT ${PERSON} FROM users u LEFT JOIN pins p ON p.user_id = u.id WHERE u.id_token = ?`;

/** People, as what they present at a reader tells. Every method is called within a transaction, or reads alone. */
export class SqlitePeople {
  readonly #db: Sqlite;

  constructor(db: Sqlite) {
    this.#db = db;
  }

  /** What a PIN typed with this credential is to be computed with; undefined where there is nobody, or no PIN. */
  pinOf(credential: { readonly token: string } | { readonly idToken: string }): Omit<PinHash, "hash"> | undefined {
    const row =
      "token" in credential
        ? this.#db.get<PersonRow>(BY_CARD, credential.token)
        : this.#db.get<PersonRow>(BY_ID, credential.idToken);
    if (row === undefined || row.salt === null) return undefined;
    return { salt: row.salt, cost: { N: row.cost_n, r: row.cost_r, p: row.cost_p } };
  }

  /** Counts a wrong PIN. `reader` names it among all readers of all agents. */
  judge(credential: PresentedCredential, reader: string, now: number, rule: Rule = PERSON_RULE): Judgement {
    switch (credential.kind) {
      case "card": {
        const row = this.#db.get<PersonRow>(BY_CARD, credential.token);
        if (row === undefined) return { result: "refused", why: "unknown card" };
        if (row.enabled !== 1) return { result: "refused", why: "disabled user" };
        return row.required === 1
          ? { result: "pin-needed", why: "a PIN is required" }
          : { result: "known", person: row };
      }
      case "card-pin": {
        const row = this.#db.get<PersonRow>(BY_CARD, credential.token);
        return this.#judgePin(row, credential.proof, "unknown card", reader, now, rule);
      }
      case "id-pin": {
        const row = this.#db.get<PersonRow>(BY_ID, credential.idToken);
        return this.#judgePin(row, credential.proof, "unknown ID", reader, now, rule);
      }
    }
  }

  /** The same statements run whoever it is: how long a refusal takes must not tell why. */
  #judgePin(
    row: PersonRow | undefined,
    proof: Uint8Array,
    unknown: string,
    reader: string,
    now: number,
    rule: Rule,
  ): Judgement {
    const subject = `${row?.id ?? "nobody"}`;
    const [person, place] = [
      this.#guesses("person", subject, now, rule),
      this.#guesses("reader", reader, now, READER_RULE),
    ];
    const right = row !== undefined && isRight(row, proof);
    const refused = (why: string): Judgement => ({ result: "refused", why });
    if (isLocked(place, READER_RULE, now)) return refused("the reader is locked");
    if (isLocked(person, rule, now)) return refused("the person is locked");
    if (!right) {
      this.#keep("reader", reader, afterWrong(place, READER_RULE, now));
      // Nobody's guesses are written as a person's are, and never count.
      this.#keep("person", subject, row === undefined ? NO_GUESSES : afterWrong(person, rule, now));
      if (row === undefined) return refused(unknown);
      return refused(row.hash === null ? "no PIN is set" : "wrong PIN");
    }
    this.forgetGuesses(row.id);
    return row.enabled === 1 ? { result: "known", person: row } : refused("disabled user");
  }

  #guesses(kind: "person" | "reader", subject: string, now: number, rule: Rule): Guesses {
    const kept = this.#db.get<Guesses>(
      "SELECT wrong, since, locks, locked_at AS lockedAt FROM lockouts WHERE kind = ? AND subject = ?",
      kind,
      subject,
    );
    if (kept === undefined) return NO_GUESSES;
    const current = asOf(kept, rule, now);
    // A clock that was set back is met once; from then on the lock runs out by the new time.
    if (current.lockedAt !== kept.lockedAt) this.#keep(kind, subject, current);
    return current;
  }

  #keep(kind: "person" | "reader", subject: string, { wrong, since, locks, lockedAt }: Guesses): void {
    this.#db.run(
      "INSERT OR REPLACE INTO lockouts (kind, subject, wrong, since, locks, locked_at) VALUES (?, ?, ?, ?, ?, ?)",
      kind,
      subject,
      wrong,
      since,
      locks,
      lockedAt,
    );
  }

  /** True if there was a lock or a wrong PIN to be forgotten. */
  forgetGuesses(userId: number): boolean {
    return this.#db.run("DELETE FROM lockouts WHERE kind = 'person' AND subject = ?", `${userId}`) > 0;
  }

  /** Readers that nobody guessed at for long. */
  forgetReaders(before: number): void {
    this.#db.run("DELETE FROM lockouts WHERE kind = 'reader' AND since <= ?", before);
  }

  pinIsRequired(userId: number): boolean {
    return this.#db.get("SELECT 1 FROM pins WHERE user_id = ? AND required = 1", userId) !== undefined;
  }

  setPin(userId: number, { hash, salt, cost }: PinHash, required: boolean, now: number): void {
    this.#db.run(
      "INSERT OR REPLACE INTO pins (user_id, hash, salt, cost_n, cost_r, cost_p, required, set_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      userId,
      hash,
      salt,
      cost.N,
      cost.r,
      cost.p,
      required ? 1 : 0,
      now,
    );
    this.forgetGuesses(userId);
  }

  /** False if there was none. */
  clearPin(userId: number): boolean {
    this.forgetGuesses(userId);
    return this.#db.run("DELETE FROM pins WHERE user_id = ?", userId) > 0;
  }

  /** False if the number is another person's. */
  setId(userId: number, idToken: string | null): boolean {
    if (this.#db.get("SELECT 1 FROM users WHERE id_token = ? AND id <> ?", idToken, userId)) return false;
    this.#db.run("UPDATE users SET id_token = ? WHERE id = ?", idToken, userId);
    return true;
  }
}

/** A PIN that was changed since the proof was computed has another salt, and so another hash. */
function isRight({ hash }: PersonRow, proof: Uint8Array): boolean {
  return hash !== null && timingSafeEqual(hash, proof);
}
