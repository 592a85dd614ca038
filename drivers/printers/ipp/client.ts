import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../clock.ts";
import { CodedError } from "../../coded-error.ts";
import { type DocumentBody, PrinterError } from "../../printer.ts";
import { HttpClient, type HttpRequest } from "../../transports/http-client.ts";
import type { TlsRelaxation } from "../../transports/tls.ts";
import { operationGroup, uri } from "./attributes.ts";
import type { Login } from "./auth.ts";
import { decode, encode } from "./codec.ts";
import { Connections, type PrinterAddress, type PrinterFollow, printerAddress } from "./connection.ts";
import { httpReply, Unauthorized } from "./http-reply.ts";
import { Limit } from "./limit.ts";
import { type LoginAttempt, PrinterLogin } from "./login.ts";
import type { IppGroup, IppMessage } from "./message.ts";
import { refusalOf } from "./state.ts";
import { OPERATION, STATUS } from "./tags.ts";

/** All in ms. */
export interface IppDeadlines {
  readonly connect: number;
  /** One request without a document, from its start to the end of its reply. */
  readonly poll: number;
  /** Within this time the printer must take at least one piece (64 KiB) of the document. */
  readonly progress: number;
  /** From the last octet of the document to the end of the reply: some printers answer after they have rasterised it. */
  readonly reply: number;
  /** How long a connection that `prepare` opened waits for its document. */
  readonly spare: number;
  /** How long the connection of the polls is kept without use. */
  readonly keepAlive: number;
}

export const IPP_DEADLINES: IppDeadlines = {
  connect: 5_000,
  poll: 10_000,
  progress: 60_000,
  reply: 600_000,
  spare: 10_000,
  keepAlive: 60_000,
};

export interface IppClientOptions {
  /** `ipp://host[:631]/path` or `ipps://host[:631]/path`; throws a TypeError for anything else. */
  readonly uri: string;
  /** For ipps: the only trust there is. */
  readonly keyPins: readonly string[];
  /** For ipps: what this printer is allowed because it can do no better. */
  readonly tlsAllow?: readonly TlsRelaxation[];
  readonly clock: Clock;
  readonly deadlines?: Partial<IppDeadlines>;
  /** Where the printer asks for one. */
  readonly login?: Login | undefined;
  /** Documents go with Content-Length instead of in chunks. */
  readonly contentLength?: boolean;
  readonly follow?: PrinterFollow | undefined;
  /** Told each request, document and document octet. */
  readonly count: (what: "requests" | "documents" | "bytes", by: number) => void;
}

const MAX_REQUEST_ID = 2 ** 31 - 1;
/** The step in which a document is handed on; a longer one would make a slow printer look like one that hangs. */
const PIECE = 65_536;
const NOTHING = new Uint8Array(0);

/** IPP over HTTP (RFC 8010 4) to one printer. Everything rejects with `PrinterError`; any IPP status is a reply, not an error. */
export class IppClient {
  readonly #address: PrinterAddress;
  readonly #options: IppClientOptions;
  readonly #deadlines: IppDeadlines;
  readonly #connections: Connections;
  readonly #polls: HttpClient;
  readonly #closing = new AbortController();
  readonly #login: PrinterLogin;
  #requestId = 0;
  #version = 0x0200;
  #announcesLength: boolean;

  constructor(options: IppClientOptions) {
    const address = printerAddress(options.uri);
    if (address === undefined) throw new TypeError("a printer's URI is ipp://host/path or ipps://host/path");
    this.#address = address;
    this.#options = options;
    this.#announcesLength = options.contentLength === true;
    this.#deadlines = { ...IPP_DEADLINES, ...options.deadlines };
    const { keyPins, clock, tlsAllow = [], follow } = options;
    const { connect: connectMs, spare: spareMs } = this.#deadlines;
    this.#connections = new Connections(address, { keyPins, tlsAllow, clock, connectMs, spareMs, follow });
    this.#polls = this.#http(() => this.#connections.open());
    this.#login = new PrinterLogin(options.login, address.secure);
  }

  /** IPP 1.1 from now on: for a printer that names no newer version. */
  speakOldVersion(): void {
    this.#version = 0x0101;
  }

  get speaksOldVersion(): boolean {
    return this.#version === 0x0101;
  }

  /** Documents go with Content-Length from now on. */
  announceLength(): void {
    this.#announcesLength = true;
  }

  /** Opens the connection for the next `send` ahead of time. Never throws. */
  prepare(): void {
    this.#connections.prepare();
  }

