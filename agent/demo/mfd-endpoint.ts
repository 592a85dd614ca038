import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { type Clock, pause } from "../../drivers/clock.ts";
import { operationGroup, stringsOf, text } from "../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../drivers/printers/ipp/codec.ts";
import { IppCodecError, type IppGroup, type IppMessage } from "../../drivers/printers/ipp/message.ts";
import { GROUP, STATUS } from "../../drivers/printers/ipp/tags.ts";
import type { WireAct } from "./mfd-faults.ts";
import { answerBadly, CutShort, left, shaped } from "./mfd-wire.ts";

/** A request whose operation group is sound. */
export interface IppRequest {
  readonly message: IppMessage;
  readonly operation: IppGroup;
  /** The bytes after the attributes, as they arrive; throws `CutShort`. */
  readonly document: AsyncIterable<Uint8Array>;
}

/** A status, and the groups that follow the operation group. */
export interface IppReply {
  readonly code: number;
  readonly groups?: readonly IppGroup[];
}

export interface EndpointOptions {
  readonly clock: Clock;
  /** PEM; with it the endpoint speaks TLS only. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  readonly perform: (request: IppRequest) => Promise<IppReply>;
  /** Called when a request's attributes are here; nothing happens to it before this resolves. What is to go wrong with it. */
  readonly met: (message: IppMessage) => Promise<WireAct | undefined>;
  /** Called when a request was performed; its answer leaves when this resolves. */
  readonly answering: (message: IppMessage) => Promise<void>;
  /** An error of ours, such as a full disk; the client gets server-error-internal-error. */
  readonly failed: (error: unknown) => void;
}

/** RFC 8011 B.1.4.14. */
const CHARSET_NOT_SUPPORTED = 0x040d;
const VERSIONS: readonly number[] = [0x0100, 0x0101, 0x0200];
const NEWEST = 0x0200;
const PATH = /^\/ipp\/print(?:\/\d+)?$/;
/** How long an idle connection is kept; some clients stay warm between taps. */
const KEEP_ALIVE_MS = 30_000;

/** IPP over HTTP (RFC 8010 3 and 4): from connections to requests, and the checks that all operations share. */
export class IppEndpoint {
  readonly #options: EndpointOptions;
  readonly #server: Server;
  readonly #serving = new Set<Promise<void>>();
  #host = "";
  #port = 0;
  #drops = false;
  #work: Promise<void> = Promise.resolve();

  constructor(options: EndpointOptions) {
    this.#options = options;
    const serve = (request: IncomingMessage, response: ServerResponse) => {
      const serving = this.#serve(request, response).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    };
    const settings = { keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true };
    this.#server = options.tls
      ? createTlsServer({ ...settings, ...options.tls }, serve)
      : createServer(settings, serve);
    this.#server.on("connection", (socket: Socket) => {
      if (this.#drops) socket.destroy();
    });
  }

