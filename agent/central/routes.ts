import type { IncomingMessage } from "node:http";
import { type Clock, isoTime } from "../../drivers/clock.ts";
import type { Log } from "../../drivers/log.ts";
import { seal } from "../protocol/envelope.ts";
import { CLAIM_HEADER, paths } from "../protocol/paths.ts";
import type { ProblemCode } from "../protocol/problems.ts";
import {
  type AgentClaims,
  type AgentSelf,
  type Credential,
  type LeaseAnswer,
  LeaseRenewal,
  MAX_JSON_BYTES,
  type Manifest,
  Outcome,
  type OutcomeAnswer,
  Tap,
  type TapAnswer,
  Uuid,
} from "../protocol/schema.ts";
import type { TicketPolicy } from "../protocol/ticket.ts";
import type { Documents } from "./documents.ts";
import { EnrolmentRoutes } from "./enrolment-routes.ts";
import type { EventHub } from "./event-hub.ts";
import { type Answer, readJson } from "./http.ts";
import { JobPasswords } from "./job-passwords.ts";
import type { SiteKeys } from "./keys.ts";
import { Peers } from "./peers.ts";
import { Pins } from "./pins.ts";
import type { PolicyBook } from "./policy-book.ts";
import { RateLimit } from "./rate-limit.ts";
import type { Agent, Claim, ClaimRef, PresentedCredential, Store } from "./store.ts";

/** Numbers of the server that tests and the bench may set; each has its default in `DEFAULT_LIMITS`. */
export interface Limits {
  /** How long a claim lasts without a renewal. */
  readonly leaseMs: number;
  /** Taps of one agent: at once, and in the long run. */
  readonly tapBurst: number;
  readonly tapsPerSecond: number;
  /** Of these, those with a PIN: each costs much more than a card alone, and nobody types faster. */
  readonly pinBurst: number;
  readonly pinsPerSecond: number;
  /** Outcomes and renewals of one agent. */
  readonly reportsPerSecond: number;
  /** Refused requests from one address: without a certificate, or with one that must not be used. */
  readonly strangersPerSecond: number;
}

export const DEFAULT_LIMITS: Limits = {
  leaseMs: 300_000,
  tapBurst: 40,
  tapsPerSecond: 20,
  pinBurst: 10,
  pinsPerSecond: 2,
  reportsPerSecond: 100,
  strangersPerSecond: 5,
};

const JOBS_PER_TAP = 20;
/** As many as the schema of `AgentClaims` takes. */
const MAX_CLAIMS = 1000;
/** A chunk's hash takes 67 octets in a manifest, a third more in its envelope; a fifth of the limit is for the rest. */
const CHUNKS_PER_TAP = Math.floor((MAX_JSON_BYTES * 0.8) / (67 * (4 / 3)));

const ROOT_PATH = /^\/v1\/root\/([1-9][0-9]{0,8})$/;
const JOB_PATH = /^\/v1\/jobs\/([^/]+)\/(document|outcome|lease)$/;

/** What the protocol's paths do. Knows nothing of sockets: a request in, an answer out. */
export class Routes {
  readonly #store: Store;
  readonly #documents: Documents;
  readonly #keys: SiteKeys;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #leaseMs: number;
  readonly #pins: Pins;
  readonly #jobPasswords: JobPasswords;
  readonly #policies: PolicyBook;
  readonly #hub: EventHub;
  readonly #taps: RateLimit;
  readonly #pinTaps: RateLimit;
  readonly #reports: RateLimit;
  readonly #strangers: RateLimit;
  readonly #enrolment: EnrolmentRoutes;
  readonly peers: Peers;
  #openapi: object | undefined;

