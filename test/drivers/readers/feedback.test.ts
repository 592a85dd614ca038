import { expect, test } from "vitest";
import { SIGNALS } from "../../../drivers/reader.ts";
import { durationMs, PATTERNS } from "../../../drivers/readers/feedback.ts";

test("signals are told apart without colour: no two share number and length of their flashes", () => {
  const rhythms = SIGNALS.map((signal) => `${PATTERNS[signal].count} of ${PATTERNS[signal].onMs}`);
  expect(new Set(rhythms).size).toBe(SIGNALS.length);
});

test("long ones are at least three times the short ones, and good news is never long", () => {
  const lengths = SIGNALS.map((signal) => PATTERNS[signal].onMs).sort((a, b) => a - b);
  expect((lengths.at(-1) ?? 0) / (lengths[0] ?? 1)).toBeGreaterThanOrEqual(3);
  const green = SIGNALS.filter((signal) => PATTERNS[signal].colour === "green");
  expect(green.map((signal) => PATTERNS[signal].onMs)).toEqual(green.map(() => lengths[0]));
});

test("each is over within 3 s, before the next person stands there", () => {
  expect(Math.max(...SIGNALS.map((signal) => durationMs(PATTERNS[signal])))).toBeLessThanOrEqual(3000);
});
