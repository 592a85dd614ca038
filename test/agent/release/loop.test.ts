import { appendFile, readFile, writeFile } from "node:fs/promises";
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
const wordsIn = ({ ledger }: Life) => ledger.entries.map(({ release }) => release.end?.word);
const reasonsIn = ({ ledger }: Life) => ledger.entries.map(({ release }) => release.end?.reason);

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

describe("the printer before the document", () => {
  test("blocked: the job goes back at once, unprinted, and the person is told", async () => {
    const job = held();
    world.printer.blocking = ["media-jam-error"];
    const life = await world.start();
    await world.tapToEnd(life, 1000);
    expect(world.central.outcomes).toMatchObject([
      { word: "not printed", state: "RETURNED", reason: "printer-blocked" },
    ]);
    expect(job.state).toBe("held");
    expect(world.signals).toEqual(["accepted", "printer-blocked"]);
    expect(world.printer.jobs).toEqual([]);
    await world.stop(life);
  });

  test("a fresh SNMP block vetoes, an old one does not", async () => {
    held();
    world.printer.verdict = { verdict: "blocked", conditions: ["jammed"], at: world.clock.monotonic() };
    const life = await world.start();
    await world.tapToEnd(life, 1000);
    expect(wordsIn(life)).toEqual(["not printed"]);
    world.clock.advance(60_000);
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual(["not printed", "printed"]);
    await world.stop(life);
  });

  test("busy: it is tried again with longer and longer waits, and printed when free", async () => {
    const job = held();
    world.printer.createFaults = ["printer-busy", "printer-busy", "printer-busy", "ok"];
    const life = await world.start();
    const begun = world.clock.monotonic();
    await world.tapToEnd(life);
    expect(job.state).toBe("printed");
    expect(world.printer.calls.filter((call) => call === "createJob")).toHaveLength(4);
    expect(world.clock.monotonic() - begun).toBeGreaterThan(4000);
    await world.stop(life);
  });

  test("busy for ever: given back after about a minute", async () => {
    const job = held();
    world.printer.createFaults = Array.from({ length: 100 }, () => "printer-busy" as const);
    const life = await world.start();
    const begun = world.clock.monotonic();
    await world.tapToEnd(life, 70_000);
    expect(world.clock.monotonic() - begun).toBeGreaterThan(45_000);
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", state: "RETURNED" }]);
    expect(job.state).toBe("held");
    await world.stop(life);
  });

  test("unreachable while it was asked ahead of time: asked again, then printed", async () => {
    const job = held();
    world.printer.stateFaults = ["printer-unreachable", "ok"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(job.state).toBe("printed");
    await world.stop(life);
  });

  test("a Create-Job whose reply got lost is found by its name and used: no second job stands at the printer", async () => {
    const job = held();
    world.printer.createFaults = ["reply-lost"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(job.state).toBe("printed");
    expect(world.printer.jobs).toMatchObject([{ paper: "whole" }]);
    await world.stop(life);
  });

  test("a Create-Job whose reply got lost, on a printer that then blocks: the empty job is discarded by its name", async () => {
    held();
    world.printer.createFaults = ["reply-lost"];
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.jobs.length === 1);
    world.printer.blocking = ["cover-open"];
    await settled(world.clock, life.loop.idle());
    expect(world.printer.jobs).toMatchObject([{ state: "canceled", paper: "none" }]);
    expect(wordsIn(life)).toEqual(["not printed"]);
    await world.stop(life);
  });

  test("a defect in a driver returns the job instead of keeping it", async () => {
    const job = held();
    const life = await world.start();
    vi.spyOn(world.printer, "createJob").mockRejectedValueOnce(new TypeError("oops"));
    await world.tapToEnd(life);
    expect(job.state).toBe("held");
    expect(world.signals).toEqual(["accepted", "fault"]);
    await world.stop(life);
  });

  test("a printer without Create-Job prints all the same", async () => {
    const job = held();
    world.printer.hasCreateJob = false;
    const life = await world.start();
    await world.tapToEnd(life);
    expect(job.state).toBe("printed");
    expect(world.printer.jobs).toHaveLength(1);
    await world.stop(life);
  });

  test("what was learnt of the printer before a long wait in the queue is not used", async () => {
    held(9000, 1);
    world.printer.pace = { pending: 1, processing: 20 };
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.jobs[0]?.state === "processing");
    world.printer.blocking = ["cover-open"];
    held(8000, 2);
    world.tap(life);
    await atOnce();
    world.printer.blocking = [];
    await settled(world.clock, life.loop.idle());
    expect(wordsIn(life)).toEqual(["printed", "printed"]);
    await world.stop(life);
  });
});

