/** One part of the agent at one moment, seen from outside. */
export interface Vital {
  readonly part: string;
  /** Whether anything is expected of it now; what is idle may be silent for ever. */
  readonly busy: boolean;
  /** Changes with everything that the part does: a sum of its counters, a state. */
  readonly mark: string;
  /** For how long a busy part may show the same mark. More than its longest deadline or pause. */
  readonly limitMs: number;
}

interface Seen {
  readonly mark: string;
  /** When it was first seen so, or last seen idle; monotonic ms. */
  readonly since: number;
}

/** What is remembered from one look to the next, by part. */
export type Pulse = ReadonlyMap<string, Seen>;

export const NO_PULSE: Pulse = new Map();

/**
 * Pure: the parts that hang, because they are busy and show no progress within their limit. A part that is looked at for the
 * first time begins anew.
 */
export function look(before: Pulse, vitals: readonly Vital[], now: number): { pulse: Pulse; hanging: string[] } {
  const pulse = new Map<string, Seen>();
  const hanging: string[] = [];
  for (const { part, busy, mark, limitMs } of vitals) {
    const last = before.get(part);
    const since = busy && last?.mark === mark ? last.since : now;
    pulse.set(part, { mark, since });
    if (now - since > limitMs) hanging.push(part);
  }
  return { pulse, hanging };
}
