import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  boolean,
  enumeration,
  integer,
  keyword,
  mediaType,
  nameText,
  operationGroup,
  stringsOf,
  uri,
  valuesOf,
} from "../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../drivers/printers/ipp/codec.ts";
import { IppCodecError, type IppGroup, type IppMessage } from "../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";

/** When a document came, in monotonic ms of this process. */
export interface Arrival {
  readonly firstByteAt: number;
  readonly lastByteAt: number;
  readonly size: number;
}

export interface Expected {
  readonly firstByteAt: Promise<number>;
  readonly whole: Promise<Arrival>;
}

interface Waiting {
  readonly first: (at: number) => void;
  readonly whole: (arrival: Arrival) => void;
}

const [PROCESSING, COMPLETED] = [5, 9];
const REMEMBERED_JOBS = 100;

/**
 * An IPP printer that costs next to nothing: it times each document's first byte, throws the document away, and has
 * printed it when it is asked. So what is measured is who sends, not who prints. `POST /raw` takes a bare body.
 */
export class BenchPrinter {
  readonly #server: Server;
  readonly #names = new Map<number, string>();
  readonly #expected: Waiting[] = [];
  #lastJob = 0;

  static async start(): Promise<BenchPrinter> {
    const printer = new BenchPrinter();
    printer.#server.listen(0, "127.0.0.1");
    await once(printer.#server, "listening");
    return printer;
  }

  private constructor() {
    const settings = { keepAliveTimeout: 120_000, requestTimeout: 0, noDelay: true };
    this.#server = createServer(settings, (request, response) => this.#serve(request, response));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get uri(): string {
    return `ipp://127.0.0.1:${this.port}/ipp/print`;
  }

  /** The next document to come. */
  expect(): Expected {
    const first = Promise.withResolvers<number>();
    const whole = Promise.withResolvers<Arrival>();
    this.#expected.push({ first: first.resolve, whole: whole.resolve });
    return { firstByteAt: first.promise, whole: whole.promise };
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    let message: IppMessage | undefined;
    let header: Buffer = Buffer.alloc(0);
    let [size, firstByteAt] = [0, 0];
    let expected: Waiting | undefined;
    const document = (bytes: number) => {
      if (bytes === 0) return;
      if (size === 0) {
        firstByteAt = performance.now();
        expected = this.#expected.shift();
        expected?.first(firstByteAt);
      }
      size += bytes;
    };
    request.on("data", (bytes: Buffer) => {
      if (request.url === "/raw" || message !== undefined) return document(bytes.length);
      header = header.length === 0 ? bytes : Buffer.concat([header, bytes]);
      message = decodedIfWhole(header);
      if (message !== undefined) document(message.data.length);
    });
    request.on("end", () => {
      expected?.whole({ firstByteAt, lastByteAt: performance.now(), size });
      const reply = message === undefined ? Buffer.alloc(0) : encode(this.#answer(message));
      response.writeHead(200, { "content-type": "application/ipp", "content-length": reply.length }).end(reply);
    });
    request.on("error", () => response.destroy());
  }

  #answer({ version, code, requestId, groups }: IppMessage): IppMessage {
    const reply = (status: number, ...others: IppGroup[]): IppMessage => ({
      version,
      code: status,
      requestId,
      groups: [operationGroup(), ...others],
      data: new Uint8Array(),
    });
    const operation = groups[0];
    const [id] = valuesOf(operation, "job-id").map(({ value }) => Number(value));
    switch (code) {
      case OPERATION.getPrinterAttributes:
        return reply(STATUS.ok, this.#attributes());
      case OPERATION.validateJob:
      case OPERATION.cancelJob:
        return reply(STATUS.ok);
      case OPERATION.createJob:
      case OPERATION.printJob: {
        this.#lastJob += 1;
        this.#names.set(this.#lastJob, stringsOf(operation, "job-name")[0] ?? "untitled");
        this.#names.delete(this.#lastJob - REMEMBERED_JOBS);
        return reply(STATUS.ok, this.#job(this.#lastJob, PROCESSING));
      }
      case OPERATION.sendDocument:
        return reply(STATUS.ok, this.#job(id ?? 0, PROCESSING));
      case OPERATION.getJobAttributes:
        return reply(STATUS.ok, this.#job(id ?? 0, COMPLETED));
      case OPERATION.getJobs:
        return reply(STATUS.ok);
      default:
        return reply(STATUS.operationNotSupported);
    }
  }

  #job(id: number, state: number): IppGroup {
    const attributes = [
      integer("job-id", id),
      uri("job-uri", `${this.uri}/${id}`),
      nameText("job-name", this.#names.get(id) ?? "unknown"),
      enumeration("job-state", state),
      keyword("job-state-reasons", state === COMPLETED ? "job-completed-successfully" : "job-printing"),
      integer("job-impressions-completed", state === COMPLETED ? 1 : 0),
    ];
    return { tag: GROUP.job, attributes };
  }

  #attributes(): IppGroup {
    const attributes = [
      uri("printer-uri-supported", this.uri),
      keyword("uri-security-supported", "none"),
      keyword("uri-authentication-supported", "none"),
      nameText("printer-name", "bench"),
      enumeration("printer-state", 3),
      keyword("printer-state-reasons", "none"),
      boolean("printer-is-accepting-jobs", true),
      integer("queued-job-count", 0),
      keyword("ipp-versions-supported", "1.1", "2.0"),
      enumeration("operations-supported", ...Object.values(OPERATION)),
      mediaType("document-format-supported", "application/pdf", "application/octet-stream"),
      mediaType("document-format-default", "application/pdf"),
      keyword("compression-supported", "none"),
      keyword("media-supported", "iso_a4_210x297mm"),
      keyword("media-default", "iso_a4_210x297mm"),
    ];
    return { tag: GROUP.printer, attributes };
  }
}

function decodedIfWhole(bytes: Uint8Array): IppMessage | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (error instanceof IppCodecError && error.code === "ipp-truncated") return undefined;
    throw error;
  }
}
