import fc from "fast-check";
import { expect, test } from "vitest";
import {
  afterWrong,
  asOf,
  type Guesses,
  isLocked,
  NO_GUESSES,
  PERSON_RULE,
  READER_RULE,
  type Rule,
} from "../../../agent/central/lockout.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A wrong PIN at `now`, as the store takes it: while it is locked nothing counts. */
function wrongAt(kept: Guesses, rule: Rule, now: number): Guesses {
  const guesses = asOf(kept, rule, now);
  return isLocked(guesses, rule, now) ? guesses : afterWrong(guesses, rule, now);
}

const locked = (kept: Guesses, rule: Rule, now: number) => isLocked(asOf(kept, rule, now), rule, now);

test("five wrong PINs lock a person, however far apart; each lock lasts twice as long, a day at most", () => {
  let guesses = NO_GUESSES;
  let now = 0;
  const lasted: number[] = [];
  for (let lock = 0; lock < 9; lock++) {
    for (let n = 0; n < 5; n++) {
      expect(locked(guesses, PERSON_RULE, now)).toBe(false);
      now += 100 * HOUR;
      guesses = wrongAt(guesses, PERSON_RULE, now);
    }
    let minutes = 0;
    while (locked(guesses, PERSON_RULE, now + minutes * MINUTE)) minutes += 1;
    lasted.push(minutes);
    now += minutes * MINUTE;
  }
  expect(lasted).toEqual([15, 30, 60, 120, 240, 480, 960, 1440, 1440]);
});

test("at a reader, wrong PINs of the last quarter of an hour count", () => {
  let guesses = NO_GUESSES;
  for (let n = 0; n < 19; n++) guesses = wrongAt(guesses, READER_RULE, 1000);
  expect(wrongAt(guesses, READER_RULE, 1000 + 15 * MINUTE).lockedAt).toBe(1000 + 15 * MINUTE);
  const later = wrongAt(guesses, READER_RULE, 1001 + 15 * MINUTE);
  expect([later.wrong, later.lockedAt]).toEqual([1, null]);
});

test("a clock that was set back makes no lock longer than it is", () => {
  let guesses = NO_GUESSES;
  const in2040 = Date.UTC(2040);
  for (let n = 0; n < 5; n++) guesses = wrongAt(guesses, PERSON_RULE, in2040);
  const in2026 = Date.UTC(2026);
  expect(locked(guesses, PERSON_RULE, in2026)).toBe(true);
  guesses = asOf(guesses, PERSON_RULE, in2026);
  expect(locked(guesses, PERSON_RULE, in2026 + 15 * MINUTE - 1)).toBe(true);
  expect(locked(guesses, PERSON_RULE, in2026 + 15 * MINUTE)).toBe(false);
  // Nor does a lock that is over come back.
  guesses = wrongAt(guesses, PERSON_RULE, in2026 + HOUR);
  expect(locked(guesses, PERSON_RULE, in2026)).toBe(false);
});

test("whatever the clock does, a guesser gets no more than the rule allows, and no lock lasts for ever", () => {
  const moves = fc.array(fc.integer({ min: -2 * HOUR, max: 2 * HOUR }), { maxLength: 200 });
  fc.assert(
    fc.property(moves, fc.constantFrom(PERSON_RULE, READER_RULE), (steps, rule) => {
      let guesses = NO_GUESSES;
      let now = Date.UTC(2026);
      let counted = 0;
      let locks = 0;
      for (const step of steps) {
        now += step;
        const current = asOf(guesses, rule, now);
        if (!isLocked(current, rule, now)) counted += 1;
        guesses = wrongAt(guesses, rule, now);
        if (guesses.locks > locks) {
          expect(counted).toBeGreaterThanOrEqual(rule.tries);
          counted = 0;
        }
        locks = guesses.locks;
        expect(guesses.wrong).toBeLessThan(rule.tries);
        expect(isLocked(asOf(guesses, rule, now), rule, now + rule.longestMs)).toBe(false);
      }
      if (rule === PERSON_RULE) expect(counted).toBeLessThan(rule.tries);
    }),
  );
});
