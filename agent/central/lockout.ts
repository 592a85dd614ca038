/** Wrong PINs of one person, or at one reader. Times are milliseconds since the epoch. */
export interface Guesses {
  /** Since the last lock or right PIN. */
  readonly wrong: number;
  /** When the first of them came. */
  readonly since: number;
  /** Locks in a row, for those that grow. */
  readonly locks: number;
  readonly lockedAt: number | null;
}

export const NO_GUESSES: Guesses = { wrong: 0, since: 0, locks: 0, lockedAt: null };

export interface Rule {
  /** This many wrong PINs lock. */
  readonly tries: number;
  /** Wrong PINs older than this are forgotten. */
  readonly windowMs: number;
  /** The first lock; each following one lasts twice as long, up to `longestMs`. */
  readonly lockMs: number;
  readonly longestMs: number;
}

/** Some 1,800 guesses a year once the locks have grown: a PIN of four digits holds for years, of six for centuries. */
export const PERSON_RULE: Rule = {
  tries: 5,
  windowMs: Number.POSITIVE_INFINITY,
  lockMs: 15 * 60_000,
  longestMs: 24 * 3_600_000,
};
/** Against one PIN tried with everybody's number. A right PIN between does not reset it: the guesser has one of his own. */
export const READER_RULE: Rule = { tries: 20, windowMs: 15 * 60_000, lockMs: 15 * 60_000, longestMs: 15 * 60_000 };

/**
 * The guesses as they stand at `now`. A clock that was set back must not make a lock last until the old time comes
 * again: what lies in the future counts as having happened now. Set forward, it ends locks early.
 */
export function asOf(guesses: Guesses, rule: Rule, now: number): Guesses {
  const { wrong, locks } = guesses;
  const lockedAt = guesses.lockedAt === null ? null : Math.min(guesses.lockedAt, now);
  const since = Math.min(guesses.since, now);
  return now - since > rule.windowMs ? { wrong: 0, since: now, locks, lockedAt } : { wrong, since, locks, lockedAt };
}

/** Of guesses as of `now`. */
export function isLocked({ locks, lockedAt }: Guesses, rule: Rule, now: number): boolean {
  if (lockedAt === null) return false;
  return now - lockedAt < Math.min(rule.longestMs, rule.lockMs * 2 ** Math.min(locks - 1, 30));
}

/** Of guesses as of `now` that are not locked. */
export function afterWrong(guesses: Guesses, rule: Rule, now: number): Guesses {
  const wrong = guesses.wrong + 1;
  if (wrong >= rule.tries) return { wrong: 0, since: now, locks: guesses.locks + 1, lockedAt: now };
  return { wrong, since: guesses.wrong === 0 ? now : guesses.since, locks: guesses.locks, lockedAt: null };
}
