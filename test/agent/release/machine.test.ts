import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  claimed,
  type Effect,
  firstEffect,
  hasEnded,
  type Input,
  PHASES,
  type Phase,
  type Release,
  resume,
  type Step,
  step,
} from "../../../agent/release/machine.ts";
import type { PrinterJobState, PrinterJobStatus } from "../../../drivers/printer.ts";

const STATES: PrinterJobState[] = [
  "pending",
  "pending-held",
  "processing",
  "processing-stopped",
  "canceled",
  "aborted",
  "completed",
];
const ENDED: readonly Phase[] = ["DONE", "CANCELED", "ABORTED", "RETURNED", "IN_DOUBT"];
const BEFORE_SENDING: readonly Phase[] = ["CLAIMED", "FETCHED", "CREATED"];

const statuses: PrinterJobStatus[] = STATES.flatMap((state) =>
  [[], ["job-incoming"], ["job-data-insufficient"]].flatMap((reasons) =>
    [undefined, 0, 3].map((impressions) => ({
      ...{ id: 7, name: "printgate-c", state, reasons },
      ...(impressions === undefined ? {} : { impressions }),
    })),
  ),
);
const inputs: Input[] = [
  { type: "fetched" },
  { type: "created" },
  { type: "created", job: { id: 7, name: "printgate-c" } },
  { type: "failed", code: "printer-busy", retry: true },
  { type: "failed", code: "printer-blocked", retry: false },
  { type: "durable" },
  ...statuses.map((status) => ({ type: "sent", status }) as const),
  { type: "sendFailed", code: "printer-timeout", notTaken: false },
  { type: "sendFailed", code: "printer-unreachable", notTaken: true },
  ...statuses.map((status) => ({ type: "status", status }) as const),
  { type: "gone" },
  { type: "lookupFailed" },
  { type: "deadline" },
];
const anyInput = fc.constantFrom(...inputs);

const stateOf = (phase: Phase): Release => {
  const base: Release = { phase, failures: 0, job: { id: 7, name: "printgate-c" } };
  return ENDED.includes(phase) ? { ...base, end: { word: "unknown", reason: "none" } } : base;
};
const everyState: Release[] = PHASES.flatMap((phase) => [
  stateOf(phase),
  { ...stateOf(phase), broken: "printer-timeout" },
]);
const typesOf = ({ effects }: Step): string[] => effects.map(({ type }) => type);
const isLater = (effect: Effect, what: string): boolean => effect.type === "later" && effect.effect === what;

describe("every phase with every input", () => {
  test("does not throw, gives a known phase, and says a word exactly in an ended phase", () => {
    for (const state of everyState) {
      for (const input of inputs) {
        const next = step(state, input);
        expect(PHASES).toContain(next.state.phase);
        expect(hasEnded(next.state)).toBe(ENDED.includes(next.state.phase));
      }
    }
  });

  test("an ended release stays as it is and asks for nothing", () => {
    for (const state of everyState.filter(hasEnded)) {
      for (const input of inputs) expect(step(state, input)).toEqual({ state, effects: [] });
    }
  });

  test("every end settles, once, and nothing else does", () => {
    for (const state of everyState.filter((candidate) => !hasEnded(candidate))) {
      for (const input of inputs) {
        const next = step(state, input);
        expect(typesOf(next).filter((type) => type === "settle")).toHaveLength(hasEnded(next.state) ? 1 : 0);
      }
    }
  });

  test("a document is sent from one place only: CREATED, when the intent is durable", () => {
    for (const state of everyState) {
      for (const input of inputs) {
        if (!typesOf(step(state, input)).includes("send")) continue;
        expect([state.phase, input.type]).toEqual(["CREATED", "durable"]);
      }
    }
  });

  test("from SENDING on nothing fetches, creates, sends or goes back", () => {
    const after = everyState.filter(({ phase }) => !BEFORE_SENDING.includes(phase));
    for (const state of after) {
      for (const input of inputs) {
        const next = step(state, input);
        expect(BEFORE_SENDING).not.toContain(next.state.phase);
        for (const effect of next.effects) expect(["lookUp", "cancel", "discard", "settle"]).toContain(effect.type);
      }
    }
  });

  test("`printed` is said only of a document that went out whole and that the printer calls completed", () => {
    for (const state of everyState.filter((candidate) => !hasEnded(candidate))) {
      for (const input of inputs) {
        const next = step(state, input);
        if (next.state.end?.word !== "printed") continue;
        expect(input.type === "sent" || state.phase === "SENT" || state.phase === "PRINTING").toBe(true);
        expect("status" in input && input.status.state).toBe("completed");
      }
    }
  });

  test("`not printed` is said only before SENDING, of a document that was not taken, or of a job that ended with no impression", () => {
    for (const state of everyState.filter((candidate) => !hasEnded(candidate))) {
      for (const input of inputs) {
        const next = step(state, input);
        if (next.state.end?.word !== "not printed" || BEFORE_SENDING.includes(state.phase)) continue;
        const notTaken = input.type === "sendFailed" && input.notTaken;
        const blank =
          "status" in input && input.status.impressions === 0 && ["canceled", "aborted"].includes(input.status.state);
        expect(notTaken || blank).toBe(true);
      }
    }
  });

  test.each(["SENDING", "SENT", "PRINTING"] as const)(
    "in %s, sheets speak against a count of no impression",
    (phase) => {
      const status: PrinterJobStatus = { id: 7, name: "c", state: "aborted", reasons: [], impressions: 0, sheets: 2 };
      const { state } = step({ ...stateOf(phase), broken: "printer-timeout" }, { type: "status", status });
      expect(state.end).toMatchObject({ word: "unknown", sheets: 2 });
    },
  );

  test("after a break the printer's `completed` is not believed", () => {
    for (const status of statuses.filter(({ state }) => state === "completed")) {
      const broken: Release = { ...stateOf("SENDING"), broken: "printer-timeout" };
      expect(step(broken, { type: "status", status }).state.end?.word).toBe("unknown");
    }
  });

  test("a state that waits for something always has asked for it: no release can stand still", () => {
    const starts = [{ state: claimed, effects: [firstEffect] }];
    const answers: Record<Effect["type"], Input["type"][]> = {
      fetch: ["fetched", "failed"],
      create: ["created", "failed"],
      recordIntent: ["durable", "failed"],
      send: ["sent", "sendFailed"],
      lookUp: ["status", "gone", "lookupFailed", "deadline"],
      later: ["fetched", "created", "failed", "deadline"],
      ...{ cancel: [], discard: [], settle: [] },
    };
    const resumed = everyState.flatMap((state) => [resume(state, true), resume(state, false)]);
    const seen = new Set<string>();
    for (const open: Step[] = [...starts, ...resumed]; open.length > 0; ) {
      const { state, effects } = open.pop() as Step;
      const key = JSON.stringify([state.phase, state.broken !== undefined, state.failures > 0, effects]);
      if (seen.has(key)) continue;
      seen.add(key);
      if (hasEnded(state)) continue;
      const asked = effects.flatMap((effect) =>
        effect.type === "later"
          ? answers.later.filter((type) => type !== (effect.effect === "fetch" ? "created" : "fetched"))
          : answers[effect.type],
      );
      expect(asked, `${state.phase} asks for nothing`).not.toEqual([]);
      for (const input of inputs.filter(({ type }) => asked.includes(type))) open.push(step(state, input));
    }
    expect(seen.size).toBeGreaterThan(20);
  });
});

