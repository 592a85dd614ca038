import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Account } from "../../../agent/protocol/account.ts";
import type { PrinterJob, PrinterState } from "../../../drivers/printer.ts";
import { PrinterError } from "../../../drivers/printer.ts";
import type { JobCounts, LifeCount } from "../../../drivers/printer-counts.ts";
import { SimPrinter } from "../../sim/printer.ts";
import { atOnce, CARD, documentOf, type Life, settled, until, World } from "./world.ts";

/** A printer that counts. Its life count moves when a document of ours came whole, by `counted` of it. */
class CountingPrinter extends SimPrinter {
  unit = "impressions";
  made = 1000;
  counted = 2;
  /** What IPP says of each job late; undefined: it knows none any more. */
  late: JobCounts | undefined = { impressions: 2 };
  queued = 0;
  others: number | undefined = 0;
  readings = 0;
  /** Readings after a job that it lags behind. */
  lag = 0;
  state2: PrinterState["state"] = "idle";

  override async state(signal: AbortSignal): Promise<PrinterState> {
    return { ...(await super.state(signal)), state: this.state2, queued: this.queued };
  }

  async jobCounts(_job: PrinterJob): Promise<JobCounts | undefined> {
    this.calls.push("jobCounts");
    return this.late;
  }

  async jobsAfter(): Promise<number | undefined> {
    return this.others;
  }

  async lifeCount(): Promise<LifeCount | undefined> {
    this.readings += 1;
    const out = this.jobs.filter(({ state }) => state === "completed").length;
    if (out > 0 && this.lag-- > 0) return { value: this.made, unit: this.unit };
    return { value: this.made + out * this.counted, unit: this.unit };
  }
}

let world: World;
let printer: CountingPrinter;

beforeEach(async () => {
  world = await World.make();
  printer = new CountingPrinter();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await world.remove();
});

const held = (seed = 1) => world.central.hold(CARD, documentOf(10_000, seed));
const accounts = () => world.central.outcomes.map(({ account }) => account);
const counters = ({ loop }: Life) => loop.executors.get("mfd")?.counters ?? {};

/** Until the newest outcome has an account that satisfies it. */
async function account(life: Life, is: (account: Account) => boolean = () => true): Promise<Account> {
  const found = () => accounts().findLast((one) => one !== undefined);
  await until(
    world.clock,
    () => {
      const newest = found();
      return newest !== undefined && is(newest);
    },
    120_000,
  );
  await settled(world.clock, life.loop.idle());
  const newest = found();
  if (newest === undefined) throw new Error("no account came");
  return newest;
}
const whole = ({ lifeCount, discarded }: Account) => lifeCount !== undefined || discarded !== undefined;

test("the word goes out at once with what IPP said at the end; what comes later amends it", async () => {
  held();
  printer.late = { impressions: 2, sheets: 1 };
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  expect(world.central.outcomes).toMatchObject([
    { word: "printed", impressions: 2, account: { impressions: 2, source: "ipp", confidence: "medium" } },
  ]);
  expect(world.signals).toEqual(["accepted", "printed"]);
  expect(printer.calls).not.toContain("jobCounts"); // nobody waited for it
  expect(await account(life, whole)).toEqual({
    ...{ impressions: 2, sheets: 1, source: "ipp", confidence: "high", exclusive: true },
    lifeCount: { before: 1000, after: 1002, delta: 2, unit: "impressions" },
  });
  expect(world.central.outcomes.map(({ word, result }) => [word, result])).toEqual([
    ["printed", "settled"],
    ["printed", "settled"],
  ]);
  expect(life.ledger.entries[0]).toMatchObject({ reported: true, account: { confidence: "high" } });
  await world.stop(life);
  expect(world.clock.pending).toBe(0);
});

test("a printer that tells nothing more costs no second message", async () => {
  held();
  const life = await world.start();
  await world.tapToEnd(life);
  world.clock.advance(60_000);
  await atOnce();
  expect(accounts()).toEqual([{ impressions: 2, source: "ipp", confidence: "medium" }]);
  await world.stop(life);
});

test("a mismatch is flagged and counted", async () => {
  held();
  printer.counted = 4;
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  expect(await account(life, whole)).toMatchObject({ impressions: 2, mismatch: true, confidence: "low" });
  expect(counters(life)).toMatchObject({ "account-mismatch": 1 });
  await world.stop(life);
});