  /** A request without a document, on the kept connection. `repeatable`: it may be sent again after a broken connection. */
  async call(
    operation: number,
    groups: readonly IppGroup[],
    repeatable: boolean,
    signal: AbortSignal,
  ): Promise<IppMessage> {
    const limit = new Limit(this.#options.clock, signal, this.#closing.signal);
    limit.within(this.#deadlines.poll, "the reply");
    try {
      const reply = await this.#exchange(operation, groups, repeatable, limit);
      if (reply.code !== STATUS.versionNotSupported || this.#version === 0x0101) return reply;
      this.speakOldVersion();
      return await this.#exchange(operation, groups, repeatable, limit);
    } finally {
      limit.release();
    }
  }

  async #exchange(
    operation: number,
    groups: readonly IppGroup[],
    repeatable: boolean,
    limit: Limit,
  ): Promise<IppMessage> {
    const message = this.#message(operation, groups);
    try {
      return await this.#loggedIn(message, limit);
    } catch (error) {
      // The printer may have closed the kept connection while this request was on its way.
      const again = error instanceof PrinterError && error.code === "printer-broken-connection" && repeatable;
      if (!again || limit.signal.aborted) throw error;
      return await this.#loggedIn(this.#message(operation, groups), limit);
    }
  }

  /** Again with what the printer asked for: a request that met a 401 was not performed. */
  async #loggedIn(message: IppMessage, limit: Limit): Promise<IppMessage> {
    const attempt = this.#login.attempt();
    for (;;) {
      try {
        return await this.#post(this.#polls, message, encode(message), limit, attempt);
      } catch (error) {
        if (!(error instanceof Unauthorized)) throw error;
        attempt.refused(error.headers);
      }
    }
  }

  /** So that no document meets a 401: what asks for a login for a document asks for it here too (RFC 8011 4.2.3). */
  async #settleLogin(signal: AbortSignal): Promise<void> {
    if (this.#login.isSettled(this.#options.clock.monotonic())) return;
    await this.call(OPERATION.validateJob, [operationGroup(uri("printer-uri", this.#options.uri))], true, signal);
  }

  /** A request with a document, on a connection that served nothing before. It is never repeated. */
  async send(
    operation: number,
    groups: readonly IppGroup[],
    document: DocumentBody,
    signal: AbortSignal,
  ): Promise<IppMessage> {
    const message = this.#message(operation, groups);
    const header = encode(message);
    const limit = new Limit(this.#options.clock, signal, this.#closing.signal);
    const upload = new Upload(header, document, limit, this.#deadlines, this.#options.count);
    let socket: Socket | undefined;
    let http: HttpClient | undefined;
    try {
      await this.#settleLogin(limit.signal);
      const fresh = await this.#connections.take(limit.signal);
      socket = fresh;
      http = this.#http(() => Promise.resolve(fresh));
      const length = this.#announcesLength ? header.length + document.size : undefined;
      const reply = await this.#post(http, message, upload.pieces(), limit, this.#login.attempt(), length);
      // The end of the reply ends the connection: what had not left by then never will, whatever the printer says of it.
      const whole = length === undefined ? upload.ended : upload.isGiven; // in chunks, the end is a chunk too
      if (refusalOf(reply) === undefined && !(whole && (await isFlushed(fresh))))
        throw new PrinterError("printer-broken-connection", "it took the document before it had all of it");
      this.#options.count("documents", 1);
      return reply;
    } catch (error) {
      if (upload.sourceError !== undefined) throw upload.sourceError.error;
      if (error instanceof Unauthorized) {
        this.#login.challenged(error.headers);
        throw new PrinterError("printer-auth-required", "HTTP 401 to a document");
      }
      throw error instanceof PrinterError && (socket === undefined || socket.bytesWritten === 0)
        ? new PrinterError(error.code, error.detail, { cause: error, nothingSent: true })
        : error;
    } finally {
      limit.release();
      upload.end();
      await http?.destroy();
      socket?.destroy();
    }
  }

  /** Ends every connection; what is pending rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#connections.close();
    await this.#polls.destroy();
  }

  #http(open: () => Promise<Socket>): HttpClient {
    return new HttpClient(this.#address.origin, { open, keepAliveMs: this.#deadlines.keepAlive });
  }

  #message(code: number, groups: readonly IppGroup[]): IppMessage {
    this.#requestId = (this.#requestId % MAX_REQUEST_ID) + 1;
    return { version: this.#version, code, requestId: this.#requestId, groups, data: NOTHING };
  }

  async #post(
    http: HttpClient,
    message: IppMessage,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    limit: Limit,
    attempt: LoginAttempt,
    length?: number,
  ): Promise<IppMessage> {
    this.#options.count("requests", 1);
    const authorization = attempt.authorization("POST", this.#address.path);
    const request: HttpRequest = {
      method: "POST",
      path: this.#address.path,
      headers: {
        "content-type": "application/ipp",
        accept: "application/ipp",
        ...(length === undefined ? {} : { "content-length": String(length) }),
        ...(authorization === undefined ? {} : { authorization }),
      },
      body,
    };
    try {
      const { headers, body: octets } = await httpReply(http, request, limit.signal);
      const reply = decode(octets);
      if (reply.requestId !== message.requestId)
        throw new PrinterError("printer-bad-reply", `it answers request ${reply.requestId}, not ${message.requestId}`);
      const asksFor = message.code === OPERATION.createJob || message.code === OPERATION.validateJob;
      if (attempt.sent || asksFor) this.#login.accepted(headers, this.#options.clock.monotonic());
      return reply;
    } catch (error) {
      if (error instanceof Unauthorized) throw error;
      throw limit.signal.aborted ? limit.signal.reason : printerErrorOf(error);
    }
  }
}

/**
 * True if nothing that was written waits to leave. Over TLS a write is called complete a turn or two after its octets left,
 * and the reply to them may be read before that.
 */
async function isFlushed(socket: Socket): Promise<boolean> {
  for (let turn = 0; turn < 4 && socket.writableLength > 0 && !socket.destroyed; turn++) await nextTurn();
  return socket.writableLength === 0;
}

/** The body of one document request: pulls the next piece only when the printer took the one before. */
class Upload {
  readonly #header: Uint8Array;
  readonly #document: DocumentBody;
  readonly #limit: Limit;
  readonly #deadlines: IppDeadlines;
  readonly #count: IppClientOptions["count"];
  #source: AsyncIterator<Uint8Array> | undefined;
  #sent = 0;
  /** Octets handed to the connection. */
  #given = 0;
  ended = false;
  /** What the document's own iterator threw. */
  sourceError: { readonly error: unknown } | undefined;

  constructor(
    header: Uint8Array,
    document: DocumentBody,
    limit: Limit,
    deadlines: IppDeadlines,
    count: IppClientOptions["count"],
  ) {
    this.#header = header;
    this.#document = document;
    this.#limit = limit;
    this.#deadlines = deadlines;
    this.#count = count;
  }

  get isGiven(): boolean {
    return this.#given === this.#document.size;
  }

  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const { progress, reply } = this.#deadlines;
    this.#limit.within(progress, "taking the request");
    yield this.#header;
    for (;;) {
      // While the source is slow, the printer is not to blame; the source has a deadline of its own.
      this.#limit.hold();
      const chunk = await this.#next();
      if (chunk === undefined) break;
      for (let at = 0; at < chunk.length; at += PIECE) {
        const piece = chunk.subarray(at, at + PIECE);
        this.#limit.within(progress, "taking the next part of the document");
        this.#given += piece.length;
        yield piece;
        this.#count("bytes", piece.length);
      }
    }
    this.#limit.within(reply, "the reply to the document");
    this.ended = true;
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      this.#source ??= this.#document.chunks()[Symbol.asyncIterator]();
      const { done, value } = await this.#source.next();
      this.#sent += done === true ? 0 : value.length;
      const { size } = this.#document;
      // A printer takes the end of the body for the end of the document, so a wrong length must cut the transfer.
      if (this.#sent > size || (done === true && this.#sent < size)) {
        throw new RangeError(`the document has ${this.#sent} octets, not ${size}`);
      }
      return done === true ? undefined : value;
    } catch (error) {
      this.sourceError = { error };
      throw error;
    }
  }

  /** Lets the document's iterator close its file, also where the transfer ended between two pieces. */
  end(): void {
    this.#source?.return?.().then(undefined, () => {});
  }
}

/** What broke between us and the printer, from Node or the codec. */
function printerErrorOf(cause: unknown): PrinterError {
  if (cause instanceof PrinterError) return cause;
  if (cause instanceof CodedError) return new PrinterError("printer-bad-reply", cause.message, { cause });
  if (!(cause instanceof Error)) return new PrinterError("printer-broken-connection", "", { cause });
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : cause.name;
  return new PrinterError(code.startsWith("HPE_") ? "printer-bad-reply" : "printer-broken-connection", code, { cause });
}
