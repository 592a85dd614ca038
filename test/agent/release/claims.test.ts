import { appendFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LinkError } from "../../../agent/link/link-error.ts";
import { type Log, silentLog } from "../../../drivers/log.ts";
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
const reasonsIn = ({ ledger }: Life) => ledger.entries.map(({ release }) => release.end?.reason);

describe("leases", () => {
  test("are renewed for as long as the release lasts, and no longer", async () => {
    held();
    world.central.leaseMs = 10_000;
    world.printer.pace = { pending: 1, processing: 30 };
    const life = await world.start();
    await world.tapToEnd(life);
    const renewals = world.central.calls.filter((call) => call === "renewLease").length;
    expect(renewals).toBeGreaterThan(5);
    world.clock.advance(100_000);
    await atOnce();
    expect(world.central.calls.filter((call) => call === "renewLease")).toHaveLength(renewals);
    await world.stop(life);
  });

  test("one that runs out while the printer is busy: nothing is sent", async () => {
    held();
    world.central.leaseMs = 8000;
    world.central.faults.renewLease = Array.from({ length: 100 }, () => "link-unreachable" as const);
    world.printer.createFaults = [...Array.from({ length: 5 }, () => "printer-busy" as const), "ok"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.printer.calls).not.toContain("byte");
    expect(reasonsIn(life)).toEqual(["release-deadline"]);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled" }]);
    await world.stop(life);
  });

  test("one that the server calls lost ends at once, though its time is not over", async () => {
    held();
    world.central.leaseMs = 8000;
    world.central.faults.renewLease = ["link-claim-lost"];
    world.printer.createFaults = ["printer-busy", "printer-busy", "printer-busy", "ok"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.printer.calls).not.toContain("byte");
    await world.stop(life);
  });

  test("a lease is counted from the question, so that a slow answer does not lengthen it", async () => {
    held();
    world.central.leaseMs = 5000;
    const life = await world.start();
    const tap = world.central.tap.bind(world.central);
    vi.spyOn(world.central, "tap").mockImplementation(async (...args) => {
      const answer = await tap(...args);
      world.clock.advance(4500);
      return answer;
    });
    await world.tapToEnd(life);
    expect(world.printer.calls).not.toContain("byte");
    await world.stop(life);
  });

  test("a disk that needs longer for the intent than the lease lasts: nothing is sent", async () => {
    held();
    world.central.leaseMs = 5000;
    const life = await world.start({
      wrap: (ledger) => {
        const record = ledger.record.bind(ledger);
        vi.spyOn(ledger, "record").mockImplementation(async (claimId, release, at, durable) => {
          await record(claimId, release, at, durable);
          if (durable) world.clock.advance(4500);
        });
        return ledger;
      },
    });
    world.central.faults.renewLease = Array.from({ length: 100 }, () => "link-unreachable" as const);
    await world.tapToEnd(life);
    expect(world.printer.calls).not.toContain("byte");
    expect(wordsIn(life)).toEqual(["not printed"]);
    await world.stop(life);
  });
});

