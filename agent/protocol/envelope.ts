import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type CodeTable, codedError } from "../../drivers/coded-error.ts";
import { type Envelope, Manifest } from "./schema.ts";

export const ENVELOPE_CODES = {
  "envelope-key-unknown": {
    what: "A message from the central server is signed with a key that this agent does not know.",
    next: "Check that this agent is enrolled at the central server that it asks; if the server was made anew, enrol it again with `printgate enrol --again`.",
  },
  "envelope-signature-wrong": {
    what: "The signature of a message from the central server is wrong.",
    next: "The message was altered on its way or at the server; check who else can write to the server's data.",
  },
  "envelope-content-invalid": {
    what: "A message from the central server is signed well but says nothing that this agent understands.",
    next: "Bring agent and central server to the same version.",
  },
  "envelope-schema-newer": {
    what: "A message from the central server is for a newer version of this agent.",
    next: "Update the agent; until then it goes on with what it has.",
  },
  "envelope-too-large": {
    what: "A message from the central server is larger than the protocol allows.",
    next: "Check that nothing answers in the central server's place.",
  },
  "envelope-root-unknown": {
    what: "The central server's root document is not the one that this agent was set up to trust.",
    next: "Check that this agent is enrolled at the central server that it asks; if the server was made anew, enrol it again with `printgate enrol --again`.",
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

/** True if `raw`'s private key made this signature over exactly these bytes. */
export function isSignedBy(bytes: Uint8Array, signature: string, raw: string): boolean {
  return verify(null, bytes, publicKeyFromRaw(raw), Buffer.from(signature, "base64url"));
}

/** Size first, then the signature over the exact bytes by the key that the envelope names among `keys`; only then is it parsed. */
export function signedContent(
  envelope: Envelope,
  keys: readonly string[],
  maxBytes: number,
): { readonly bytes: Buffer; readonly content: unknown } {
  const { keyId, payload, signature } = envelope;
  if (payload.length > Math.ceil((maxBytes * 4) / 3))
    throw new EnvelopeError("envelope-too-large", `${payload.length}`);
  const raw = keys.find((key) => keyIdOf(Buffer.from(key, "base64url")) === keyId);
  if (raw === undefined) throw new EnvelopeError("envelope-key-unknown", keyId);
  const bytes = Buffer.from(payload, "base64url");
  if (!isSignedBy(bytes, signature, raw)) throw new EnvelopeError("envelope-signature-wrong", keyId);
  return { bytes, content: contentOf(bytes) };
}

/** What signed bytes say. */
export function contentOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new EnvelopeError("envelope-content-invalid", "not JSON", { cause });
  }
}

/** SHA-256, hex. */
export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** 100 manifests of the largest kind do not fit an answer; one does. */
const MAX_MANIFEST_BYTES = 1_125_000;

export function openManifest(envelope: Envelope, manifestKey: string): Manifest {
  const parsed = Manifest.safeParse(signedContent(envelope, [manifestKey], MAX_MANIFEST_BYTES).content);
  if (!parsed.success) throw new EnvelopeError("envelope-content-invalid", "not a manifest");
  const { size, chunkSize, chunks } = parsed.data;
  if (chunks.length !== Math.ceil(size / chunkSize)) {
    throw new EnvelopeError("envelope-content-invalid", "chunk count does not fit the size");
  }
  return parsed.data;
}
