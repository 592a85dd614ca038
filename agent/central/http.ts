import type { FileHandle } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { ZodMiniType } from "zod/mini";
import { PROBLEMS, type ProblemCode } from "../protocol/problems.ts";
import type { Problem } from "../protocol/schema.ts";

/** Octets of the largest request; an outcome has about 300. */
export const MAX_REQUEST_BYTES = 64 * 1024;

/** How much of a document is in memory for each agent that fetches one. */
const READ_BYTES = 256 * 1024;

export interface Refusal {
  readonly problem: ProblemCode;
  /** More about it, never a value from the request. */
  readonly detail?: string;
  readonly retryAfterMs?: number;
}

/** An open file, which `send` closes whatever becomes of it. */
export interface DocumentAnswer {
  readonly file: FileHandle;
  readonly size: number;
}

export type Answer =
  | { readonly json: object; readonly etag?: string }
  /** To a request that named this entity tag (RFC 9110 13.1.2). */
  | { readonly unchanged: string }
  /** Takes the response over; resolves when it has ended. */
  | { readonly stream: (response: ServerResponse) => Promise<void> }
  | { readonly document: DocumentAnswer }
  | Refusal;

/** The request's body as `schema` has it. Reads no more than `MAX_REQUEST_BYTES`. */
export async function readJson<T>(request: IncomingMessage, schema: ZodMiniType<T>): Promise<{ value: T } | Refusal> {
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) return { problem: "body-not-json" };
  if (Number(request.headers["content-length"] ?? 0) > MAX_REQUEST_BYTES) return { problem: "body-too-large" };
  const parts: Buffer[] = [];
  let size = 0;
  // Leaving the loop must not destroy the connection: the refusal still has to go out on it.
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    size += (part as Buffer).length;
    if (size > MAX_REQUEST_BYTES) return { problem: "body-too-large" };
    parts.push(part as Buffer);
  }
  let content: unknown;
  try {
    content = JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch {
    return { problem: "body-invalid", detail: "It is not JSON." };
  }
  const parsed = schema.safeParse(content);
  if (parsed.success) return { value: parsed.data };
  const path = parsed.error.issues[0]?.path.join(".") ?? "";
  return { problem: "body-invalid", detail: path === "" ? "It has wrong keys." : `See its key ${path}.` };
}

/** Sends the answer; resolves when it is handed over whole. `stallMs`: how long a fetching agent may take nothing. */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  stallMs: number,
): Promise<void> {
  // A body that nobody read would otherwise be swallowed, however long it is, to keep the connection.
  if (!request.complete) response.setHeader("connection", "close");
  response.setHeader("cache-control", "no-store");
  if ("document" in answer) {
    const { file, size } = answer.document;
    try {
      response.writeHead(200, { "content-type": "application/octet-stream", "content-length": size });
      response.setTimeout(stallMs, () => response.destroy());
      const bytes = file.createReadStream({ highWaterMark: READ_BYTES, end: size - 1, autoClose: false });
      await pipeline(bytes, response);
    } finally {
      await file.close();
    }
    return;
  }
  if ("stream" in answer) return answer.stream(response);
  if ("unchanged" in answer) {
    response.writeHead(304, { etag: answer.unchanged }).end();
    return;
  }
  let [status, content]: [number, object] = [200, {}];
  if ("json" in answer) {
    content = answer.json;
    if (answer.etag !== undefined) response.setHeader("etag", answer.etag);
  } else {
    const { status: code, message } = PROBLEMS[answer.problem];
    status = code;
    const text = answer.detail === undefined ? message : `${message} ${answer.detail}`;
    content = { code: answer.problem, message: text.slice(0, 500) } satisfies Problem;
    if (answer.retryAfterMs !== undefined) response.setHeader("retry-after", Math.ceil(answer.retryAfterMs / 1000));
  }
  const body = Buffer.from(JSON.stringify(content));
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length });
  response.end(body);
}
