import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import type { Dispatcher } from "undici";
import requestOf from "undici/lib/api/api-request.js";
import Client from "undici/lib/dispatcher/client.js";

export interface HttpClientOptions {
  /** Makes the connection; what it rejects with comes out of `request` unchanged. `signal` aborts at `destroy`. */
  readonly open: (signal: AbortSignal) => Promise<Socket>;
  /** How long an idle connection is kept, in ms; a server's keep-alive hint may shorten it. */
  readonly keepAliveMs: number;
  /** From the end of the request to the reply's header, in ms; 0: the caller has a deadline of its own. */
  readonly headersTimeoutMs: number;
  /** Between two pieces of the reply's body, in ms; 0: the caller has a deadline of its own. */
  readonly bodyTimeoutMs: number;
  /** Called when a connection that had been made is gone, for whatever reason but `destroy`. */
  readonly closed?: () => void;
}

export type HttpRequest = Omit<Dispatcher.RequestOptions, "origin">;
export type HttpReply = Dispatcher.ResponseData;

/** Takes a reply as it comes: `started`, `head`, `piece`..., then exactly one of `end` and `failed`. None may throw. */
export interface ReplySink {
  /** The request is being written to its connection. */
  started(): void;
  head(status: number, headers: IncomingHttpHeaders): void;
  piece(bytes: Buffer): void;
  end(): void;
  failed(error: Error): void;
}

/** HTTP/1.1 to one origin over one connection that we make ourselves. It follows no redirect and decodes nothing. */
export class HttpClient {
  readonly #client: Client;
  readonly #stop = new AbortController();
  #used = false;

  constructor(origin: string, options: HttpClientOptions) {
    this.#client = new Client(origin, {
      pipelining: 1,
      keepAliveTimeout: options.keepAliveMs,
      keepAliveMaxTimeout: options.keepAliveMs,
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: options.bodyTimeoutMs,
      maxHeaderSize: 16_384,
      connect: (_options, callback) => {
        this.#used = false;
        options.open(this.#stop.signal).then(
          (socket) => callback(null, socket as never),
          (error: Error) => callback(error, null),
        );
      },
    });
    this.#client.on("disconnect", () => this.#stop.signal.aborted || options.closed?.());
  }

  request(request: HttpRequest): Promise<HttpReply> {
    return requestOf.call(this.#client, request);
  }

  /** Hands the reply to `sink` piece by piece: no stream between, and it can be given up while it still waits its turn. */
  exchange(request: HttpRequest, sink: ReplySink): HttpExchange {
    const exchange = new HttpExchange(sink, () => {
      const used = this.#used;
      this.#used = true;
      return used;
    });
    this.#client.dispatch(request as Dispatcher.DispatchOptions, exchange);
    return exchange;
  }

  /** Ends everything at once; pending requests reject, a connection that is being made is given up. */
  destroy(): Promise<void> {
    this.#stop.abort();
    return this.#client.destroy();
  }
}

/** One request and its reply, under way. The `on` methods are the HTTP client's, the rest is for who waits. */
export class HttpExchange implements Dispatcher.DispatchHandler {
  /** The connection had carried a request before this one, so the server may have closed it meanwhile. */
  reused = false;
  /** At least one octet of the reply came. */
  answered = false;
  readonly #sink: ReplySink;
  readonly #use: () => boolean;
  #controller: Dispatcher.DispatchController | undefined;
  #over = false;

  constructor(sink: ReplySink, use: () => boolean) {
    this.#sink = sink;
    this.#use = use;
  }

  /** The sink hears nothing more. A request that was on the wire takes its connection with it. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller?.abort(new Error("given up"));
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (!this.#over) this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown here, before anything is written, it costs the connection nothing; `controller.abort` would close it.
    if (this.#over) throw new Error("given up");
    this.#controller = controller;
    this.reused = this.#use();
    this.#sink.started();
  }

  onResponseStarted(): void {
    this.answered = true;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 1xx are news, not the reply (RFC 9110 15.2).
    if (!this.#over && status >= 200) this.#sink.head(status, headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    if (!this.#over) this.#sink.piece(bytes);
  }

  onResponseEnd(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.failed(error);
  }
}
