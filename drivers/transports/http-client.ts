import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestOf,
} from "node:http";
import type { Socket } from "node:net";

export interface HttpClientOptions {
  /** Makes the connection; what it rejects with reaches the sink unchanged. `signal` aborts at `destroy`. */
  readonly open: (signal: AbortSignal) => Promise<Socket>;
  /** How long an idle connection is kept, in ms; a server's keep-alive hint may shorten it. */
  readonly keepAliveMs: number;
  /** Called when a connection that had been made is gone, for whatever reason but `destroy`. */
  readonly closed?: () => void;
}

export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** The request target, such as `/ipp/print`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An iterable goes in chunks, unless `content-length` is among the headers; the next piece is asked for when the one before was taken. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** Takes a reply as it comes: `started`, `head`, `piece`..., then exactly one of `end` and `failed`. None may throw. */
export interface ReplySink {
  /** The request is being written to its connection. */
  started?(): void;
  head(status: number, headers: IncomingHttpHeaders): void;
  piece(bytes: Buffer): void;
  end(): void;
  failed(error: Error): void;
}

/** What is under way or waits when the client is destroyed fails with this. */
export class HttpClientDestroyed extends Error {
  override readonly name = "HttpClientDestroyed";
}

const MAX_HEADER_BYTES = 16_384;

/** HTTP/1.1 to one origin over one connection that we make ourselves, one request at a time. It follows no redirect, decodes nothing and has no deadline. */
export class HttpClient {
  readonly #host: string;
  readonly #connection: OneConnection;
  readonly #waiting: HttpExchange[] = [];
  #current: HttpExchange | undefined;

  constructor(origin: string, options: HttpClientOptions) {
    this.#host = new URL(origin).host;
    this.#connection = new OneConnection(options);
  }

  /** Hands the reply to `sink` piece by piece: no stream between, and it can be given up while it still waits its turn. */
  exchange(request: HttpRequest, sink: ReplySink): HttpExchange {
    const exchange = new HttpExchange(request, sink);
    if (this.#connection.stopped) {
      queueMicrotask(() => exchange.fail(new HttpClientDestroyed()));
      return exchange;
    }
    this.#waiting.push(exchange);
    if (this.#current === undefined) this.#next();
    return exchange;
  }

  /** Ends everything at once; when it resolves, no connection is left and none is being made. */
  async destroy(): Promise<void> {
    const pending = [this.#current, ...this.#waiting.splice(0)];
    const stopped = this.#connection.stop();
    for (const exchange of pending) exchange?.fail(new HttpClientDestroyed());
    await stopped;
  }

  #next(): void {
    this.#current = this.#waiting.shift();
    // Its connection is free again a moment after it closed.
    this.#current?.run(this.#connection, this.#host, () => queueMicrotask(() => this.#next()));
  }
}

/** One request and its reply, under way. */
export class HttpExchange {
  /** The connection had carried a request before this one, so the server may have closed it meanwhile. */
  reused = false;
  readonly #request: HttpRequest;
  readonly #sink: ReplySink;
  #http: ClientRequest | undefined;
  #reply: IncomingMessage | undefined;
  #socket: Socket | undefined;
  #readBefore = 0;
  #over = false;

  constructor(request: HttpRequest, sink: ReplySink) {
    this.#request = request;
    this.#sink = sink;
  }

  /** At least one octet of the reply came. */
  get answered(): boolean {
    return (this.#socket?.bytesRead ?? 0) > this.#readBefore;
  }

  /** The sink hears nothing more. A request that was on the wire takes its connection with it. */
  abort(): void {
    this.#over = true;
    this.#http?.destroy();
  }

  pause(): void {
    this.#reply?.pause();
  }

  resume(): void {
    this.#reply?.resume();
  }

  fail(error: Error): void {
    if (this.#over) return;
    this.abort();
    this.#sink.failed(error);
  }

  /** `done` is called once, when the connection is free or gone. */
  run(agent: Agent, host: string, done: () => void): void {
    if (this.#over) {
      done();
      return;
    }
    const { method, path, headers = {}, body } = this.#request;
    let http: ClientRequest;
    try {
      const options = { agent, method, path, setHost: false, maxHeaderSize: MAX_HEADER_BYTES };
      http = requestOf({ ...options, headers: { host, ...headers } });
    } catch (error) {
      // A path or header that HTTP cannot carry. Told later, as all else is.
      queueMicrotask(() => {
        this.fail(error instanceof Error ? error : new TypeError("no HTTP request"));
        done();
      });
      return;
    }
    this.#http = http;
    http.on("socket", (socket) => {
      this.#socket = socket;
      this.reused = http.reusedSocket;
      this.#readBefore = socket.bytesRead;
      if (!this.#over) this.#sink.started?.();
    });
    http.on("response", (reply) => {
      reply.on("error", (error) => this.fail(error));
      if (this.#over) return;
      this.#reply = reply;
      reply.on("data", (bytes: Buffer) => this.#over || this.#sink.piece(bytes));
      reply.on("end", () => this.#end());
      this.#sink.head(reply.statusCode ?? 0, reply.headers);
    });
    http.on("error", (error) => this.fail(error));
    http.once("close", () => {
      // Node tells of it a moment later, or (101, nobody asked for another protocol) not at all.
      this.fail(Object.assign(new Error("the connection was closed"), { code: "ECONNRESET" }));
      done();
    });
    if (typeof body === "object" && Symbol.asyncIterator in body) void this.#upload(http, body);
    else http.end(body);
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.end();
  }

  async #upload(http: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const piece of body) {
        if (!http.write(piece) && !http.destroyed) await drained(http);
        if (http.destroyed) return;
      }
      http.end();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error("the body broke off"));
    }
  }
}

/** Resolves when the peer took what was written, or never will. */
function drained(http: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      http.off("drain", over);
      http.off("close", over);
      resolve();
    };
    http.on("drain", over);
    http.on("close", over);
  });
}

/** At most one connection, kept between two requests. `HttpClient` gives it one request at a time. */
class OneConnection extends Agent {
  readonly #options: HttpClientOptions;
  readonly #stop = new AbortController();
  #socket: Socket | undefined;
  /** Resolves when the latest connection is gone, or could not be made. */
  #gone: Promise<void> | undefined;

  constructor(options: HttpClientOptions) {
    super({ keepAlive: true, timeout: options.keepAliveMs });
    this.#options = options;
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.destroy();
    this.#socket?.destroy();
    await this.#gone;
  }

  override createConnection(
    _options: object,
    done: (error: Error | null, socket: Socket) => void = () => {},
  ): undefined {
    const opening = this.#options.open(this.#stop.signal);
    this.#gone = opening.then(
      (socket) => this.#made(socket, done),
      (error: Error) => done(error, undefined as never),
    );
  }

  #made(socket: Socket, done: (error: null, socket: Socket) => void): Promise<void> {
    this.#socket = socket;
    const gone = new Promise<void>((resolve) => {
      socket.once("close", () => {
        if (!this.stopped) this.#options.closed?.();
        resolve();
      });
    });
    if (this.stopped) socket.destroy();
    done(null, socket);
    return gone;
  }

  override keepSocketAlive(socket: Socket): boolean {
    // A server that speaks before it was asked (408) has given the connection up, or means to answer the next request.
    socket.on("data", destroyed);
    return super.keepSocketAlive(socket) as unknown as boolean;
  }

  override reuseSocket(socket: Socket, http: ClientRequest): void {
    socket.off("data", destroyed);
    super.reuseSocket(socket, http);
  }
}

function destroyed(this: Socket): void {
  this.destroy();
}
