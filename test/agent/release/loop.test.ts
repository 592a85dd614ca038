import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Condition } from "../../../agent/protocol/conditions.ts";
import { atOnce, CARD, documentOf, type Life, settled, until, World } from "./world.ts";

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

describe("a tap", () => {
  test("prints the held job: its bytes, its word, its light, and nothing is left over", async () => {
    const job = held();
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.printer.jobs).toMatchObject([
      { paper: "whole", state: "completed", format: "application/pdf", user: "ada" },
    ]);
    expect(world.printer.jobs[0]?.bytes.equals(job.document)).toBe(true);
    expect(world.central.outcomes).toMatchObject([
      { jobId: job.jobId, word: "printed", state: "DONE", reason: "none", impressions: 2, result: "settled" },
    ]);
    expect(job.state).toBe("printed");
    expect(world.signals).toEqual(["accepted", "printed"]);
    expect(life.spool.used).toBe(0);
    expect(life.ledger.open).toEqual([]);
    expect(life.ledger.unreported).toEqual([]);
    await world.stop(life);
    expect(world.clock.pending).toBe(0);
    expect(world.central.reading).toBe(0);
  });

  test("goes through its stages in order", async () => {
    held();
    const life = await world.start();
    await world.tapToEnd(life);
    const stages = [
      "converted",
      "answered",
      "signal",
      "fetched",
      "created",
      "durable",
      "firstByte",
      "sent",
      "ended",
      "signal",
      "reported",
    ];
    // The last light and the end come together.
    expect(world.traced.filter((stage) => stage !== "signal")).toEqual(stages.filter((stage) => stage !== "signal"));
    await world.stop(life);
  });

  test("asks at each release what the policy says of the printer's conditions", async () => {
    let conditions: Condition[] = ["supply-empty"];
    const blocking = () => ({ conditions, verdictMaxAgeMs: 15_000 });
    const life = await world.start({ context: { blocking } });
    world.printer.blocking = ["toner-empty"];
    held();
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual(["not printed"]);
    conditions = ["paper-jam"];
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual(["not printed", "printed"]);
    await world.stop(life);
  });

  test("no document byte is pulled before SENDING is on the disk", async () => {
    held();
    const events: string[] = [];
    const life = await world.start({
      wrap: (ledger) => {
        const record = ledger.record.bind(ledger);
        vi.spyOn(ledger, "record").mockImplementation(async (claimId, release, at, durable) => {
          await record(claimId, release, at, durable);
          if (release.phase !== "SENDING") return;
          expect(durable).toBe(true);
          expect(await readFile(world.ledgerPath, "utf8")).toContain('"phase":"SENDING"');
          expect(world.printer.calls).not.toContain("byte");
          events.push("durable");
        });
        return ledger;
      },
    });
    await world.tapToEnd(life);
    expect(events).toEqual(["durable"]);
    expect(world.printer.calls).toContain("byte");
    await world.stop(life);
  });

  test("the printer is asked for its state while the central server is asked, not after", async () => {
    held();
    world.central.faults.tap = ["hang"];
    const life = await world.start();
    world.tap(life);
    await atOnce();
    expect(world.printer.calls).toEqual(["state", "prepare"]);
    await world.stop(life);
  });

  test("several jobs go in order, the next document fetched while the previous one prints", async () => {
    const jobs = [held(9000, 1), held(8000, 2), held(7000, 3)];
    world.printer.pace = { pending: 1, processing: 40 };
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.jobs[0]?.state === "processing");
    expect(world.central.calls.filter((call) => call === "document")).toHaveLength(2);
    expect(world.printer.jobs).toHaveLength(1);
    await settled(world.clock, life.loop.idle());
    expect(world.printer.jobs.map(({ bytes }) => bytes.length)).toEqual([9000, 8000, 7000]);
    expect(jobs.map(({ state }) => state)).toEqual(["printed", "printed", "printed"]);
    expect(world.signals).toEqual(["accepted", "printed"]);
    expect(life.spool.used).toBe(0);
    await world.stop(life);
  });

  test("a document larger than the spool streams through, and holds no memory of it", async () => {
    world.spoolBytes = 8192;
    const job = held(60_000);
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.printer.jobs[0]?.bytes.equals(job.document)).toBe(true);
    expect(job.state).toBe("printed");
    expect(life.spool.used).toBe(0);
    await world.stop(life);
  });

  test("one that the server refuses is told as an unknown card", async () => {
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.signals).toEqual(["unknown-card"]);
    await world.stop(life);
  });

  test("with nothing to print is told so", async () => {
    held().state = "printed";
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.signals).toEqual(["no-jobs"]);
    await world.stop(life);
  });

  test("a flood is counted, told, and costs the server no more than eight requests at once", async () => {
    world.central.faults.tap = Array.from({ length: 8 }, () => "hang" as const);
    const life = await world.start();
    for (let n = 0; n < 100; n += 1) world.tap(life);
    await atOnce();
    expect(life.loop.counters["tap-flood"]).toBe(92);
    expect(world.central.calls.filter((call) => call === "tap")).toHaveLength(8);
    await world.stop(life);
    expect(world.clock.pending).toBe(0);
  });
});

