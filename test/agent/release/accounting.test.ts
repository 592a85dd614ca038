import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Account, DISCARDED } from "../../../agent/protocol/account.ts";
import { accountOf, type Evidence } from "../../../agent/release/accounting.ts";
import { COUNTED_AS, type JobCounts } from "../../../drivers/printer-counts.ts";

const pages = (value: number) => ({ value, unit: "impressions" });
const sheets = (value: number) => ({ value, unit: "sheets" });
const around = (before: object, after: object, exclusive = true) =>
  ({ before, after, exclusive }) as NonNullable<Evidence["life"]>;
const printed = (counts: readonly JobCounts[], life?: Evidence["life"]) => accountOf({ word: "printed", counts, life });

describe("what IPP says", () => {
  test.each<[string, JobCounts[], object]>([
    [
      "its numbers, as they are",
      [{ impressions: 3, sheets: 2 }],
      { impressions: 3, sheets: 2, source: "ipp", confidence: "medium" },
    ],
    ["nothing", [{}], { source: "none", confidence: "none" }],
    [
      "nothing at the end, the number a moment later",
      [{}, { impressions: 3 }],
      { impressions: 3, source: "ipp", confidence: "medium" },
    ],
    [
      "less a moment later: it is about to forget",
      [{ impressions: 3 }, { impressions: 0 }],
      { impressions: 3, source: "ipp", confidence: "medium" },
    ],
    ["sheets, and 0 impressions", [{ impressions: 0, sheets: 2 }], { sheets: 2, source: "ipp", confidence: "medium" }],
    [
      "impressions, and 0 sheets",
      [{ impressions: 4, sheets: 0 }],
      { impressions: 4, source: "ipp", confidence: "medium" },
    ],
    ["0 sheets alone, as from printers that do not count", [{ sheets: 0 }], { source: "none", confidence: "none" }],
    [
      "0 of a printed job from a printer that counts",
      [{ impressions: 0, sheets: 0 }],
      { impressions: 0, sheets: 0, source: "ipp", confidence: "low" },
    ],
  ])("%s", (_name, counts, account) => {
    expect(printed(counts)).toEqual(account);
  });

  test("its colours are kept apart, and no total is made of them", () => {
    const impressionsBy = { monochrome: 2, "full-color": 1 };
    expect(printed([{}, { impressionsBy }])).toEqual({ impressionsBy, source: "ipp", confidence: "medium" });
  });
});

describe("the life count beside it", () => {
  const ipp = [{ impressions: 3, sheets: 2 }];

  test("agrees", () => {
    expect(printed(ipp, around(pages(100), pages(103)))).toEqual({
      ...{ impressions: 3, sheets: 2, source: "ipp", confidence: "high", exclusive: true },
      lifeCount: { before: 100, after: 103, delta: 3, unit: "impressions" },
    });
    expect(printed(ipp, around(sheets(100), sheets(102)))).toMatchObject({ confidence: "high" });
  });

  test.each([
    ["of copies, an A3 side or blank backs that are counted double", 106],
    ["of a printer that lost count", 100],
  ])("contradicts: IPP's number stands, and it is flagged: %s", (_name, after) => {
    expect(printed(ipp, around(pages(100), pages(after)))).toMatchObject({
      ...{ impressions: 3, source: "ipp", confidence: "low", mismatch: true, lifeCount: { delta: after - 100 } },
    });
  });

  test("of sheets is not compared with impressions", () => {
    const account = printed([{ impressions: 3 }], around(sheets(100), sheets(102)));
    expect(account).toMatchObject({ impressions: 3, confidence: "medium", lifeCount: { delta: 2, unit: "sheets" } });
    expect(account).not.toHaveProperty("sheets");
    expect(account).not.toHaveProperty("mismatch");
  });

  test("stands in where IPP says nothing, in its own unit", () => {
    expect(printed([{}], around(sheets(100), sheets(102)))).toEqual({
      ...{ sheets: 2, source: "life-count", confidence: "low", exclusive: true },
      lifeCount: { before: 100, after: 102, delta: 2, unit: "sheets" },
    });
  });

  test.each<[string, Evidence["life"], object]>([
    ["it went back: a reset, a new board, a wrap", around(pages(4_294_967_295), pages(2)), { discarded: "went-back" }],
    ["its unit changed", around(pages(100), sheets(103)), { discarded: "unit-changed" }],
    ["its unit is not told", around({ value: 1 }, { value: 4 }), { discarded: "unit-no-pages" }],
    [
      "its unit is no page",
      around({ value: 1, unit: "hours" }, { value: 4, unit: "hours" }),
      { discarded: "unit-no-pages" },
    ],
    ["somebody else printed", around(pages(100), pages(107), false), { discarded: "not-exclusive", exclusive: false }],
    [
      "somebody else was there before",
      { discarded: "not-exclusive" },
      { discarded: "not-exclusive", exclusive: false },
    ],
    ["it did not move, for a printed job", around(pages(100), pages(100)), { discarded: "unmoved" }],
    ["another release began", { discarded: "next-release" }, { discarded: "next-release" }],
  ])("is no number where %s", (_name, life, expected) => {
    expect(printed([{}], life)).toMatchObject({ source: "none", confidence: "none", ...expected });
    const beside = printed([{ impressions: 3 }], life);
    expect(beside).toMatchObject({ impressions: 3, source: "ipp" });
    if (!("discarded" in expected && expected.discarded === "unmoved")) expect(beside).toMatchObject(expected);
  });

  test("that stands still speaks of a job that was canceled before its first page", () => {
    const life = around(pages(100), pages(100));
    expect(accountOf({ word: "not printed", counts: [{}], life })).toMatchObject({
      impressions: 0,
      source: "life-count",
    });
    // Two zeros of a job that was printed do not make each other true.
    expect(printed([{ impressions: 0 }], life)).toMatchObject({ confidence: "low" });
  });
});

