import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type * as z from "zod/mini";
import type { HttpRequest } from "../../drivers/transports/http-client.ts";
import { KeyPinMismatch, keyPinOf, openTls } from "../../drivers/transports/tls.ts";
import { CertificateAnswer } from "../protocol/enrolment.ts";
import { BOOT_HEADER, CLAIM_HEADER, paths } from "../protocol/paths.ts";
import { RootEnvelope } from "../protocol/root.ts";
import {
  AgentClaims,
  AgentSelf,
  Envelope,
  LeaseAnswer,
  MAX_JSON_BYTES,
  type Outcome,
  OutcomeAnswer,
  type Tap,
  TapAnswer,
} from "../protocol/schema.ts";
import { DocumentReply } from "./document.ts";
import { type EventListener, EventsReply } from "./events.ts";
import { KeepWarm } from "./keep-warm.ts";
import { Line, type LineExchange } from "./line.ts";
import { LINK_CODES, type LinkCode, LinkError } from "./link-error.ts";
import {
  type CentralLinkOptions,
  DEADLINES,
  type Deadlines,
  type LinkCounters,
  type LinkState,
  type Operation,
} from "./link-options.ts";
import { type ClaimLost, JsonReply, MAX_SMALL_JSON_BYTES } from "./reply.ts";
import { type ClientIdentity, checkedSettings } from "./settings.ts";

/** A request whose answer is JSON. */
interface Question<T> {
  readonly operation: Exclude<Operation, "document" | "events">;
  readonly path: string;
  readonly body?: object;
  readonly answer: z.ZodMiniType<T>;
  /** The entity tag of what the caller has already; see `unchanged`. */
  readonly etag?: string | undefined;
  /** Settles the question where the server says that the caller has the answer already. */
  readonly unchanged?: () => void;
  /** Octets of the answer. */
  readonly cap?: number;
  readonly claimLost?: ClaimLost;
  /** What the answer must name, so that an answer to another request is not taken for it. */
  readonly names?: (content: T) => boolean;
  readonly took?: (content: T, exchange: LineExchange, headers: IncomingHttpHeaders) => void;
}

const SELF = { operation: "self", path: paths.self, answer: AgentSelf } as const;
/** 1000 claims of at most 230 octets, with room. */
const MAX_CLAIMS_BYTES = 512 * 1024;
const CLAIM_LOST: ClaimLost = new Set(["claim-over", "document-gone"]);
/** The first is for control requests, the second for documents, both kept warm; the others step in when those are busy. */
const LINES = 6;
const WARM_LINES = 2;
/** These say nothing against the line: the server answered, or nobody asked it. */
const STILL_CONNECTED: readonly LinkCode[] = ["link-claim-lost", "link-rate-limited", "link-nothing-there"];
/** The server will not have this agent, or this certificate. */
const REFUSALS: readonly LinkCode[] = ["link-refused", "link-revoked", "link-cloned", "link-certificate-expired"];

/** The central server over pinned TLS. Every method ends by an answer or by a `LinkError`, within its deadline. */
export class CentralLink {
  readonly #options: CentralLinkOptions;
  readonly #deadlines: Deadlines;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #lines: readonly Line[];
  /** Carries the event stream alone: it is never free. */
  readonly #eventLine: Line;
  readonly #keepers: readonly KeepWarm[];
  /** Until when the server wants to hear no more of an operation, on the monotonic clock. */
  readonly #quietUntil = new Map<Operation, number>();
  readonly #counters: Record<keyof LinkCounters, number>;
  #client: ClientIdentity;
  readonly #ca: string;
  #keyPins: readonly string[];
  #onTrial = false;
  /** Of each line's connection. */
  readonly #peers = new Map<Line, { readonly socket: Socket; readonly pin: string }>();
  #state: LinkState;
  #stopped = false;