describe("any sequence of inputs", () => {
  const run = fc.array(anyInput, { maxLength: 40 });

  test("sends at most once, and only right after the intent was durable", () => {
    fc.assert(
      fc.property(run, (sequence) => {
        let state = claimed;
        let [sends, durable] = [0, false];
        for (const input of sequence) {
          durable = state.phase === "CREATED" && input.type === "durable";
          const next = step(state, input);
          if (typesOf(next).includes("send")) {
            sends += 1;
            expect(durable).toBe(true);
          }
          state = next.state;
        }
        expect(sends).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2000 },
    );
  });

  test("counts its retries, so that the runner's patience can end them", () => {
    fc.assert(
      fc.property(run, (sequence) => {
        let state = claimed;
        let laters = 0;
        for (const input of sequence) {
          const next = step(state, input);
          if (next.effects.some((effect) => isLater(effect, "fetch") || isLater(effect, "create"))) laters += 1;
          state = next.state;
        }
        expect(state.failures).toBe(laters);
      }),
    );
  });

  test.each([
    { type: "deadline" },
    { type: "failed", code: "printer-blocked", retry: false },
    { type: "gone" },
  ] as Input[])("some state is ended by $type, and `deadline` ends each that waits", (input) => {
    const ended = everyState.filter((state) => !hasEnded(state) && hasEnded(step(state, input).state));
    expect(ended).not.toEqual([]);
    if (input.type === "deadline") expect(ended).toHaveLength(everyState.filter((state) => !hasEnded(state)).length);
  });
});

describe("resuming", () => {
  test("no phase sends, creates or fetches again, whatever comes then", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...everyState),
        fc.boolean(),
        fc.array(anyInput, { maxLength: 20 }),
        (start, trusted, sequence) => {
          const all: Step[] = [resume(start, trusted)];
          for (const input of sequence) all.push(step(all.at(-1)?.state ?? start, input));
          for (const type of all.flatMap(typesOf))
            expect(["send", "create", "fetch", "recordIntent", "later"]).not.toContain(type);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("with a sound ledger what was not SENDING was not printed, and a job left at the printer is discarded", () => {
    for (const phase of BEFORE_SENDING) {
      const { state, effects } = resume(stateOf(phase), true);
      expect(state.end).toMatchObject({ word: "not printed", reason: "agent-restarted" });
      expect(effects.map(({ type }) => type)).toContain("discard");
    }
  });

  test("with a damaged ledger silence never becomes `not printed`", () => {
    const silent: Input[] = [{ type: "gone" }, { type: "lookupFailed" }, { type: "deadline" }];
    for (const start of everyState.filter((state) => !hasEnded(state))) {
      const resumed = resume(start, false);
      expect(hasEnded(resumed.state)).toBe(false);
      for (const input of silent) expect(step(resumed.state, input).state.end?.word).not.toBe("not printed");
    }
  });

  test("an ended release is left alone", () => {
    for (const state of everyState.filter(hasEnded)) {
      for (const trusted of [true, false]) expect(resume(state, trusted)).toEqual({ state, effects: [] });
    }
  });

  test("a SENDING that the printer calls completed is unknown, a SENT one is printed", () => {
    const status: PrinterJobStatus = { id: 7, name: "printgate-c", state: "completed", reasons: [], impressions: 2 };
    const wordAfter = (phase: Phase) =>
      step(resume(stateOf(phase), true).state, { type: "status", status }).state.end?.word;
    expect([wordAfter("SENDING"), wordAfter("SENT"), wordAfter("PRINTING")]).toEqual(["unknown", "printed", "printed"]);
  });
});
