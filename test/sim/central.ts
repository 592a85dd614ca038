import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { type LinkCode, LinkError } from "../../agent/link/link-error.ts";
import { rawFromPublicKey, seal } from "../../agent/protocol/envelope.ts";
import type {
  AgentClaims,
  Credential,
  Envelope,
  LeaseAnswer,
  Manifest,
  Outcome,
  OutcomeAnswer,
  Tap,
  TapAnswer,
} from "../../agent/protocol/schema.ts";
import type { Central } from "../../agent/release/ports.ts";

export type CentralMethod = "tap" | "document" | "outcome" | "claims" | "renewLease";

/** `reply-lost`: the server did it, and the answer never came. `hang`: no answer until the call is given up. */
export type CentralFault = LinkCode | "reply-lost" | "hang" | "ok";

export interface SimHeldJob {
  readonly jobId: string;
  readonly token: string;
  readonly document: Buffer;
  state: "held" | "claimed" | "printed" | "canceled" | "in-doubt";
  claim: SimClaim | undefined;
}

export interface SimClaim {
  readonly jobId: string;
  readonly claimId: string;
  readonly tapId: string;
  readonly printer: string;
}

export const FORMAT = "application/pdf";
const CHUNK = 4096;

const uuidOf = (kind: number, n: number): string => `0000000${kind}-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

/** A central server in memory with the claim rules of the built-in one, real signed manifests, and faults on demand. */
export class SimCentral implements Central {
  readonly agent = "pi";
  readonly manifestKey: string;
  /** Every call, in order. */
  readonly calls: string[] = [];
  readonly jobs: SimHeldJob[] = [];
  /** Every outcome that reached the server, with what it made of it. */
  readonly outcomes: (Outcome & { jobId: string; result: OutcomeAnswer["result"] })[] = [];
  leaseMs = 120_000;
  down = false;
  /** PINs by card token, the tokens of those who need theirs with the card, and the tokens by number of the person. */
  readonly pins = new Map<string, string>();
  readonly pinRequired = new Set<string>();
  readonly ids = new Map<string, string>();
  /** The credentials that came, in order. */
  readonly credentials: Credential[] = [];
  faults: Partial<Record<CentralMethod, CentralFault[]>> = {};
  /** Octets per piece of a document. */
  piece = 1500;
  /** What a hostile server does to a manifest, to its envelope, to a document's pieces. */
  forge: (manifest: Manifest) => object = (manifest) => manifest;
  tamper: (envelope: Envelope) => Envelope = (envelope) => envelope;
  swap: (document: Buffer) => Buffer = (document) => document;
  /** Documents that are being read now. */
  reading = 0;
  readonly #key: KeyObject;
  readonly #answers = new Map<string, TapAnswer>();
  #ids = 0;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    this.#key = privateKey;
    this.manifestKey = rawFromPublicKey(publicKey);
  }

  hold(token: string, document: Buffer): SimHeldJob {
    this.#ids += 1;
    const job: SimHeldJob = { jobId: uuidOf(1, this.#ids), token, document, state: "held", claim: undefined };
    this.jobs.push(job);
    return job;
  }

  /** The words of all outcomes for this job that the server took. */
  wordsOf(jobId: string): string[] {
    return this.outcomes.filter((outcome) => outcome.jobId === jobId).map(({ word }) => word);
  }

  tap(tap: Tap, signal?: AbortSignal): Promise<TapAnswer> {
    return this.#served("tap", signal, () => {
      const before = this.#answers.get(tap.tapId);
      if (before !== undefined) return before;
      this.credentials.push(tap.credential);
      const serverTime = "2026-01-01T00:00:00Z";
      const { credential } = tap;
      if (credential.kind === "card" && this.pinRequired.has(credential.token)) {
        return { result: "pin-needed", tapId: tap.tapId, serverTime };
      }
      const holder = credential.kind === "id-pin" ? this.ids.get(credential.id) : credential.token;
      const wrongPin = "pin" in credential && this.pins.get(holder ?? "") !== credential.pin;
      const owned = wrongPin ? [] : this.jobs.filter(({ token }) => token === holder);
      if (owned.length === 0) return { result: "refused", tapId: tap.tapId, serverTime };
      const jobs = owned.filter(({ state }) => state === "held").map((job) => this.#claim(job, tap));
      const answer = {
        result: "accepted",
        tapId: tap.tapId,
        displayName: "Ada",
        jobs,
        leaseMs: this.leaseMs,
        serverTime,
      } as const;
      this.#answers.set(tap.tapId, answer);
      return answer;
    });
  }

  async *document(jobId: string, claimId: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const bytes = await this.#served("document", signal, () => {
      const job = this.jobs.find((held) => held.jobId === jobId);
      if (job?.claim?.claimId !== claimId) throw new LinkError("link-claim-lost");
      return this.swap(job.document);
    });
    this.reading += 1;
    try {
      for (let at = 0; at < bytes.length; at += this.piece) {
        if (signal?.aborted === true) throw new LinkError("link-given-up");
        yield bytes.subarray(at, at + this.piece);
        await this.#met("document", signal, () => {});
      }
    } finally {
      this.reading -= 1;
    }
  }

  outcome(jobId: string, outcome: Outcome, signal?: AbortSignal): Promise<OutcomeAnswer> {
    return this.#served("outcome", signal, () => {
      const job = this.jobs.find((held) => held.jobId === jobId);
      if (job === undefined) throw new LinkError("link-claim-lost");
      const ours = job.claim?.claimId === outcome.claimId;
      const same = this.outcomes.some(({ claimId, word }) => claimId === outcome.claimId && word === outcome.word);
      const result = ours || same ? "settled" : "superseded";
      this.outcomes.push({ ...outcome, jobId, result });
      if (ours) this.#settle(job, outcome);
      return { claimId: outcome.claimId, result };
    });
  }

  claims(signal?: AbortSignal): Promise<AgentClaims> {
    return this.#served("claims", signal, () => {
      const open = this.jobs.filter(({ state }) => state === "claimed").map(({ claim }) => claim);
      return { claims: open.filter((claim) => claim !== undefined) };
    });
  }

  renewLease(jobId: string, claimId: string, signal?: AbortSignal): Promise<LeaseAnswer> {
    return this.#served("renewLease", signal, () => {
      const job = this.jobs.find((held) => held.jobId === jobId);
      if (job?.state !== "claimed" || job.claim?.claimId !== claimId) throw new LinkError("link-claim-lost");
      return { claimId, leaseMs: this.leaseMs };
    });
  }

  /** A person decides about a job that nobody answers for. */
  decide(job: SimHeldJob, state: "held" | "printed"): void {
    job.state = state;
    job.claim = undefined;
  }

  manifestOf(job: SimHeldJob, claim: SimClaim): Manifest {
    const { document, jobId } = job;
    const chunks = Array.from({ length: Math.ceil(document.length / CHUNK) }, (_, index) =>
      sha256(document.subarray(index * CHUNK, (index + 1) * CHUNK)),
    );
    return {
      ...{ kind: "manifest", jobId, claimId: claim.claimId, agent: this.agent, printer: claim.printer, user: "ada" },
      ...{ format: FORMAT, size: document.length, sha256: sha256(document), chunkSize: CHUNK, chunks },
      leaseUntil: "2026-01-01T00:02:00Z",
    };
  }

  #claim(job: SimHeldJob, { tapId, printer }: Tap): Envelope {
    this.#ids += 1;
    const claim: SimClaim = { jobId: job.jobId, claimId: uuidOf(2, this.#ids), tapId, printer };
    job.state = "claimed";
    job.claim = claim;
    return this.tamper(seal(this.forge(this.manifestOf(job, claim)), this.#key));
  }

  #settle(job: SimHeldJob, { word, state }: Outcome): void {
    if (word === "unknown") job.state = "in-doubt";
    else if (word === "printed") job.state = "printed";
    else job.state = state === "CANCELED" ? "canceled" : "held";
    if (job.state !== "in-doubt") job.claim = undefined;
  }

  async #served<T>(method: CentralMethod, signal: AbortSignal | undefined, work: () => T): Promise<T> {
    this.calls.push(method);
    return this.#met(method, signal, work);
  }

  /** Meets the next fault of this method, if there is one. */
  async #met<T>(method: CentralMethod, signal: AbortSignal | undefined, work: () => T): Promise<T> {
    await Promise.resolve();
    if (this.down) throw new LinkError("link-unreachable");
    const fault = this.faults[method]?.shift() ?? "ok";
    if (fault === "hang") await givenUp(signal);
    if (signal?.aborted === true) throw new LinkError("link-given-up");
    if (fault !== "ok" && fault !== "hang" && fault !== "reply-lost") throw new LinkError(fault);
    const answer = work();
    if (fault === "reply-lost") throw new LinkError("link-timeout", "the reply was lost");
    return answer;
  }
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function givenUp(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted === true) reject(new LinkError("link-given-up"));
    signal?.addEventListener("abort", () => reject(new LinkError("link-given-up")));
  });
}
