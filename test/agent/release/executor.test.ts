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

  test.each([
    [["not-accepting-jobs"], "printer-not-accepting"],
    [["spool-area-full"], "printer-spool-full"],
  ])(
    "%j passes: the claim is held, the person told to wait, and the job printed; for ever, it is given back",
    async (reasons, code) => {
      const job = held();
      world.printer.blocking = reasons;
      const life = await world.start();
      world.tap(life);
      await until(world.clock, () => world.signals.length === 2);
      expect(world.signals).toEqual(["accepted", "printing-later"]);
      await until(world.clock, () => world.clock.monotonic() > 15_000);
      expect(job.state).toBe("claimed");
      world.printer.blocking = [];
      await settled(world.clock, life.loop.idle(), 15_000);
      expect(job.state).toBe("printed");
      expect(world.signals).toEqual(["accepted", "printing-later", "printed"]);
      const second = held(9000, 2);
      world.printer.blocking = reasons;
      await world.tapToEnd(life, 70_000);
      expect(world.central.outcomes.at(-1)).toMatchObject({ word: "not printed", reason: code });
      expect(second.state).toBe("held");
      await world.stop(life);
    },
  );

  test("validated while the document is fetched, before the job is made", async () => {
    held();
    const life = await world.start();
    await world.tapToEnd(life);
    const calls = world.printer.calls.filter((call) => ["state", "validate", "createJob"].includes(call));
    expect(calls).toEqual(["state", "validate", "createJob"]);
    await world.stop(life);
  });

  test.each(["printer-format-unsupported", "printer-ticket-unsupported", "printer-account-refused"] as const)(
    "%s at Validate-Job: the job stays held and nothing is made",
    async (code) => {
      const job = held();
      world.printer.validateFaults = [code];
      const life = await world.start();
      await world.tapToEnd(life, 1000);
      expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: code }]);
      expect(job.state).toBe("held");
      expect(world.printer.jobs).toEqual([]);
      await world.stop(life);
    },
  );

  test("busy at Validate-Job: validated again, and printed", async () => {
    const job = held();
    world.printer.validateFaults = ["printer-busy", "ok"];
    const life = await world.start();
    await world.tapToEnd(life, 10_000);
    expect(job.state).toBe("printed");
    expect(world.printer.calls.filter((call) => call === "validate")).toHaveLength(2);
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

  test.each(["pending", "pending-held", "processing", "processing-stopped"] as const)(
    "a Create-Job whose reply got lost is found %s by its name and used: no second job stands at the printer",
    async (state) => {
      const job = held();
      world.printer.createFaults = ["reply-lost"];
      const life = await world.start();
      world.tap(life);
      await until(world.clock, () => world.printer.jobs.length === 1);
      Object.assign(world.printer.jobs[0] ?? {}, { state });
      await settled(world.clock, life.loop.idle());
      expect(job.state).toBe("printed");
      expect(world.printer.jobs).toMatchObject([{ paper: "whole" }]);
      await world.stop(life);
    },
  );

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
    ["printer-refused", "not printed"],
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

  test("a job that waits at the printer for an hour is canceled there and goes back, and no longer blocks the others", async () => {
    const job = held();
    world.printer.pace = { pending: 1_000_000, processing: 1 };
    const life = await world.start();
    await world.tapToEnd(life, 61 * 60_000);
    expect(world.central.outcomes).toMatchObject([{ word: "not printed", reason: "release-deadline" }]);
    expect(world.printer.jobs).toMatchObject([{ state: "canceled", paper: "none" }]);
    expect(job.state).toBe("held");
    await world.stop(life);
  });
});

describe("waiting behind a job that does not move", () => {
  test("a claim is given back after ten minutes: nothing prints when its person has left", async () => {
    held(9000, 1);
    world.printer.pace = { pending: 1_000_000, processing: 1 };
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.calls.includes("jobStatus"));
    const second = held(8000, 2);
    world.tap(life);
    await until(world.clock, () => life.ledger.entries.length === 2);
    expect(second.state).toBe("claimed");
    await until(world.clock, () => second.state === "held", 11 * 60_000);
    expect(life.loop.executors.get("mfd")?.depth).toBe(1);
    expect(life.spool.used).toBe(0);
    world.printer.pace = { pending: 1, processing: 1 };
    await settled(world.clock, life.loop.idle());
    expect(wordsIn(life)).toEqual(["printed", "not printed"]);
    expect(world.printer.jobs).toHaveLength(1);
    await world.stop(life);
    expect(world.clock.pending).toBe(0);
  });

  test("stopped before that, it is given back then, and no timer is left", async () => {
    held(9000, 1);
    world.printer.pace = { pending: 1_000_000, processing: 1 };
    const life = await world.start();
    world.tap(life);
    await until(world.clock, () => world.printer.calls.includes("jobStatus"));
    const second = held(8000, 2);
    world.tap(life);
    await until(world.clock, () => life.ledger.entries.length === 2);
    await world.stop(life);
    expect(second.state).toBe("held");
    expect(world.clock.pending).toBe(0);
  });
});