  /** Resolves with the port. */
  async listen(host: string, port: number): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, "listening");
    const address = this.#server.address();
    this.#host = host;
    this.#port = typeof address === "object" && address !== null ? address.port : port;
    return this.#port;
  }

  breakConnections(): void {
    this.#server.closeAllConnections();
  }

  /** New connections are closed as soon as they are made. */
  drop(on: boolean): void {
    this.#drops = on;
    if (on) this.breakConnections();
  }

  /** With `on`, connections are refused; without, the port is listened on again. One follows the other, in order. */
  refuse(on: boolean): Promise<void> {
    this.#work = this.#work.then(() => (on ? this.#deafen() : this.#listenAgain()));
    return this.#work;
  }

  async close(): Promise<void> {
    await this.#work;
    await this.#deafen();
    await Promise.all(this.#serving);
  }

  async #deafen(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #listenAgain(): Promise<void> {
    for (let attempt = 0; !this.#server.listening; attempt++) {
      try {
        await this.listen(this.#host, this.#port);
      } catch (error) {
        // Somebody's outgoing connection may have the port for a moment.
        if (attempt === 50) return this.#options.failed(error);
        await pause(this.#options.clock, 100);
      }
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", (error) => this.#options.failed(error));
    const refusal = refusedByHttp(request);
    if (refusal !== undefined) {
      request.resume();
      response.writeHead(refusal).end();
      return;
    }
    const body = bodyOf(request);
    const { socket } = request;
    try {
      const head = await readHead(body);
      const act = head?.message && (await this.#options.met(head.message));
      if (act?.does === "deaf") return await left(socket);
      const taken = (document: AsyncIterable<Uint8Array>) => shaped(document, act, socket, this.#options.clock);
      const reply = head && encode(await this.#answer(head, body, act, taken));
      // A refused document is taken to its end first: an answer in the middle of it would reach few clients.
      while ((await body.next()).done !== true);
      if (head?.message) await this.#options.answering(head.message);
      if (reply === undefined) response.writeHead(400).end();
      else if (act === undefined || !(await answerBadly(act, reply, response, socket))) {
        response.writeHead(200, { "content-type": "application/ipp", "content-length": reply.length }).end(reply);
      }
    } catch (error) {
      if (!(error instanceof CutShort)) this.#options.failed(error);
      response.destroy();
    }
  }

  async #answer(
    head: Head,
    body: AsyncIterator<Uint8Array>,
    act: WireAct | undefined,
    taken: Taken,
  ): Promise<IppMessage> {
    const known = VERSIONS.includes(head.version);
    const answer = async (): Promise<IppReply> => {
      if (!known) return { code: STATUS.versionNotSupported };
      return act?.does === "status" ? { code: act.code } : this.#checked(head, body, taken);
    };
    const { code, groups = [] } = await answer();
    const version = known ? head.version : NEWEST;
    const operation = operationGroup(text("status-message", `status 0x${code.toString(16).padStart(4, "0")}`));
    return { version, code, requestId: head.requestId, groups: [operation, ...groups], data: new Uint8Array() };
  }

  async #checked(head: Head, body: AsyncIterator<Uint8Array>, taken: Taken): Promise<IppReply> {
    const { message, requestId } = head;
    const operation = message?.groups[0];
    if (message === undefined || operation === undefined || requestId === 0) return { code: STATUS.badRequest };
    const code = unsound(message, operation);
    if (code !== undefined) return { code };
    try {
      return await this.#options.perform({ message, operation, document: taken(documentOf(message, body)) });
    } catch (error) {
      this.#options.failed(error);
      return { code: STATUS.internalError };
    }
  }
}

/** A document's bytes as this request takes them. */
type Taken = (document: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

function refusedByHttp({ method, url = "", headers }: IncomingMessage): number | undefined {
  if (!PATH.test(url)) return 404;
  if (method !== "POST") return 405;
  return headers["content-type"] === "application/ipp" ? undefined : 415;
}

/** What every request that is to be answered in IPP has; `message` is undefined if the rest is no IPP. */
interface Head {
  readonly version: number;
  readonly requestId: number;
  readonly message: IppMessage | undefined;
}

/** Reads until the attributes are complete; undefined if there are not even the fixed eight octets. */
async function readHead(body: AsyncIterator<Uint8Array>): Promise<Head | undefined> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const next = await body.next();
    if (next.done !== true) bytes = Buffer.concat([bytes, next.value]);
    const message = decoded(bytes);
    if (message === "more" && next.done !== true) continue;
    if (bytes.length < 8) return undefined;
    const [version, requestId] = [bytes.readUInt16BE(0), bytes.readUInt32BE(4)];
    return { version, requestId, message: message === "more" ? undefined : message };
  }
}

function decoded(bytes: Uint8Array): IppMessage | "more" | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof IppCodecError)) throw error;
    return error.code === "ipp-truncated" ? "more" : undefined;
  }
}

/** RFC 8011 4.1.4 and 4.1.5: charset, natural language and target come first, in this order; nothing comes twice. */
function unsound(message: IppMessage, operation: IppGroup): number | undefined {
  const names = operation.attributes.map(({ name }) => name);
  const [charset, language, target = ""] = names;
  const inOrder =
    operation.tag === GROUP.operation &&
    charset === "attributes-charset" &&
    language === "attributes-natural-language" &&
    ["printer-uri", "job-uri"].includes(target);
  const onlyOne = message.groups.filter(({ tag }) => tag === GROUP.operation).length === 1;
  if (!inOrder || !onlyOne || new Set(names).size < names.length) return STATUS.badRequest;
  const [value = ""] = stringsOf(operation, "attributes-charset");
  return ["utf-8", "us-ascii"].includes(value.toLowerCase()) ? undefined : CHARSET_NOT_SUPPORTED;
}

async function* bodyOf(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* request;
  } catch (error) {
    throw new CutShort("request cut short", { cause: error });
  }
}

async function* documentOf({ data }: IppMessage, body: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (data.length > 0) yield data;
  for (let next = await body.next(); next.done !== true; next = await body.next()) yield next.value;
}
