import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CrashBench } from "./crash-bench.ts";

const POINTS = 20;
const SIZE = 1_000_000;
const PRINT_MS = 50;

/** Marsaglia's xorshift32: the same points in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

let bench: CrashBench;
beforeAll(async () => {
  bench = await CrashBench.start({ printMs: PRINT_MS });
});
afterAll(() => bench.stop());

test(`kill -9 at ${POINTS} random moments of a release: printed at most once, and the central server knows what is known`, async () => {
  const started = performance.now();
  const whole = await bench.tapWithDocument(SIZE);
  await bench.recorded(whole, "DONE");
  const releaseMs = performance.now() - started;
  await bench.agent.atRest();
  expect(await bench.judge(whole)).toBe("printed");

  const next = random(20_260_101);
  const states: string[] = [];
  for (let point = 0; point < POINTS; point++) {
    const release = await bench.tapWithDocument(SIZE);
    // Most of a release is the wait for the printer's last word; half of the points fall before that.
    await wait(next() * (point % 2 === 0 ? 60 : releaseMs));
    await bench.kill();
    await bench.restart();
    states.push(await bench.judge(release));
  }
  // It would prove little if every point fell at one end.
  expect(new Set(states).size).toBeGreaterThan(1);
}, 60_000);
