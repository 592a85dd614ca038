import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type CodeTable, codedError } from "../../drivers/coded-error.ts";
import { type Envelope, Manifest } from "./schema.ts";

export const ENVELOPE_CODES = {
  "envelope-key-unknown": {
    what: "A message from the central server is signed with a key that this agent does not know.",
    next: "Check that the agent's configuration is from this central server; print it anew with `printgate central agent add`.",
  },
  "envelope-signature-wrong": {
    what: "The signature of a message from the central server is wrong.",
    next: "The message was altered on its way or at the server; check who else can write to the server's data.",
  },
  "envelope-content-invalid": {
    what: "A message from the central server is signed well but says nothing that this agent understands.",
    next: "Bring agent and central server to the same version.",
  },
} as const satisfies CodeTable;

export class EnvelopeError extends codedError(ENVELOPE_CODES) {}

/** First 16 hex digits of SHA-256 over the raw public key. */
export function keyIdOf(rawPublicKey: Uint8Array): string {
  return createHash("sha256").update(rawPublicKey).digest("hex").slice(0, 16);
}

/** An Ed25519 public key (RFC 8410) from its raw 32 bytes in base64url. */
export function publicKeyFromRaw(raw: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw }, format: "jwk" });
}

export function rawFromPublicKey(key: KeyObject): string {
  const { x } = key.export({ format: "jwk" });
  if (x === undefined) throw new TypeError("not an Ed25519 key");
  return x;
}

export function seal(content: object, privateKey: KeyObject): Envelope {
  const payload = Buffer.from(JSON.stringify(content));
  const raw = Buffer.from(rawFromPublicKey(createPublicKey(privateKey)), "base64url");
  return {
    keyId: keyIdOf(raw),
    payload: payload.toString("base64url"),
    signature: sign(null, payload, privateKey).toString("base64url"),
  };
}

/** Verifies over the exact bytes first; only then is the content parsed. */
export function openManifest(envelope: Envelope, manifestKey: string): Manifest {
  if (envelope.keyId !== keyIdOf(Buffer.from(manifestKey, "base64url"))) {
    throw new EnvelopeError("envelope-key-unknown", envelope.keyId);
  }
  const payload = Buffer.from(envelope.payload, "base64url");
  if (!verify(null, payload, publicKeyFromRaw(manifestKey), Buffer.from(envelope.signature, "base64url"))) {
    throw new EnvelopeError("envelope-signature-wrong", envelope.keyId);
  }
  let content: unknown;
  try {
    content = JSON.parse(payload.toString("utf8"));
  } catch (cause) {
    throw new EnvelopeError("envelope-content-invalid", "not JSON", { cause });
  }
  const parsed = Manifest.safeParse(content);
  if (!parsed.success) throw new EnvelopeError("envelope-content-invalid", "not a manifest");
  const { size, chunkSize, chunks } = parsed.data;
  if (chunks.length !== Math.ceil(size / chunkSize)) {
    throw new EnvelopeError("envelope-content-invalid", "chunk count does not fit the size");
  }
  return parsed.data;
}
