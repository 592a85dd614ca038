import { describe, expect, test } from "vitest";
import {
  CLOSED,
  type Effect,
  type Input,
  type Plan,
  RESTARTS,
  type State,
  step,
} from "../../../../drivers/readers/osdp/machine.ts";

const INPUTS: readonly Input[] = [
  { type: "open" },
  { type: "answered" },
  { type: "refused", demandsChannel: false },
  { type: "refused", demandsChannel: true },
  { type: "unproven" },
  { type: "broken", channel: false },
  { type: "broken", channel: true },
  { type: "silent" },
  { type: "steady" },
];
const PLANS: readonly Plan[] = [
  { secure: true, install: false },
  { secure: true, install: true },
  { secure: false, install: false },
];

interface Edge {
  readonly from: State;
  readonly input: Input;
  readonly to: State;
  readonly effects: readonly Effect[];
}

/** Every state that can be reached, and every step between them. */
function explore(plan: Plan): Edge[] {
  const edges: Edge[] = [];
  const seen = new Set<string>();
  const open = [CLOSED];
  for (let from = open.pop(); from !== undefined; from = open.pop()) {
    const key = JSON.stringify(from);
    if (seen.has(key)) continue;
    seen.add(key);
    for (const input of INPUTS) {
      const { state: to, effects } = step(plan, from, input);
      edges.push({ from, input, to, effects });
      open.push(to);
    }
  }
  return edges;
}

describe.each(PLANS)("$secure, install $install", (plan) => {
  const edges = explore(plan);

  test("has few states", () => {
    expect(edges.length).toBeGreaterThan(50);
    expect(edges.length).toBeLessThan(1000);
  });

  test("comes online only by proof, and with the reader's own key", () => {
    for (const { from, input, to, effects } of edges) {
      if (to.phase !== "online" || from.phase === "online") continue;
      if (input.type === "open") throw new Error("online at once");
      expect(effects).toContainEqual({ type: "online" });
      if (plan.secure) expect([from.phase, from.key, input.type]).toEqual(["verify", "own", "answered"]);
      else expect(from.phase).toBe("capabilities");
    }
  });

  test("uses the default key in an installation only, and once", () => {
    for (const { from, to } of edges) {
      if (to.key !== "default") continue;
      expect(plan.install).toBe(true);
      expect(to.installed).toBe(false);
      if (from.key === "own") expect(["challenge", "verify"]).toContain(from.phase);
      expect(to.phase).not.toBe("online");
    }
  });

  test("asks for a key to be written only with a proven channel under the default key", () => {
    for (const { from, input, effects } of edges) {
      if (!effects.some((effect) => effect.type === "ask" && effect.ask === "keyset")) continue;
      expect([from.phase, from.key, input.type]).toEqual(["verify", "default", "answered"]);
    }
  });

  test("leaves failure by a new open only", () => {
    for (const { from, input, to } of edges)
      if (from.phase === "failed" && input.type !== "open") expect(to).toEqual(from);
  });

  test("drops the channel whenever it begins anew, asks for another, or fails", () => {
    for (const { effects } of edges) {
      const drops = effects.findIndex(({ type }) => type === "drop-channel");
      const anew = effects.findIndex(
        (effect) =>
          effect.type === "failed" || (effect.type === "ask" && (effect.ask === "id" || effect.ask === "challenge")),
      );
      if (anew !== -1) expect(drops).toBe(0);
    }
  });

  test("a reader that took a key and does not prove it is told as such", () => {
    const faults = edges.flatMap(({ from, effects }) =>
      effects.flatMap((effect) => (effect.type === "failed" && from.installed ? effect.fault : [])),
    );
    expect(new Set(faults)).toEqual(new Set(plan.install ? ["keyset-failed"] : []));
  });

  test("begins anew only so often", () => {
    for (const { to } of edges) expect(to.restarts).toBeLessThanOrEqual(RESTARTS);
    expect(edges.some(({ to }) => to.phase === "failed")).toBe(true);
  });
});
