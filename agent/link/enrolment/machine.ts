import * as z from "zod/mini";
import { DeviceKeys, Granted, type Identity, Trust } from "./identity.ts";

/**
 * How an agent is enrolled, as a pure machine. Each state but the first is on the disk before its step is tried, so whatever step power is
 * lost at, the same keys go on from there: a device never makes two identities of one attempt.
 *
 *   new ──keys──► keyed ──offer──► offered ──pending──► requested ──approved──► approved ──used──► enrolled
 *                   └────────────────over──────┴──────────over──┴► new, with new keys and a new code
 */
export const Attempt = z.strictObject({
  url: z.string(),
  /** The claim code; the server hears of it from a person alone. */
  code: z.string(),
  keys: DeviceKeys,
  /** Where the operator brought the server's CA and key pins beforehand: nothing else is taken. */
  preset: z.optional(z.strictObject({ ca: z.string(), keyPins: z.array(z.string()) })),
});
export type Attempt = z.infer<typeof Attempt>;

const Keyed = z.strictObject({ step: z.literal("keyed"), attempt: Attempt });
const Offered = z.strictObject({ step: z.literal("offered"), attempt: Attempt, offer: Trust });
const Requested = z.strictObject({ step: z.literal("requested"), attempt: Attempt, offer: Trust });
const Approved = z.strictObject({ step: z.literal("approved"), attempt: Attempt, offer: Trust, granted: Granted });

/** What `enrolment.json` may hold. */
export const Unfinished = z.discriminatedUnion("step", [Keyed, Offered, Requested, Approved]);
export type Unfinished = z.infer<typeof Unfinished>;

export type State = { readonly step: "new" } | Unfinished | { readonly step: "enrolled"; readonly identity: Identity };

/** What came of the step that a state asks for. */
export type Input =
  | { readonly kind: "keys"; readonly attempt: Attempt }
  | { readonly kind: "offer"; readonly offer: Trust }
  | { readonly kind: "pending" }
  | { readonly kind: "approved"; readonly granted: Granted }
  | { readonly kind: "over" }
  | { readonly kind: "used" };

/** An input that does not belong to the state changes nothing. */
export function next(state: State, input: Input): State {
  switch (input.kind) {
    case "keys":
      return state.step === "new" ? { step: "keyed", attempt: input.attempt } : state;
    case "offer":
      return state.step === "keyed" ? { step: "offered", attempt: state.attempt, offer: input.offer } : state;
    case "pending":
      return state.step === "offered" ? { step: "requested", attempt: state.attempt, offer: state.offer } : state;
    case "approved":
      return state.step === "offered" || state.step === "requested"
        ? { step: "approved", attempt: state.attempt, offer: state.offer, granted: input.granted }
        : state;
    case "over":
      return state.step === "offered" || state.step === "requested" ? { step: "new" } : state;
    case "used": {
      if (state.step !== "approved") return state;
      const { attempt, offer, granted } = state;
      const { url, keys } = attempt;
      return { step: "enrolled", identity: { version: 1, url, trust: offer, keys, granted } };
    }
  }
}
