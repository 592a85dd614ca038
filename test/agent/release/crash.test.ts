import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Ledger } from "../../../agent/release/ledger.ts";
import type { Central } from "../../../agent/release/ports.ts";
import type { DocumentBody, Printer } from "../../../drivers/printer.ts";
import { CUT_FATES, JOB_FATES, type SimJob } from "../../sim/printer.ts";
import { atOnce, CARD, documentOf, settled, until, World } from "./world.ts";

/**
 * What is left of the ledger when the agent dies. `kill`: all that was written (kill -9). `power`: only what was synced.
 * `torn`: what was synced, and half of what came after. `rot`: as `kill`, with one byte changed. `lost`: no file at all.
 */
const DEATHS = ["kill", "power", "torn", "rot", "lost"] as const;
type Death = (typeof DEATHS)[number];

/**
 * One life of an agent. It ends in the middle of whatever its `steps`-th step is: a step is each moment before and after
 * a call to the printer, the central server or the ledger, and each piece of a document. From then on nothing that it
 * began gets an answer, and nothing more of it gets out.
 */
class Mortal {
  steps = 0;
  dead = false;
  readonly #dieAt: number;
  readonly #died: () => void;

  constructor(dieAt: number, died: () => void) {
    this.#dieAt = dieAt;
    this.#died = died;
  }

  /** Never resolves for the dead. */
  async step(): Promise<void> {
    this.steps += 1;
    if (!this.dead && this.steps === this.#dieAt) {
      this.dead = true;
      this.#died();
    }
    if (this.dead) await new Promise<never>(() => {});
  }

  async #through<T>(call: () => Promise<T>): Promise<T> {
    await this.step();
    const result = await call().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await this.step();
    if ("error" in result) throw result.error;
    return result.value;
  }

  /** A dead process's connections are closed, so the other side sees the document break off. */
  async *#pieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      this.steps += 1;
      if (!this.dead && this.steps === this.#dieAt) {
        this.dead = true;
        this.#died();
      }
      if (this.dead) throw new Error("the connection was closed");
      yield piece;
    }
  }

  printer(real: Printer): Printer {
    const it = this;
    return {
      name: real.name,
      get verdict() {
        return real.verdict;
      },
      counters: {},
      start() {},
      prepare() {},
      stop: async () => {},
      state: (signal) => it.#through(() => real.state(signal)),
      validate: (request, signal) => it.#through(() => real.validate(request, signal)),
      createJob: (request, signal) => it.#through(() => real.createJob(request, signal)),
      send(job, request, document, signal) {
        const body: DocumentBody = { size: document.size, chunks: () => it.#pieces(document.chunks()) };
        return it.#through(() => real.send(job, request, body, signal));
      },
      jobStatus: (job, signal) => it.#through(() => real.jobStatus(job, signal)),
      findJob: (name, user, signal) => it.#through(() => real.findJob(name, user, signal)),
      cancelJob: (job, signal) => it.#through(() => real.cancelJob(job, signal)),
    };
  }

  central(real: Central): Central {
    const it = this;
    return {
      tap: (tap, signal) => it.#through(() => real.tap(tap, signal)),
      async *document(jobId, claimId, signal) {
        for await (const piece of real.document(jobId, claimId, signal)) {
          await it.step();
          yield piece;
        }
      },
      outcome: (jobId, outcome, signal) => it.#through(() => real.outcome(jobId, outcome, signal)),
      claims: (signal) => it.#through(() => real.claims(signal)),
      renewLease: (jobId, claimId, signal) => it.#through(() => real.renewLease(jobId, claimId, signal)),
    };
  }

  /** Watches each append: before it, and after it. `synced` is told the size of what is on the disk for certain. */
  ledger(ledger: Ledger, path: string, synced: (size: number) => void): Ledger {
    const watched = (method: "claim" | "record" | "account" | "reported" | "vouch") => {
      const real = ledger[method].bind(ledger) as (...args: unknown[]) => Promise<void>;
      return async (...args: unknown[]) => {
        if (this.dead) return new Promise<never>(() => {});
        // Its place in memory and in the queue must not depend on the watching.
        const appended = real(...args);
        appended.catch(() => {});
        await this.step();
        await appended;
        if (method === "vouch" || args[3] === true) synced(statSync(path).size);
        await this.step();
      };
    };
    return Object.assign(ledger, {
      ...{ claim: watched("claim"), record: watched("record"), account: watched("account") },
      ...{ reported: watched("reported"), vouch: watched("vouch") },
    });
  }
}