test("a life count that lags behind the paper is waited for", async () => {
  held();
  printer.lag = 5;
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  expect(await account(life, whole)).toMatchObject({ confidence: "high", lifeCount: { delta: 2 } });
  await world.stop(life);
});

test("one that moves page by page is read until it stands still", async () => {
  held();
  const seen = [1000, 1001, 1002, 1002, 1002];
  vi.spyOn(printer, "lifeCount").mockImplementation(async () => ({ value: seen.shift() ?? 1002, unit: "impressions" }));
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  expect(await account(life, whole)).toMatchObject({ confidence: "high", lifeCount: { before: 1000, after: 1002 } });
  await world.stop(life);
});

test("one that never moves is no number, and is not asked for ever", async () => {
  held();
  printer.counted = 0;
  printer.late = undefined;
  vi.spyOn(printer, "jobStatus").mockImplementation(async ({ id, name }) => ({
    id,
    name,
    state: "completed",
    reasons: [],
  }));
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  expect(await account(life, whole)).toMatchObject({ source: "none", discarded: "unmoved" });
  expect(counters(life)).toMatchObject({ "account-none": 1, "account-discarded": 1 });
  const { readings } = printer;
  world.clock.advance(120_000);
  await atOnce();
  expect(printer.readings).toBe(readings);
  await world.stop(life);
});

describe("not ours alone", () => {
  test.each<[string, () => void, object]>([
    [
      "busy with another job before",
      () => {
        printer.state2 = "processing";
      },
      { discarded: "not-exclusive", exclusive: false },
    ],
    [
      "with jobs that wait before",
      () => {
        printer.queued = 1;
      },
      { discarded: "not-exclusive", exclusive: false },
    ],
    [
      "with a job that came after ours",
      () => {
        printer.others = 1;
      },
      { discarded: "not-exclusive", exclusive: false, lifeCount: { delta: 2 } },
    ],
    [
      "that kept ours waiting, while others' jobs may have come and gone",
      () => {
        printer.createFaults = ["printer-busy"];
      },
      { discarded: "not-exclusive", exclusive: false },
    ],
  ])("a printer %s", async (_name, set, expected) => {
    held();
    set();
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    const found = await account(life, whole);
    expect(found).toMatchObject({ impressions: 2, confidence: "medium", ...expected });
    expect(found).not.toHaveProperty("mismatch");
    await world.stop(life);
  });

  test("a job that waits when ours has ended", async () => {
    held();
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    printer.queued = 1;
    await until(world.clock, () => printer.readings > 2);
    printer.queued = 0;
    expect(await account(life, whole)).toMatchObject({ discarded: "not-exclusive", exclusive: false });
    await world.stop(life);
  });

  test("a series of our own: no share of the delta is invented for any of them", async () => {
    held(1);
    held(2);
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    await until(world.clock, () => life.ledger.entries.every((entry) => entry.account?.discarded !== undefined));
    expect(life.ledger.entries.map((entry) => entry.account)).toEqual([
      { impressions: 2, source: "ipp", confidence: "medium", discarded: "next-release" },
      { impressions: 2, source: "ipp", confidence: "medium", discarded: "not-exclusive", exclusive: false },
    ]);
    await world.stop(life);
  });

  test("a release soon after one whose life count did not settle may find pages of that one", async () => {
    held(1);
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    held(2);
    await world.tapToEnd(life);
    await until(world.clock, () => life.ledger.entries.every((entry) => entry.account?.discarded !== undefined));
    expect(life.ledger.entries.map((entry) => entry.account?.discarded)).toEqual(["next-release", "not-settled"]);
    await world.stop(life);
  });

  test("one soon after a release whose life count is known, and at that count, is ours alone", async () => {
    held(1);
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    await account(life, whole);
    held(2);
    await world.tapToEnd(life);
    const second = () => life.ledger.entries[1]?.account;
    await until(world.clock, () => second()?.lifeCount !== undefined);
    expect(second()).toMatchObject({ confidence: "high", lifeCount: { before: 1002, after: 1004 } });
    await world.stop(life);
  });
});

test("a reading that comes when the document is on its way is not used", async () => {
  held();
  const read = Promise.withResolvers<LifeCount>();
  vi.spyOn(printer, "lifeCount").mockReturnValueOnce(read.promise);
  const life = await world.start({ printer });
  world.tap(life);
  await until(world.clock, () => printer.calls.includes("byte"));
  read.resolve({ value: 1001, unit: "impressions" });
  await settled(world.clock, life.loop.idle());
  expect(await account(life, whole)).toMatchObject({ discarded: "read-late", impressions: 2 });
  await world.stop(life);
});

