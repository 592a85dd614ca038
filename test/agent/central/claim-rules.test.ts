import { createHash, randomUUID } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SqliteStore } from "../../../agent/central/sqlite-store.ts";
import type { Agent, JobState } from "../../../agent/central/store.ts";
import type { Outcome } from "../../../agent/protocol/schema.ts";
import { agentIn } from "./store-agent.ts";

const AGENTS = ["lobby", "floor-2", "newest-only"] as const;
const USERS = ["anna", "ben"] as const;
const LEASE = 50;

const tokenOf = (user: string) => createHash("sha256").update(user).digest("hex");

const WORDS = [
  ["printed", "DONE"],
  ["not printed", "RETURNED"],
  ["not printed", "ABORTED"],
  ["not printed", "CANCELED"],
  ["unknown", "IN_DOUBT"],
] as const satisfies readonly (readonly [Outcome["word"], Outcome["state"]])[];

const agent = fc.nat({ max: AGENTS.length - 1 });
const user = fc.constantFrom(...USERS);
const pick = fc.nat();

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("submit"), user, lasts: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("tap"), user, agent, repeat: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("report"),
      pick,
      word: fc.nat({ max: WORDS.length - 1 }),
      agent: fc.option(agent),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("renew"), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.integer({ min: 1, max: 80 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("decide"), pick, printed: fc.boolean() }) },
) as fc.Arbitrary<Step>;

type Step =
  | { do: "submit"; user: string; lasts: number }
  | { do: "tap"; user: string; agent: number; repeat: boolean }
  | { do: "report"; pick: number; word: number; agent: number | null }
  | { do: "renew"; pick: number }
  | { do: "wait"; ms: number }
  | { do: "expire" }
  | { do: "decide"; pick: number; printed: boolean };

interface ModelJob {
  readonly id: string;
  readonly user: string;
  readonly expiresAt: number;
  state: Exclude<JobState, "unsettled">;
  claim?: ModelClaim | undefined;
}

interface ModelClaim {
  readonly id: string;
  readonly job: ModelJob;
  readonly agent: number;
  leaseUntil: number;
  word?: Outcome["word"];
}

/** The rules of the README in as few words as they can be said; the store must agree after every step. */
class Model {
  now = 1;
  readonly jobs: ModelJob[] = [];
  readonly claims: ModelClaim[] = [];
  readonly taps: { id: string; user: string; agent: number }[] = [];

  claimable(user: string, agent: number): ModelJob[] {
    const held = this.jobs.filter((job) => job.user === user && job.state === "held" && job.expiresAt > this.now);
    return AGENTS[agent] === "newest-only" ? held.slice(-1) : held.slice(0, 3);
  }

  shown(job: ModelJob): JobState {
    if (job.state === "held" && job.expiresAt <= this.now) return "expired";
    if (job.state === "claimed" && (job.claim?.leaseUntil ?? 0) <= this.now) return "unsettled";
    return job.state;
  }
}

test("the claim rules hold over any history: no job in two claims, nothing lost, nothing printed handed out again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const store = new SqliteStore(":memory:");
      const by = { actor: "test", at: 0 };
      const agents: Agent[] = [];
      for (const name of AGENTS) {
        agents.push(await agentIn(store, name));
      }
      for (const name of USERS) {
        await store.addUser(by, name, name);
        await store.addCard(by, name, tokenOf(name));
      }
      const model = new Model();
      const agentAt = (index: number) => agents[index] ?? expect.unreachable();
      for (const one of steps) await take(one, model, store, agentAt);
      await store.close();
    }),
    { numRuns: 150 },
  );
});

