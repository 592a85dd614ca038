import { describe, expect, test } from "vitest";
import { MFD_FAULT_NAMES } from "../../agent/demo/mfd-faults.ts";
import { POINT_NAMES } from "./kill-points.ts";
import { type Batch, FAULT_STATES, faultBatches, killBatches, pairOf, someFaults } from "./plan.ts";
import { type CrashReport, isGood, Tally, table } from "./report.ts";
import { type WorkerNews, work } from "./worker.ts";

/** The small, fixed share of `npm run test:crash` that each `npm test` runs. */
const FAULTS = 32;

async function run(batch: Batch): Promise<CrashReport> {
  const tally = new Tally();
  const hear = (news: WorkerNews): void => {
    if (news.type === "done") return;
    const pair = pairOf(batch, news.index);
    const how = JSON.stringify(batch.releases[news.index]);
    if (news.type === "outcome") tally.add(pair, how, news.outcome);
    else tally.failed(pair, how, news.error);
  };
  await work(batch, hear);
  return tally.report(1);
}

test(`${FAULTS} releases, each with a fault of the printer in another state: nothing twice, nothing lost, no wrong word`, async () => {
  const report = await run(someFaults(FAULTS));
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({ runs: FAULTS, printedTwice: 0, lost: 0, wrongWord: 0, needlessUnknown: 0 });
  expect(new Set(report.pairs.map(({ state }) => state))).toEqual(new Set(FAULT_STATES));
  expect(report.pairs.filter(({ reached }) => reached === 0)).toEqual([]);
  // It would prove little if every release ended alike.
  for (const word of ["printed", "notPrinted", "unknown"] as const)
    expect(report.pairs.some((pair) => pair[word] > 0)).toBe(true);
}, 180_000);

describe("the plan", () => {
  test("meets each fault in each state, and kills the agent at each point", () => {
    const pairs = faultBatches(1).flatMap((batch) => batch.releases.map((_, index) => pairOf(batch, index)));
    for (const state of FAULT_STATES)
      for (const fault of MFD_FAULT_NAMES) expect(pairs).toContainEqual({ state, with: fault });
    const points = killBatches(POINT_NAMES.length).flatMap((batch) => (batch.type === "kills" ? batch.releases : []));
    expect(points.map(({ point }) => point)).toEqual(POINT_NAMES);
  });

  test("has as many releases as are asked for", () => {
    const count = (batches: readonly Batch[]) => batches.reduce((sum, { releases }) => sum + releases.length, 0);
    expect(count(faultBatches(2500))).toBe(2500);
    expect(count(killBatches(250))).toBe(250);
  });
});

describe("the report", () => {
  const outcome = {
    ...{ printedTwice: false, lost: false, wrongWord: false, deceived: false, unknown: false, needlessUnknown: false },
    ...{ reached: true, word: "printed", reason: "none", virtualMs: 1, why: [] },
  };
  const pair = { state: "SENDING", with: "resets" };

  test("is good only without a bad mark, and with each pair met", () => {
    const good = new Tally();
    good.add(pair, "", outcome);
    expect(isGood(good.report(1))).toBe(true);
    good.expect({ state: "SENT", with: "resets" });
    expect(isGood(good.report(1))).toBe(false);
    expect(table(good.report(1))).toContain("NOT MET");
    for (const mark of ["printedTwice", "lost", "wrongWord"] as const) {
      const bad = new Tally();
      bad.add(pair, "", { ...outcome, [mark]: true, why: ["as it was"] });
      expect(isGood(bad.report(1)), mark).toBe(false);
      expect(table(bad.report(1))).toContain("as it was");
    }
    const failed = new Tally();
    failed.add(pair, "", outcome);
    failed.failed(pair, "", "no site");
    expect(isGood(failed.report(1))).toBe(false);
  });

  test("counts words, shares and reasons", () => {
    const tally = new Tally();
    tally.add(pair, "", outcome);
    tally.add(pair, "", { ...outcome, word: "unknown", reason: "release-deadline", unknown: true });
    tally.add({ state: "SENT", with: "kill -9" }, "", { ...outcome, word: "not printed" });
    const report = tally.report(1);
    expect(report).toMatchObject({ runs: 3, kills: 1, unknown: 1, unknownShare: 0.3333 });
    expect(report.unknownBecause).toEqual({ "release-deadline": 1 });
    expect(table(report)).toMatch(/resets +1\/0\/1 +-/);
  });
});