interface Story {
  /** At which step each life dies; the last life does not. */
  readonly deaths: readonly { readonly at: number; readonly how: Death }[];
  readonly jobs: number;
  readonly createJob: boolean;
  readonly cut: (typeof CUT_FATES)[number];
  readonly fate: (typeof JOB_FATES)[number];
  readonly send: "ok" | "breaks" | "reply-lost" | "nothing-sent" | "printer-busy";
  readonly create: "ok" | "reply-lost" | "printer-busy";
  readonly look: "ok" | "printer-timeout";
  readonly tap: "ok" | "reply-lost";
  readonly outcome: "ok" | "reply-lost" | "link-unreachable";
  readonly powerCycle: boolean;
  readonly streams: boolean;
  /** The printer tells impressions. */
  readonly counts: boolean;
  /** How many looks a cancel takes. */
  readonly cancelLooks: number;
  /** The printer goes on while nobody watches. */
  readonly finishes: boolean;
}

/** What life after life made of it, for the checks below. Steps of the first life are returned to find its length. */
async function tell(story: Story): Promise<number> {
  const world = await World.make();
  try {
    const { central, printer } = world;
    const jobs = Array.from({ length: story.jobs }, (_, n) => central.hold(CARD, documentOf(9000 + n, n)));
    Object.assign(printer, { hasCreateJob: story.createJob, cutFate: story.cut, jobFate: story.fate });
    Object.assign(printer, { counts: story.counts, cancelLooks: story.cancelLooks });
    printer.sendFaults = [story.send];
    printer.createFaults = [story.create];
    printer.lookFaults = [story.look];
    central.faults = { tap: [story.tap], outcome: [story.outcome] };
    if (story.streams) world.spoolBytes = 8192;

    // A first start that nothing happens to, so that a new ledger is not what every story is about.
    let path = world.ledgerPath;
    await world.stop(await world.start());
    let synced = statSync(path).size;
    let firstSteps = 0;
    for (const [n, death] of story.deaths.entries()) {
      const from = path;
      const to = join(world.folder, `ledger-${n}.log`);
      let left: Buffer | undefined;
      const mortal = new Mortal(death.at, () => {
        left = remains(readFileSync(from), synced, death);
      });
      const life = await world.start({
        ...{ path, reconcile: false },
        printer: mortal.printer(printer),
        central: mortal.central(central),
        wrap: (ledger) =>
          mortal.ledger(ledger, from, (size) => {
            synced = Math.max(synced, size);
          }),
      });
      life.loop.claims.reconcile().catch(() => {}); // as the agent does: the next tap asks again
      // Somebody taps, and taps again, until the agent dies or nothing more happens.
      for (let taps = 0; taps < 2 && !mortal.dead; taps += 1) {
        await atOnce();
        world.tap(life);
        let idle = false;
        void life.loop.idle().then(() => {
          idle = true;
        });
        await until(world.clock, () => mortal.dead || idle, 1_500_000);
      }
      if (n === 0) firstSteps = mortal.steps;
      if (!mortal.dead) {
        // It may die while it stops, too.
        let stopped = false;
        void life.loop.stop().then(() => {
          stopped = true;
        });
        await until(world.clock, () => mortal.dead || stopped);
      }
      if (!mortal.dead) {
        await life.ledger.close();
        continue;
      }
      await atOnce();
      check(world);
      // The fake clock's timers of the dead loop find only dead ends.
      path = to;
      if (left !== undefined) writeFileSync(path, left);
      synced = left?.length ?? 0;
      if (story.finishes) printer.finish();
      if (story.powerCycle && n === 0) printer.powerCycle();
    }

    const last = await world.start({ path });
    await settled(world.clock, last.loop.idle());
    // The central server is well now: whatever is unreported gets through.
    await until(world.clock, () => last.ledger.unreported.length === 0, 600_000);
    check(world);
    // No job is lost: each is printed, given up, in doubt, or held and can be had by the next tap.
    for (const job of jobs) expect(job.state).not.toBe("claimed");
    Object.assign(printer, { jobFate: "prints", sendFaults: [], createFaults: [], lookFaults: [] });
    central.faults = {};
    await world.tapToEnd(last);
    for (const job of jobs) expect(["printed", "canceled", "in-doubt"]).toContain(job.state);
    check(world);
    await world.stop(last);
    return firstSteps;
  } finally {
    await world.remove();
  }
}