  constructor(parts: {
    store: Store;
    documents: Documents;
    keys: SiteKeys;
    policies: PolicyBook;
    hub: EventHub;
    clock: Clock;
    log: Log;
    limits: Limits;
  }) {
    const { limits } = parts;
    this.#store = parts.store;
    this.#enrolment = new EnrolmentRoutes(parts);
    this.peers = new Peers(parts.keys.agentsAuthority.certificate, parts.store, parts.clock);
    this.#documents = parts.documents;
    this.#keys = parts.keys;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#leaseMs = limits.leaseMs;
    this.#pins = new Pins(parts.keys.manifestKey);
    this.#jobPasswords = new JobPasswords(parts.keys.manifestKey);
    this.#policies = parts.policies;
    this.#hub = parts.hub;
    this.#taps = new RateLimit(limits.tapsPerSecond, limits.tapBurst);
    this.#pinTaps = new RateLimit(limits.pinsPerSecond, limits.pinBurst);
    this.#reports = new RateLimit(limits.reportsPerSecond, limits.reportsPerSecond);
    this.#strangers = new RateLimit(limits.strangersPerSecond, limits.strangersPerSecond);
  }

  async answer(request: IncomingMessage): Promise<Answer> {
    const { url = "", method = "" } = request;
    if (url === paths.openapi) return method === "GET" ? { json: await this.#description() } : METHOD_NOT_ALLOWED;
    if (url === paths.enrolment) return method === "GET" ? this.#enrolment.offer(request) : METHOD_NOT_ALLOWED;
    if (url === paths.enrolments) return method === "POST" ? this.#enrolment.enrol(request) : METHOD_NOT_ALLOWED;
    const renewing = url === paths.certificate || url === paths.self;
    const known = await this.peers.agentOf(request, renewing);
    if ("problem" in known) return this.#refuseStranger(request, known.problem);
    const { agent } = known;
    if (url === paths.taps) return method === "POST" ? this.#tap(request, agent) : METHOD_NOT_ALLOWED;
    if (url === paths.self) return method === "GET" ? this.#self(agent) : METHOD_NOT_ALLOWED;
    if (url === paths.claims) return method === "GET" ? this.#claims(agent) : METHOD_NOT_ALLOWED;
    if (url === paths.certificate)
      return method === "POST" ? this.#enrolment.renew(request, agent) : METHOD_NOT_ALLOWED;
    if (url === paths.events) return method === "GET" ? this.#events(request, agent) : METHOD_NOT_ALLOWED;
    if (url === paths.policy) return method === "GET" ? this.#policy(request) : METHOD_NOT_ALLOWED;
    const [, root] = ROOT_PATH.exec(url) ?? [];
    if (root !== undefined) return method === "GET" ? this.#root(Number(root)) : METHOD_NOT_ALLOWED;
    const [, jobId, part] = JOB_PATH.exec(url) ?? [];
    if (jobId === undefined || !Uuid.safeParse(jobId).success) return { problem: "not-found" };
    if (method !== (part === "document" ? "GET" : "POST")) return METHOD_NOT_ALLOWED;
    if (part === "document") return this.#document(request, agent, jobId);
    return part === "outcome" ? this.#outcome(request, agent, jobId) : this.#lease(request, agent, jobId);
  }

  #refuseStranger(request: IncomingMessage, problem: ProblemCode): Answer {
    const address = request.socket.remoteAddress ?? "unknown";
    const wait = this.#strangers.take(address, this.#clock.monotonic());
    if (wait > 0) return { problem: "too-many-requests", retryAfterMs: wait };
    this.#log.warn({ address, problem }, "a request of somebody who is no agent, or must not be one now");
    return { problem };
  }