describe("the disk", () => {
  test("full at SENDING: nothing is sent, the job goes back, and the next tap prints", async () => {
    const job = held();
    const life = await world.start();
    const { open } = await import("node:fs/promises");
    const handle = await open(world.folder, "r");
    await handle.close();
    const full = Object.assign(new Error("full"), { code: "ENOSPC" });
    const sync = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, "datasync").mockRejectedValueOnce(full);
    await world.tapToEnd(life);
    expect(sync).toHaveBeenCalled();
    expect(world.printer.calls).not.toContain("byte");
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "storage-full" }]);
    expect(world.signals).toEqual(["accepted", "fault"]);
    await world.tapToEnd(life);
    expect(job.state).toBe("printed");
    await world.stop(life);
  });
});

describe("the transfer", () => {
  test.each([
    ["aborted", "not printed", "RETURNED"],
    ["completed", "unknown", "IN_DOUBT"],
    ["waits-for-data", "not printed", "RETURNED"],
    ["forgotten", "unknown", "IN_DOUBT"],
    ["prints-part-and-aborts", "unknown", "IN_DOUBT"],
  ] as const)("breaks, and the job is %s: %s", async (fate, word, state) => {
    held();
    world.printer.sendFaults = ["breaks"];
    world.printer.cutFate = fate;
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.central.outcomes).toMatchObject([{ word, state, reason: "printer-broken-connection" }]);
    expect(world.printer.calls.filter((call) => call === "send")).toHaveLength(1);
    if (word === "not printed")
      expect(world.printer.everKnown(`printgate-${life.ledger.entries[0]?.claimId}`)).toMatchObject([
        { paper: "none" },
      ]);
    await world.stop(life);
  });

  test("is whole but its reply is lost: the printer's `completed` is not believed, and nothing is sent again", async () => {
    held();
    world.printer.sendFaults = ["reply-lost"];
    world.printer.cancelFaults = ["printer-timeout"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual(["unknown"]);
    expect(world.printer.calls.filter((call) => call === "send")).toHaveLength(1);
    await world.stop(life);
  });

  test("never began: not printed, and the empty job is discarded", async () => {
    held();
    world.printer.sendFaults = ["nothing-sent"];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual(["not printed"]);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled" }]);
    await world.stop(life);
  });

  test.each([
    ["printer-busy", "not printed"],
    ["printer-not-accepting", "not printed"],
    // RFC 8011 B.1.5.5: the reply of a printer that took the job and jammed.
    ["printer-unavailable", "unknown"],
    ["printer-refused", "unknown"],
  ] as const)("with Print-Job, the reply %s means %s", async (code, word) => {
    held();
    world.printer.hasCreateJob = false;
    world.printer.sendFaults = [code];
    const life = await world.start();
    await world.tapToEnd(life);
    expect(wordsIn(life)).toEqual([word]);
    await world.stop(life);
  });

  test("of a streamed document that turns out altered is cut, and the job canceled", async () => {
    world.spoolBytes = 8192;
    held(60_000);
    world.central.swap = (document) => {
      const altered = Buffer.from(document);
      altered[50_000] = 0x7f ^ (altered[50_000] ?? 0);
      return altered;
    };
    world.printer.cutFate = "waits-for-data";
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "document-altered" }]);
    expect(world.printer.jobs[0]?.bytes.length).toBeLessThan(50_000);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled", whole: false }]);
    await world.stop(life);
  });
});

describe("watching", () => {
  test.each([
    ["prints", "printed", "DONE"],
    ["aborts-blank", "not printed", "ABORTED"],
    ["aborts-after-a-page", "unknown", "ABORTED"],
    ["canceled-at-panel", "not printed", "CANCELED"],
    ["forgotten", "unknown", "IN_DOUBT"],
  ] as const)("a job that %s is %s", async (fate, word, state) => {
    held();
    world.printer.jobFate = fate;
    const life = await world.start();
    await world.tapToEnd(life);
    expect(world.central.outcomes).toMatchObject([{ word, state }]);
    await world.stop(life);
  });

  test("looks that fail are repeated, and a printer that stays silent is in doubt after ten minutes", async () => {
    held();
    world.printer.lookFaults = Array.from({ length: 10_000 }, () => "printer-timeout" as const);
    const life = await world.start();
    const begun = world.clock.monotonic();
    await world.tapToEnd(life);
    expect(world.central.outcomes).toMatchObject([{ word: "unknown", reason: "release-deadline" }]);
    expect(world.clock.monotonic() - begun).toBeGreaterThan(9 * 60_000);
    await world.stop(life);
  });

  test("gets slower: half a second at first, five seconds later", async () => {
    held();
    world.printer.pace = { pending: 1000, processing: 0 };
    const life = await world.start();
    world.tap(life);
    const looks = () => world.printer.calls.filter((call) => call === "jobStatus").length;
    await until(world.clock, () => looks() > 0);
    world.printer.calls.length = 0;
    const begun = world.clock.monotonic();
    await until(world.clock, () => world.clock.monotonic() - begun >= 5000);
    expect(looks()).toBeGreaterThanOrEqual(8);
    await until(world.clock, () => world.clock.monotonic() - begun >= 60_000);
    world.printer.calls.length = 0;
    await until(world.clock, () => world.clock.monotonic() - begun >= 120_000);
    expect(looks()).toBeLessThanOrEqual(13);
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
