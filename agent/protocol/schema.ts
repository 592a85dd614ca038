import * as z from "zod/mini";
import { Account } from "./account.ts";
import { JobPassword, Ticket, TicketPolicy } from "./ticket.ts";

/**
 * What agent and central server say to each other, as the schemas that both validate with.
 * Names, limits and meanings here are the protocol; `openapi.ts` publishes them as OpenAPI 3.1.
 */

const Name = z.string().check(z.regex(/^[a-z0-9][a-z0-9._-]{0,62}$/));
const Uuid = z.string().check(z.regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/));
const Sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const Time = z.string().check(z.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/));
const Base64Url = z.string().check(z.regex(/^[A-Za-z0-9_-]+$/), z.maxLength(1_500_000));

/** A card token: HMAC-SHA-256 of the card number under the site key, lower-case hex. */
export const CardToken = Sha256;

/** What a person types, and never in a log. Shorter PINs are guessed, longer ones are not remembered. */
export const PIN_LENGTH = { min: 4, max: 16 } as const;
export const Pin = z.string().check(z.regex(/^[0-9]{4,16}$/));
/** The number by which a person without a card is known; it may be on a badge or in a list, so it proves nothing alone. */
export const MAX_ID_LENGTH = 16;
export const PersonalId = z.string().check(z.regex(/^[0-9]{1,16}$/));

export const Credential = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("card"), token: CardToken }),
  z.strictObject({ kind: z.literal("card-pin"), token: CardToken, pin: Pin }),
  z.strictObject({ kind: z.literal("id-pin"), id: PersonalId, pin: Pin }),
]);
export type Credential = z.infer<typeof Credential>;
export const CREDENTIAL_KINDS = ["card", "card-pin", "id-pin"] as const satisfies readonly Credential["kind"][];
export type CredentialKind = Credential["kind"];

export const Tap = z.strictObject({
  /** Made by the agent; a repeated request with the same id gets the same answer. */
  tapId: Uuid,
  at: Time,
  reader: Name,
  printer: Name,
  credential: Credential,
});
export type Tap = z.infer<typeof Tap>;

const KeyId = z.string().check(z.regex(/^[0-9a-f]{16}$/));
const Signature = z.string().check(z.regex(/^[A-Za-z0-9_-]{86}$/));

/** Bytes signed as they are: `payload` is base64url of the exact bytes, `signature` Ed25519 over them. */
export const Envelope = z.strictObject({
  keyId: KeyId,
  payload: Base64Url,
  signature: Signature,
});
export type Envelope = z.infer<typeof Envelope>;

/** The signed content of a claimed job's envelope. A document is the concatenation of its chunks. */
export const Manifest = z.strictObject({
  kind: z.literal("manifest"),
  jobId: Uuid,
  claimId: Uuid,
  agent: Name,
  printer: Name,
  user: z.string().check(z.minLength(1), z.maxLength(255)),
  format: z.string().check(z.regex(/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/), z.maxLength(127)),
  size: z.int().check(z.gte(1), z.lte(2 ** 40)),
  sha256: Sha256,
  chunkSize: z.int().check(z.gte(4096), z.lte(4 * 2 ** 20)),
  chunks: z.array(Sha256).check(z.minLength(1), z.maxLength(16_384)),
  /** How it is to be printed. */
  ticket: z.optional(Ticket),
  /** Until when the claim is this agent's; after it a person may decide about the job; no other agent gets it by itself. */
  leaseUntil: Time,
});
export type Manifest = z.infer<typeof Manifest>;

/** Names the tap that it answers: an answer that a proxy mixed up must not release one person's jobs to another. */
export const TapAnswer = z.discriminatedUnion("result", [
  z.strictObject({
    result: z.literal("accepted"),
    tapId: Uuid,
    displayName: z.string().check(z.maxLength(255)),
    /** Oldest first; all claimed for this agent in one transaction. */
    jobs: z.array(Envelope).check(z.maxLength(100)),
    /** Of those jobs whose ticket says that they have one. Here alone, because manifests are kept and shown, and these are not. */
    jobPasswords: z.optional(z.array(z.strictObject({ claimId: Uuid, password: JobPassword })).check(z.maxLength(100))),
    /** How long each claim lasts from the moment of this answer; the agent counts it on its monotonic clock. */
    leaseMs: z.int().check(z.gte(1000), z.lte(86_400_000)),
    serverTime: Time,
  }),
  /** Unknown card, unknown person, wrong PIN, locked and denied are one answer, so that nobody can probe. */
  z.strictObject({ result: z.literal("refused"), tapId: Uuid, serverTime: Time }),
  /** To a card alone, whose person must type a PIN too: nothing is claimed; card and PIN come as a tap of their own. */
  z.strictObject({ result: z.literal("pin-needed"), tapId: Uuid, serverTime: Time }),
]);
export type TapAnswer = z.infer<typeof TapAnswer>;

export const WORDS = ["printed", "not printed", "unknown"] as const;
/** What an agent may say about a job. */
export const Word = z.enum(WORDS);
export type Word = z.infer<typeof Word>;

export const Outcome = z.strictObject({
  claimId: Uuid,
  word: Word,
  /** The release state that it ended in, for people. */
  state: z.enum(["DONE", "CANCELED", "ABORTED", "RETURNED", "IN_DOUBT"]),
  /** An error code, or `none`. */
  reason: z.string().check(z.maxLength(64)),
  /** What the reason is about, such as the ticket's value that the printer cannot do; for people. */
  detail: z.optional(z.string().check(z.maxLength(255))),
  at: Time,
  impressions: z.optional(z.int().check(z.gte(0))),
  sheets: z.optional(z.int().check(z.gte(0))),
  /** May come, or come better, with a repeat of the same word: the newest counts. */
  account: z.optional(Account),
});
export type Outcome = z.infer<typeof Outcome>;

/** `settled`: taken, now or before (a repeat is harmless). `superseded`: the claim was no longer this agent's. */
export const OutcomeAnswer = z.strictObject({ claimId: Uuid, result: z.enum(["settled", "superseded"]) });
export type OutcomeAnswer = z.infer<typeof OutcomeAnswer>;

export const LeaseRenewal = z.strictObject({ claimId: Uuid });
export type LeaseRenewal = z.infer<typeof LeaseRenewal>;
export const LeaseAnswer = z.strictObject({ claimId: Uuid, leaseMs: z.int().check(z.gte(1000), z.lte(86_400_000)) });
export type LeaseAnswer = z.infer<typeof LeaseAnswer>;

/** What the central server knows of the agent that asks. Also serves to warm and check the line. */
export const AgentSelf = z.strictObject({
  name: Name,
  serverTime: Time,
});
export type AgentSelf = z.infer<typeof AgentSelf>;

/** The claims that the central server believes this agent holds, so that a restarted agent can answer for each. */
export const AgentClaims = z.strictObject({
  claims: z.array(z.strictObject({ jobId: Uuid, claimId: Uuid, tapId: Uuid, printer: Name })).check(z.maxLength(1000)),
});
export type AgentClaims = z.infer<typeof AgentClaims>;

export const Problem = z.strictObject({
  code: z.string().check(z.regex(/^[a-z][a-z0-9-]{0,63}$/)),
  message: z.string().check(z.maxLength(500)),
});
export type Problem = z.infer<typeof Problem>;

/** Octets a JSON body may have, either way. 100 manifests of 16,384 chunks would be more: the server limits what it claims. */
export const MAX_JSON_BYTES = 4 * 2 ** 20;

export { Base64Url, JobPassword, KeyId, Name, Sha256, Signature, Ticket, TicketPolicy, Time, Uuid };
