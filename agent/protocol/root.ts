import { createPublicKey, type KeyObject, sign } from "node:crypto";
import * as z from "zod/mini";
import { contentOf, EnvelopeError, hashOf, isSignedBy, keyIdOf, rawFromPublicKey } from "./envelope.ts";
import { Base64Url, KeyId, Signature, Time } from "./schema.ts";

/**
 * The root of trust, after TUF (theupdateframework.github.io, 5.3) and Uptane: a chain of root documents. Each names the
 * root keys, how many of them must sign, and the keys that sign policies. Root keys are offline; the chain grows step by
 * step, and each step is signed by enough keys of the old document and of the new one.
 * A root does not expire: an agent that was off for years must be able to walk the chain. What bounds a freeze is the
 * policy's expiry.
 */

export const Version = z.int().check(z.gte(1));

const PublicKey = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));
const Keys = (most: number) =>
  z.array(PublicKey).check(
    z.minLength(1),
    z.maxLength(most),
    z.refine((keys) => new Set(keys).size === keys.length),
  );

export const MAX_ROOT_KEYS = 8;
export const ROOT_SCHEMA = 1;

export const Root = z
  .strictObject({
    kind: z.literal("root"),
    schema: z.literal(ROOT_SCHEMA),
    version: Version,
    issuedAt: Time,
    /** Raw Ed25519 public keys, base64url. */
    rootKeys: Keys(MAX_ROOT_KEYS),
    /** So many of them must sign this document and the next. */
    threshold: z.int().check(z.gte(1)),
    policyKeys: Keys(4),
  })
  .check(z.refine(({ rootKeys, threshold }) => threshold <= rootKeys.length));
export type Root = z.infer<typeof Root>;

/** As `Envelope`, with the signatures of several keys over the same bytes. */
export const RootEnvelope = z.strictObject({
  payload: Base64Url.check(z.maxLength(8192)),
  signatures: z
    .array(z.strictObject({ keyId: KeyId, signature: Signature }))
    .check(z.minLength(1), z.maxLength(2 * MAX_ROOT_KEYS)),
});
export type RootEnvelope = z.infer<typeof RootEnvelope>;

/**
 * Where an agent's trust begins: a root document's version and the SHA-256 of its exact bytes, `N.BASE64URL`.
 * It comes with the enrolment, beside the CA.
 */
export const ROOT_ANCHOR = /^([1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})$/;

export function anchorOf(envelope: RootEnvelope, version: number): string {
  const hash = hashOf(Buffer.from(envelope.payload, "base64url"));
  return `${version}.${Buffer.from(hash, "hex").toString("base64url")}`;
}

export function anchorVersion(anchor: string): number {
  return Number(ROOT_ANCHOR.exec(anchor)?.[1] ?? Number.NaN);
}

export function sealRoot(root: Root, signers: readonly KeyObject[]): RootEnvelope {
  const payload = Buffer.from(JSON.stringify(root));
  const signatures = signers.map((key) => ({
    keyId: keyIdOf(Buffer.from(rawFromPublicKey(createPublicKey(key)), "base64url")),
    signature: sign(null, payload, key).toString("base64url"),
  }));
  return { payload: payload.toString("base64url"), signatures };
}

/** The root document that the anchor names: its bytes are known by their hash, and its own keys must have signed it. */
export function openAnchoredRoot(envelope: RootEnvelope, anchor: string): Root {
  const version = anchorVersion(anchor);
  if (anchorOf(envelope, version) !== anchor) throw new EnvelopeError("envelope-root-unknown", `root ${version}`);
  const root = parsed(envelope);
  if (root.version !== version) throw new EnvelopeError("envelope-content-invalid", "another root's version");
  demandSigned(envelope, root, root);
  return root;
}

/** The root document after `current`: signed by enough of its keys and of the new ones, and exactly one version later. */
export function openNextRoot(envelope: RootEnvelope, current: Root): Root {
  // The old keys first: nothing that they did not sign is parsed.
  demandSigned(envelope, current, current);
  const root = parsed(envelope);
  if (root.version !== current.version + 1) {
    throw new EnvelopeError("envelope-content-invalid", `root ${root.version} after root ${current.version}`);
  }
  demandSigned(envelope, root, root);
  return root;
}

function demandSigned(
  { payload, signatures }: RootEnvelope,
  { rootKeys, threshold }: Pick<Root, "rootKeys" | "threshold">,
  { version }: Pick<Root, "version">,
): void {
  const bytes = Buffer.from(payload, "base64url");
  // Each key counts once, however often its signature is there.
  const signed = rootKeys.filter((raw) => {
    const keyId = keyIdOf(Buffer.from(raw, "base64url"));
    return signatures.some((one) => one.keyId === keyId && isSignedBy(bytes, one.signature, raw));
  });
  if (signed.length < threshold) {
    throw new EnvelopeError("envelope-signature-wrong", `${signed.length} of ${threshold} signatures, root ${version}`);
  }
}

function parsed(envelope: RootEnvelope): Root {
  const content = contentOf(Buffer.from(envelope.payload, "base64url"));
  const result = Root.safeParse(content);
  if (result.success) return result.data;
  const newer = z.object({ kind: z.literal("root"), schema: z.int().check(z.gt(ROOT_SCHEMA)) }).safeParse(content);
  if (newer.success) throw new EnvelopeError("envelope-schema-newer", `root ${newer.data.schema}`);
  throw new EnvelopeError("envelope-content-invalid", "not a root document");
}
