import type * as z from "zod/mini";
import type { Clock } from "../../../drivers/clock.ts";
import { openTls, type PeerAddress, type PeerTrust } from "../../../drivers/transports/tls.ts";
import { Line } from "../line.ts";
import { LinkError } from "../link-error.ts";
import { JsonReply, MAX_SMALL_JSON_BYTES } from "../reply.ts";

const CONNECT_MS = 10_000;
const ANSWER_MS = 15_000;

export interface Asked {
  readonly peer: PeerAddress;
  readonly origin: string;
  readonly trust: PeerTrust;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One question on a connection of its own: no two of these are asked of the same trust. Rejects with a `LinkError`. */
export async function ask<T>(
  asked: Asked,
  method: "GET" | "POST",
  path: string,
  answer: z.ZodMiniType<T>,
  body?: object,
): Promise<T> {
  const { peer, origin, trust, clock, signal, headers = {} } = asked;
  const line = new Line({
    origin,
    clock,
    connect: (given) => openTls(peer, trust, CONNECT_MS, given),
    closed: () => {},
    retried: () => {},
  });
  try {
    return await new Promise<T>((resolve, reject) => {
      const reply = new JsonReply(MAX_SMALL_JSON_BYTES);
      const request = {
        method,
        path,
        ...(body === undefined
          ? { headers }
          : { headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) }),
      };
      line.exchange(request, ANSWER_MS, signal, {
        head: (status, received) => reply.head(status, received),
        piece: (bytes) => reply.piece(bytes),
        settle(_exchange, error) {
          const result = error ?? reply.read(answer);
          if (result instanceof LinkError) reject(result);
          else resolve(result);
        },
      });
    });
  } finally {
    await line.destroy();
  }
}
