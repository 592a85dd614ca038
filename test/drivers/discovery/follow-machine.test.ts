import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AT_HOME,
  type FollowEffect,
  type FollowInput,
  type FollowState,
  followStep,
  type Sighting,
} from "../../../drivers/discovery/follow-machine.ts";

const seen = (host: string, proof: Sighting["proof"]): Sighting => ({ uri: `ipps://${host}/ipp/print`, host, proof });
const unreachable: FollowInput = { type: "unreachable" };

/** Feeds inputs with their times; resolves with the last state and all effects. */
function run(inputs: readonly (readonly [FollowInput, number])[], from: FollowState = AT_HOME) {
  const effects: FollowEffect[] = [];
  let state = from;
  for (const [input, at] of inputs) {
    const step = followStep(state, input, at);
    state = step.state;
    effects.push(...step.effects);
  }
  return { state, effects };
}
const LOST: readonly (readonly [FollowInput, number])[] = [
  [unreachable, 0],
  [unreachable, 3000],
];
const looked = (...found: readonly Sighting[]): FollowInput => ({ type: "looked", found });

describe("a printer that cannot be reached", () => {
  test("is looked for when that was so twice, for three seconds", () => {
    expect(run([[unreachable, 0]]).effects).toEqual([]);
    expect(run([[unreachable, 0], [unreachable, 2999]]).effects).toEqual([]); // biome-ignore format: one line
    expect(run(LOST).effects).toEqual(["look"]);
  });

  test("and answered in between is not", () => {
    expect(run([[unreachable, 0], [{ type: "reached" }, 1], [unreachable, 5000]]).effects).toEqual([]); // biome-ignore format: one line
  });

  test("is not looked for again within a minute", () => {
    expect(run([...LOST, [looked(), 6000], [unreachable, 62_999]]).effects).toEqual(["look"]);
    expect(run([...LOST, [looked(), 6000], [unreachable, 63_000]]).effects).toEqual(["look", "look"]);
  });

  test("that answers while it is looked for stays where it is", () => {
    const { state, effects } = run([...LOST, [{ type: "reached" }, 4000], [looked(seen("10.0.0.9", "pinned")), 6000]]);
    expect(effects).toEqual(["look"]);
    expect(state.host).toBeUndefined();
  });
});

test.each([
  ["nobody", [], undefined],
  ["one without a key", [seen("10.0.0.9", "unproven")], "unproven"],
  ["one of another key", [seen("10.0.0.9", "other-key")], "other-key"],
  ["one far away", [seen("8.8.8.8", "far")], "far"],
  ["one at another port", [seen("10.0.0.9", "other-way")], "other-way"],
  ["two that prove it", [seen("10.0.0.9", "pinned"), seen("10.0.0.8", "pinned")], "several"],
  ["two that do not", [seen("10.0.0.9", "silent"), seen("10.0.0.8", "other-key")], "several"],
])("%s moves nothing", (_, found, why) => {
  const { state, effects } = run([...LOST, [looked(...found), 6000]]);
  expect(effects).toEqual(["look"]);
  expect([state.host, state.follows, state.seen?.why]).toEqual([undefined, undefined, why]);
});

describe("one that proves the uuid", () => {
  const followed = run([...LOST, [looked(seen("10.0.0.8", "other-key"), seen("10.0.0.9", "pinned")), 6000]]);
  const home = (answers: boolean): FollowInput => ({ type: "home", answers });

  test("is followed, whatever others claim it", () => {
    expect(followed.effects).toEqual(["look", "move", "watch"]);
    expect(followed.state).toMatchObject({ host: "10.0.0.9", follows: { uri: "ipps://10.0.0.9/ipp/print" } });
  });

  test("is left when the configured address answered twice in a row, and no earlier", () => {
    const { state, effects } = run([[home(true), 1], [home(false), 2], [home(true), 3]], followed.state); // biome-ignore format: one line
    expect([state.host, effects]).toEqual(["10.0.0.9", ["watch", "watch", "watch"]]);
    expect(run([[home(true), 4]], state)).toMatchObject({ state: { host: undefined }, effects: ["return"] });
  });

  test("is left at once when it cannot be reached, and looked for again after the minute", () => {
    const left = run([[unreachable, 7000]], followed.state);
    expect(left.effects).toEqual(["return"]);
    expect(run([[unreachable, 8000], [unreachable, 20_000]], left.state).effects).toEqual([]); // biome-ignore format: one line
    expect(run([[unreachable, 8000], [unreachable, 70_000]], left.state).effects).toEqual(["look"]); // biome-ignore format: one line
  });
});

const proofs = fc.constantFrom<Sighting["proof"]>("pinned", "unproven", "other-key", "silent", "other-way", "far");
const inputs = fc.array(
  fc.tuple(
    fc.oneof(
      fc.constant<FollowInput>({ type: "reached" }),
      fc.constant(unreachable),
      fc
        .array(proofs, { maxLength: 3 })
        .map((found) => looked(...found.map((proof, at) => seen(`10.0.0.${at}`, proof)))),
      fc.boolean().map((answers): FollowInput => ({ type: "home", answers })),
    ),
    fc.nat(70_000),
  ),
  { maxLength: 60 },
);

test("whatever happens: only one that proves it is followed, moves and returns alternate, looks are a minute apart", () => {
  fc.assert(
    fc.property(inputs, (events) => {
      let state = AT_HOME;
      let now = 0;
      const looks: number[] = [];
      let away = false;
      for (const [input, gap] of events) {
        now += gap;
        const step = followStep(state, input, now);
        for (const effect of step.effects) {
          if (effect === "look") looks.push(now);
          if (effect === "move") {
            if (input.type !== "looked") throw new Error("moved by something else");
            expect(input.found.filter(({ proof }) => proof === "pinned").map(({ host }) => host)).toEqual([
              step.state.host,
            ]);
            expect(away).toBe(false);
            away = true;
          }
          if (effect === "return") {
            expect(away).toBe(true);
            away = false;
          }
        }
        state = step.state;
        expect(state.host !== undefined).toBe(away);
        expect(state.follows !== undefined).toBe(away);
      }
      for (const [at, time] of looks.entries())
        expect(time - (looks[at - 1] ?? -60_000)).toBeGreaterThanOrEqual(60_000);
    }),
  );
});
