import type { IncomingHttpHeaders } from "node:http";
import { PrinterError } from "../../printer.ts";
import { GatheredBytes } from "../../transports/gathered-bytes.ts";
import type { HttpClient, HttpRequest } from "../../transports/http-client.ts";

const MAX_REPLY = 2 * 1_048_576;
/** Of a 401; longer pages close their connection. */
const MAX_REFUSAL = 16_384;

export interface HttpReply {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** HTTP 401, with what the printer asks for. */
export class Unauthorized extends Error {
  readonly headers: IncomingHttpHeaders;

  constructor(headers: IncomingHttpHeaders) {
    super("HTTP 401");
    this.headers = headers;
  }
}

/** The whole reply to an IPP request (RFC 8010 4): HTTP 200 with `application/ipp`, at most 2 MiB. Anything else rejects, as soon as it is seen. */
export function httpReply(http: HttpClient, request: HttpRequest, signal: AbortSignal): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let head: { status: number; headers: IncomingHttpHeaders } = { status: 0, headers: {} };
    let gathered = new GatheredBytes(MAX_REPLY);
    const over = (error?: unknown) => {
      signal.removeEventListener("abort", aborted);
      if (error === undefined) return resolve({ headers: head.headers, body: gathered.bytes });
      reject(error);
      exchange.abort();
    };
    const aborted = () => over(signal.reason);
    const exchange = http.exchange(request, {
      head(status, headers) {
        head = { status, headers };
        // A 401 is read to its end, so that the connection lives on: some printers bind a nonce to it.
        if (status === 401) gathered = new GatheredBytes(MAX_REFUSAL);
        const wrong = status === 401 ? undefined : wrongHead(status, headers);
        if (wrong !== undefined) over(wrong);
      },
      piece(bytes) {
        if (gathered.add(bytes)) return;
        const tooLong = new PrinterError("printer-bad-reply", `more than ${MAX_REPLY} octets`);
        over(head.status === 401 ? new Unauthorized(head.headers) : tooLong);
      },
      end: () => over(head.status === 401 ? new Unauthorized(head.headers) : undefined),
      failed: over,
    });
    signal.addEventListener("abort", aborted, { once: true });
  });
}

function wrongHead(status: number, headers: IncomingHttpHeaders): PrinterError | undefined {
  if (status === 503) return new PrinterError("printer-unavailable", "HTTP 503");
  if (status !== 200) return new PrinterError("printer-http-error", `HTTP ${status}`);
  const type = (headers["content-type"] ?? "none").slice(0, 100);
  return /^application\/ipp\s*(;|$)/i.test(type)
    ? undefined
    : new PrinterError("printer-bad-reply", `content-type ${type}`);
}