function remains(bytes: Buffer, synced: number, { how, at }: { how: Death; at: number }): Buffer | undefined {
  const rotten = Buffer.from(bytes);
  switch (how) {
    case "kill":
      return bytes;
    case "power":
      return bytes.subarray(0, synced);
    case "torn":
      return bytes.subarray(0, synced + Math.floor((bytes.length - synced) / 2));
    case "rot":
      if (bytes.length > 0) rotten[(at * 7919) % bytes.length] = (rotten[(at * 7919) % bytes.length] ?? 0) ^ 0x04;
      return rotten;
    case "lost":
      return undefined;
  }
}

/** The truth at the printer against every word that the central server was told. */
function check({ central, printer }: World): void {
  for (const job of central.jobs) {
    const told = central.outcomes.filter(({ jobId }) => jobId === job.jobId);
    const claimIds = new Set(told.map(({ claimId }) => claimId));
    for (const claimId of claimIds) {
      const words = new Set(told.filter((outcome) => outcome.claimId === claimId).map(({ word }) => word));
      const atPrinter: SimJob[] = printer.everKnown(`printgate-${claimId}`);
      const paper = atPrinter.map((each) => each.paper);
      if (words.has("printed")) expect(paper.filter((each) => each === "whole")).toHaveLength(1);
      if (words.has("not printed")) expect(paper.filter((each) => each !== "none")).toEqual([]);
      expect(words.has("printed") && words.has("not printed")).toBe(false);
    }
    const all = [...printer.forgotten, ...printer.jobs].filter(({ bytes }) => bytes.equals(job.document));
    expect(all.filter(({ paper }) => paper === "whole").length, "printed twice").toBeLessThanOrEqual(1);
    const wordsPrinted = told.filter(({ word, result }) => word === "printed" && result === "settled");
    expect(new Set(wordsPrinted.map(({ claimId }) => claimId)).size, "called printed twice").toBeLessThanOrEqual(1);
  }
}

const PLAIN: Story = {
  ...{ deaths: [], jobs: 1, createJob: true, cut: "aborted", fate: "prints", send: "ok", create: "ok", look: "ok" },
  ...{ tap: "ok", outcome: "ok", powerCycle: false, streams: false, finishes: true, counts: true, cancelLooks: 0 },
};

describe("the agent dies, and starts again", () => {
  test.each(DEATHS)(
    "at each single step of a release (%s): never printed twice, never lost, never a wrong word",
    async (how) => {
      const steps = await tell({ ...PLAIN, deaths: [{ at: 1_000_000, how }] });
      expect(steps).toBeGreaterThan(40);
      for (let at = 1; at <= steps; at += 1) {
        const cut = CUT_FATES[at % CUT_FATES.length] ?? "aborted";
        for (const finishes of how === "kill" ? [true, false] : [at % 2 === 0]) {
          await tell({ ...PLAIN, finishes, cut, deaths: [{ at, how }] });
        }
      }
    },
    60_000,
  );

  test("at any steps of any lives, whatever printer, network and disk do", async () => {
    const anyStory: fc.Arbitrary<Story> = fc.record({
      deaths: fc.array(fc.record({ at: fc.integer({ min: 1, max: 70 }), how: fc.constantFrom(...DEATHS) }), {
        minLength: 1,
        maxLength: 3,
      }),
      jobs: fc.integer({ min: 1, max: 2 }),
      createJob: fc.boolean(),
      cut: fc.constantFrom(...CUT_FATES),
      fate: fc.constantFrom(...JOB_FATES),
      send: fc.constantFrom("ok", "ok", "breaks", "reply-lost", "nothing-sent", "printer-busy"),
      create: fc.constantFrom("ok", "ok", "reply-lost", "printer-busy"),
      look: fc.constantFrom("ok", "printer-timeout"),
      tap: fc.constantFrom("ok", "ok", "reply-lost"),
      outcome: fc.constantFrom("ok", "reply-lost", "link-unreachable"),
      powerCycle: fc.boolean(),
      streams: fc.boolean(),
      finishes: fc.boolean(),
      counts: fc.boolean(),
      cancelLooks: fc.integer({ min: 0, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(anyStory, async (story) => void (await tell(story))),
      { numRuns: Number(process.env.RUNS ?? 80) },
    );
  }, 120_000);
});
