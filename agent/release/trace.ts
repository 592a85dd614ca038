import type { Signal } from "../../drivers/reader.ts";
import type { CredentialKind, Word } from "../protocol/schema.ts";

/** The stages of a tap, in order; those from `fetched` on are of its first job, `reported` of its last. */
export const STAGES = [
  "converted",
  "answered",
  "fetched",
  "created",
  "durable",
  "firstByte",
  "sent",
  "ended",
  "reported",
] as const;
export type Stage = (typeof STAGES)[number];

export interface TracedJob {
  readonly jobId: string;
  word?: Word;
  reason?: string;
  /** What the reason is about, for people. */
  detail?: string;
}

/** What happened to one tap, for the status, the page and the demo. Holds no card number and no whole token. */
export interface TapTrace {
  readonly tapId: string;
  readonly reader: string;
  readonly printer: string;
  /** ISO time, by this machine's clock. */
  readonly at: string;
  /** Milliseconds from the last byte of the read. */
  readonly stagesMs: Partial<Record<Stage, number>>;
  readonly jobs: TracedJob[];
  credential?: CredentialKind;
  /** The first 8 hex digits of the card token. */
  card?: string;
  signal?: Signal;
  /** Why the tap failed, if it did. */
  code?: string;
}
