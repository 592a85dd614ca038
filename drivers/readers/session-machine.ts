/**
 * When a reader's device is opened, closed and looked for again; no timers, no I/O.
 *
 *   new ─start─► opening ─opened─► ready
 *                  ▲  └─failed─► waiting ◄─lost─┘
 *                  └────retry──────┘ ▲
 *                                    └ wake: a device appeared, so soon instead of late
 *   any ─stop─► stopping (an open is still under way) ─► stopped
 */
export type SessionState =
  | { readonly phase: "new" }
  | { readonly phase: "opening"; readonly failures: number; readonly woken: boolean }
  | { readonly phase: "ready"; readonly failures: number; readonly since: number }
  | { readonly phase: "waiting"; readonly failures: number; readonly woken: boolean }
  | { readonly phase: "stopping" }
  | { readonly phase: "stopped" };

/** `now` is monotonic ms. */
export type SessionInput =
  | { readonly type: "start" | "failed" | "retry" | "wake" | "stop" }
  | { readonly type: "opened" | "lost"; readonly now: number };

export type SessionEffect =
  | { readonly type: "open" | "close" | "cancel-retry" }
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
/** A device that was open for less than this has not proved itself: the back-off goes on where it was. */
export const STABLE_MS = 10_000;

export const NEW_SESSION: SessionState = { phase: "new" };

/** Inputs that mean nothing in a state leave it as it is. */
export function step(state: SessionState, input: SessionInput): SessionStep {
  if (input.type === "stop") return stop(state);
  switch (state.phase) {
    case "new":
      return input.type === "start" ? open(0) : stay(state);
    case "opening":
      if (input.type === "opened") {
        return stay({ phase: "ready", failures: state.failures, since: input.now });
      }
      if (input.type === "failed") return state.woken ? wake() : wait(state.failures);
      if (input.type === "wake") return stay({ ...state, woken: true });
      return stay(state);
    case "ready":
      if (input.type === "lost") return wait(input.now - state.since >= STABLE_MS ? 0 : state.failures);
      return stay(state);
    case "waiting":
      if (input.type === "retry") return open(state.failures);
      if (input.type === "wake" && !state.woken) return wake();
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
      return { state: { phase: "stopped" }, effects: [{ type: "cancel-retry" }] };
    case "stopping":
    case "stopped":
      return stay(state);
  }
}

function stay(state: SessionState): SessionStep {
  return { state, effects: [] };
}

function open(failures: number): SessionStep {
  return { state: { phase: "opening", failures, woken: false }, effects: [{ type: "open" }] };
}

function wait(failures: number): SessionStep {
  return {
    state: { phase: "waiting", failures: failures + 1, woken: false },
    effects: [{ type: "retry-after", ms: BACK_OFF_MS[failures] ?? LONGEST_BACK_OFF_MS }],
  };
}

function wake(): SessionStep {
  return {
    state: { phase: "waiting", failures: 0, woken: true },
    effects: [{ type: "retry-after", ms: WAKE_MS }],
  };
}
