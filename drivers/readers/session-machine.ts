/**
 * When a reader's device is opened, closed and looked for again; no timers, no I/O.
 *
 *   new ─start─► opening ─opened─► ready
 *                  ▲  └─failed─► waiting ◄─lost─┘
 *                  ├────retry──────┤ ▲
 *                  │               │ └ wake: a device appeared, so soon instead of late
 *                  └──── mending ◄─┘ retry of a reader that was deaf (ready ─deaf─► waiting) more than once
 *   any ─stop─► stopping (an open is still under way) ─► stopped
 */
export type SessionState =
  | { readonly phase: "new" }
  | ({ readonly phase: "opening"; readonly woken: boolean } & Troubles)
  | ({ readonly phase: "ready"; readonly since: number } & Troubles)
  | ({ readonly phase: "waiting"; readonly woken: boolean; readonly remedy: Remedy | undefined } & Troubles)
  | ({ readonly phase: "mending" } & Troubles)
  | { readonly phase: "stopping" }
  | { readonly phase: "stopped" };

/** What went wrong since the device was last open for long: failures of any kind, and times that it was deaf. */
interface Troubles {
  readonly failures: number;
  readonly deaf: number;
}

/** `now` is monotonic ms. */
export type SessionInput =
  | { readonly type: "start" | "failed" | "retry" | "wake" | "stop" }
  /** `deaf` and `useless` are told of a device that is still open: it does not answer, or answers what cannot be used. */
  | { readonly type: "opened" | "lost" | "deaf" | "useless"; readonly now: number };

/** What is done to a deaf reader beyond opening it again: wake its USB port, then unplug and plug it by software. */
export const REMEDIES = ["power-on", "reset"] as const;
export type Remedy = (typeof REMEDIES)[number];

export type SessionEffect =
  | { readonly type: "open" | "close" | "cancel-retry" }
  | { readonly type: "mend"; readonly remedy: Remedy }
  /** Replaces a retry that is already set. */
  | { readonly type: "retry-after"; readonly ms: number };

export interface SessionStep {
  readonly state: SessionState;
  readonly effects: readonly SessionEffect[];
}

const BACK_OFF_MS = [1000, 2000, 5000, 10_000, 30_000] as const;
const LONGEST_BACK_OFF_MS = 30_000;
/** udev sets owner and mode a moment after the device node appears; an open before that is refused. */
export const WAKE_MS = 100;
/** A device that was reset is back by then. */
export const MEND_MS = 2000;
/** A device that was open for less than this has not proved itself: the back-off goes on where it was. */
export const STABLE_MS = 10_000;

export const NEW_SESSION: SessionState = { phase: "new" };
const NO_TROUBLES: Troubles = { failures: 0, deaf: 0 };

/** Inputs that mean nothing in a state leave it as it is. */
export function step(state: SessionState, input: SessionInput): SessionStep {
  if (input.type === "stop") return stop(state);
  switch (state.phase) {
    case "new":
      return input.type === "start" ? open(NO_TROUBLES) : stay(state);
    case "opening":
      if (input.type === "opened") {
        return stay({ phase: "ready", failures: state.failures, deaf: state.deaf, since: input.now });
      }
      if (input.type === "failed") return state.woken ? wake(NO_TROUBLES) : wait(state);
      if (input.type === "wake") return stay({ ...state, woken: true });
      return stay(state);
    case "ready":
      if (input.type === "lost" || input.type === "deaf" || input.type === "useless") {
        const troubles = input.now - state.since >= STABLE_MS ? NO_TROUBLES : state;
        if (input.type === "lost") return wait(troubles);
        return closed(input.type === "deaf" ? deaf(troubles) : wait(troubles));
      }
      return stay(state);
    case "waiting":
      if (input.type === "retry") return state.remedy === undefined ? open(state) : mend(state, state.remedy);
      if (input.type === "wake" && !state.woken) return wake(NO_TROUBLES);
      return stay(state);
    case "mending":
      if (input.type === "retry") return open(state);
      // It comes back by our own doing, which is no news of it.
      if (input.type === "wake") return wake(state);
      return stay(state);
    case "stopping":
      // The open could not be recalled in time: what it opened is closed, and only then it is over.
      if (input.type === "opened") return { state: { phase: "stopped" }, effects: [{ type: "close" }] };
      return input.type === "failed" ? stay({ phase: "stopped" }) : stay(state);
    case "stopped":
      return stay(state);
  }
}

function stop(state: SessionState): SessionStep {
  switch (state.phase) {
    case "new":
      return stay({ phase: "stopped" });
    case "opening":
      return { state: { phase: "stopping" }, effects: [{ type: "close" }] };
    case "ready":
      return { state: { phase: "stopped" }, effects: [{ type: "close" }] };
    case "waiting":
    case "mending":
      return { state: { phase: "stopped" }, effects: [{ type: "cancel-retry" }] };
    case "stopping":
    case "stopped":
      return stay(state);
  }
}

function stay(state: SessionState): SessionStep {
  return { state, effects: [] };
}

function open({ failures, deaf }: Troubles): SessionStep {
  return { state: { phase: "opening", failures, deaf, woken: false }, effects: [{ type: "open" }] };
}

function wait({ failures, deaf }: Troubles, remedy?: Remedy): SessionStep {
  return {
    state: { phase: "waiting", failures: failures + 1, deaf, woken: false, remedy },
    effects: [{ type: "retry-after", ms: BACK_OFF_MS[failures] ?? LONGEST_BACK_OFF_MS }],
  };
}

/** The first time opening it again must do; then one remedy after the other, the last one again and again. */
function deaf({ failures, deaf }: Troubles): SessionStep {
  const remedy = deaf === 0 ? undefined : (REMEDIES[deaf - 1] ?? REMEDIES.at(-1));
  return wait({ failures, deaf: deaf + 1 }, remedy);
}

function closed({ state, effects }: SessionStep): SessionStep {
  return { state, effects: [{ type: "close" }, ...effects] };
}

/** After the wait and not before it, so that the device that comes back does not cut the wait short. */
function mend({ failures, deaf }: Troubles, remedy: Remedy): SessionStep {
  return {
    state: { phase: "mending", failures, deaf },
    effects: [
      { type: "mend", remedy },
      { type: "retry-after", ms: MEND_MS },
    ],
  };
}

function wake({ failures, deaf }: Troubles): SessionStep {
  return {
    state: { phase: "waiting", failures, deaf, woken: true, remedy: undefined },
    effects: [{ type: "retry-after", ms: WAKE_MS }],
  };
}
