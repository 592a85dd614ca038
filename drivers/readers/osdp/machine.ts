import type { ReaderError } from "../../reader.ts";

/**
 * A control panel's conversation with one reader; no timers, no I/O, no keys.
 *
 *   open ──► identify ──► capabilities ──┬── secure: false ─────────────────────► online
 *               ▲                        └─► challenge ──► verify ───────────────►  │
 *               │                             ▲   with the default key, `install`   │
 *               │                             └── install ◄── only                  │
 *               └──────────── broken: at most RESTARTS times without being steady ──┘
 *   anything that proves a wrong key, or silence ──► failed; there is no way from it to online but a new `open`
 */
export type Phase = "closed" | "identify" | "capabilities" | "challenge" | "verify" | "install" | "online" | "failed";

/** Which base key the channel is asked for: the configured one, or the one that stands in the standard. */
export type KeyName = "own" | "default";

export interface Plan {
  /** Nothing is accepted outside a secure channel. */
  readonly secure: boolean;
  /** A technician gives the reader its own key; the only plan in which the default key is ever used. */
  readonly install: boolean;
}

export interface State {
  readonly phase: Phase;
  readonly key: KeyName;
  /** The reader has taken its own key; it must prove that now. */
  readonly installed: boolean;
  readonly restarts: number;
}

export type Input =
  | { readonly type: "open" }
  /** What was asked for came, and was proven where there is something to prove. */
  | { readonly type: "answered" }
  /** A NAK; `demandsChannel`: because there is no secure channel. */
  | { readonly type: "refused"; readonly demandsChannel: boolean }
  /** A cryptogram, a key or a first MAC that is not right. */
  | { readonly type: "unproven" }
  /** Both sides are out of step, or the channel is over. */
  | { readonly type: "broken"; readonly channel: boolean }
  | { readonly type: "silent" }
  /** Online for `STEADY_MS`. */
  | { readonly type: "steady" };

export type Ask = "id" | "capabilities" | "challenge" | "prove" | "keyset";
/** `unsteady`: it answers, but never for long. */
export type Fault = "deaf" | "unsteady" | "channel-failed" | "keyset-failed";
export const FAULT_CODES = {
  deaf: "reader-deaf",
  unsteady: "reader-deaf",
  "channel-failed": "reader-secure-channel-failed",
  "keyset-failed": "reader-keyset-failed",
} as const satisfies Readonly<Record<Fault, ReaderError["code"]>>;

export type Effect =
  /** `anew`: with sequence number 0. */
  | { readonly type: "ask"; readonly ask: Ask; readonly anew: boolean }
  | { readonly type: "drop-channel" }
  | { readonly type: "online" }
  | { readonly type: "failed"; readonly fault: Fault };

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}

/** A reader may lose a channel now and then; one that loses it at once, again and again, is attacked or broken. */
export const RESTARTS = 3;
export const STEADY_MS = 10_000;

export const CLOSED: State = { phase: "closed", key: "own", installed: false, restarts: 0 };

export function step(plan: Plan, state: State, input: Input): Step {
  switch (input.type) {
    case "open":
      return identify({ ...CLOSED });
    case "steady":
      return stay(state.phase === "online" ? { ...state, restarts: 0 } : state);
    case "silent":
      return isTalking(state) ? fail(state, state.installed ? "keyset-failed" : "deaf") : stay(state);
    case "broken":
      if (!isTalking(state)) return stay(state);
      if (state.restarts >= RESTARTS) {
        if (state.installed) return fail(state, "keyset-failed");
        return fail(state, input.channel ? "channel-failed" : "unsteady");
      }
      return identify({ ...state, restarts: state.restarts + 1 });
    case "unproven":
      return state.phase === "challenge" || state.phase === "verify" ? notProven(plan, state) : stay(state);
    case "refused":
      return refused(plan, state, input.demandsChannel);
    case "answered":
      return answered(plan, state);
  }
}

function answered(plan: Plan, state: State): Step {
  switch (state.phase) {
    case "identify":
      return ask({ ...state, phase: "capabilities" }, "capabilities");
    case "capabilities":
      return plan.secure ? challenge(state, "own", true) : online(state);
    case "challenge":
      return ask({ ...state, phase: "verify" }, "prove");
    case "verify":
      return state.key === "default" ? ask({ ...state, phase: "install" }, "keyset") : online(state);
    case "install":
      return challenge({ ...state, installed: true }, "own", true);
    case "closed":
    case "online":
    case "failed":
      return stay(state);
  }
}

function refused(plan: Plan, state: State, demandsChannel: boolean): Step {
  switch (state.phase) {
    case "challenge":
    case "verify":
      return notProven(plan, state);
    case "install":
      return fail(state, "keyset-failed");
    case "identify":
    case "capabilities":
      // What it may not tell outside a channel it is not asked again.
      if (demandsChannel) return plan.secure ? challenge(state, "own", true) : fail(state, "channel-failed");
      // A reader of the first edition may not tell its capabilities.
      if (state.phase === "capabilities") return answered(plan, state);
      return step(plan, state, { type: "broken", channel: false });
    case "online":
      if (!demandsChannel) return stay(state);
      return plan.secure ? step(plan, state, { type: "broken", channel: true }) : fail(state, "channel-failed");
    case "closed":
    case "failed":
      return stay(state);
  }
}

/** The one place from which the default key is tried, and only while a technician installs another. */
function notProven(plan: Plan, state: State): Step {
  if (plan.install && state.key === "own" && !state.installed) return challenge(state, "default", false);
  return fail(state, state.installed ? "keyset-failed" : "channel-failed");
}

function identify(state: State): Step {
  const { state: next, effects } = ask({ ...state, phase: "identify", key: "own" }, "id", true);
  return { state: next, effects: [{ type: "drop-channel" }, ...effects] };
}

function challenge(state: State, key: KeyName, anew: boolean): Step {
  const { state: next, effects } = ask({ ...state, phase: "challenge", key }, "challenge", anew);
  return { state: next, effects: [{ type: "drop-channel" }, ...effects] };
}

function ask(state: State, what: Ask, anew = false): Step {
  return { state, effects: [{ type: "ask", ask: what, anew }] };
}

function online(state: State): Step {
  return { state: { ...state, phase: "online" }, effects: [{ type: "online" }] };
}

function fail(state: State, fault: Fault): Step {
  return { state: { ...state, phase: "failed" }, effects: [{ type: "drop-channel" }, { type: "failed", fault }] };
}

function stay(state: State): Step {
  return { state, effects: [] };
}

function isTalking({ phase }: State): boolean {
  return phase !== "closed" && phase !== "failed";
}
