import { createHash } from "node:crypto";

/**
 * Pure: HTTP authentication of RFC 7235, with Basic (RFC 7617) and Digest (RFC 7616: MD5 and SHA-256, qop=auth, and the older
 * form without qop). Parses what a printer asks for, and computes what answers it. Headers are strings of octets, as Node has
 * them (Latin-1); what a person wrote is turned into the octets of its UTF-8.
 */

export interface Login {
  /** Without a colon (RFC 7617 2). */
  readonly user: string;
  readonly password: string;
}

export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case; the first of a name counts. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** What a printer may send; more of it is not read. */
const MAX_HEADER = 8_192;
const MAX_CHALLENGES = 16;

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)"/y;

/** Whatever the header holds: what can be read of it. Never throws. */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const text = (typeof header === "string" ? header : (header ?? []).join(", ")).slice(0, MAX_HEADER);
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text) ?? undefined;
    if (found !== undefined) at += found[0].length;
    return found;
  };
  while (at < text.length && challenges.length <= MAX_CHALLENGES) {
    take(/[\s,]+/y);
    const word = take(TOKEN)?.[0];
    if (word === undefined) {
      at += 1; // nothing that any challenge has here
      continue;
    }
    const value = take(/[ \t]*=[ \t]*/y) === undefined ? undefined : (take(QUOTED) ?? take(TOKEN));
    if (value === undefined) {
      challenges.push({ scheme: word.toLowerCase(), parameters: new Map() });
      continue;
    }
    const plain = value[1] === undefined ? value[0] : value[1].replace(/\\([\s\S])/g, "$1");
    const parameters = challenges.at(-1)?.parameters;
    if (parameters?.has(word.toLowerCase()) === false) parameters.set(word.toLowerCase(), plain);
  }
  return challenges.slice(0, MAX_CHALLENGES);
}

/** A challenge that can be answered. */
export type Answerable =
  | { readonly scheme: "basic"; readonly realm: string }
  | {
      readonly scheme: "digest";
      readonly realm: string;
      readonly nonce: string;
      readonly opaque: string | undefined;
      readonly hash: "sha256" | "md5";
      /** As the printer wrote it; undefined where it named none. */
      readonly algorithm: string | undefined;
      readonly qop: boolean;
      readonly stale: boolean;
    };

const HASHES = new Map([
  ["sha-256", "sha256"],
  ["md5", "md5"],
] as const);

/** The strongest that can be answered: Digest with SHA-256, with MD5, then Basic, which shows the password: on TLS only. */
export function answerable(challenges: readonly Challenge[], secure: boolean): Answerable | undefined {
  const known = challenges.flatMap((challenge): Answerable[] => {
    const { scheme, parameters } = challenge;
    const realm = parameters.get("realm") ?? "";
    if (scheme === "basic") return secure ? [{ scheme, realm }] : [];
    const nonce = parameters.get("nonce");
    const algorithm = parameters.get("algorithm");
    const hash = [...HASHES].find(([name]) => name === (algorithm ?? "md5").toLowerCase())?.[1];
    if (scheme !== "digest" || nonce === undefined || hash === undefined) return [];
    const offered = parameters
      .get("qop")
      ?.toLowerCase()
      .split(/[\s,]+/);
    if (offered !== undefined && !offered.includes("auth")) return [];
    const stale = parameters.get("stale")?.toLowerCase() === "true";
    const opaque = parameters.get("opaque");
    return [{ scheme, realm, nonce, opaque, hash, algorithm, qop: offered !== undefined, stale }];
  });
  const strength = (one: Answerable) => (one.scheme === "basic" ? 0 : one.hash === "md5" ? 1 : 2);
  return known.sort((a, b) => strength(b) - strength(a))[0];
}

export interface DigestUse {
  readonly method: string;
  /** The request-target, as in the request line. */
  readonly target: string;
  /** How often this nonce was used, this time included (RFC 7616 3.4). */
  readonly count: number;
  /** Ours, not to be guessed. */
  readonly clientNonce: string;
}

/** The value of the Authorization header. */
export function authorization(challenge: Answerable, { user, password }: Login, use: DigestUse): string {
  if (challenge.scheme === "basic") return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const { realm, nonce, opaque, hash, algorithm, qop } = challenge;
  const digest = (...parts: readonly string[]) => createHash(hash).update(parts.join(":"), "latin1").digest("hex");
  const count = use.count.toString(16).padStart(8, "0");
  const used = qop ? [nonce, count, use.clientNonce, "auth"] : [nonce];
  const response = digest(digest(octets(user), realm, octets(password)), ...used, digest(use.method, use.target));
  const fields = [
    `username=${quoted(octets(user))}`,
    `realm=${quoted(realm)}`,
    `uri=${quoted(use.target)}`,
    ...(algorithm === undefined ? [] : [`algorithm=${hash === "md5" ? "MD5" : "SHA-256"}`]),
    `nonce=${quoted(nonce)}`,
    ...(qop ? [`nc=${count}`, `cnonce=${quoted(use.clientNonce)}`, "qop=auth"] : []),
    `response="${response}"`,
    ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
  ];
  return `Digest ${fields.join(", ")}`;
}

function octets(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
