import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MEND_MS,
  NEW_SESSION,
  type SessionEffect,
  type SessionInput,
  type SessionState,
  STABLE_MS,
  step,
  WAKE_MS,
} from "../../../drivers/readers/session-machine.ts";

function run(inputs: readonly SessionInput[]): { state: SessionState; effects: SessionEffect[] } {
  let state = NEW_SESSION;
  const effects = inputs.flatMap((input) => {
    const next = step(state, input);
    state = next.state;
    return next.effects;
  });
  return { state, effects };
}

const input = (type: "start" | "failed" | "retry" | "wake" | "stop"): SessionInput => ({ type });
const opened = (now: number): SessionInput => ({ type: "opened", now });
const lost = (now: number): SessionInput => ({ type: "lost", now });
const deaf = (now: number): SessionInput => ({ type: "deaf", now });
const retries = (effects: readonly SessionEffect[]) =>
  effects.flatMap((effect) => (effect.type === "retry-after" ? [effect.ms] : []));

test("the back-off of an absent device is 1, 2, 5, 10, 30, 30 s", () => {
  const inputs = [input("start"), ...Array.from({ length: 6 }, () => [input("failed"), input("retry")]).flat()];
  expect(retries(run(inputs).effects)).toEqual([1000, 2000, 5000, 10_000, 30_000, 30_000]);
});

test("a device that was open for long begins the back-off anew, one that flaps does not", () => {
  const failed = [input("start"), input("failed"), input("retry"), input("failed"), input("retry"), opened(0)];
  expect(retries(run([...failed, lost(STABLE_MS)]).effects)).toEqual([1000, 2000, 1000]);
  expect(retries(run([...failed, lost(STABLE_MS - 1)]).effects)).toEqual([1000, 2000, 5000]);
});

describe("a device that appears", () => {
  test("while we wait is opened soon, and a storm of appearances does not put it off", () => {
    const waiting = [
      input("start"),
      ...Array.from({ length: 5 }, () => [input("failed"), input("retry")]).flat(),
      input("failed"),
    ];
    const { effects } = run([...waiting, input("wake"), input("wake"), input("wake")]);
    expect(retries(effects)).toEqual([1000, 2000, 5000, 10_000, 30_000, 30_000, WAKE_MS]);
  });

  test("during an open that then fails is looked for again soon", () => {
    expect(retries(run([input("start"), input("wake"), input("failed")]).effects)).toEqual([WAKE_MS]);
  });
});

describe("a deaf device", () => {
  const remedies = (inputs: readonly SessionInput[]) =>
    run(inputs).effects.flatMap((effect) => (effect.type === "mend" ? [effect.remedy] : []));
  const deafAgain = [input("retry"), opened(0), deaf(0)];

  test("is closed and opened anew at first; then it is powered on, and from then on reset", () => {
    const mended = [input("start"), opened(0), deaf(0), ...deafAgain];
    for (let i = 0; i < 3; i += 1) mended.push(input("retry"), ...deafAgain);
    expect(remedies(mended)).toEqual(["power-on", "reset", "reset"]);
    expect(retries(run(mended).effects)).toEqual([1000, 2000, MEND_MS, 5000, MEND_MS, 10_000, MEND_MS, 30_000]);
  });

  test("is mended, one that answers what cannot be used is not: a wrong key is no reason to reset it", () => {
    const useless: SessionInput = { type: "useless", now: 0 };
    const again = Array.from({ length: 5 }, (): SessionInput[] => [input("retry"), opened(0), useless]).flat();
    const { effects } = run([input("start"), opened(0), useless, ...again]);
    expect(effects.filter(({ type }) => type === "mend")).toEqual([]);
    expect(effects.filter(({ type }) => type === "close")).toHaveLength(6);
    expect(retries(effects)).toEqual([1000, 2000, 5000, 10_000, 30_000, 30_000]);
  });

  test("that comes back by our own doing is opened soon, but counts as deaf as before", () => {
    const { effects } = run([
      input("start"),
      opened(0),
      deaf(0),
      ...deafAgain,
      input("retry"),
      input("wake"),
      ...deafAgain,
    ]);
    expect(retries(effects)).toEqual([1000, 2000, MEND_MS, WAKE_MS, 5000]);
  });

  test("that somebody plugs in anew, or that was well for long, begins anew", () => {
    const replugged = [input("start"), opened(0), deaf(0), ...deafAgain, input("wake"), ...deafAgain];
    expect(remedies([...replugged, input("retry")])).toEqual([]);
    const well = [input("start"), opened(0), deaf(0), input("retry"), opened(0), deaf(STABLE_MS), input("retry")];
    expect(remedies(well)).toEqual([]);
  });
});

test("a stop during an open waits for it, and closes what it opened", () => {
  const stopping = run([input("start"), input("stop")]);
  expect(stopping.state.phase).toBe("stopping");
  expect(run([input("start"), input("stop"), opened(0)])).toEqual({
    state: { phase: "stopped" },
    effects: [{ type: "open" }, { type: "close" }, { type: "close" }],
  });
  expect(run([input("start"), input("stop"), input("failed")]).state.phase).toBe("stopped");
});

test("any inputs: never two opens at once, nothing open and no retry set once stopped", () => {
  const anyInput = fc.oneof(
    fc.constantFrom(input("start"), input("failed"), input("retry"), input("wake"), input("stop")),
    fc.nat(30_000).map(opened),
    fc.nat(30_000).map(lost),
    fc.nat(30_000).map(deaf),
    fc.nat(30_000).map((now): SessionInput => ({ type: "useless", now })),
  );
  fc.assert(
    fc.property(fc.array(anyInput, { maxLength: 60 }), (inputs) => {
      let state = NEW_SESSION;
      let device: "closed" | "opening" | "open" = "closed";
      let retrySet = false;
      for (const next of inputs) {
        // A device answers only an open that is under way, is lost only when open, a timer fires only when set.
        if ((next.type === "opened" || next.type === "failed") && device !== "opening") continue;
        if ((next.type === "lost" || next.type === "deaf" || next.type === "useless") && device !== "open") continue;
        if (next.type === "retry" && !retrySet) continue;
        if (next.type === "opened") device = "open";
        if (next.type === "failed" || next.type === "lost") device = "closed";
        if (next.type === "retry") retrySet = false;
        const result = step(state, next);
        state = result.state;
        for (const effect of result.effects) {
          switch (effect.type) {
            case "open":
              expect(device).toBe("closed");
              expect(retrySet).toBe(false);
              device = "opening";
              break;
            case "close":
              if (device === "open") device = "closed";
              break;
            case "retry-after":
              expect(device).toBe("closed");
              retrySet = true;
              break;
            case "cancel-retry":
              retrySet = false;
              break;
            case "mend":
              expect(device).toBe("closed");
              break;
          }
        }
        if (state.phase === "stopped") expect([device, retrySet]).toEqual(["closed", false]);
        if (state.phase === "waiting" || state.phase === "mending")
          expect([device, retrySet]).toEqual(["closed", true]);
      }
    }),
    { numRuns: 1000 },
  );
});