  /** Throws `link-settings-invalid`. */
  constructor(options: CentralLinkOptions) {
    const { peer, trust, origin } = checkedSettings(options);
    const { clock, deadlines } = options;
    this.#options = options;
    this.#deadlines = { ...DEADLINES, ...deadlines };
    this.#client = options.client;
    this.#headers = { [BOOT_HEADER]: options.boot };
    const codes = Object.keys(LINK_CODES).map((code) => [code, 0]);
    this.#counters = { requests: 0, retries: 0, connections: 0, ...Object.fromEntries(codes) };
    this.#state = { status: "unknown", since: clock.wall() };
    this.#ca = trust.ca ?? "";
    this.#keyPins = trust.keyPins;
    const lineTo = (closed: () => void) => {
      const line: Line = new Line({
        origin,
        clock,
        connect: async (signal) => {
          const trusted = { ca: this.#ca, keyPins: this.#keyPins, client: this.#client };
          const socket = await openTls(peer, trusted, this.#deadlines.connect, signal);
          const certificate = socket.getPeerX509Certificate();
          const pin = certificate === undefined ? "" : keyPinOf(certificate);
          // Another set may have been settled while the handshake ran.
          if (!this.#keyPins.includes(pin)) {
            socket.destroy();
            throw new KeyPinMismatch(pin);
          }
          this.#peers.set(line, { socket, pin });
          this.#counters.connections += 1;
          return socket;
        },
        closed,
        retried: () => {
          this.#counters.retries += 1;
        },
      });
      return line;
    };
    this.#lines = Array.from({ length: LINES }, (_, index) => lineTo(() => this.#keepers[index]?.lost()));
    this.#eventLine = lineTo(() => {});
    this.#keepers = this.#lines.slice(0, WARM_LINES).map((line) => new KeepWarm(clock, line, () => this.#ping(line)));
  }

  get state(): LinkState {
    return this.#state;
  }

  get counters(): LinkCounters {
    return this.#counters;
  }

  /** From now on these key pins alone are trusted; a connection by another key is closed at once. */
  trustPins(keyPins: readonly string[], onTrial: boolean): void {
    this.#keyPins = keyPins;
    this.#onTrial = onTrial;
    for (const { socket, pin } of this.#peers.values()) if (!keyPins.includes(pin)) socket.destroy();
  }

  /** Opens both warm connections and keeps them. A server that is away is tried again, without an end. */
  start(): void {
    for (const keeper of this.#keepers) keeper.start();
  }

  /** Resolves when both warm connections have carried an answer; rejects with the first error. */
  async warm(signal?: AbortSignal): Promise<void> {
    await Promise.all(this.#lines.slice(0, WARM_LINES).map((line) => this.#ping(line, signal)));
  }

  /** Rejects all that is pending with `link-given-up`; when it resolves, no connection is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const keeper of this.#keepers) keeper.stop();
    await Promise.all([...this.#lines, this.#eventLine].map((line) => line.destroy()));
  }

  tap(tap: Tap, signal?: AbortSignal): Promise<TapAnswer> {
    const question = { operation: "tap", path: paths.taps, body: tap, answer: TapAnswer } as const;
    const names = ({ tapId }: TapAnswer) => tapId === tap.tapId;
    return this.#ask({ ...question, names, cap: MAX_JSON_BYTES }, this.#controlLine(), signal);
  }

  outcome(jobId: string, outcome: Outcome, signal?: AbortSignal): Promise<OutcomeAnswer> {
    const question = {
      operation: "outcome",
      path: paths.outcome(jobId),
      body: outcome,
      answer: OutcomeAnswer,
    } as const;
    const names = ({ claimId }: OutcomeAnswer) => claimId === outcome.claimId;
    return this.#ask({ ...question, names, claimLost: CLAIM_LOST }, this.#controlLine(), signal);
  }

  renewLease(jobId: string, claimId: string, signal?: AbortSignal): Promise<LeaseAnswer> {
    const question = { operation: "lease", path: paths.lease(jobId), body: { claimId }, answer: LeaseAnswer } as const;
    const names = (content: LeaseAnswer) => content.claimId === claimId;
    return this.#ask({ ...question, names, claimLost: CLAIM_LOST }, this.#controlLine(), signal);
  }

  claims(signal?: AbortSignal): Promise<AgentClaims> {
    const question = { operation: "claims", path: paths.claims, answer: AgentClaims, cap: MAX_CLAIMS_BYTES } as const;
    return this.#ask(question, this.#controlLine(), signal);
  }

  self(signal?: AbortSignal): Promise<AgentSelf> {
    const took = (self: AgentSelf, exchange: LineExchange) => this.#measured(self, exchange);
    return this.#ask({ ...SELF, took }, this.#controlLine(), signal);
  }

  /** A certificate for the key of this request (PKCS #10, base64url). */
  certificate(csr: string, signal?: AbortSignal): Promise<CertificateAnswer> {
    const question = { operation: "certificate", path: paths.certificate, answer: CertificateAnswer } as const;
    return this.#ask({ ...question, body: { csr } }, this.#controlLine(), signal);
  }

  /**
   * Everything from now on is asked as this one; what is under way ends on its old connection.
   * Resolves when the server has answered to it, on both warm connections; rejects with a `LinkError`.
   */
  async adopt(client: ClientIdentity): Promise<void> {
    this.#client = client;
    for (const line of this.#lines) line.renew();
    await this.warm();
    // The event stream has no end to wait for, and whoever follows it comes back and resumes.
    this.#peers.get(this.#eventLine)?.socket.destroy();
  }

  /** The policy in force and its entity tag; undefined where it is the one of `etag`. */
  policy(
    etag?: string,
    signal?: AbortSignal,
  ): Promise<{ readonly envelope: Envelope; readonly etag: string | undefined } | undefined> {
    return new Promise((resolve, reject) => {
      let fresh: string | undefined;
      const took = (_: Envelope, __: LineExchange, headers: IncomingHttpHeaders) => {
        fresh = headers.etag;
      };
      const unchanged = () => resolve(undefined);
      const question = { operation: "policy", path: paths.policy, answer: Envelope, etag, took, unchanged } as const;
      this.#ask(question, this.#controlLine(), signal).then((envelope) => resolve({ envelope, etag: fresh }), reject);
    });
  }

  root(version: number, signal?: AbortSignal): Promise<RootEnvelope> {
    const question = { operation: "root", path: paths.root(version), answer: RootEnvelope } as const;
    return this.#ask(question, this.#controlLine(), signal);
  }

  /** Follows the event stream, after the event of this id. Resolves when the server ends it; rejects as every method. */
  events(listener: EventListener, lastEventId?: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#mayAsk("events");
      const opened = () => {
        this.#answered();
        listener.opened();
      };
      const event: EventListener["event"] = (one) => listener.event(one);
      const reply = new EventsReply(this.#options.clock, { opened, event }, (error) => {
        if (error === undefined) resolve();
        else reject(this.#failed("events", error));
      });
      const resume = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
      const headers = { ...this.#headers, accept: "text/event-stream", ...resume };
      const request: HttpRequest = { method: "GET", path: paths.events, headers };
      reply.exchange = this.#eventLine.exchange(request, this.#deadlines.eventsHead, signal, reply);
    });
  }

  /** The request goes out with the first `next()`. Leaving the loop early closes the connection. */
  async *document(jobId: string, claimId: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    this.#mayAsk("document");
    const reply = new DocumentReply(this.#deadlines.documentPiece, CLAIM_LOST, (error) => {
      if (error !== undefined) return this.#failed("document", error);
      this.#answered();
      return undefined;
    });
    const headers = { ...this.#headers, [CLAIM_HEADER]: claimId };
    const request: HttpRequest = { method: "GET", path: paths.document(jobId), headers };
    yield* reply.pieces(this.#documentLine().exchange(request, this.#deadlines.documentHead, signal, reply));
  }

  /** Never behind a document: those never take the first line. */
  #controlLine(): Line {
    return this.#lines.find(({ load }) => load === 0) ?? (this.#lines[0] as Line);
  }

  #documentLine(): Line {
    const [, ...lines] = this.#lines;
    return lines.reduce((best, line) => (line.load < best.load ? line : best));
  }

  async #ping(line: Line, signal?: AbortSignal): Promise<{ reused: boolean; idleMs: number }> {
    const result = { reused: false, idleMs: Number.POSITIVE_INFINITY };
    const took = (self: AgentSelf, exchange: LineExchange, headers: IncomingHttpHeaders) => {
      this.#measured(self, exchange);
      result.reused = exchange.reused;
      result.idleMs = idleMs(headers);
    };
    await this.#ask({ ...SELF, took }, line, signal);
    return result;
  }

  /** No promise but its own between the reply's last octet and the caller: this is on the way of every tap. */
  #ask<T>(question: Question<T>, line: Line, signal: AbortSignal | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const { operation, path, body, answer, cap, claimLost, names, took, etag, unchanged } = question;
      this.#mayAsk(operation);
      const reply = new JsonReply(cap ?? MAX_SMALL_JSON_BYTES, etag !== undefined);
      const content = body === undefined ? undefined : JSON.stringify(body);
      const request: HttpRequest =
        content === undefined
          ? {
              method: "GET",
              path,
              headers: etag === undefined ? this.#headers : { ...this.#headers, "if-none-match": etag },
            }
          : { method: "POST", path, headers: { ...this.#headers, "content-type": "application/json" }, body: content };
      line.exchange(request, this.#deadlines[operation], signal, {
        head: (status, headers) => reply.head(status, headers),
        piece: (bytes) => reply.piece(bytes),
        settle: (exchange, error) => {
          if (error === undefined && reply.unchanged) {
            this.#answered(line);
            unchanged?.();
            return;
          }
          const result = error ?? reply.read(answer, claimLost);
          if (result instanceof LinkError) return reject(this.#failed(operation, result));
          if (names?.(result) === false) {
            return reject(this.#failed(operation, new LinkError("link-bad-reply", "an answer to another request")));
          }
          this.#answered(line);
          took?.(result, exchange, reply.headers);
          resolve(result);
        },
      });
    });
  }

  /** Counts the request, or throws why it cannot be made now. */
  #mayAsk(operation: Operation): void {
    this.#counters.requests += 1;
    if (this.#stopped) throw this.#counted(new LinkError("link-given-up", "the link was stopped"));
    const waitMs = (this.#quietUntil.get(operation) ?? 0) - this.#options.clock.monotonic();
    if (waitMs > 0) throw this.#counted(new LinkError("link-rate-limited", `${operation}: not yet again`, waitMs));
  }

  #counted(error: LinkError): LinkError {
    this.#counters[error.code] += 1;
    return error;
  }

  #answered(line?: Line): void {
    this.#become("connected");
    const peer = this.#onTrial && line !== undefined ? this.#peers.get(line) : undefined;
    if (peer !== undefined) this.#options.worked?.(peer.pin);
  }

  #failed(operation: Operation, raw: LinkError): LinkError {
    const { clock, heard } = this.#options;
    const error = this.#counted(raw);
    const { code, detail, retryAfterMs = 0 } = error;
    if (code === "link-given-up") return error;
    // For this operation alone: a lease must be renewed even when taps are too many.
    if (code === "link-rate-limited") this.#quietUntil.set(operation, clock.monotonic() + retryAfterMs);
    // Without the stream the agent polls: that says nothing of the line that taps take.
    if (operation === "events") return error;
    this.#state = { ...this.#state, lastError: { code, detail, at: clock.wall() } };
    this.#become(STILL_CONNECTED.includes(code) ? "connected" : "disconnected");
    if (REFUSALS.includes(code)) heard?.({ refusal: error });
    return error;
  }

  #become(status: "connected" | "disconnected"): void {
    if (status === this.#state.status) return;
    this.#state = { ...this.#state, status, since: this.#options.clock.wall() };
    const { code, detail } = this.#state.lastError ?? {};
    if (status === "connected") this.#options.log.info({}, "connected to the central server");
    else this.#options.log.warn({ code, detail }, "the central server does not answer as it should");
  }

  #measured(self: AgentSelf, exchange: LineExchange): void {
    const roundTripMs = exchange.elapsedMs;
    const clockOffsetMs = Math.round(Date.parse(self.serverTime) + roundTripMs / 2 - this.#options.clock.wall());
    this.#state = { ...this.#state, roundTripMs, clockOffsetMs };
    this.#options.heard?.({ serverTime: Date.parse(self.serverTime) });
  }
}

/** A server that says how long it keeps an idle connection (RFC 2068 19.7.1.1) is asked well before that. */
function idleMs(headers: IncomingHttpHeaders): number {
  const hint: unknown = headers["keep-alive"];
  const seconds = typeof hint === "string" ? /(?:^|[\s,])timeout=(\d{1,6})/i.exec(hint)?.[1] : undefined;
  return seconds === undefined ? Number.POSITIVE_INFINITY : Math.max(1_000, (Number(seconds) - 3) * 1_000);
}