test("a reading that never comes holds nothing up", async () => {
  const job = held();
  vi.spyOn(printer, "lifeCount").mockReturnValue(new Promise(() => {}));
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  expect(job.state).toBe("printed");
  expect(await account(life, whole)).toMatchObject({ discarded: "unread", impressions: 2 });
  await world.stop(life);
});

test("a counter that went back", async () => {
  held();
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  printer.made = 0;
  expect(await account(life, whole)).toMatchObject({
    ...{ impressions: 2, confidence: "medium", discarded: "went-back", lifeCount: { before: 1000, after: 2 } },
  });
  await world.stop(life);
});

test("a printer that fails to answer all this: the word and IPP's last number stand", async () => {
  const job = held();
  const life = await world.start({ printer });
  const broken = new PrinterError("printer-timeout");
  vi.spyOn(printer, "jobCounts").mockRejectedValue(broken);
  await world.tapToEnd(life);
  vi.spyOn(printer, "state").mockRejectedValue(broken);
  expect(await account(life, whole)).toMatchObject({ impressions: 2, confidence: "medium", discarded: "not-settled" });
  expect(job.state).toBe("printed");
  expect(counters(life)["account-printer-timeout"]).toBeGreaterThan(1);
  await world.stop(life);
});

test("what was given back has no account", async () => {
  held();
  printer.blocking = ["media-jam-error"];
  const life = await world.start({ printer });
  await world.tapToEnd(life);
  world.clock.advance(60_000);
  await atOnce();
  expect(world.central.outcomes).toMatchObject([{ state: "RETURNED" }]);
  expect(accounts()).toEqual([undefined]);
  await world.stop(life);
});

describe("around a stop and a crash", () => {
  test("a stop waits for no life count, and reports what is known", async () => {
    held();
    printer.lag = 1000;
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    const before = world.clock.monotonic();
    await world.stop(life);
    expect(world.clock.monotonic() - before).toBeLessThan(1000);
    expect(accounts().at(-1)).toMatchObject({ impressions: 2, confidence: "medium" });
    expect(world.clock.pending).toBe(0);
  });

  test("an agent that dies in between leaves the word and what IPP said; nothing is invented at the next start", async () => {
    held();
    printer.lag = 1000;
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    await life.ledger.close(); // the process is gone; its timers are, too
    const again = await world.start({ printer });
    await settled(world.clock, again.loop.idle());
    expect(again.ledger.entries).toMatchObject([{ reported: true, account: { impressions: 2, confidence: "medium" } }]);
    expect(again.ledger.entries[0]?.account).not.toHaveProperty("lifeCount");
    await world.stop(again);
  });

  test("an account that was recorded and not reported is reported at the next start, under the same word", async () => {
    held();
    const life = await world.start({ printer });
    await world.tapToEnd(life);
    world.central.down = true;
    await until(world.clock, () => life.ledger.entries[0]?.account?.lifeCount !== undefined);
    await life.ledger.close();
    world.central.down = false;
    const again = await world.start({ printer });
    await settled(world.clock, again.loop.idle());
    expect(world.central.outcomes.at(-1)).toMatchObject({
      word: "printed",
      result: "settled",
      account: { confidence: "high" },
    });
    await world.stop(again);
  });

  test("an amendment that is made while the first report is on its way is told after it", async () => {
    held();
    const slow = Promise.withResolvers<void>();
    const { central } = world;
    const taken = central.outcome.bind(central);
    vi.spyOn(central, "outcome").mockImplementationOnce(async (jobId, outcome) => {
      await slow.promise;
      return taken(jobId, outcome);
    });
    const life = await world.start({ printer });
    world.tap(life);
    await until(world.clock, () => life.ledger.entries[0]?.account?.lifeCount !== undefined);
    expect([central.outcomes.length, life.ledger.entries[0]?.reported]).toEqual([0, false]);
    slow.resolve();
    await settled(world.clock, life.loop.idle());
    expect(accounts()).toMatchObject([{ confidence: "medium" }, { confidence: "high" }]);
    expect(life.ledger.unreported).toEqual([]);
    await world.stop(life);
  });
});
