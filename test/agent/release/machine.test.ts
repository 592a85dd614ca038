import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  claimed,
  type Effect,
  firstEffect,
  hasEnded,
  type Input,
  mayStandMs,
  orphaned,
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
  [[], ["job-incoming"], ["job-data-insufficient"], ["processing-to-stop-point"], ["aborted-by-system"]].flatMap(
    (reasons) =>
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
  { type: "failed", code: "printer-blocked", retry: false, detail: "media-jam" },
  { type: "durable" },
  ...statuses.map((status) => ({ type: "sent", status }) as const),
  { type: "sendFailed", code: "printer-timeout", notTaken: false },
  { type: "sendFailed", code: "printer-unreachable", notTaken: true },
  ...statuses.flatMap((status) => [false, true].map((overdue) => ({ type: "status", status, overdue }) as const)),
  { type: "gone" },
  { type: "gone", forgets: true },
  { type: "discarded" },
  { type: "discarded", paper: true },
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
  { ...stateOf(phase), returning: { reason: "printer-busy" } },
  ...[true, false].flatMap((unbegun) => [
    { ...stateOf(phase), givenUp: { reason: "held-at-printer", unbegun } },
    { ...stateOf(phase), broken: "printer-timeout", givenUp: { reason: "printer-timeout", unbegun } },
  ]),
]);
const open = everyState.filter((state) => !hasEnded(state));
const isOver = ({ state }: PrinterJobStatus) => ["canceled", "aborted", "completed"].includes(state);
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
    for (const state of open) {
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
    for (const state of open) {
      for (const input of inputs) {
        const next = step(state, input);
        if (next.state.end?.word !== "printed") continue;
        expect(input.type === "sent" || state.phase === "SENT" || state.phase === "PRINTING").toBe(true);
        expect("status" in input && input.status.state).toBe("completed");
        // Nor of one that we canceled: it may have put out a part.
        expect(state.givenUp).toBeUndefined();
        expect(state.returning).toBeUndefined();
      }
    }
  });

  test("`not printed` is said only before SENDING, of a document that was not taken, or of a job that ended with nothing out", () => {
    for (const state of open) {
      for (const input of inputs) {
        const next = step(state, input);
        if (next.state.end?.word !== "not printed" || BEFORE_SENDING.includes(state.phase)) continue;
        const blank =
          "status" in input &&
          ["canceled", "aborted"].includes(input.status.state) &&
          (input.status.impressions === 0 ||
            (input.status.impressions === undefined && state.givenUp?.unbegun === true));
        const left = state.returning !== undefined && (input.type === "discarded" || input.type === "deadline");
        expect(blank || (left && !("paper" in input && state.phase === "SENDING"))).toBe(true);
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
      discard: ["discarded"],
      ...{ cancel: [], settle: [] },
    };
    const resumed = everyState.flatMap((state) => [resume(state, true), resume(state, false)]);
    const seen = new Set<string>();
    for (const waiting: Step[] = [...starts, ...resumed]; waiting.length > 0; ) {
      const { state, effects } = waiting.pop() as Step;
      const { phase, broken, failures, returning, givenUp } = state;
      const key = JSON.stringify([phase, broken !== undefined, failures > 0, returning, givenUp, effects]);
      if (seen.has(key)) continue;
      seen.add(key);
      if (hasEnded(state)) continue;
      const asked = effects.flatMap((effect) =>
        effect.type === "later"
          ? answers.later.filter((type) => type !== (effect.effect === "fetch" ? "created" : "fetched"))
          : answers[effect.type],
      );
      expect(asked, `${state.phase} asks for nothing`).not.toEqual([]);
      for (const input of inputs.filter(({ type }) => asked.includes(type))) waiting.push(step(state, input));
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
    const ended = open.filter((state) => hasEnded(step(state, input).state));
    expect(ended).not.toEqual([]);
    if (input.type !== "deadline") return;
    // What goes back first sees its empty job out.
    for (const state of open) {
      const { state: after, effects } = step(state, input);
      if (hasEnded(after)) continue;
      expect(effects).toEqual([{ type: "discard" }]);
      for (const paper of [true, false])
        expect(step(after, { type: "discarded", paper }).state.end?.word).toBe("not printed");
    }
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
      expect(effects).toEqual([{ type: "discard" }]);
      for (const end of [step(state, { type: "discarded" }).state, orphaned(state)])
        expect(end).toMatchObject({ phase: "RETURNED", end: { word: "not printed", reason: "agent-restarted" } });
    }
  });

  test("with a damaged ledger silence never becomes `not printed`", () => {
    const silent: Input[] = [{ type: "gone" }, { type: "lookupFailed" }, { type: "deadline" }];
    for (const start of open.filter(({ returning }) => returning === undefined)) {
      const resumed = resume(start, false);
      expect(hasEnded(resumed.state)).toBe(false);
      expect(orphaned(resumed.state).end?.word).toBe("unknown");
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

  test("one that was being returned is returned, with any ledger: that record is later than any that was lost", () => {
    for (const start of open.filter(({ returning }) => returning !== undefined)) {
      for (const trusted of [true, false]) {
        const resumed = resume(start, trusted);
        expect(resumed).toEqual({ state: start, effects: [{ type: "discard" }] });
        expect(orphaned(resumed.state).end).toEqual({ word: "not printed", reason: "printer-busy" });
      }
    }
  });
});

describe("a claim goes back only when no job of ours is left at the printer", () => {
  test("from wherever an empty job may stand, it is discarded first", () => {
    for (const state of open) {
      for (const input of inputs) {
        const next = step(state, input);
        if (next.state.phase !== "RETURNED") continue;
        const sawItEnd = "status" in input && isOver(input.status);
        expect(state.phase === "CLAIMED" || state.returning !== undefined || sawItEnd).toBe(true);
      }
    }
  });

  test("what the reason is about goes with it", () => {
    const detail = "sides=two-sided";
    const failed: Input = { type: "failed", code: "printer-ticket-unsupported", retry: false, detail };
    const sendFailed: Input = { type: "sendFailed", code: "printer-ticket-unsupported", notTaken: true, detail };
    const starts = [
      ["CLAIMED", failed],
      ["FETCHED", failed],
      ["SENDING", sendFailed],
    ] as const;
    for (const [phase, input] of starts) {
      const { state } = step(stateOf(phase), input);
      expect((hasEnded(state) ? state : step(state, { type: "discarded" }).state).end?.detail).toBe(detail);
    }
  });

  test("nothing but the end of the discarding moves it", () => {
    for (const state of open.filter(({ returning }) => returning !== undefined)) {
      for (const input of inputs.filter(({ type }) => type !== "discarded" && type !== "deadline"))
        expect(step(state, input)).toEqual({ state, effects: [] });
    }
  });

  test("paper from a job that should have none is doubt once bytes may have left, and only then", () => {
    const word = (phase: Phase) =>
      step({ ...stateOf(phase), returning: { reason: "printer-busy" } }, { type: "discarded", paper: true }).state.end
        ?.word;
    expect(["FETCHED", "CREATED", "SENDING"].map((phase) => word(phase as Phase))).toEqual([
      "not printed",
      "not printed",
      "unknown",
    ]);
  });

  test("a job that is canceled but still stopping is looked at again, but not for ever", () => {
    const stopping: PrinterJobStatus = {
      id: 7,
      name: "c",
      state: "canceled",
      reasons: ["processing-to-stop-point"],
      impressions: 0,
    };
    for (const start of [stateOf("PRINTING"), { ...stateOf("SENDING"), broken: "printer-timeout" }]) {
      const { state, effects } = step(start, { type: "status", status: stopping });
      expect(hasEnded(state)).toBe(false);
      expect(effects).toEqual([{ type: "lookUp" }]);
      expect(mayStandMs(state, stopping)).toBe(10_000);
      expect(hasEnded(step(state, { type: "status", status: stopping, overdue: true }).state)).toBe(true);
    }
  });
});

describe("a job that stands", () => {
  const at = (state: PrinterJobState, more: Partial<PrinterJobStatus> = {}): PrinterJobStatus => ({
    ...{ id: 7, name: "c", state, reasons: [] },
    ...more,
  });
  const overdue = (start: Release, status: PrinterJobStatus) => step(start, { type: "status", status, overdue: true });

  test.each([
    ["pending-held", 3, "held-at-printer"],
    ["processing-stopped", 10, "stopped-at-printer"],
    ["pending", 60, "release-deadline"],
    ["processing", 60, "release-deadline"],
  ] as const)("%s may do so for %i minutes, and is then canceled: %s", (state, minutes, reason) => {
    expect(mayStandMs(stateOf("SENT"), at(state))).toBe(minutes * 60_000);
    const next = overdue(stateOf("SENT"), at(state));
    expect(next.state.givenUp?.reason).toBe(reason);
    expect(next.effects).toEqual([{ type: "cancel" }, { type: "lookUp" }]);
    expect(next.state.seen).toBe(state);
  });

  test("is canceled at each look until the printer stops it", () => {
    const { state } = overdue(stateOf("PRINTING"), at("processing-stopped"));
    expect(typesOf(step(state, { type: "status", status: at("processing-stopped") }))).toEqual(["cancel", "lookUp"]);
    const stopping = at("processing", { reasons: ["processing-to-stop-point"] });
    expect(typesOf(step(state, { type: "status", status: stopping }))).toEqual(["lookUp"]);
    // A printer that cannot stop it will not tell of its end either.
    expect(mayStandMs(state, at("processing-stopped"))).toBe(120_000);
    expect(overdue(state, at("processing-stopped")).state.end).toEqual({
      word: "unknown",
      reason: "stopped-at-printer",
    });
  });

  test.each([
    ["held, never begun, canceled", ["pending-held"], at("canceled"), "not printed"],
    ["held, begun after all, canceled", ["pending-held", "processing"], at("canceled"), "unknown"],
    ["held, begun, nothing counted", ["pending-held", "processing"], at("canceled", { impressions: 0 }), "not printed"],
    ["held, canceled, but a page counted", ["pending-held"], at("canceled", { impressions: 1 }), "unknown"],
    ["held, canceled, but a sheet counted", ["pending-held"], at("canceled", { sheets: 1 }), "unknown"],
    ["held, then it came out", ["pending-held"], at("completed"), "unknown"],
    ["jammed before the first page", ["processing-stopped"], at("canceled", { impressions: 0 }), "not printed"],
    ["jammed at page 3", ["processing-stopped"], at("canceled", { impressions: 3 }), "unknown"],
    ["jammed, at a printer that does not count", ["processing-stopped"], at("aborted"), "unknown"],
  ] as const)("%s: %s", (_what, looks, last, word) => {
    let { state } = overdue(stateOf("SENT"), at(looks[0]));
    for (const look of looks.slice(1)) ({ state } = step(state, { type: "status", status: at(look) }));
    const { end, phase } = step(state, { type: "status", status: last }).state;
    expect(end?.word).toBe(word);
    expect(phase).toBe(word === "unknown" ? "IN_DOUBT" : "RETURNED");
  });

  test("a jam that is cleared in time is none", () => {
    let { state } = step(stateOf("SENT"), { type: "status", status: at("processing-stopped") });
    ({ state } = step(state, { type: "status", status: at("processing") }));
    expect(step(state, { type: "status", status: at("completed") }).state.end?.word).toBe("printed");
  });

  test("after a break it may stand for five minutes", () => {
    const broken: Release = { ...stateOf("SENDING"), broken: "printer-timeout" };
    expect(mayStandMs(broken, at("processing"))).toBe(300_000);
    const { state } = overdue(broken, at("pending"));
    expect(state.givenUp).toEqual({ reason: "printer-timeout", unbegun: true });
    expect(step(state, { type: "status", status: at("canceled") }).state).toMatchObject({
      ...{ phase: "RETURNED", end: { word: "not printed", reason: "printer-timeout" } },
    });
  });
});

test("completed without a page, at a printer that counts, is looked at once more, and is in doubt", () => {
  const completed = (more: Partial<PrinterJobStatus>): Input => ({
    ...{ type: "status", status: { id: 7, name: "c", state: "completed", reasons: [], ...more } },
  });
  const { state, effects } = step(stateOf("PRINTING"), completed({ impressions: 0 }));
  expect(effects).toEqual([{ type: "lookUp" }]);
  expect(step(state, completed({ impressions: 0 })).state.end).toMatchObject({
    ...{ word: "unknown", reason: "completed-without-pages" },
  });
  for (const counts of [{ impressions: 2 }, { impressions: 0, sheets: 1 }, {}])
    expect(step(state, completed(counts)).state.end?.word).toBe("printed");
});

describe("an end that nobody asked for", () => {
  const ending = (state: "canceled" | "aborted", reasons: string[]) =>
    step(stateOf("PRINTING"), { type: "status", status: { id: 7, name: "c", state, reasons, impressions: 0 } }).state;

  test.each([["job-canceled-by-user"], ["job-canceled-at-device"], ["job-canceled-by-operator"], []])(
    "canceled (%s) is a decision",
    (...reasons) => {
      expect(ending("canceled", reasons)).toMatchObject({ phase: "CANCELED", end: { reason: "canceled-at-printer" } });
    },
  );

  test("canceled by the printer itself is a fault, as aborted is", () => {
    for (const end of [ending("canceled", ["aborted-by-system"]), ending("aborted", [])])
      expect(end).toMatchObject({ phase: "ABORTED", end: { reason: "aborted-by-printer" } });
  });

  test("gone: what that may mean depends on whether the printer keeps what has ended", () => {
    const reason = (forgets?: boolean) =>
      step(stateOf("SENT"), { type: "gone", ...(forgets && { forgets }) }).state.end;
    expect(reason()).toEqual({ word: "unknown", reason: "job-gone-at-printer" });
    expect(reason(true)).toEqual({ word: "unknown", reason: "no-job-history" });
  });
});
