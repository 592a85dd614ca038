/**
 * Confirm or revert, for the key pins of the link: pins that nobody can connect by would lock the agent out of every
 * later policy. New pins are trusted beside the old ones; the old ones go when a connection by a new one has worked,
 * the new ones go when none did for a day of running time.
 */
export interface Pins {
  readonly settled: readonly string[];
  /** The policy that was last taken up, `ROOT.VERSION`; the same one starts no second trial. */
  readonly policy: string;
  readonly trial?: { readonly pins: readonly string[]; readonly leftMs: number };
  /** Pins that were tried in vain, until another policy comes. */
  readonly undone?: readonly string[];
}

export type PinsInput =
  /** A policy wants these pins. */
  | { readonly type: "wanted"; readonly pins: readonly string[]; readonly policy: string }
  /** The central server gave an answer on a connection whose key has this pin. */
  | { readonly type: "worked"; readonly pin: string }
  /** The agent has run for so long. */
  | { readonly type: "spent"; readonly ms: number };

export const TRIAL_MS = 24 * 3_600_000;

/** Pure; the same object where nothing changed. */
export function stepPins(state: Pins, input: PinsInput): Pins {
  const { settled, policy, trial } = state;
  switch (input.type) {
    case "wanted":
      if (input.policy === policy) return state;
      if (sameSet(input.pins, settled)) return { settled, policy: input.policy };
      // What is left of a trial of the same pins goes on: else a server that signs anew each hour would never end it.
      if (trial !== undefined && sameSet(input.pins, trial.pins)) return { ...state, policy: input.policy };
      return { settled, policy: input.policy, trial: { pins: input.pins, leftMs: TRIAL_MS } };
    case "worked":
      return trial?.pins.includes(input.pin) === true ? { settled: trial.pins, policy } : state;
    case "spent": {
      if (trial === undefined) return state;
      const leftMs = trial.leftMs - input.ms;
      return leftMs > 0 ? { settled, policy, trial: { ...trial, leftMs } } : { settled, policy, undone: trial.pins };
    }
  }
}

/** Pure: what a connection may show now. Holds whatever has worked last, at every moment. */
export function trustedPins({ settled, trial }: Pins): readonly string[] {
  return trial === undefined ? settled : [...new Set([...settled, ...trial.pins])];
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((pin) => b.includes(pin));
}
