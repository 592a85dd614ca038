import { describe, expect, test } from "vitest";
import { type Facts, judge, type Paper } from "./oracle.ts";

const whole: Paper = { pages: 4, ofPages: 4, whole: true };
const half: Paper = { pages: 2, ofPages: 4, whole: true };
const cut: Paper = { pages: 4, ofPages: 4, whole: false };

const printed: Facts = {
  ...{ word: "printed", reason: "none", state: "printed", paper: [whole], acknowledged: true, counts: true },
  told: { type: "ended", state: "completed", impressions: 4 },
  again: { signal: "no-jobs", state: "printed", paper: [whole] },
};
const returned: Facts = {
  ...{ word: "not printed", reason: "printer-busy", state: "held", paper: [], acknowledged: false, counts: true },
  told: { type: "gone" },
  again: { signal: "printed", state: "printed", paper: [whole] },
};
const doubt: Facts = {
  ...{ word: "unknown", reason: "job-gone-at-printer", state: "in-doubt", paper: [], acknowledged: true, counts: true },
  told: { type: "gone" },
  again: { signal: "no-jobs", state: "in-doubt", paper: [] },
};

/** The marks of a verdict that are set. */
function marks(facts: Facts): string[] {
  const { why: _, ...rest } = judge(facts);
  return Object.entries(rest).flatMap(([name, set]) => (set ? [name] : []));
}

describe("what is right", () => {
  test.each([
    ["printed once", printed, []],
    ["not printed, and printed at the next tap", returned, []],
    ["in doubt, with nothing that tells", doubt, ["unknown"]],
    [
      "in doubt, with half of it out",
      { ...doubt, paper: [half], again: { ...doubt.again, signal: "no-jobs", state: "in-doubt", paper: [half] } },
      ["unknown"],
    ],
    [
      "canceled by a person",
      { ...returned, state: "canceled", again: { signal: "no-jobs", state: "canceled", paper: [] } },
      [],
    ],
  ] as const)("%s", (_, facts, expected) => expect(marks(facts as Facts)).toEqual(expected));
});

describe("what is wrong", () => {
  test.each([
    [
      "the whole of it twice",
      { ...printed, paper: [whole, whole], again: { ...printed.again, paper: [whole, whole] } },
      ["printedTwice", "wrongWord"],
    ],
    [
      "the whole of it again at the next tap",
      { ...doubt, paper: [whole], again: { signal: "printed", state: "printed", paper: [whole, whole] } },
      ["printedTwice", "lost", "unknown"],
    ],
    [
      "pages of it, then the whole",
      { ...returned, paper: [half], again: { signal: "printed", state: "printed", paper: [half, whole] } },
      ["printedTwice", "wrongWord"],
    ],
    [
      "printed, it says, and nothing came out",
      { ...printed, paper: [], told: { type: "ended", state: "completed", impressions: 0 } },
      ["wrongWord"],
    ],
    ["printed, it says, and a cut document came out", { ...printed, paper: [cut], acknowledged: false }, ["wrongWord"]],
    [
      "not printed, it says, and it came out",
      { ...returned, paper: [whole], again: { signal: "no-jobs", state: "held", paper: [whole] } },
      ["lost", "wrongWord"],
    ],
    ["the central server heard another word", { ...printed, state: "in-doubt" }, ["wrongWord"]],
    ["no word", { ...returned, word: undefined, state: "claimed", again: undefined }, ["lost"]],
    [
      "held, and the next tap does not bring it",
      { ...returned, again: { signal: "no-jobs", state: "held", paper: [] } },
      ["lost"],
    ],
    [
      "unknown, though the printer says that it completed it",
      { ...doubt, told: printed.told, paper: [whole], again: { ...doubt.again, paper: [whole] } },
      ["unknown", "needlessUnknown"],
    ],
    [
      "unknown, though the printer says that nothing came out",
      { ...doubt, told: { type: "ended", state: "canceled", impressions: 0 } },
      ["unknown", "needlessUnknown"],
    ],
  ])("%s", (_, facts, expected) => expect(marks(facts as Facts).sort()).toEqual([...expected].sort()));
});

describe("what nobody can know", () => {
  test("a printer that took the document, counts its pages and did not print them", () =>
    expect(marks({ ...printed, paper: [half] })).toEqual(["deceived"]));

  test("a completed job after a broken transfer: printers call half a document that", () =>
    expect(
      marks({
        ...doubt,
        acknowledged: false,
        told: printed.told,
        paper: [whole],
        again: { signal: "no-jobs", state: "in-doubt", paper: [whole] },
      }),
    ).toEqual(["unknown"]));

  test("an aborted job of a printer that does not count", () =>
    expect(marks({ ...doubt, counts: false, told: { type: "ended", state: "aborted" } })).toEqual(["unknown"]));
});
