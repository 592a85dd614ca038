import type { Socket } from "node:net";
import type { Dispatcher } from "undici";
import requestOf from "undici/lib/api/api-request.js";
import Client from "undici/lib/dispatcher/client.js";

export interface HttpClientOptions {
  /** Makes the connection; what it rejects with comes out of `request` unchanged. */
  readonly open: () => Promise<Socket>;
  /** How long an idle connection is kept, in ms; a server's keep-alive hint may shorten it. */
  readonly keepAliveMs: number;
  /** From the end of the request to the reply's header, in ms. */
  readonly headersTimeoutMs: number;
  /** Between two pieces of the reply's body, in ms. */
  readonly bodyTimeoutMs: number;
}

export type HttpRequest = Omit<Dispatcher.RequestOptions, "origin">;
export type HttpReply = Dispatcher.ResponseData;

/** HTTP/1.1 to one origin over one connection that we make ourselves. It follows no redirect and decodes nothing. */
export class HttpClient {
  readonly #client: Client;

  constructor(origin: string, options: HttpClientOptions) {
    this.#client = new Client(origin, {
      pipelining: 1,
      keepAliveTimeout: options.keepAliveMs,
      keepAliveMaxTimeout: options.keepAliveMs,
      headersTimeout: options.headersTimeoutMs,
      bodyTimeout: options.bodyTimeoutMs,
      maxHeaderSize: 16_384,
      connect(_options, callback) {
        options.open().then(
          (socket) => callback(null, socket as never),
          (error: Error) => callback(error, null),
        );
      },
    });
  }

  request(request: HttpRequest): Promise<HttpReply> {
    return requestOf.call(this.#client, request);
  }

  /** Ends everything at once; pending requests reject. */
  destroy(): Promise<void> {
    return this.#client.destroy();
  }
}
