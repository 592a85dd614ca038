import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../drivers/clock.ts";
import {
  HttpClient,
  type HttpExchange,
  type HttpRequest,
  type ReplySink,
} from "../../drivers/transports/http-client.ts";
import { connectErrorOf, exchangeErrorOf, isConnectionGone, LinkError } from "./link-error.ts";

export interface LineOptions {
  readonly origin: string;
  readonly clock: Clock;
  /** Makes a connection that is trusted, or rejects. */
  readonly connect: (signal: AbortSignal) => Promise<Socket>;
  /** A connection that had been made is gone. */
  readonly closed: () => void;
  readonly retried: () => void;
}

/** What an exchange tells whoever waits. `head` and `piece` return what is wrong with the reply, which ends it. */
export interface Receiver {
  head(status: number, headers: IncomingHttpHeaders): LinkError | undefined;
  piece(bytes: Buffer): LinkError | undefined;
  /** Called once, last. Without an error the reply is whole. */
  settle(exchange: LineExchange, error?: LinkError): void;
}

/** One connection to the central server, made when needed and kept. One request at a time; more wait their turn. */
export class Line {
  /** Exchanges under way or waiting. */
  load = 0;
  /** When the last exchange ended, on the monotonic clock. */
  lastUsed = Number.NEGATIVE_INFINITY;
  readonly options: LineOptions;
  #use: Use;
  /** Connections that are replaced and still carry an exchange. */
  readonly #retired = new Set<Use>();

  constructor(options: LineOptions) {
    this.options = options;
    this.#use = this.#newUse();
  }

  #newUse(): Use {
    const { options } = this;
    const client = new HttpClient(options.origin, {
      open: (signal) =>
        options.connect(signal).catch((error: unknown) => {
          throw connectErrorOf(error);
        }),
      // Idle connections are kept by `CentralLink`; one that nobody keeps ends by itself.
      keepAliveMs: 60_000,
      closed: options.closed,
    });
    return { client, load: 0 };
  }

  /** Whatever is exchanged from now on is on a new connection. The old one ends when what is under way on it has. */
  renew(): void {
    const old = this.#use;
    this.#use = this.#newUse();
    this.#retired.add(old);
    this.#endRetired(old);
  }

  #endRetired(use: Use): void {
    if (use.load > 0 || !this.#retired.delete(use)) return;
    void use.client.destroy();
  }

  exchange(
    request: HttpRequest,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    receiver: Receiver,
  ): LineExchange {
    const use = this.#use;
    this.load += 1;
    use.load += 1;
    const ended = () => {
      this.load -= 1;
      use.load -= 1;
      this.#endRetired(use);
    };
    return new LineExchange(this, use.client, request, deadlineMs, signal, receiver, ended);
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#use, ...this.#retired].map(({ client }) => client.destroy()));
  }
}

/** A connection, and how many exchanges are under way or wait on it. */
interface Use {
  readonly client: HttpClient;
  load: number;
}

/** A request on a line, with its deadline, its signal and at most one retry. */
export class LineExchange implements ReplySink {
  /** From the writing of the request to the end of the reply, in ms, on the last try. */
  elapsedMs = 0;
  reused = false;
  readonly #line: Line;
  readonly #client: HttpClient;
  readonly #request: HttpRequest;
  readonly #signal: AbortSignal | undefined;
  readonly #receiver: Receiver;
  readonly #ended: () => void;
  #http: HttpExchange | undefined;
  #retried = false;
  #over = false;
  #startedAt = 0;
  #cancelDeadline: (() => void) | undefined;

  constructor(
    line: Line,
    client: HttpClient,
    request: HttpRequest,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    receiver: Receiver,
    ended: () => void,
  ) {
    this.#ended = ended;
    this.#line = line;
    this.#client = client;
    this.#request = request;
    this.#signal = signal;
    this.#receiver = receiver;
    this.deadline(deadlineMs);
    signal?.addEventListener("abort", this.#aborted, { once: true });
    if (signal?.aborted === true) this.#aborted();
    else this.#send();
  }

  /** Sets the one deadline anew; `undefined` for none. When it is over, so is the exchange. */
  deadline(ms: number | undefined): void {
    this.#cancelDeadline?.();
    if (this.#over) return;
    const overdue = () => this.fail(new LinkError("link-timeout", `no answer within ${ms} ms`));
    this.#cancelDeadline = ms === undefined ? undefined : this.#line.options.clock.after(ms, overdue);
  }

  pause(): void {
    this.#http?.pause();
  }

  resume(): void {
    this.#http?.resume();
  }

  /** Ends the exchange. What of the reply is still to come is not read: the connection is closed. */
  fail(error: LinkError): void {
    if (this.#over) return;
    this.#http?.abort();
    this.#settle(error);
  }

  readonly #aborted = (): void => this.fail(new LinkError("link-given-up"));

  #send(): void {
    this.#http = this.#client.exchange(this.#request, this);
    // Settled while it was being sent, when there was nothing to abort yet.
    if (this.#over) this.#http.abort();
  }

  #settle(error?: LinkError): void {
    this.#over = true;
    this.deadline(undefined);
    this.#signal?.removeEventListener("abort", this.#aborted);
    const now = this.#line.options.clock.monotonic();
    this.elapsedMs = now - this.#startedAt;
    this.reused = this.#http?.reused === true;
    this.#ended();
    this.#line.lastUsed = now;
    this.#receiver.settle(this, error);
  }

  started(): void {
    this.#startedAt = this.#line.options.clock.monotonic();
  }

  head(status: number, headers: IncomingHttpHeaders): void {
    const wrong = this.#receiver.head(status, headers);
    if (wrong !== undefined) this.fail(wrong);
  }

  piece(bytes: Buffer): void {
    const wrong = this.#receiver.piece(bytes);
    if (wrong !== undefined) this.fail(wrong);
  }

  end(): void {
    this.#settle();
  }

  failed(error: Error): void {
    if (this.#over) return;
    const http = this.#http;
    // A server may close an idle connection while our request is on its way (RFC 9112 9.3.1). Asked once more, on a new
    // connection, when not one octet of an answer came. The server may have acted on the first request all the same:
    // that is harmless, because taps repeat by tapId, leases and outcomes by claimId, and the rest only reads.
    if (!this.#retried && http?.reused === true && !http.answered && isConnectionGone(error)) {
      this.#retried = true;
      this.#line.options.retried();
      // Not from within the client's own closing of the old connection.
      queueMicrotask(() => this.#over || this.#send());
      return;
    }
    this.#settle(exchangeErrorOf(error, http?.answered === true));
  }
}
