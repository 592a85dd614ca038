import fc from "fast-check";
import { expect, test } from "vitest";
import { SIGNALS } from "../../../drivers/reader.ts";
import { durationMs, PATTERNS } from "../../../drivers/readers/feedback.ts";
import { Rhythm } from "../../../drivers/readers/rhythm.ts";

/** Each beat with its time, when every one is called `lateMs` late. */
function play(rhythm: Rhythm, lateMs = 0) {
  const beats: [at: number, on: boolean][] = [];
  for (let at = rhythm.at; at !== undefined; at = rhythm.at) {
    const beat = rhythm.beat(at + lateMs);
    if (beat !== undefined) beats.push([at + lateMs, beat.on]);
  }
  return beats;
}

test.each(SIGNALS)("%s is played as the table says", (signal) => {
  const rhythm = new Rhythm();
  const pattern = PATTERNS[signal];
  rhythm.start(pattern, 1000);
  const beats = play(rhythm);
  expect(beats.map(([, on]) => on)).toEqual(Array.from({ length: 2 * pattern.count }, (_, at) => at % 2 === 0));
  expect(beats.at(-1)?.[0]).toBe(1000 + durationMs(pattern));
  expect(rhythm.sounding).toBe(false);
});

test("no sound and no pause is cut short by being late", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SIGNALS), fc.nat(500), (signal, lateMs) => {
      const rhythm = new Rhythm();
      const { onMs, offMs, count } = PATTERNS[signal];
      rhythm.start(PATTERNS[signal], 0);
      const beats = play(rhythm, lateMs);
      expect(beats).toHaveLength(2 * count);
      beats.forEach(([at, on], index) => {
        const [before] = beats[index - 1] ?? [Number.NEGATIVE_INFINITY];
        expect(at - before).toBeGreaterThanOrEqual(on ? offMs : onMs);
      });
    }),
  );
});

test("the newest pattern wins: what sounds ends at once, and a pause follows", () => {
  const rhythm = new Rhythm();
  rhythm.start(PATTERNS.fault, 0);
  expect(rhythm.beat(0)).toEqual({ on: true, colour: "red", onMs: 400 });
  rhythm.start(PATTERNS.accepted, 50);
  expect(play(rhythm)).toEqual([
    [50, false],
    [150, true],
    [250, false],
  ]);
});

test("before its time there is no beat", () => {
  const rhythm = new Rhythm();
  expect([rhythm.at, rhythm.beat(0)]).toEqual([undefined, undefined]);
  rhythm.start(PATTERNS.accepted, 10);
  expect(rhythm.beat(9)).toBeUndefined();
});
