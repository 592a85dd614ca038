import * as z from "zod/mini";
import { ROOT_ANCHOR } from "./root.ts";
import { Name, Sha256, Time } from "./schema.ts";

/** What a new agent and the central server say to each other until the agent has a certificate; and how it gets the next one. */

/** 32 octets, base64url. */
const Key = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));
const Pem = z
  .string()
  .check(z.maxLength(16_384), z.regex(/^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?$/));
const KeyPin = z.string().check(z.regex(/^sha256\/[A-Za-z0-9+/]{43}=$/));
/** PKCS #10 (RFC 2986), DER in base64url, for a P-256 key; its subject does not matter. */
const CertificateSigningRequest = z.string().check(z.regex(/^[A-Za-z0-9_-]+$/), z.maxLength(4096));

/** What the server asks to be trusted by, told to anybody. */
export const EnrolmentOffer = z.strictObject({
  ca: Pem,
  keyPins: z.array(KeyPin).check(z.minLength(2), z.maxLength(8)),
});
export type EnrolmentOffer = z.infer<typeof EnrolmentOffer>;

/** The same again, unchanged, is how the agent asks what became of it. */
export const EnrolmentRequest = z.strictObject({
  csr: CertificateSigningRequest,
  /** Raw Ed25519 and X25519 public keys. */
  signingKey: Key,
  sealingKey: Key,
  /** HMAC-SHA-256 under the claim code's key: the server can check it only with the code, which a person brings. */
  proof: Key,
});
export type EnrolmentRequest = z.infer<typeof EnrolmentRequest>;

export const EnrolmentAnswer = z.discriminatedUnion("state", [
  /** Nobody approved yet. `id`: SHA-256 of the certificate request's public key (SPKI, DER). */
  z.strictObject({ state: z.literal("pending"), id: Sha256, expiresInMs: z.int().check(z.gte(0), z.lte(86_400_000)) }),
  /** `content` is base64url of the exact bytes of an `EnrolmentContent`; `proof` is over them, under the claim code's key. */
  z.strictObject({
    state: z.literal("approved"),
    id: Sha256,
    content: z.string().check(z.regex(/^[A-Za-z0-9_-]+$/), z.maxLength(65_536)),
    proof: Key,
  }),
]);
export type EnrolmentAnswer = z.infer<typeof EnrolmentAnswer>;

/** What an approved agent gets. */
export const EnrolmentContent = z.strictObject({
  kind: z.literal("enrolment"),
  id: Sha256,
  name: Name,
  certificate: Pem,
  /** The site's key for card tokens, sealed to the agent's X25519 key. */
  cardKey: z.string().check(z.regex(/^[A-Za-z0-9_-]{80,200}$/)),
  manifestKey: Key,
  /** Where the chain of root documents begins, if the server has one. */
  policyRoot: z.optional(z.string().check(z.regex(ROOT_ANCHOR))),
});
export type EnrolmentContent = z.infer<typeof EnrolmentContent>;

/** What the card key is sealed for. */
export const CARD_KEY_PURPOSE = "card key";

export const CertificateRequest = z.strictObject({ csr: CertificateSigningRequest });
export type CertificateRequest = z.infer<typeof CertificateRequest>;

/** For the key of the request; the certificate before stays good until this one was used. */
export const CertificateAnswer = z.strictObject({ certificate: Pem, serverTime: Time });
export type CertificateAnswer = z.infer<typeof CertificateAnswer>;