const count = fc.oneof(fc.nat(5), fc.nat(2 ** 32 - 1));
const byKind = fc.dictionary(fc.constantFrom(...COUNTED_AS), count, { minKeys: 1 });
const counts = fc.record(
  { impressions: count, sheets: count, impressionsBy: byKind, sheetsBy: byKind },
  { requiredKeys: [] },
);
const life = fc.record(
  { value: count, unit: fc.constantFrom("impressions", "sheets", "hours") },
  { requiredKeys: ["value"] },
);
const evidence = fc.record(
  {
    word: fc.constantFrom("printed" as const, "not printed" as const, "unknown" as const),
    counts: fc.array(counts as fc.Arbitrary<JobCounts>, { maxLength: 3 }),
    life: fc.oneof(
      fc.record({ before: life, after: life, exclusive: fc.boolean() }) as fc.Arbitrary<NonNullable<Evidence["life"]>>,
      fc.record({ discarded: fc.constantFrom(...DISCARDED) }),
    ),
  },
  { requiredKeys: ["word", "counts"] },
);

describe("whatever the printer says", () => {
  test("each number is one that was reported, or the difference of two readings with nobody else there", () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const account = accountOf(given);
        const { life: around } = given;
        for (const unit of ["impressions", "sheets"] as const) {
          const number = account[unit];
          if (number === undefined) continue;
          if (account.source === "ipp") expect(given.counts.map((one) => one[unit])).toContain(number);
          else {
            if (around === undefined || "discarded" in around) throw new Error("a number out of nothing");
            expect(account.source).toBe("life-count");
            expect(around.exclusive).toBe(true);
            expect([around.before.unit, around.after.unit]).toEqual([unit, unit]);
            expect(number).toBe(around.after.value - around.before.value);
          }
        }
      }),
    );
  });

  test("the account is one that the protocol takes, and says how well it is known", () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const account = accountOf(given);
        expect(Account.parse(account)).toEqual(account);
        const { source, confidence, mismatch, discarded, exclusive, lifeCount } = account;
        expect(confidence === "none").toBe(source === "none");
        expect(source === "none").toBe(
          [account.impressions, account.sheets, account.impressionsBy, account.sheetsBy].every(
            (one) => one === undefined,
          ),
        );
        if (mismatch) expect([source, confidence, exclusive, discarded]).toEqual(["ipp", "low", true, undefined]);
        if (confidence === "high") {
          expect([source, exclusive, discarded, mismatch]).toEqual(["ipp", true, undefined, undefined]);
          expect([account.impressions, account.sheets]).toContain(lifeCount?.delta);
        }
        if (source === "life-count") expect(confidence).toBe("low");
      }),
    );
  });

  test("the order in which IPP said it makes no number", () => {
    fc.assert(
      fc.property(evidence, (given) => {
        const plain = given.counts.map(({ impressionsBy: _i, sheetsBy: _s, ...rest }) => rest);
        expect(accountOf({ ...given, counts: plain.toReversed() })).toEqual(accountOf({ ...given, counts: plain }));
      }),
    );
  });
});
