import type { IncomingHttpHeaders } from "node:http";
import type * as z from "zod/mini";
import { GatheredBytes } from "../../drivers/transports/gathered-bytes.ts";
import type { ProblemCode } from "../protocol/problems.ts";
import { Problem } from "../protocol/schema.ts";
import { type LinkCode, LinkError } from "./link-error.ts";

/** A server may ask for silence for longer, but a person stands at the printer. */
const MAX_RETRY_AFTER_MS = 60_000;
const DEFAULT_RETRY_AFTER_MS = 5_000;

/** Octets of a reply that is not an answer with manifests. */
export const MAX_SMALL_JSON_BYTES = 64 * 1024;

/** Far above what the largest answers hold. 4 MiB of `{},{},` are 1.4 million objects in 104 MiB, the whole heap on a Pi. */
const MAX_JSON_VALUES = 20_000;

/** The status and body of a reply whose body is JSON, judged as it comes, never more of it than the cap. */
export class JsonReply {
  headers: IncomingHttpHeaders = {};
  #cap: number;
  #status = 0;
  #gathered: GatheredBytes;
  readonly #mayBeUnchanged: boolean;

  /**
   * At most this many octets of a 200; other replies may have MAX_SMALL_JSON_BYTES. `mayBeUnchanged`: the request named the
   * entity tag of what the caller has.
   */
  constructor(cap: number, mayBeUnchanged = false) {
    this.#cap = cap;
    this.#gathered = new GatheredBytes(cap);
    this.#mayBeUnchanged = mayBeUnchanged;
  }

  get unchanged(): boolean {
    return this.#mayBeUnchanged && this.#status === 304;
  }

  head(status: number, headers: IncomingHttpHeaders): LinkError | undefined {
    if (status !== 200) {
      this.#cap = MAX_SMALL_JSON_BYTES;
      this.#gathered = new GatheredBytes(this.#cap);
    }
    this.#status = status;
    this.headers = headers;
    if (this.unchanged) return undefined;
    if (status >= 300 && status < 400) return new LinkError("link-redirected", `${status}${placeOf(headers.location)}`);
    if (status === 200 && !isJson(headers)) return new LinkError("link-bad-reply", "200 without plain JSON");
    if (Number(headers["content-length"]) > this.#cap) return tooLarge(this.#cap);
    return undefined;
  }

  piece(bytes: Buffer): LinkError | undefined {
    return this.#gathered.add(bytes) ? undefined : tooLarge(this.#cap);
  }

  /** The content of a whole reply, or the error that it stands for. */
  read<T>(schema: z.ZodMiniType<T>, claimLost?: ClaimLost): T | LinkError {
    if (this.#status !== 200) return this.error(claimLost);
    if (this.#isDense()) return new LinkError("link-reply-too-large", `more than ${MAX_JSON_VALUES} JSON values`);
    const content = this.#json();
    if (content === undefined) return new LinkError("link-bad-reply", "200 with broken JSON");
    const parsed = schema.safeParse(content);
    if (parsed.success) return parsed.data;
    // The path only: a message may quote what came.
    return new LinkError("link-bad-reply", `200 that does not fit at /${parsed.error.issues[0]?.path.join("/") ?? ""}`);
  }

  /** What a whole reply of a status other than 200 stands for. */
  error(claimLost?: ClaimLost): LinkError {
    return statusError(this.#status, this.headers, this.#problem(), claimLost);
  }

  /** Each value but the first takes a comma or a bracket, so their number bounds what the parser allocates. */
  #isDense(): boolean {
    const { bytes } = this.#gathered;
    if (bytes.length <= MAX_SMALL_JSON_BYTES) return false;
    let values = 1;
    for (let index = 0; index < bytes.length && values <= MAX_JSON_VALUES; index++) {
      const octet = bytes[index];
      if (octet === 0x2c || octet === 0x5b || octet === 0x7b) values += 1;
    }
    return values > MAX_JSON_VALUES;
  }

  #json(): unknown {
    try {
      return JSON.parse(this.#gathered.bytes.toString());
    } catch {
      // Mapped by the caller; the parser's own message quotes the reply.
      return undefined;
    }
  }

  #problem(): string {
    const parsed = isJson(this.headers) ? Problem.safeParse(this.#json()) : undefined;
    return parsed?.success === true ? parsed.data.code : "";
  }
}

/**
 * The problems by which the server lets go of a claim. A status alone does not: a 404 may come from a server of another
 * version or from what stands in front of it, and an outcome that is taken for told is never told again.
 */
export type ClaimLost = ReadonlySet<ProblemCode>;

/** Each has a next step of its own. */
const REFUSALS: Readonly<Record<string, LinkCode>> = {
  "agent-revoked": "link-revoked",
  "agent-cloned": "link-cloned",
  "certificate-expired": "link-certificate-expired",
};
/** Of the server itself; a 404 without it may come from what stands in front of it. */
const NOTHING_THERE: ProblemCode = "policy-none";

function statusError(
  status: number,
  headers: IncomingHttpHeaders,
  problem: string,
  claimLost: ReadonlySet<string> | undefined,
): LinkError {
  const detail = problem === "" ? `${status}` : `${status} ${problem}`;
  const error = (code: LinkCode, waitMs?: number) => new LinkError(code, detail, waitMs, problem);
  if (claimLost?.has(problem)) return error("link-claim-lost");
  if (problem === NOTHING_THERE) return error("link-nothing-there");
  const refusal = Object.hasOwn(REFUSALS, problem) ? REFUSALS[problem] : undefined;
  if (refusal !== undefined && status === 403) return error(refusal);
  if (status === 401 || status === 403) return error("link-refused");
  if (status === 429) return error("link-rate-limited", retryAfterMs(headers) ?? DEFAULT_RETRY_AFTER_MS);
  if (status >= 500) return error("link-server-error", retryAfterMs(headers));
  return error("link-bad-reply");
}

/** RFC 9110 10.2.3, in seconds; the form with a date would need a clock that can be trusted. */
function retryAfterMs(headers: IncomingHttpHeaders): number | undefined {
  const text = headers["retry-after"] ?? "";
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text) * 1000, MAX_RETRY_AFTER_MS) : undefined;
}

function tooLarge(cap: number): LinkError {
  return new LinkError("link-reply-too-large", `more than ${cap} octets of JSON`);
}

function isJson(headers: IncomingHttpHeaders): boolean {
  // Twice the same header comes as an array, whatever the types say.
  const type: unknown = headers["content-type"];
  return typeof type === "string" && /^application\/json *(;|$)/i.test(type) && isPlain(headers);
}

/** We ask for no content coding, so a coded reply is not for us (RFC 9110 12.5.3). */
export function isPlain(headers: IncomingHttpHeaders): boolean {
  const coding = headers["content-encoding"];
  return coding === undefined || coding === "identity";
}

/** Scheme and host of where a redirect leads; the rest of an address may hold anything. */
function placeOf(location: unknown): string {
  const place = typeof location === "string" ? URL.parse(location) : null;
  return place === null ? "" : ` to ${place.protocol}//${place.host.slice(0, 100)}`;
}
