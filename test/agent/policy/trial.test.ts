import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Pins, type PinsInput, stepPins, TRIAL_MS, trustedPins } from "../../../agent/policy/trial.ts";

const settled: Pins = { settled: ["A", "B"], policy: "1.1" };
const tried = stepPins(settled, { type: "wanted", pins: ["B", "C"], policy: "1.2" });

describe("key pins of a policy are tried before the old ones go", () => {
  it("trusts both sets meanwhile", () => {
    expect(trustedPins(tried)).toEqual(["A", "B", "C"]);
    expect(tried.settled).toEqual(["A", "B"]);
  });

  it("drops the old set when a connection by the new one worked", () => {
    for (const pin of ["B", "C"]) {
      expect(stepPins(tried, { type: "worked", pin })).toEqual({ settled: ["B", "C"], policy: "1.2" });
    }
    expect(stepPins(tried, { type: "worked", pin: "A" })).toBe(tried);
  });

  it("drops the new set after a day of running time, however it is cut up", () => {
    let state = tried;
    for (let hour = 0; hour < 23; hour++) state = stepPins(state, { type: "spent", ms: TRIAL_MS / 24 });
    expect(trustedPins(state)).toContain("C");
    state = stepPins(state, { type: "spent", ms: TRIAL_MS / 24 });
    expect(state).toEqual({ settled: ["A", "B"], policy: "1.2", undone: ["B", "C"] });
    expect(stepPins(state, { type: "worked", pin: "C" })).toBe(state);
  });

  it("tries the same policy once, and another policy anew", () => {
    const undone = stepPins(tried, { type: "spent", ms: TRIAL_MS });
    expect(stepPins(undone, { type: "wanted", pins: ["B", "C"], policy: "1.2" })).toBe(undone);
    const again = stepPins(undone, { type: "wanted", pins: ["B", "C"], policy: "1.3" });
    expect(again).toEqual({ settled: ["A", "B"], policy: "1.3", trial: { pins: ["B", "C"], leftMs: TRIAL_MS } });
  });

  it("goes on with a trial when the same settings are signed anew, and ends it when they are taken back", () => {
    const half = stepPins(tried, { type: "spent", ms: TRIAL_MS / 2 });
    expect(stepPins(half, { type: "wanted", pins: ["C", "B"], policy: "1.3" }).trial?.leftMs).toBe(TRIAL_MS / 2);
    expect(stepPins(half, { type: "wanted", pins: ["B", "A"], policy: "1.3" })).toEqual({ ...settled, policy: "1.3" });
  });

  it("never distrusts the pin that worked last, whatever comes in whatever order, until a new one worked", () => {
    const pin = fc.constantFrom("A", "B", "C", "D", "E");
    const input: fc.Arbitrary<PinsInput> = fc.oneof(
      fc.record({
        type: fc.constant("wanted" as const),
        pins: fc.uniqueArray(pin, { minLength: 2, maxLength: 3 }),
        policy: fc.nat(20).map(String),
      }),
      fc.record({ type: fc.constant("worked" as const), pin }),
      fc.record({ type: fc.constant("spent" as const), ms: fc.nat(TRIAL_MS) }),
    );
    fc.assert(
      fc.property(fc.array(input, { maxLength: 40 }), (inputs) => {
        let state = settled;
        let worked = "A";
        for (const one of inputs) {
          // Only a connection that is trusted can work.
          if (one.type === "worked" && !trustedPins(state).includes(one.pin)) continue;
          const before = state;
          state = stepPins(state, one);
          // The server has one key: the one that worked last, until another works.
          if (one.type === "worked") worked = one.pin;
          const droppedForANewOne = one.type === "worked" && before.trial?.pins.includes(one.pin) === true;
          if (!droppedForANewOne) for (const old of before.settled) expect(trustedPins(state)).toContain(old);
          if (one.type === "worked") expect(trustedPins(state)).toContain(worked);
        }
      }),
    );
  });

  it("a trial is bounded", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: TRIAL_MS }), { minLength: 1 }), (times) => {
        const spent = times.reduce((sum, ms) => sum + ms, 0);
        const end = times.reduce<Pins>((state, ms) => stepPins(state, { type: "spent", ms }), tried);
        expect(end.trial === undefined).toBe(spent >= TRIAL_MS);
      }),
    );
  });
});
