import type { Account } from "../protocol/account.ts";
import type { ReleaseMode } from "../protocol/policy.ts";
import type { RootEnvelope } from "../protocol/root.ts";
import type { Envelope, Outcome } from "../protocol/schema.ts";
import type { TicketAttributes } from "../protocol/ticket.ts";
import type { Agent, AgentStore, By } from "./agent-store.ts";
import type { PinHash } from "./pins.ts";

export type { Agent, By } from "./agent-store.ts";

/**
 * All that the central server remembers, behind one narrow door, so that another database can take SQLite's place.
 * Each method is one transaction; each that changes something writes its audit row in that transaction.
 * Times are milliseconds since the Unix epoch. Methods reject with a `CentralError` where they name one.
 */
export interface Store extends ReleaseStore, AgentStore, PolicyShelf {
  /** Another number whenever anybody has changed the database. */
  changes(): Promise<number>;
  /** `user-exists` */
  addUser(by: By, name: string, displayName: string): Promise<void>;
  /** `user-unknown` */
  enableUser(by: By, name: string, enabled: boolean): Promise<void>;
  /** `required`: a card alone is not enough; undefined: as it was. Ends a lock. True if it is required. `user-unknown` */
  setPin(by: By, user: string, pin: PinHash, required: boolean | undefined): Promise<boolean>;
  /** `user-unknown`, `pin-none` */
  clearPin(by: By, user: string): Promise<void>;
  /** Forgets wrong PINs, and ends a lock that they led to. `user-unknown` */
  unlock(by: By, user: string): Promise<void>;
  /** The number that a person without a card types; null: none. `user-unknown`, `id-taken` */
  setId(by: By, user: string, idToken: string | null): Promise<void>;
  /** `user-unknown`, `card-taken` */
  addCard(by: By, user: string, token: string): Promise<void>;
  /** `card-unknown` */
  removeCard(by: By, token: string): Promise<void>;
  /** `user-unknown` */
  addJob(by: By, job: NewJob): Promise<void>;
  /** Oldest first; `user-unknown`. */
  jobs(now: number, user?: string): Promise<readonly JobEntry[]>;
  /** What a person says about a job that is unsettled or in doubt: `job-unknown`, `job-not-doubtful`, `job-expired`. */
  decide(by: By, jobId: string, decision: Decision): Promise<void>;
  /** The newest rows first. */
  audit(limit: number): Promise<readonly AuditEntry[]>;
}

/** What the server asks while agents tap. */
export interface ReleaseStore {
  /** What a PIN typed with this credential is computed with; undefined where there is nobody, or no PIN. */
  pinOf(credential: { token: string } | { idToken: string }): Promise<Omit<PinHash, "hash"> | undefined>;
  claim(request: ClaimRequest): Promise<ClaimAnswer>;
  /** The agent's claims without an outcome, oldest first, at most `limit`. */
  claimsOf(agent: Agent, limit: number): Promise<readonly OpenClaim[]>;
  /** True if the claim is this agent's, open and within its lease: the document may be fetched under it. */
  mayFetch(claim: ClaimRef, now: number): Promise<boolean>;
  /** Prolongs an open claim of this agent, even one whose lease ran out, as long as nobody decided meanwhile. */
  renewLease(claim: ClaimRef, leaseUntil: number): Promise<boolean>;
  /** `documentDone`: nobody needs the document any more. The same word again may bring another account; nothing else of it changes. */
  settle(claim: ClaimRef, outcome: Outcome, now: number): Promise<Settlement>;
  /** Ends the held jobs whose time is over and forgets what ended longer ago than that; returns the ids of the expired. */
  expire(now: number, forgetAfterMs?: number): Promise<readonly string[]>;
  /** False for a document that no job needs: the job is unknown, ended, or its time is over and nobody works on it. */
  needsDocument(jobId: string, now: number): Promise<boolean>;
  close(): Promise<void>;
}

/** Root documents and policies. */
export interface PolicyShelf {
  policyName(): Promise<PolicyName | undefined>;
  policy(name: PolicyName): Promise<SignedPolicy | undefined>;
  root(version: number): Promise<RootEnvelope | undefined>;
  /** The newest root's version; 0 in a site that is older than policies. */
  newestRoot(): Promise<number>;
  /** The first root and policy of a site that is just being made. */
  beginPolicies(by: By, root: RootEnvelope, policy: SignedPolicy): Promise<void>;
  /** `sign` is given the next name, under the newest root, and that root. */
  publishPolicy(by: By, sign: (name: PolicyName, root: RootEnvelope | undefined) => Envelope): Promise<void>;
  /** The next root together with the first policy under it. `root-not-next` */
  addRoot(by: By, version: number, root: RootEnvelope, policy: Envelope): Promise<void>;
}

