import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
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

describe("stopping", () => {
  const stages: [string, (life: Life) => Promise<void> | void][] = [
    [
      "the claims are compared for the first time",
      () => {
        world.central.faults.claims = ["hang"];
      },
    ],
    [
      "the tap waits for its answer",
      () => {
        world.central.faults.tap = ["hang"];
      },
    ],
    [
      "the document is on its way",
      () => {
        world.central.faults.document = ["ok", "ok", "hang"];
      },
    ],
    [
      "the printer is asked for its state",
      () => {
        world.printer.hangs.add("state");
      },
    ],
    [
      "the printer's job is being made",
      () => {
        world.printer.hangs.add("createJob");
      },
    ],
    [
      "the printer is busy",
      () => {
        world.printer.createFaults = ["printer-busy", "printer-busy"];
      },
    ],
    [
      "the printer is watched",
      () => {
        world.printer.pace = { pending: 1e6, processing: 0 };
      },
    ],
    [
      "a look at the printer hangs",
      () => {
        world.printer.hangs.add("jobStatus");
      },
    ],
    [
      "an outcome is being retried",
      () => {
        world.central.faults.outcome = Array.from({ length: 5 }, () => "link-unreachable" as const);
      },
    ],
    [
      "a lease is being renewed",
      () => {
        world.central.leaseMs = 1200;
        world.printer.createFaults = Array.from({ length: 9 }, () => "printer-busy" as const);
        world.central.faults.renewLease = ["hang"];
      },
    ],
    [
      "the next document is fetched ahead",
      () => {
        held(9000, 2);
        world.printer.pace = { pending: 1e6, processing: 0 };
        world.central.faults.document = [...Array.from({ length: 8 }, () => "ok" as const), "ok", "hang"];
      },
    ],
  ];

  test.each(stages)(
    "while %s: it ends at once, leaves no timer and no download, and a new start settles the job",
    async (what, prepare) => {
      const job = held();
      if (what.includes("compared")) await prepare(undefined as never);
      const life = await world.start({ reconcile: !what.includes("compared") });
      if (!what.includes("compared")) await prepare(life);
      world.tap(life);
      await atOnce();
      const shortly = world.clock.monotonic() + 700;
      await until(world.clock, () => world.clock.monotonic() >= shortly);
      const begun = world.clock.monotonic();
      await settled(world.clock, life.loop.stop(), 1000);
      expect(world.clock.monotonic() - begun).toBeLessThan(500);
      await atOnce();
      expect(world.clock.pending).toBe(0);
      expect(world.central.reading).toBe(0);
      expect(life.spool.used).toBe(0);
      await life.ledger.close();

      world.central.faults = {};
      world.printer.hangs.clear();
      world.printer.createFaults = [];
      world.printer.pace = { pending: 1, processing: 1 };
      const next = await world.start();
      await settled(world.clock, next.loop.idle());
      expect(job.state).toMatch(/^(held|printed)$/);
      if (job.state === "held") await world.tapToEnd(next);
      expect(job.state).toBe("printed");
      const names = world.printer.jobs.filter(({ paper }) => paper !== "none").map(({ bytes }) => bytes.length);
      expect(new Set(names).size).toBe(names.length);
      await world.stop(next);
      expect(world.clock.pending).toBe(0);
    },
  );

  test("what is given back is told before the agent goes", async () => {
    const job = held();
    world.printer.createFaults = ["printer-busy", "printer-busy"];
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.calls.includes("createJob"));
    await world.stop(life);
    expect(job.state).toBe("held");
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "agent-stopping" }]);
  });

  test("a transfer that is under way is not cut", async () => {
    const job = held();
    const life = await world.start();
    const send = world.printer.send.bind(world.printer);
    const waiting = Promise.withResolvers<void>();
    let sending = false;
    vi.spyOn(world.printer, "send").mockImplementation(async (...args) => {
      sending = true;
      await waiting.promise;
      return send(...args);
    });
    world.tap(life);
    await until(world.clock, () => sending);
    const stopped = life.loop.stop();
    await atOnce();
    const renewals = () => world.central.calls.filter((call) => call === "renewLease").length;
    const before = renewals();
    world.clock.advance(world.central.leaseMs);
    await atOnce();
    expect(renewals(), "the lease is kept until the transfer is through").toBeGreaterThan(before);
    waiting.resolve();
    await settled(world.clock, stopped);
    await life.ledger.close();
    expect(world.printer.jobs).toMatchObject([{ whole: true }]);
    const next = await world.start();
    await settled(world.clock, next.loop.idle());
    expect(job.state).toBe("printed");
    await world.stop(next);
  });

  test("after a stop a read is not heard", async () => {
    const life = await world.start();
    await world.stop(life);
    world.tap(life);
    expect(world.signals).toEqual([]);
  });
});