describe("the central server away", () => {
  test("at a tap: fault; what it claimed in a lost answer is given back soon", async () => {
    const job = held();
    world.central.faults.tap = ["reply-lost"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.signals).toEqual(["fault"]);
    expect(job.state).toBe("claimed");
    await until(world.clock, () => job.state === "held", 5000);
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "claim-not-in-ledger" }]);
    await world.tapToEnd(life);
    expect(job.state).toBe("printed");
    await world.stop(life);
  });

  test("for a weekend, it is told once and not at every try", async () => {
    const told: unknown[] = [];
    const log: Log = { ...silentLog, warn: (fields) => told.push(fields), child: () => log };
    const life = await world.start({ reconcile: false, context: { log } });
    const claims = vi.spyOn(world.central, "claims").mockRejectedValue(new LinkError("link-unreachable"));
    life.loop.claims.doubt();
    await until(world.clock, () => claims.mock.calls.length >= 50);
    expect(told).toEqual([{ code: "link-unreachable" }]);
    claims.mockRejectedValueOnce(new LinkError("link-refused"));
    await until(world.clock, () => told.length > 2);
    expect(told.slice(1)).toEqual([{ code: "link-refused" }, { code: "link-unreachable" }]);
    await world.stop(life);
  });

  test("taps that go on failing do not put the comparison off", async () => {
    const job = held();
    world.central.faults.tap = ["reply-lost", "link-timeout", "link-timeout", "link-timeout", "link-timeout"];
    const life = await world.start();
    const begun = world.clock.monotonic();
    for (let second = 0; second < 5; second++) {
      world.tap(life);
      await until(world.clock, () => world.clock.monotonic() - begun >= (second + 1) * 1000);
    }
    expect(job.state).toBe("held");
    await world.stop(life);
  });

  test("a doubt that comes while the claims are compared is not forgotten", async () => {
    const job = held();
    const life = await world.start();
    world.central.faults.tap = ["reply-lost"];
    const claims = world.central.claims.bind(world.central);
    vi.spyOn(world.central, "claims").mockImplementationOnce(async (signal) => {
      const list = await claims(signal);
      await world.tapToEnd(life);
      return list;
    });
    await settled(world.clock, life.loop.claims.reconcile());
    expect(job.state).toBe("claimed");
    await until(world.clock, () => job.state === "held", 10_000);
    await world.stop(life);
  });

  test("no tap is served before the claims were compared", async () => {
    held();
    world.central.faults.claims = ["link-unreachable", "link-unreachable"];
    const life = await world.start({ reconcile: false });
    await world.tapToEnd(life);
    expect(world.signals).toEqual(["fault"]);
    expect(world.central.calls).not.toContain("tap");
    await world.tapToEnd(life);
    await world.tapToEnd(life);
    expect(world.signals).toEqual(["fault", "fault", "accepted", "printed"]);
    await world.stop(life);
  });

  test("a claim of a tap that is still waiting for its answer is left alone", async () => {
    const job = held();
    const life = await world.start();
    const tap = world.central.tap.bind(world.central);
    vi.spyOn(world.central, "tap").mockImplementationOnce(async (...args) => {
      const answer = await tap(...args);
      await life.loop.claims.reconcile();
      return answer;
    });
    await world.tapToEnd(life);
    expect(world.central.wordsOf(job.jobId)).toEqual(["printed"]);
    await world.stop(life);
  });

  test("a server that was set back to an older state is told again what it forgot", async () => {
    const job = held();
    const life = await world.start();
    await world.tapToEnd(life);
    const [outcome] = world.central.outcomes;
    job.state = "claimed";
    job.claim = {
      jobId: job.jobId,
      claimId: outcome?.claimId ?? "",
      tapId: life.loop.traces[0]?.tapId ?? "",
      printer: "mfd",
    };
    await life.loop.claims.reconcile();
    await until(world.clock, () => world.central.outcomes.length === 2);
    expect(world.central.wordsOf(job.jobId)).toEqual(["printed", "printed"]);
    await world.stop(life);
  });

  test("outcomes are kept and told when it is back, after a restart too", async () => {
    const job = held();
    const life = await world.start();
    world.central.faults.outcome = Array.from({ length: 3 }, () => "link-unreachable" as const);
    world.tap(life);
    await until(world.clock, () => life.ledger.unreported.length === 1);
    await world.stop(life);
    expect(job.state).toBe("claimed");
    world.central.faults.outcome = ["link-unreachable", "reply-lost"];
    const next = await world.start();
    await until(world.clock, () => next.ledger.unreported.length === 0, 10_000);
    expect(job.state).toBe("printed");
    expect(world.central.wordsOf(job.jobId)).toEqual(["printed", "printed"]);
    expect(world.printer.jobs).toHaveLength(1);
    await world.stop(next);
    expect(world.clock.pending).toBe(0);
  });

  test("an outcome that the server never takes does not hold up the others", async () => {
    const [bad, good] = [held(5000, 1), held(6000, 2)];
    const life = await world.start();
    const outcome = world.central.outcome.bind(world.central);
    vi.spyOn(world.central, "outcome").mockImplementation(async (jobId, ...rest) => {
      if (jobId !== bad.jobId) return outcome(jobId, ...rest);
      const { LinkError } = await import("../../../agent/link/link-error.ts");
      throw new LinkError("link-refused");
    });
    world.tap(life);
    await until(world.clock, () => good.state === "printed", 60_000);
    await until(world.clock, () => life.ledger.unreported.length === 1, 10_000);
    await world.stop(life);
    expect(world.clock.pending).toBe(0);
  });
});

describe("claims that the ledger does not know", () => {
  const claimedBefore = () => {
    const job = held();
    const claim = {
      jobId: job.jobId,
      claimId: "00000002-0000-4000-8000-00000000abcd",
      tapId: "00000000-0000-4000-8000-00000000abcd",
      printer: "mfd",
    };
    Object.assign(job, { state: "claimed", claim });
    return job;
  };

  test("were not sent, if the ledger is sound", async () => {
    await world.stop(await world.start());
    const job = claimedBefore();
    const life = await world.start();
    await settled(world.clock, life.loop.idle());
    expect(world.central.wordsOf(job.jobId)).toEqual(["not printed"]);
    await world.stop(life);
  });

  test.each(["new", "damaged", "emptied", "of a later version"])("are unknown, if the ledger is %s", async (how) => {
    if (how !== "new") await world.stop(await world.start());
    if (how === "damaged") await appendFile(world.ledgerPath, "0badc0de {}\n");
    if (how === "emptied") await writeFile(world.ledgerPath, "");
    if (how === "of a later version") {
      const { crc32 } = await import("node:zlib");
      const json = '{"c":"x","later":1,"at":"now"}';
      await appendFile(world.ledgerPath, `${crc32(json).toString(16).padStart(8, "0")} ${json}\n`);
    }
    const job = claimedBefore();
    // The first start dies before it can ask the server.
    const dead = await world.start({ reconcile: false });
    await atOnce();
    await world.stop(dead);
    const life = await world.start();
    await settled(world.clock, life.loop.idle());
    expect(world.central.wordsOf(job.jobId)).toEqual(["unknown"]);
    await world.stop(life);
  });
});

describe("resuming", () => {
  test("an entry whose printer is no longer configured is unknown if it was sent, not printed if it was not", async () => {
    await world.stop(await world.start());
    const ledger = (await world.start()).ledger;
    const at = "2026-01-01T00:00:00Z";
    for (const [n, phase] of (["CREATED", "SENDING"] as const).entries()) {
      const job = held();
      const claim = { jobId: job.jobId, claimId: `c${n}`, tapId: "t", printer: "gone" };
      Object.assign(job, { state: "claimed", claim });
      await ledger.claim(claim, at);
      await ledger.record(`c${n}`, { phase, failures: 0 }, at, true);
    }
    await ledger.close();
    const life = await world.start();
    await settled(world.clock, life.loop.idle());
    expect(world.central.outcomes.map(({ word, reason }) => [word, reason])).toEqual([
      ["not printed", "agent-restarted"],
      ["unknown", "printer-not-configured"],
    ]);
    await world.stop(life);
  });
});