  async #tap(request: IncomingMessage, agent: Agent): Promise<Answer> {
    const wait = this.#taps.take(agent.name, this.#clock.monotonic());
    if (wait > 0) return { problem: "too-many-requests", retryAfterMs: wait };
    const body = await readJson(request, Tap);
    if ("problem" in body) return body;
    const tap = body.value;
    let presented: PresentedCredential;
    if (tap.credential.kind === "card") presented = tap.credential;
    else {
      const pinWait = this.#pinTaps.take(agent.name, this.#clock.monotonic());
      if (pinWait > 0) return { problem: "too-many-requests", retryAfterMs: pinWait };
      presented = await this.#withProof(tap.credential);
    }
    const { release, pin, ticket } = await this.#policies.settings();
    const now = this.#clock.wall();
    const leaseUntil = now + this.#leaseMs;
    const claimed = await this.#store.claim({
      agent,
      tapId: tap.tapId,
      tapHash: this.#pins.digest(JSON.stringify(tap)),
      credential: presented,
      reader: tap.reader,
      printer: tap.printer,
      now,
      leaseUntil,
      limits: { jobs: JOBS_PER_TAP, chunks: CHUNKS_PER_TAP },
      rules: {
        mode: release.newest_at.includes(agent.name) ? "newest" : release.mode,
        pinTries: pin.tries,
        pinLockMs: pin.lock_min * 60_000,
      },
    });
    const serverTime = new Date(now).toISOString();
    const { tapId, reader, printer, credential } = tap;
    const seen = { agent: agent.name, reader, printer, tap: tapId, credential: credential.kind };
    switch (claimed.result) {
      case "reused":
        this.#log.warn(seen, "a tap id was used twice");
        return { problem: "tap-id-reused" };
      case "refused":
      case "pin-needed": {
        const { result } = claimed;
        this.#log.info({ ...seen, result }, "tap refused");
        return { json: { result, tapId, serverTime } satisfies TapAnswer };
      }
      case "accepted": {
        const { user, displayName, claims } = claimed;
        this.#log.info({ ...seen, jobs: claims.length }, "tap accepted");
        const common = {
          agent: agent.name,
          printer,
          user,
          leaseUntil: new Date(leaseUntil).toISOString(),
        };
        const unsupported = ticket.drop_at.includes(agent.name) ? "drop" : ticket.unsupported;
        const jobs = claims.map((claim) => seal(manifestOf(claim, unsupported, common), this.#keys.manifestKey));
        const answer: TapAnswer = {
          ...{ result: "accepted", tapId, displayName, jobs, leaseMs: this.#leaseMs, serverTime },
          ...this.#passwordsOf(claims),
        };
        return { json: answer };
      }
    }
  }

  /** A password that does not open is left out; the agent then holds the job, because its manifest says that there is one. */
  #passwordsOf(claims: readonly Claim[]): Pick<Extract<TapAnswer, { result: "accepted" }>, "jobPasswords"> {
    const jobPasswords = claims.flatMap(({ claimId, jobId, jobPassword }) => {
      if (jobPassword === undefined) return [];
      const password = this.#jobPasswords.open(jobId, jobPassword);
      if (password === undefined) this.#log.error({ job: jobId }, "a job-password does not open with this site's keys");
      return password === undefined ? [] : [{ claimId, password }];
    });
    return jobPasswords.length === 0 ? {} : { jobPasswords };
  }

  /** Takes as long for an unknown person as for a known one with a wrong PIN. */
  async #withProof(credential: Exclude<Credential, { kind: "card" }>): Promise<PresentedCredential> {
    switch (credential.kind) {
      case "card-pin": {
        const { kind, token, pin } = credential;
        return { kind, token, proof: await this.#proofOf(pin, { token }) };
      }
      case "id-pin": {
        const { kind, id, pin } = credential;
        const idToken = this.#pins.idToken(id);
        return { kind, idToken, proof: await this.#proofOf(pin, { idToken }) };
      }
    }
  }

  async #proofOf(pin: string, of: Parameters<Store["pinOf"]>[0]): Promise<Uint8Array> {
    return (await this.#pins.compute(pin, await this.#store.pinOf(of))).hash;
  }

  async #document(request: IncomingMessage, agent: Agent, jobId: string): Promise<Answer> {
    const claimId = Uuid.safeParse(request.headers[CLAIM_HEADER]);
    if (!claimId.success) return { problem: "claim-over" };
    const claim: ClaimRef = { jobId, claimId: claimId.data, agent };
    if (!(await this.#store.mayFetch(claim, this.#clock.wall()))) return { problem: "claim-over" };
    const document = await this.#documents.open(jobId);
    if (document !== undefined) return { document };
    this.#log.error({ job: jobId }, "the document of a claimed job is missing");
    return { problem: "document-gone" };
  }

  async #outcome(request: IncomingMessage, agent: Agent, jobId: string): Promise<Answer> {
    const body = await this.#report(request, agent, Outcome);
    if ("problem" in body) return body;
    const outcome = body.value;
    const claim = { jobId, claimId: outcome.claimId, agent };
    const { result, documentDone } = await this.#store.settle(claim, outcome, this.#clock.wall());
    // The sweep tries again if this fails; the outcome itself is safe.
    if (documentDone) {
      await this.#documents.remove(jobId).catch((error: unknown) => {
        this.#log.error({ job: jobId, error: String(error) }, "a document could not be removed");
      });
    }
    this.#log.info({ agent: agent.name, job: jobId, word: outcome.word, state: outcome.state, result }, "outcome");
    return { json: { claimId: outcome.claimId, result } satisfies OutcomeAnswer };
  }

  async #lease(request: IncomingMessage, agent: Agent, jobId: string): Promise<Answer> {
    const body = await this.#report(request, agent, LeaseRenewal);
    if ("problem" in body) return body;
    const claim = { jobId, claimId: body.value.claimId, agent };
    const renewed = await this.#store.renewLease(claim, this.#clock.wall() + this.#leaseMs);
    return renewed
      ? { json: { claimId: claim.claimId, leaseMs: this.#leaseMs } satisfies LeaseAnswer }
      : { problem: "claim-over" };
  }

  async #report<T>(request: IncomingMessage, agent: Agent, schema: Parameters<typeof readJson<T>>[1]) {
    const wait = this.#reports.take(agent.name, this.#clock.monotonic());
    if (wait > 0) return { problem: "too-many-requests", retryAfterMs: wait } as const;
    return readJson(request, schema);
  }

  #self(agent: Agent): Answer {
    const serverTime = isoTime(this.#clock);
    return { json: { name: agent.name, serverTime } satisfies AgentSelf };
  }

  #events(request: IncomingMessage, agent: Agent): Answer {
    const last = request.headers["last-event-id"];
    const lastEventId = typeof last === "string" ? last : undefined;
    return { stream: (response) => this.#hub.follow(agent.name, response, lastEventId) };
  }

  async #policy(request: IncomingMessage): Promise<Answer> {
    const current = await this.#policies.current();
    if (current === undefined) return { problem: "policy-none" };
    const etag = `"${current.hash.slice(0, 32)}"`;
    return request.headers["if-none-match"] === etag ? { unchanged: etag } : { json: current.envelope, etag };
  }

  async #root(version: number): Promise<Answer> {
    const envelope = await this.#policies.root(version);
    return envelope === undefined ? { problem: "policy-none" } : { json: envelope };
  }

  async #claims(agent: Agent): Promise<Answer> {
    const claims = await this.#store.claimsOf(agent, MAX_CLAIMS);
    return { json: { claims: claims.map((claim) => ({ ...claim })) } satisfies AgentClaims };
  }

  async #description(): Promise<object> {
    this.#openapi ??= (await import("../protocol/openapi.ts")).openapi();
    return this.#openapi;
  }
}

const METHOD_NOT_ALLOWED: Answer = { problem: "method-not-allowed" };

type Common = Pick<Manifest, "agent" | "printer" | "user" | "leaseUntil">;

function manifestOf(claim: Claim, unsupported: TicketPolicy, common: Common): Manifest {
  const { jobId, claimId, format, size, sha256, chunkSize } = claim;
  const password = claim.jobPassword === undefined ? {} : ({ "job-password": true } as const);
  const wanted = { ...claim.ticket, ...password };
  const ticket = Object.keys(wanted).length === 0 ? {} : { ticket: { ...wanted, unsupported } };
  const digests = Buffer.from(claim.chunks);
  const chunks: string[] = [];
  for (let at = 0; at < digests.length; at += 32) chunks.push(digests.toString("hex", at, at + 32));
  return { kind: "manifest", jobId, claimId, format, size, sha256, chunkSize, chunks, ...ticket, ...common };
}
