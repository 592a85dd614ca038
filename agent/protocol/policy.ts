import * as z from "zod/mini";
import { KEY_PIN } from "../../drivers/transports/tls.ts";
import { key, list, name, oneOf, text, whole } from "../settings/key.ts";
import { BLOCKING_CONDITIONS, CONDITION_NAMES } from "./conditions.ts";
import { EnvelopeError, hashOf, signedContent } from "./envelope.ts";
import { type Root, Version } from "./root.ts";
import { type Envelope, Time } from "./schema.ts";
import { TICKET_POLICIES } from "./ticket.ts";

/**
 * What the central server allows: every key of a policy, once. An operator writes the settings in TOML under these
 * names, the signed document holds them under the same names, and a diff shows them so.
 * Only keys that some code obeys stand here; any other is refused, never silently ignored.
 */

/** As `release_mode` of a tap: what it claims. */
export const RELEASE_MODES = ["all", "newest"] as const;
export type ReleaseMode = (typeof RELEASE_MODES)[number];

const Release = z.strictObject({
  mode: key(z._default(oneOf(RELEASE_MODES), "all"), {
    doc: "What a tap prints: all jobs that wait for the person, or the newest.",
  }),
  newest_at: key(z._default(list("a list of names of agents", name()), []), {
    doc: "Agents at which a tap prints the newest, whatever mode says.",
  }),
});

const TicketRules = z.strictObject({
  unsupported: key(z._default(oneOf(TICKET_POLICIES), "hold"), {
    doc: "What becomes of a job whose ticket asks for what the printer cannot do: it stays held, or is printed without that. A job-password is never dropped.",
  }),
  drop_at: key(z._default(list("a list of names of agents", name()), []), {
    doc: "Agents at which it is printed without that, whatever unsupported says.",
  }),
});

const Printer = z.strictObject({
  block_on: key(
    z._default(
      list(`a list of ${CONDITION_NAMES.map((name) => JSON.stringify(name)).join(", ")}`, oneOf(CONDITION_NAMES)),
      [...BLOCKING_CONDITIONS],
    ),
    {
      doc: "While a printer tells one of these, over IPP or SNMP, nothing is released there and the job stays held. A printer that says that it is stopped, or takes no jobs, gets nothing either way.",
    },
  ),
  health_max_age_s: key(z._default(whole(5, 600), 15), {
    doc: "What a printer told over SNMP counts for this long; IPP is asked at each tap.",
    unit: "seconds",
  }),
});

const Pin = z.strictObject({
  min_length: key(z._default(whole(4, 16), 4), {
    doc: "Shorter PINs cannot be set; those that are set stay.",
    unit: "digits",
  }),
  tries: key(z._default(whole(3, 20), 5), {
    doc: "So many wrong PINs lock the person.",
  }),
  lock_min: key(z._default(whole(1, 1440), 15), {
    doc: "The first lock; each further one lasts twice as long, a day at most.",
    unit: "minutes",
  }),
});

const Retention = z.strictObject({
  held_h: key(z._default(whole(1, 720), 4), {
    doc: "How long a job is held where its submitter does not say.",
    unit: "hours",
  }),
  ended_d: key(z._default(whole(1, 366), 30), {
    doc: "Ended jobs, their claims and taps are forgotten after this; the audit keeps its rows.",
    unit: "days",
  }),
});

const LinkKeys = z.strictObject({
  key_pins: key(z.optional(list("two or more key pins", text("sha256/ and 44 characters of base64", KEY_PIN), 2)), {
    doc: "SHA-256 of the TLS public keys that the central server may have, at least one of them a backup. An agent tries a new set beside its old one and drops the old one when a connection by the new one has worked; if none works within a day, it drops the new one.",
    otherwise: "those of each agent's configuration",
    example: `["sha256/${"A".repeat(43)}=", "sha256/${"B".repeat(43)}="]`,
  }),
});

const Link = LinkKeys.check(
  z.refine(({ key_pins = [] }) => new Set(key_pins).size === key_pins.length, {
    path: ["key_pins"],
    error: "the same pin twice is no backup",
  }),
);

const Validity = z.strictObject({
  valid_d: key(z._default(whole(1, 366), 30), {
    doc: "How long what the server signs is good. It signs the same settings anew when half of it is over, so an agent whose policy runs out is one that somebody keeps in the past.",
    unit: "days",
  }),
});

export const PolicySettings = z.strictObject({
  release: key(z.prefault(Release, {}), { doc: "What a tap does. Obeyed by the central server." }),
  ticket: key(z.prefault(TicketRules, {}), { doc: "How jobs want to be printed. Obeyed by the central server." }),
  printer: key(z.prefault(Printer, {}), { doc: "When a printer gets nothing. Obeyed by the agents." }),
  pin: key(z.prefault(Pin, {}), { doc: "PINs. Obeyed by the central server." }),
  retention: key(z.prefault(Retention, {}), { doc: "How long things are kept. Obeyed by the central server." }),
  link: key(z.prefault(Link, {}), { doc: "How agents know the central server. Obeyed by the agents." }),
  policy: key(z.prefault(Validity, {}), { doc: "The policy itself. Obeyed by the central server." }),
});
export type PolicySettings = z.infer<typeof PolicySettings>;

/** What holds where there is no policy. */
export const DEFAULT_SETTINGS: PolicySettings = PolicySettings.parse({});

/** Goes up with each key that is added: an agent that does not know a key must not act as if it obeyed it. */
export const POLICY_SCHEMA = 1;

/** The signed content of a policy's envelope. */
export const Policy = z.strictObject({
  kind: z.literal("policy"),
  schema: z.literal(POLICY_SCHEMA),
  /** The version of the root document whose policy key signs this; versions count anew under each. */
  root: Version,
  version: Version,
  issuedAt: Time,
  expiresAt: Time,
  settings: PolicySettings,
});
export type Policy = z.infer<typeof Policy>;

/** Octets of a policy; ten times what every key set to its longest takes. */
export const MAX_POLICY_BYTES = 32 * 1024;

export interface OpenedPolicy {
  readonly policy: Policy;
  /** SHA-256 of the exact bytes that are signed, hex. */
  readonly hash: string;
}

/** Size first, then the signature by one of the root's policy keys over the exact bytes; only then is the content parsed. */
export function openPolicy(envelope: Envelope, root: Root): OpenedPolicy {
  const { bytes, content } = signedContent(envelope, root.policyKeys, MAX_POLICY_BYTES);
  const { kind, schema } = header(content);
  if (kind === "policy" && schema > POLICY_SCHEMA) throw new EnvelopeError("envelope-schema-newer", `policy ${schema}`);
  const parsed = Policy.safeParse(content);
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.join(".") ?? "";
    throw new EnvelopeError("envelope-content-invalid", `not a policy: see its key ${path}`);
  }
  const policy = parsed.data;
  if (Date.parse(policy.expiresAt) <= Date.parse(policy.issuedAt)) {
    throw new EnvelopeError("envelope-content-invalid", "a policy that ends before it begins");
  }
  return { policy, hash: hashOf(bytes) };
}

const Header = z.object({ kind: z.string(), schema: z.int() });

/** What a document of any schema says of itself. */
export function header(content: unknown): { readonly kind: string; readonly schema: number } {
  const parsed = Header.safeParse(content);
  return parsed.success ? parsed.data : { kind: "", schema: 0 };
}