describe("documents and manifests that do not hold", () => {
  test.each([
    [
      "a flipped byte",
      "document-altered",
      (document: Buffer) => Buffer.concat([Buffer.from([0xff]), document.subarray(1)]),
    ],
    ["too many bytes", "document-altered", (document: Buffer) => Buffer.concat([document, Buffer.alloc(1)])],
    ["too few bytes", "document-truncated", (document: Buffer) => document.subarray(0, 9000)],
  ])("%s: not printed, no job is made", async (_what, code, swap) => {
    const job = held();
    world.central.swap = swap;
    const life = await world.start();
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual(["not printed"]);
    expect(life.loop.executors.get("mfd")?.counters[code]).toBeGreaterThan(0);
    expect(world.printer.jobs).toEqual([]);
    expect(job.state).toBe("held");
    expect(life.spool.used).toBe(0);
    await world.stop(life);
  });

  test.each([
    ["another agent", "manifest-not-ours", () => ({ agent: "other" })],
    ["another printer", "manifest-not-ours", () => ({ printer: "other" })],
    ["a shape that we do not know", "envelope-content-invalid", () => ({ size: -1 })],
    ["a chunk count that does not fit", "envelope-content-invalid", () => ({ size: 99_999 })],
  ])("a manifest for %s is not printed", async (_what, code, change) => {
    held();
    world.central.forge = (manifest) => ({ ...manifest, ...change() });
    const life = await world.start();
    await world.tapToEnd(life);
    expect(life.loop.counters[code]).toBe(1);
    expect(world.signals.at(-1)).toBe("fault");
    expect(world.printer.jobs).toEqual([]);
    await world.stop(life);
  });

  test("a manifest with a wrong signature is not printed, and the others of the tap are", async () => {
    const [bad, good] = [held(5000, 1), held(6000, 2)];
    let first = true;
    world.central.tamper = (envelope) => {
      if (!first) return envelope;
      first = false;
      return {
        ...envelope,
        payload: Buffer.from(envelope.payload, "base64url").toString("base64url").replace(/^./, "f"),
      };
    };
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.printer.jobs.map(({ bytes }) => bytes.length)).toEqual([6000]);
    expect(good.state).toBe("printed");
    // What nobody here works on is given back at the next comparison.
    await settled(world.clock, life.loop.claims.reconcile());
    await settled(world.clock, life.loop.idle());
    expect(bad.state).toBe("held");
    await world.stop(life);
  });

  test("a manifest that comes twice, in one answer or later, is printed once", async () => {
    const job = held();
    const life = await world.start();
    const tap = world.central.tap.bind(world.central);
    let replayed: Awaited<ReturnType<typeof tap>> | undefined;
    vi.spyOn(world.central, "tap").mockImplementation(async (...args) => {
      const answer = await tap(...args);
      if (replayed === undefined && answer.result === "accepted") {
        replayed = { ...answer, jobs: [...answer.jobs, ...answer.jobs] };
      }
      return replayed ?? answer;
    });
    await world.tapToEnd(life);
    await world.tapToEnd(life);
    expect(world.printer.everKnown(world.printer.jobs[0]?.name ?? "")).toHaveLength(1);
    expect(world.printer.jobs).toHaveLength(1);
    expect(world.central.wordsOf(job.jobId)).toEqual(["printed"]);
    expect(life.loop.counters["claim-repeated"]).toBe(3);
    await world.stop(life);
  });
});