/** A policy's version, under its root's. */
export interface PolicyName {
  readonly root: number;
  readonly version: number;
}

export interface SignedPolicy extends PolicyName {
  readonly envelope: Envelope;
}

export type Decision = "held" | "printed";

/** What the policy says of a tap. */
export interface TapRules {
  readonly mode: ReleaseMode;
  /** So many wrong PINs lock a person. */
  readonly pinTries: number;
  readonly pinLockMs: number;
}

export interface ClaimRequest {
  readonly agent: Agent;
  readonly tapId: string;
  /** A keyed hash of the whole tap: another tap under the same id is told apart by it. */
  readonly tapHash: Uint8Array;
  readonly credential: PresentedCredential;
  readonly reader: string;
  readonly printer: string;
  readonly now: number;
  readonly leaseUntil: number;
  readonly limits: { readonly jobs: number; readonly chunks: number };
  /** What holds where there is no policy, unless it says otherwise. */
  readonly rules?: TapRules;
}

/** A credential without anything that a person typed. `proof` is to be compared with the hash of the stored PIN. */
export type PresentedCredential =
  | { readonly kind: "card"; readonly token: string }
  | { readonly kind: "card-pin"; readonly token: string; readonly proof: Uint8Array }
  | { readonly kind: "id-pin"; readonly idToken: string; readonly proof: Uint8Array };

export type ClaimAnswer =
  | {
      readonly result: "accepted";
      readonly user: string;
      readonly displayName: string;
      readonly claims: readonly Claim[];
    }
  | { readonly result: "refused" }
  /** The card is known and its person must type the PIN, too. */
  | { readonly result: "pin-needed" }
  /** The tap id was used for another tap, or by another agent. */
  | { readonly result: "reused" };

export interface Document {
  readonly format: string;
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly chunkSize: number;
  /** The chunks' SHA-256, 32 octets each, in order. */
  readonly chunks: Uint8Array;
}

export interface Claim extends Document, JobTicket {
  readonly claimId: string;
  readonly jobId: string;
}

export interface JobTicket {
  readonly ticket?: TicketAttributes | undefined;
  /** Sealed by `JobPasswords`. */
  readonly jobPassword?: Uint8Array | undefined;
}

export interface OpenClaim {
  readonly jobId: string;
  readonly claimId: string;
  readonly tapId: string;
  readonly printer: string;
}

export interface ClaimRef {
  readonly jobId: string;
  readonly claimId: string;
  readonly agent: Agent;
}

export interface Settlement {
  readonly result: "settled" | "superseded";
  readonly documentDone: boolean;
}

export interface NewJob extends Document, JobTicket {
  readonly id: string;
  readonly user: string;
  readonly title: string;
  readonly expiresAt: number;
}

/**
 * held ─claim─► claimed ─printed─► printed · ─canceled at the panel─► canceled · ─not printed─► held
 *               claimed ─unknown─► in-doubt; claimed past its lease shows as unsettled
 * held past its time: expired. unsettled and in-doubt: the agent's later word, or a person's decision.
 */
export type JobState = "held" | "claimed" | "unsettled" | "in-doubt" | "printed" | "canceled" | "expired";

export interface JobEntry {
  readonly id: string;
  readonly user: string;
  readonly title: string;
  readonly format: string;
  readonly size: number;
  readonly state: JobState;
  readonly submittedAt: number;
  readonly expiresAt: number;
  /** Where it was last claimed. */
  readonly agent: string | null;
  readonly printer: string | null;
  /** What was said of that claim's end: a code, and what it is about. */
  readonly reason: string | null;
  readonly detail: string | null;
  readonly ticket: TicketAttributes | null;
  /** It asks for a password at the printer's panel. */
  readonly hasPassword: boolean;
  /** What the printer said at the end of that claim; null: nothing. */
  readonly impressions: number | null;
  readonly sheets: number | null;
  /** As the agent told it last; null: it told none. */
  readonly account: Account | null;
}

export interface AuditEntry {
  readonly at: number;
  readonly actor: string;
  readonly event: string;
  readonly detail: Readonly<Record<string, unknown>>;
}
