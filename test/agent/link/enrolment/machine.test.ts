import fc from "fast-check";
import { expect, test } from "vitest";
import { newDeviceKeys, type Trust } from "../../../../agent/link/enrolment/identity.ts";
import { type Attempt, type Input, next, type State, Unfinished } from "../../../../agent/link/enrolment/machine.ts";

const attempt = (code: string): Attempt => ({ url: "https://central.example", code, keys: newDeviceKeys() });
const offer = (ca: string): Trust => ({ ca, keyPins: ["sha256/a", "sha256/b"] });
const granted = (name: string) => ({ name, certificate: name, cardKey: "c".repeat(43), manifestKey: "m".repeat(43) });

const inputs: fc.Arbitrary<Input> = fc.oneof(
  fc.constantFrom(attempt("one"), attempt("two")).map((attempt): Input => ({ kind: "keys", attempt })),
  fc.constantFrom("ours", "theirs").map((ca): Input => ({ kind: "offer", offer: offer(ca) })),
  fc.constantFrom("lobby", "floor-2").map((name): Input => ({ kind: "approved", granted: granted(name) })),
  fc.constantFrom<Input>({ kind: "pending" }, { kind: "over" }, { kind: "used" }),
);

const ORDER = ["new", "keyed", "offered", "requested", "approved", "enrolled"];

test("the way from nothing to an identity", () => {
  const one = attempt("one");
  const steps: Input[] = [
    { kind: "keys", attempt: one },
    { kind: "offer", offer: offer("ours") },
    { kind: "pending" },
    { kind: "approved", granted: granted("lobby") },
    { kind: "used" },
  ];
  let state: State = { step: "new" };
  const states = steps.map((input) => {
    state = next(state, input);
    return state;
  });
  expect(states.map(({ step }) => step)).toEqual(ORDER.slice(1));
  expect(states.at(-1)).toMatchObject({
    identity: { url: one.url, keys: one.keys, trust: offer("ours"), granted: granted("lobby") },
  });
});

test("whatever comes in whatever order: no step back but to the beginning, and nothing that was taken is ever exchanged", () => {
  fc.assert(
    fc.property(fc.array(inputs, { maxLength: 40 }), (sequence) => {
      let state: State = { step: "new" };
      for (const input of sequence) {
        const before: State = state;
        state = next(state, input);
        const [from, to] = [ORDER.indexOf(before.step), ORDER.indexOf(state.step)];
        if (to < from) {
          expect([input.kind, to]).toEqual(["over", 0]);
          continue;
        }
        // Approved at once is the one step that may be left out.
        expect(to - from).toBeLessThanOrEqual(input.kind === "approved" ? 2 : 1);
        if ("attempt" in before && "attempt" in state) expect(state.attempt).toBe(before.attempt);
        if ("offer" in before && "offer" in state) expect(state.offer).toBe(before.offer);
        if (before.step === "approved" && state.step === "approved") expect(state.granted).toBe(before.granted);
        if (state.step === "enrolled" && "attempt" in before) {
          expect(state.identity.keys).toBe(before.attempt.keys);
        }
        // Each state between the two ends goes to the disk and comes back as it was.
        if (state.step !== "new" && state.step !== "enrolled") {
          expect(Unfinished.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
        }
      }
    }),
  );
});
