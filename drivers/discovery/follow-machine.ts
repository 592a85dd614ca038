/**
 * Pure: when a printer that changed its address is looked for by its uuid, when its connections go to another address, and when
 * back. Times are monotonic ms. Anybody on the network can claim a uuid, so only a pinned key moves anything.
 */

/** One answer to the question who has the uuid. */
export interface Sighting {
  readonly uri: string;
  readonly host: string;
  /**
   * `pinned`: it holds the printer's pinned key. `unproven`: unencrypted, or no key is pinned. `other-key`, `silent`: it holds another
   * one, or does not answer. `other-way`: of another port or path than the configured one. `far`: an address that no printer here has.
   */
  readonly proof: "pinned" | "unproven" | "other-key" | "silent" | "other-way" | "far";
}

export interface Whereabouts {
  /** Its connections go there, in place of the configured host. */
  readonly follows?: { readonly uri: string } | undefined;
  /** It is said to be there, which moves nothing. */
  readonly seen?: { readonly uri: string; readonly why: Exclude<Sighting["proof"], "pinned"> | "several" } | undefined;
}

export interface FollowState extends Whereabouts {
  readonly host: string | undefined;
  /** Since when the address that is used cannot be reached, and how often it could not. */
  readonly lost: { readonly since: number; readonly times: number } | undefined;
  readonly looking: boolean;
  readonly lookedAt: number;
  /** How often in a row the configured address has answered while another one is used. */
  readonly homeAnswers: number;
}

export type FollowInput =
  | { readonly type: "reached" }
  | { readonly type: "unreachable" }
  | { readonly type: "looked"; readonly found: readonly Sighting[] }
  /** Whether the configured address answers, with the pinned key. */
  | { readonly type: "home"; readonly answers: boolean };

/** `move` and `return` tell where connections go from now on; `watch` asks the configured address in a while. */
export type FollowEffect = "look" | "watch" | "move" | "return";

export const AT_HOME: FollowState = {
  host: undefined,
  lost: undefined,
  looking: false,
  lookedAt: Number.NEGATIVE_INFINITY,
  homeAnswers: 0,
};

/** A cable that is pulled out and put back is no move. */
const LOST_MS = 3_000;
const LOST_TIMES = 2;
/** However often it is lost, and whoever answers. */
const LOOK_EVERY_MS = 60_000;
/** An address that answers now and then is none to go back to. */
const HOME_ANSWERS = 2;

interface Step {
  readonly state: FollowState;
  readonly effects: readonly FollowEffect[];
}

export function followStep(state: FollowState, input: FollowInput, now: number): Step {
  switch (input.type) {
    case "reached": {
      const { seen: _, ...rest } = state;
      return { state: { ...rest, lost: undefined }, effects: [] };
    }
    case "unreachable":
      return lost(state, now);
    case "looked":
      return looked({ ...state, looking: false }, input.found);
    case "home":
      return home(state, input.answers);
  }
}

function lost(state: FollowState, now: number): Step {
  // The place that it was followed to is given up at once: the configured one is what the operator wants.
  if (state.host !== undefined) return { state: back(state), effects: ["return"] };
  const seen = { since: state.lost?.since ?? now, times: (state.lost?.times ?? 0) + 1 };
  const due = seen.times >= LOST_TIMES && now - seen.since >= LOST_MS && now - state.lookedAt >= LOOK_EVERY_MS;
  if (!due || state.looking) return { state: { ...state, lost: seen }, effects: [] };
  return { state: { ...state, lost: seen, looking: true, lookedAt: now }, effects: ["look"] };
}

function looked(state: FollowState, found: readonly Sighting[]): Step {
  // It answered meanwhile.
  if (state.lost === undefined) return { state, effects: [] };
  const { seen: _, ...rest } = state;
  const { host, ...whereabouts } = whereaboutsOf(found);
  if (host === undefined) return { state: { ...rest, ...whereabouts }, effects: [] };
  const moved = { ...rest, ...whereabouts, host, lost: undefined, homeAnswers: 0 };
  return { state: moved, effects: ["move", "watch"] };
}

/** `host` is where it is, where just one claims the uuid and proves it. */
export function whereaboutsOf(found: readonly Sighting[]): Whereabouts & { readonly host?: string } {
  const pinned = found.filter(({ proof }) => proof === "pinned");
  const [one] = pinned;
  if (one !== undefined && pinned.length === 1) return { host: one.host, follows: { uri: one.uri } };
  const near = found.filter(({ proof }) => proof !== "far");
  const claim = one ?? near[0] ?? found[0];
  if (claim === undefined) return {};
  const why = claim.proof === "pinned" || near.length > 1 ? "several" : claim.proof;
  return { seen: { uri: claim.uri, why } };
}

function home(state: FollowState, answers: boolean): Step {
  if (state.host === undefined) return { state, effects: [] };
  const homeAnswers = answers ? state.homeAnswers + 1 : 0;
  if (homeAnswers >= HOME_ANSWERS) return { state: back(state), effects: ["return"] };
  return { state: { ...state, homeAnswers }, effects: ["watch"] };
}

function back({ looking, lookedAt }: FollowState): FollowState {
  return { ...AT_HOME, looking, lookedAt };
}
