import type { AgentClaims, LeaseAnswer, Outcome, OutcomeAnswer, Tap, TapAnswer } from "../protocol/schema.ts";

/**
 * The central server as the release loop sees it. Every call ends: by an answer, by a coded error, or by its own
 * deadline. Answers are validated; manifests inside them are not yet verified.
 */
export interface Central {
  tap(tap: Tap, signal?: AbortSignal): Promise<TapAnswer>;
  /** The document's bytes in order, as they arrive. Unverified. Stalls end in a coded error. */
  document(jobId: string, claimId: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  outcome(jobId: string, outcome: Outcome, signal?: AbortSignal): Promise<OutcomeAnswer>;
  /** The claims that the server believes we hold. */
  claims(signal?: AbortSignal): Promise<AgentClaims>;
  renewLease(jobId: string, claimId: string, signal?: AbortSignal): Promise<LeaseAnswer>;
}
