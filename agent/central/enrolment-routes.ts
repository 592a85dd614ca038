import { createHash, type KeyObject, X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type Clock, isoTime } from "../../drivers/clock.ts";
import type { Log } from "../../drivers/log.ts";
import { CLAIM_MS } from "../protocol/claim.ts";
import {
  type CertificateAnswer,
  CertificateRequest,
  type EnrolmentAnswer,
  type EnrolmentOffer,
  EnrolmentRequest,
} from "../protocol/enrolment.ts";
import type { AgentStore, EnrolmentRow } from "./agent-store.ts";
import { certifyAgent, keyOfRequest } from "./certificates.ts";
import { type Answer, readJson } from "./http.ts";
import type { SiteKeys } from "./keys.ts";
import { RateLimit } from "./rate-limit.ts";
import type { Agent } from "./store.ts";

/** Requests that wait for a person. Whoever fills these keeps new agents out for a quarter of an hour, and lets none in. */
const WAITING = { address: 16, all: 32 };
/** An agent asks every two seconds; a whole fleet may be behind one address. Each costs the check of a signature, half a millisecond. */
const ASKS = { perSecond: 20, burst: 100 };
const ALL_ASKS = { perSecond: 100, burst: 200 };
/** An agent renews once in 60 days. */
const RENEWALS = { perSecond: 1 / 60, burst: 5 };

/** How agents come by their certificates. */
export class EnrolmentRoutes {
  readonly #store: AgentStore;
  readonly #keys: SiteKeys;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #asks = new RateLimit(ASKS.perSecond, ASKS.burst);
  readonly #allAsks = new RateLimit(ALL_ASKS.perSecond, ALL_ASKS.burst);
  readonly #renewals = new RateLimit(RENEWALS.perSecond, RENEWALS.burst);

  constructor(parts: { store: AgentStore; keys: SiteKeys; clock: Clock; log: Log }) {
    this.#store = parts.store;
    this.#keys = parts.keys;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  offer(request: IncomingMessage): Answer {
    const { authority: ca, keyPins } = this.#keys;
    return this.#tooMany(request) ?? { json: { ca, keyPins: [...keyPins] } satisfies EnrolmentOffer };
  }

  async enrol(request: IncomingMessage): Promise<Answer> {
    const tooMany = this.#tooMany(request);
    if (tooMany !== undefined) return tooMany;
    const body = await readJson(request, EnrolmentRequest);
    if ("problem" in body) return body;
    const { csr, signingKey, sealingKey, proof } = body.value;
    const now = this.#clock.wall();
    const key = await this.#newKey(csr);
    if ("problem" in key) return key;
    const { id, tlsKey } = key;
    const known = await this.#store.enrolment(id);
    if (known === undefined) {
      const row: EnrolmentRow = {
        ...{ id, tlsKey, signingKey, sealingKey, proof },
        ...{ address: addressOf(request), requestedAt: now },
      };
      const result = await this.#store.addEnrolment(row, WAITING);
      if (result === "full") return { problem: "too-many-requests", retryAfterMs: 60_000 };
      if (result === "over") return { problem: "enrolment-over" };
      this.#log.info({ request: id.slice(0, 16), address: row.address }, "a device asks to be enrolled");
      return { json: { state: "pending", id, expiresInMs: CLAIM_MS } satisfies EnrolmentAnswer };
    }
    const same = known.signingKey === signingKey && known.sealingKey === sealingKey && known.proof === proof;
    if (!same) return { problem: "enrolment-changed" };
    if (known.content !== null && known.approvalProof !== null) {
      const content = Buffer.from(known.content).toString("base64url");
      return { json: { state: "approved", id, content, proof: known.approvalProof } satisfies EnrolmentAnswer };
    }
    const age = Math.abs(now - known.requestedAt);
    if (age >= CLAIM_MS) return { problem: "enrolment-over" };
    return { json: { state: "pending", id, expiresInMs: CLAIM_MS - age } satisfies EnrolmentAnswer };
  }

  /** A certificate for an agent that has one. */
  async renew(request: IncomingMessage, agent: Agent): Promise<Answer> {
    const wait = this.#renewals.take(agent.name, this.#clock.monotonic());
    if (wait > 0) return { problem: "too-many-requests", retryAfterMs: wait };
    const body = await readJson(request, CertificateRequest);
    if ("problem" in body) return body;
    const key = await this.#newKey(body.value.csr);
    if ("problem" in key) return key;
    const now = this.#clock.wall();
    const certificate = await certifyAgent(this.#keys.agentsAuthority, key.publicKey, agent.name, now);
    const until = new X509Certificate(certificate).validToDate.getTime();
    // The answer goes out after the key is known: whoever has the certificate can use it.
    const taken = await this.#store.offerKey(agent, Buffer.from(key.id, "hex"), until, now);
    if (!taken) return { problem: "enrolment-changed" };
    this.#log.info({ agent: agent.name, until: new Date(until).toISOString() }, "a certificate was renewed");
    return { json: { certificate, serverTime: isoTime(this.#clock) } satisfies CertificateAnswer };
  }

  async #newKey(
    csr: string,
  ): Promise<{ publicKey: KeyObject; tlsKey: Buffer; id: string } | { problem: "csr-invalid" }> {
    const publicKey = await keyOfRequest(Buffer.from(csr, "base64url"));
    if (publicKey === undefined) return { problem: "csr-invalid" };
    const tlsKey = publicKey.export({ type: "spki", format: "der" });
    return { publicKey, tlsKey, id: createHash("sha256").update(tlsKey).digest("hex") };
  }

  #tooMany(request: IncomingMessage): Answer | undefined {
    const now = this.#clock.monotonic();
    // The address first: one that asks too much takes nothing of what all others share.
    const wait = this.#asks.take(addressOf(request), now) || this.#allAsks.take("all", now);
    return wait > 0 ? { problem: "too-many-requests", retryAfterMs: wait } : undefined;
  }
}

const addressOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? "unknown";
