import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  boolean,
  enumeration,
  integer,
  keyword,
  mediaType,
  nameText,
  operationGroup,
} from "../../../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import type { IppAttribute, IppGroup, IppMessage } from "../../../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION } from "../../../../drivers/printers/ipp/tags.ts";

export interface Reply {
  readonly code?: number;
  readonly groups?: readonly IppGroup[];
}

/** One HTTP exchange; a script may answer it, break it, or do nothing at all. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly socket: Socket;
  /** How many requests this connection has had, this one included. */
  readonly nth: number;
  /** Reads the whole request. */
  readonly message: () => Promise<IppMessage>;
  /** Answers as a printer does, after it has read the request. */
  readonly answer: () => Promise<void>;
}

const jobGroup = (...attributes: IppAttribute[]): IppGroup => ({ tag: GROUP.job, attributes });
export const printerGroup = (...attributes: IppAttribute[]): IppGroup => ({ tag: GROUP.printer, attributes });

export const IDLE = [
  enumeration("printer-state", 3),
  keyword("printer-state-reasons", "none"),
  boolean("printer-is-accepting-jobs", true),
] as const;

export const CAPABLE = [
  enumeration(
    "operations-supported",
    OPERATION.printJob,
    OPERATION.createJob,
    OPERATION.sendDocument,
    OPERATION.getJobAttributes,
    OPERATION.getJobs,
  ),
  mediaType("document-format-supported", "application/octet-stream", "application/pdf"),
  keyword("ipp-versions-supported", "1.1", "2.0"),
] as const;

export const job = (id: number, name: string, state: number, ...more: IppAttribute[]) =>
  jobGroup(
    integer("job-id", id),
    nameText("job-name", name),
    enumeration("job-state", state),
    keyword("job-state-reasons", "none"),
    ...more,
  );

/** What a simple printer answers, by operation. */
const ANSWERS: Readonly<Record<number, Reply>> = {
  [OPERATION.getPrinterAttributes]: { groups: [printerGroup(...IDLE, ...CAPABLE)] },
  [OPERATION.createJob]: { groups: [job(7, "ignored", 3)] },
  [OPERATION.sendDocument]: { groups: [job(7, "ignored", 5)] },
  [OPERATION.printJob]: { groups: [job(8, "ignored", 5)] },
  [OPERATION.getJobAttributes]: { groups: [job(7, "rel-1", 9)] },
  [OPERATION.getJobs]: {},
  [OPERATION.cancelJob]: {},
};

/** A printer on a free port that answers by script: `answers` by operation, or `script` for whole exchanges. */
export class ScriptedPrinter implements AsyncDisposable {
  readonly requests: IppMessage[] = [];
  readonly headers: IncomingMessage["headers"][] = [];
  readonly sockets = new Set<Socket>();
  connections = 0;
  answers: Record<number, Reply | ((message: IppMessage) => Reply)> = { ...ANSWERS };
  script: (exchange: Exchange) => unknown = ({ answer }) => answer();
  readonly #server = createServer((req, res) => this.#handle(req, res));
  readonly #counts = new WeakMap<Socket, number>();

  static async start(): Promise<ScriptedPrinter> {
    const printer = new ScriptedPrinter();
    printer.#server.on("connection", (socket: Socket) => {
      printer.connections += 1;
      printer.sockets.add(socket);
      socket.on("error", () => {}).on("close", () => printer.sockets.delete(socket));
    });
    printer.#server.on("clientError", (_error, socket) => socket.destroy());
    printer.#server.listen(0, "127.0.0.1");
    await once(printer.#server, "listening");
    return printer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get uri(): string {
    return `ipp://127.0.0.1:${this.port}/ipp/print`;
  }

  /** Resolves when every connection is gone. */
  async quiet(): Promise<void> {
    for (const socket of this.sockets) await new Promise((resolve) => socket.once("close", resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  #handle(req: IncomingMessage, res: ServerResponse): void {
    const socket = req.socket;
    const nth = (this.#counts.get(socket) ?? 0) + 1;
    this.#counts.set(socket, nth);
    this.headers.push(req.headers);
    req.on("error", () => {});
    let read: Promise<IppMessage> | undefined;
    const message = () => {
      read ??= readMessage();
      return read;
    };
    const readMessage = async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
      const decoded = decode(Buffer.concat(chunks));
      this.requests.push(decoded);
      return decoded;
    };
    const answer = async () => {
      res.writeHead(200, { "content-type": "application/ipp" }).end(this.replyTo(await message()));
    };
    // A request that the client cut ends the script; the tests look at the client's side.
    Promise.resolve(this.script({ req, res, socket, nth, message, answer })).then(undefined, () => socket.destroy());
  }

  replyTo(message: IppMessage): Uint8Array {
    const entry = this.answers[message.code];
    const { code = 0, groups = [] } = typeof entry === "function" ? entry(message) : (entry ?? { code: 0x0501 });
    const data = new Uint8Array(0);
    return encode({ version: 0x0200, code, requestId: message.requestId, groups: [operationGroup(), ...groups], data });
  }
}
