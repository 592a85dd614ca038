import type { IncomingHttpHeaders } from "node:http";
import type { LineExchange, Receiver } from "./line.ts";
import { LinkError } from "./link-error.ts";
import { type ClaimLost, isPlain, JsonReply, MAX_SMALL_JSON_BYTES } from "./reply.ts";

/** Reading from the connection stops above these: octets, and pieces, because a hostile server may send tiny ones. */
const HIGH_WATER_BYTES = 256 * 1024;
const HIGH_WATER_PIECES = 64;

/** The body of a document as it comes. Whoever reads slowly slows the server down; only silence is a stall. */
export class DocumentReply implements Receiver {
  readonly #betweenPiecesMs: number;
  readonly #claimLost: ClaimLost;
  /** Told of the end; the error that it returns is the one to throw. */
  readonly #settled: (error: LinkError | undefined) => LinkError | undefined;
  #exchange: LineExchange | undefined;
  /** The reply of a status other than 200. */
  #problem: JsonReply | undefined;
  #begun = false;
  #queue: Buffer[] = [];
  #queued = 0;
  #paused = false;
  #end: LinkError | "whole" | undefined;
  #wake: (() => void) | undefined;

  constructor(
    betweenPiecesMs: number,
    claimLost: ClaimLost,
    settled: (error: LinkError | undefined) => LinkError | undefined,
  ) {
    this.#betweenPiecesMs = betweenPiecesMs;
    this.#claimLost = claimLost;
    this.#settled = settled;
  }

  /** The pieces of `exchange`, which answers to this receiver. Giving up the iteration closes the connection. */
  async *pieces(exchange: LineExchange): AsyncGenerator<Uint8Array, void> {
    this.#exchange = exchange;
    try {
      for (;;) {
        const piece = this.#queue.shift();
        if (piece !== undefined) {
          this.#queued -= piece.length;
          if (this.#paused && this.#queue.length === 0) {
            this.#paused = false;
            exchange.resume();
          }
          yield piece;
        } else if (this.#end === undefined) {
          // The header has its own deadline already; from then on the time counts only while somebody waits.
          if (this.#begun) exchange.deadline(this.#betweenPiecesMs);
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          if (this.#begun) exchange.deadline(undefined);
        } else if (this.#end === "whole") {
          return;
        } else {
          throw this.#end;
        }
      }
    } finally {
      exchange.fail(new LinkError("link-given-up", "the document was not read to its end"));
    }
  }

  head(status: number, headers: IncomingHttpHeaders): LinkError | undefined {
    if (status !== 200) {
      this.#problem = new JsonReply(MAX_SMALL_JSON_BYTES);
      return this.#problem.head(status, headers);
    }
    if (!isPlain(headers)) return new LinkError("link-bad-reply", "a document in a content coding");
    this.#begun = true;
    this.#exchange?.deadline(undefined);
    this.#wake?.();
    return undefined;
  }

  piece(bytes: Buffer): LinkError | undefined {
    if (this.#problem !== undefined) return this.#problem.piece(bytes);
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (!this.#paused && (this.#queued >= HIGH_WATER_BYTES || this.#queue.length >= HIGH_WATER_PIECES)) {
      this.#paused = true;
      this.#exchange?.pause();
    }
    this.#wake?.();
    return undefined;
  }

  settle(_exchange: LineExchange, error?: LinkError): void {
    this.#end = this.#settled(error ?? this.#problem?.error(this.#claimLost)) ?? "whole";
    this.#wake?.();
  }
}
