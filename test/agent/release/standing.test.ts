import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CARD, documentOf, type Life, settled, until, World } from "./world.ts";

let world: World;

beforeEach(async () => {
  world = await World.make();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await world.remove();
});

const held = (size = 10_000, seed = 1) => world.central.hold(CARD, documentOf(size, seed));
const wordsIn = ({ ledger }: Life) => ledger.entries.map(({ release }) => release.end?.word);

describe("a job that stands at the printer", () => {
  test.each([true, false])(
    "for a PIN at its panel: the person is told, and after three minutes it is canceled and held again (printer counts: %s)",
    async (counts) => {
      const job = held();
      Object.assign(world.printer, { jobFate: "held", counts });
      const life = await world.start();
      world.tap(life);
      await until(world.clock, () => world.signals.includes("see-panel"), 5000);
      await until(world.clock, () => world.clock.monotonic() > 170_000);
      expect(job.state).toBe("claimed");
      await settled(world.clock, life.loop.idle(), 30_000);
      expect(world.signals).toEqual(["accepted", "see-panel", "printer-blocked"]);
      expect(world.central.outcomes).toMatchObject([
        { word: "not printed", state: "RETURNED", reason: "held-at-printer" },
      ]);
      expect(world.printer.jobs).toMatchObject([{ state: "canceled", paper: "none" }]);
      expect(job.state).toBe("held");
      await world.stop(life);
    },
  );

  test("and the PIN comes: printed", async () => {
    const job = held();
    world.printer.jobFate = "held";
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.signals.includes("see-panel"), 5000);
    world.printer.jobFate = "prints";
    await settled(world.clock, life.loop.idle(), 30_000);
    expect(job.state).toBe("printed");
    await world.stop(life);
  });

  test("for a jam: the person is told, the lease is held, and after ten minutes it is canceled; a page is out, so it is in doubt", async () => {
    const job = held();
    world.printer.jobFate = "jams";
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.signals.includes("see-panel"), 5000);
    await until(world.clock, () => world.clock.monotonic() > 590_000);
    expect(job.state).toBe("claimed");
    await settled(world.clock, life.loop.idle(), 60_000);
    expect(world.central.outcomes).toMatchObject([{ word: "unknown", reason: "stopped-at-printer", impressions: 1 }]);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled" }]);
    await world.stop(life);
  });

  test.each([
    ["that takes its time is waited for", 10, 200_000, "not printed"],
    ["that never comes is doubt after two minutes", 1_000_000, 320_000, "unknown"],
  ])("a cancel %s", async (_what, cancelLooks, within, word) => {
    held();
    Object.assign(world.printer, { jobFate: "held", cancelLooks });
    const life = await world.start();
    await world.tapToEnd(life, within);
    expect(world.central.outcomes).toMatchObject([{ word, reason: "held-at-printer" }]);
    await world.stop(life);
  });

  test("the agent dies between the cancel and its end: the next one still knows why", async () => {
    held();
    Object.assign(world.printer, { jobFate: "held", cancelLooks: 1_000_000 });
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.calls.includes("cancelJob"));
    await world.stop(life);
    world.printer.cancelLooks = 0;
    for (const one of world.printer.jobs) one.stopping = 0;
    const next = await world.start();
    await settled(world.clock, next.loop.idle());
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "held-at-printer" }]);
    await world.stop(next);
  });

  test("one without a job history says what a job that is gone may mean", async () => {
    held();
    world.printer.jobFate = "forgotten";
    world.printer.quirks = [{ name: "no-job-history", symptom: "", from: "configuration" }];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.central.outcomes).toMatchObject([{ word: "unknown", reason: "no-job-history" }]);
    await world.stop(life);
  });
});

describe("a claim that goes back", () => {
  test("does so only when its empty job has ended at the printer", async () => {
    const job = held();
    world.printer.createFaults = ["reply-lost"];
    world.printer.cancelLooks = 8;
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.jobs.length === 1);
    world.printer.blocking = ["cover-open"];
    await until(world.clock, () => world.printer.jobs[0]?.stopping !== undefined);
    expect(job.state).toBe("claimed");
    expect(world.central.outcomes).toEqual([]);
    await settled(world.clock, life.loop.idle(), 15_000);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled" }]);
    expect(job.state).toBe("held");
    await world.stop(life);
  });

  test("does so all the same when the printer does not let it go, or does not answer: nothing was sent", async () => {
    const job = held();
    world.printer.sendFaults = ["nothing-sent"];
    world.printer.cancelLooks = 1_000_000;
    const life = await world.start();
    await world.tapToEnd(life, 20_000);
    expect(job.state).toBe("held");
    world.printer.sendFaults = ["nothing-sent"];
    world.printer.cancelFaults = ["printer-unreachable", "printer-unreachable"];
    await world.tapToEnd(life, 5000);
    expect(wordsIn(life)).toEqual(["not printed", "not printed"]);
    expect(life.loop.executors.get("mfd")?.counters["discard-failed"]).toBe(2);
    await world.stop(life);
    expect(world.clock.pending).toBe(0);
  });

  test("a refused document leaves an empty job, which is canceled; paper from it would be doubt", async () => {
    held();
    const life = await world.start();
    world.printer.sendFaults = ["printer-busy"];
    await world.tapToEnd(life, 5000);
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "printer-busy" }]);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled", paper: "none" }]);
    world.printer.sendFaults = ["printer-not-accepting"];
    vi.spyOn(world.printer, "jobStatus").mockImplementationOnce(async (job) => ({
      ...{ ...job, state: "completed", reasons: [], impressions: 2 },
    }));
    await world.tapToEnd(life, 20_000);
    expect(wordsIn(life)).toEqual(["not printed", "unknown"]);
    await world.stop(life);
  });
});