async function take(step: Step, model: Model, store: SqliteStore, agentAt: (index: number) => Agent): Promise<void> {
  switch (step.do) {
    case "submit": {
      const job: ModelJob = { id: randomUUID(), user: step.user, expiresAt: model.now + step.lasts, state: "held" };
      const document = { format: "application/pdf", size: 1, sha256: "", chunkSize: 4096, chunks: Buffer.alloc(32) };
      await store.addJob({ actor: "test", at: model.now }, { ...job, ...document, title: "" });
      model.jobs.push(job);
      break;
    }
    case "tap": {
      const before = step.repeat ? model.taps.at(-1) : undefined;
      const tap = before ?? { id: randomUUID(), user: step.user, agent: step.agent };
      const expected = before
        ? model.claims
            .filter(
              ({ id, job }) => claimsOf.get(tap.id)?.includes(id) && job.state === "claimed" && job.claim?.id === id,
            )
            .map(({ job }) => job)
        : model.claimable(tap.user, tap.agent);
      const leaseUntil = model.now + LEASE;
      const answer = await store.claim({
        agent: agentAt(tap.agent),
        tapId: tap.id,
        tapHash: Buffer.alloc(32),
        credential: { kind: "card", token: tokenOf(tap.user) },
        reader: "r",
        printer: "p",
        now: model.now,
        leaseUntil,
        limits: { jobs: 3, chunks: 100 },
        rules: {
          mode: AGENTS[tap.agent] === "newest-only" ? "newest" : "all",
          pinTries: 5,
          pinLockMs: 900_000,
        },
      });
      const claims = answer.result === "accepted" ? answer.claims : expect.unreachable();
      expect(claims.map(({ jobId }) => jobId)).toEqual(expected.map(({ id }) => id));
      for (const [index, job] of expected.entries()) {
        if (before !== undefined && job.claim !== undefined) {
          job.claim.leaseUntil = Math.max(job.claim.leaseUntil, leaseUntil);
          expect(claims[index]?.claimId).toBe(job.claim.id);
          continue;
        }
        const claim = { id: claims[index]?.claimId ?? "", job, agent: tap.agent, leaseUntil };
        job.claim = claim;
        job.state = "claimed";
        model.claims.push(claim);
      }
      if (before === undefined) {
        model.taps.push(tap);
        claimsOf.set(
          tap.id,
          claims.map(({ claimId }) => claimId),
        );
      }
      break;
    }
    case "report": {
      const claim = model.claims[step.pick % Math.max(1, model.claims.length)];
      if (claim === undefined) break;
      const { job } = claim;
      const [word, state] = WORDS[step.word] ?? WORDS[0];
      const from = step.agent ?? claim.agent;
      const ref = { jobId: job.id, claimId: claim.id, agent: agentAt(from) };
      const said = { claimId: claim.id, word, state, reason: "none", at: "2026-01-01T00:00:00Z" };
      const { result, documentDone } = await store.settle(ref, said, model.now);
      const mine = from === claim.agent;
      const open = mine && job.claim === claim;
      expect(result).toBe(open || (mine && claim.word === word) ? "settled" : "superseded");
      if (!open || claim.word === word) {
        expect(documentDone).toBe(false);
        break;
      }
      claim.word = word;
      job.state =
        word === "printed" ? "printed" : word === "unknown" ? "in-doubt" : state === "CANCELED" ? "canceled" : "held";
      if (word !== "unknown") job.claim = undefined;
      expect(documentDone).toBe(job.state === "printed" || job.state === "canceled");
      break;
    }
    case "renew": {
      const claim = model.claims[step.pick % Math.max(1, model.claims.length)];
      if (claim === undefined) break;
      const ref = { jobId: claim.job.id, claimId: claim.id, agent: agentAt(claim.agent) };
      const open = claim.job.claim === claim && claim.job.state === "claimed";
      expect(await store.renewLease(ref, model.now + LEASE)).toBe(open);
      if (open) claim.leaseUntil = Math.max(claim.leaseUntil, model.now + LEASE);
      expect(await store.mayFetch(ref, model.now)).toBe(open);
      break;
    }
    case "wait":
      model.now += step.ms;
      break;
    case "expire": {
      const over = model.jobs.filter((job) => job.state === "held" && job.expiresAt <= model.now);
      expect([...(await store.expire(model.now))].sort()).toEqual(over.map(({ id }) => id).sort());
      for (const job of over) job.state = "expired";
      break;
    }
    case "decide": {
      const job = model.jobs[step.pick % Math.max(1, model.jobs.length)];
      if (job === undefined) break;
      const doubtful = ["unsettled", "in-doubt"].includes(model.shown(job));
      const allowed = doubtful && (step.printed || job.expiresAt > model.now);
      const decision = step.printed ? "printed" : "held";
      const done = await store.decide({ actor: "test", at: model.now }, job.id, decision).then(
        () => true,
        () => false,
      );
      expect(done).toBe(allowed);
      if (!allowed) break;
      job.state = decision;
      job.claim = undefined;
      break;
    }
  }
  const states = (await store.jobs(model.now)).map(({ id, state }) => [id, state]);
  expect(states).toEqual(model.jobs.map((job) => [job.id, model.shown(job)]));
}

const claimsOf = new Map<string, readonly string[]>();
