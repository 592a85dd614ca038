import { createHash, createHmac, randomBytes, scrypt, timingSafeEqual, X509Certificate } from "node:crypto";

/**
 * How a person makes agent and central server sure of each other: a claim code that the agent makes, that goes from its screen to
 * the server by that person alone, and a short fingerprint that both sides show. Neither ever crosses the network; what does are
 * proofs that each side knows the code *and* saw the same keys as the other.
 */

/** Crockford's base32: no I, L, O, U. */
const SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_SYMBOLS = 10;
const FINGERPRINT_SYMBOLS = 16;

/** How long a code may be used, from the moment that the server heard of it. */
export const CLAIM_MS = 15 * 60_000;

/**
 * 16 MiB and some 40 ms here for each guess: the 50 bits of a code are some 700,000 years of one core, and whoever stands in the
 * middle has a quarter of an hour. The fingerprint is stretched too: two of its 80 bits that agree take 2^40 tries, 1,400 years of one core.
 */
const COST = { N: 2 ** 14, r: 8, p: 1, maxmem: 64 * 2 ** 20 };

/** Everything that both sides must have seen alike. */
export interface Seen {
  /** The agent's TLS key, as the SPKI (DER) of its certificate request. */
  readonly tlsKey: Uint8Array;
  /** The agent's raw Ed25519 and X25519 public keys, base64url. */
  readonly signingKey: string;
  readonly sealingKey: string;
  /** What the server offers: its CA (PEM) and the pins of its TLS keys. */
  readonly ca: string;
  readonly keyPins: readonly string[];
}

/** SHA-256 over all of it, each part with its length before it. */
export function digestOf({ tlsKey, signingKey, sealingKey, ca, keyPins }: Seen): Buffer {
  const hash = createHash("sha256");
  const parts = [
    "printgate enrolment 1",
    tlsKey,
    Buffer.from(signingKey, "base64url"),
    Buffer.from(sealingKey, "base64url"),
    new X509Certificate(ca).raw,
    ...[...keyPins].sort(),
  ];
  for (const part of parts) {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest();
}

export function newClaimCode(): string {
  return symbols(randomBytes(CODE_SYMBOLS), CODE_SYMBOLS);
}

/** A code as people type it: any case, O for 0, I and L for 1, hyphens and spaces anywhere. Undefined if it is none. */
export function readClaimCode(typed: string): string | undefined {
  const code = typed.toUpperCase().replace(/[\s-]/g, "").replaceAll("O", "0").replace(/[IL]/g, "1");
  const known = [...code].every((symbol) => SYMBOLS.includes(symbol));
  return known && code.length === CODE_SYMBOLS ? code : undefined;
}

/** `ABCDE-FGHJK` */
export function shownClaimCode(code: string): string {
  return `${code.slice(0, 5)}-${code.slice(5)}`;
}

/** The key of the proofs: from the code, and for this TLS key alone. */
export function claimKey(code: string, tlsKey: Uint8Array): Promise<Buffer> {
  return stretched(code, createHash("sha256").update("printgate claim 1").update(tlsKey).digest(), 32);
}

/** The agent's proof: whoever made this request knows the code and saw `digest`. */
export function requestProof(key: Buffer, digest: Buffer): Buffer {
  return createHmac("sha256", key).update("agent").update(digest).digest();
}

/** The server's proof: whoever approved knows the code, saw `digest`, and says exactly `content`. */
export function approvalProof(key: Buffer, digest: Buffer, content: Uint8Array): Buffer {
  return createHmac("sha256", key).update("server").update(digest).update(content).digest();
}

export function isProof(given: string, right: Buffer): boolean {
  const bytes = Buffer.from(given, "base64url");
  return bytes.length === right.length && timingSafeEqual(bytes, right);
}

/** Four groups of four symbols, for people to compare. */
export async function fingerprintOf(digest: Buffer): Promise<string> {
  const bytes = await stretched(digest, Buffer.from("printgate fingerprint 1"), FINGERPRINT_SYMBOLS);
  return symbols(bytes, FINGERPRINT_SYMBOLS).replace(/.{4}(?=.)/g, "$&-");
}

/** Fingerprints as people copy them: any case, with or without hyphens. */
export function sameFingerprint(one: string, other: string): boolean {
  const plain = (text: string) => text.toUpperCase().replace(/[\s-]/g, "");
  return plain(one) === plain(other);
}

function stretched(secret: string | Buffer, salt: Buffer, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, bytes, COST, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

/** Five bits of each octet; 32 divides 256, so each symbol is as likely as another. */
function symbols(bytes: Uint8Array, count: number): string {
  return [...bytes.subarray(0, count)].map((byte) => SYMBOLS[byte & 31] ?? "").join("");
}
