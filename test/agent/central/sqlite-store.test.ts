import { randomUUID } from "node:crypto";
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RETENTION_MS } from "../../../agent/central/sqlite-release-store.ts";
import { SqliteStore } from "../../../agent/central/sqlite-store.ts";
import type { Agent, ClaimRequest, NewJob } from "../../../agent/central/store.ts";
import type { Outcome } from "../../../agent/protocol/schema.ts";
import { tempFolder } from "./site-fixture.ts";
import { agentIn, known } from "./store-agent.ts";

const TOKEN = "a1b2c3d4".padEnd(64, "0");
const HOUR = 3_600_000;
const LEASE = 60_000;
const BY = { actor: "admin:test", at: 0 };

let folder: string;
let store: SqliteStore;

beforeEach(async () => {
  folder = await tempFolder();
  store = new SqliteStore(join(folder, "central.db"));
  await store.addUser(BY, "anna", "Anna A.");
  await store.addCard(BY, "anna", TOKEN);
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const addAgent = (name: string): Promise<Agent> => agentIn(store, name, BY);

async function addJob(chunkCount = 1, expiresAt = HOUR): Promise<string> {
  const job: NewJob = {
    id: randomUUID(),
    user: "anna",
    title: "a",
    format: "application/pdf",
    size: chunkCount * 4096,
    sha256: "0".repeat(64),
    chunkSize: 4096,
    chunks: Buffer.alloc(32 * chunkCount),
    expiresAt,
  };
  await store.addJob(BY, job);
  return job.id;
}

function claim(agent: Agent, now: number, more: Partial<ClaimRequest> = {}) {
  return store.claim({
    agent,
    tapId: randomUUID(),
    tapHash: Buffer.alloc(32),
    credential: { kind: "card", token: TOKEN },
    reader: "front",
    printer: "mfd-1",
    now,
    leaseUntil: now + LEASE,
    limits: { jobs: 20, chunks: 1000 },
    ...more,
  });
}

async function claimed(agent: Agent, now: number, more: Partial<ClaimRequest> = {}) {
  const answer = await claim(agent, now, more);
  return answer.result === "accepted" ? answer.claims : [];
}

const outcome = (claimId: string, word: Outcome["word"], state: Outcome["state"]): Outcome => ({
  claimId,
  word,
  state,
  reason: "none",
  at: "2026-01-01T00:00:00.000Z",
});

const stateOf = async (jobId: string, now: number) => (await store.jobs(now)).find(({ id }) => id === jobId)?.state;

test("a tap claims the held jobs, oldest first, and another tap gets none of them", async () => {
  const [lobby, floor2] = [await addAgent("lobby"), await addAgent("floor-2")];
  const ids = [await addJob(), await addJob(), await addJob()];
  expect((await claimed(lobby, 1)).map(({ jobId }) => jobId)).toEqual(ids);
  expect(await claim(floor2, 1)).toMatchObject({ result: "accepted", displayName: "Anna A.", claims: [] });
});

test("where the policy says newest, a tap claims the newest job alone", async () => {
  const lobby = await addAgent("lobby");
  const rules = { mode: "newest", pinTries: 5, pinLockMs: 1000 } as const;
  const ids = [await addJob(), await addJob()];
  expect((await claimed(lobby, 1, { rules })).map(({ jobId }) => jobId)).toEqual([ids[1]]);
  expect((await claimed(lobby, 1, { rules })).map(({ jobId }) => jobId)).toEqual([ids[0]]);
});

test("a tap claims no more jobs and chunks than the limits, but always one", async () => {
  const lobby = await addAgent("lobby");
  const ids = [await addJob(9), await addJob(2), await addJob(2), await addJob(2)];
  const limits = { jobs: 2, chunks: 5 };
  expect((await claimed(lobby, 1, { limits })).map(({ jobId }) => jobId)).toEqual([ids[0]]);
  expect((await claimed(lobby, 1, { limits })).map(({ jobId }) => jobId)).toEqual([ids[1], ids[2]]);
  expect((await claimed(lobby, 1, { limits })).map(({ jobId }) => jobId)).toEqual([ids[3]]);
});

test("a repeated tap gets the same claims again, under a new lease", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const tapId = randomUUID();
  const first = await claimed(lobby, 1, { tapId });
  await addJob();
  const again = await claimed(lobby, 50_000, { tapId });
  expect(again).toEqual(first);
  expect(await stateOf(id, LEASE + 10)).toBe("claimed");
});

test("a tap id of another agent, or of another tap, is refused", async () => {
  const [lobby, floor2] = [await addAgent("lobby"), await addAgent("floor-2")];
  await addJob();
  const tapId = randomUUID();
  await claim(lobby, 1, { tapId });
  expect(await claim(floor2, 1, { tapId })).toEqual({ result: "reused" });
  expect(await claim(lobby, 1, { tapId, tapHash: Buffer.alloc(32, 1) })).toEqual({ result: "reused" });
});

test("an unknown card and a disabled user are refused alike, and a repeat of that tap stays refused", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const tapId = randomUUID();
  const unknown = await claim(lobby, 1, { credential: { kind: "card", token: "f".repeat(64) } });
  await store.enableUser(BY, "anna", false);
  expect(await claim(lobby, 1, { tapId })).toEqual(unknown);
  await store.enableUser(BY, "anna", true);
  expect(await claim(lobby, 1, { tapId })).toEqual({ result: "refused" });
  expect(await stateOf(id, 1)).toBe("held");
});

test("a job is never handed out at or after its expiry, swept or not", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob(1, 1000);
  expect(await claimed(lobby, 1000)).toEqual([]);
  expect(await store.needsDocument(id, 999)).toBe(true);
  expect(await store.expire(999)).toEqual([]);
  expect(await store.expire(1000)).toEqual([id]);
  expect(await stateOf(id, 1000)).toBe("expired");
  expect(await store.needsDocument(id, 1000)).toBe(false);
});

test.each([
  ["printed", "DONE", "printed", true],
  ["not printed", "CANCELED", "canceled", true],
  ["not printed", "RETURNED", "held", false],
  ["not printed", "ABORTED", "held", false],
  ["unknown", "IN_DOUBT", "in-doubt", false],
  ["not printed", "DONE", "in-doubt", false],
] as const)("the outcome %s/%s leaves the job %s", async (word, state, becomes, documentDone) => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const ref = { jobId: id, claimId, agent: lobby };
  expect(await store.settle(ref, outcome(claimId, word, state), 2)).toEqual({ result: "settled", documentDone });
  expect(await stateOf(id, 3)).toBe(becomes);
  expect((await claimed(lobby, 3)).length).toBe(becomes === "held" ? 1 : 0);
  // A repeat is harmless, even after the job went on.
  expect(await store.settle(ref, outcome(claimId, word, state), 4)).toMatchObject({ result: "settled" });
  expect(await store.mayFetch(ref, 4)).toBe(false);
});

test("a second, different word about a settled claim is superseded and audited", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const ref = { jobId: id, claimId, agent: lobby };
  await store.settle(ref, outcome(claimId, "printed", "DONE"), 2);
  const late = await store.settle(ref, outcome(claimId, "not printed", "RETURNED"), 3);
  expect(late).toEqual({ result: "superseded", documentDone: false });
  expect(await stateOf(id, 4)).toBe("printed");
  expect((await store.audit(1))[0]).toMatchObject({ event: "outcome-superseded", actor: "agent:lobby" });
});

test("an account comes with the word or after it; the newest counts, each change is audited, and nothing else changes", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const ref = { jobId: id, claimId, agent: lobby };
  const account = async () => (await store.jobs(9))[0];
  const first = { impressions: 2, source: "ipp", confidence: "medium" } as const;
  const better = { ...first, impressions: 3, confidence: "low", mismatch: true } as const;
  expect(await account()).toMatchObject({ impressions: null, sheets: null, account: null });
  const said = { ...outcome(claimId, "printed", "DONE"), impressions: 2 };
  await store.settle(ref, { ...said, account: first }, 2);
  expect(await account()).toMatchObject({ state: "printed", impressions: 2, account: first });
  const later = { ...said, state: "ABORTED", impressions: 7, account: better } as const;
  for (const now of [3, 4]) {
    expect(await store.settle(ref, later, now)).toEqual({ result: "settled", documentDone: false });
  }
  expect(await account()).toMatchObject({ state: "printed", impressions: 2, account: better });
  // A repeat without one, as of an agent that lost it, takes none away.
  await store.settle(ref, said, 5);
  expect(await account()).toMatchObject({ account: better });
  expect((await store.audit(9)).map(({ event, at }) => [event, at]).slice(0, 2)).toEqual([
    ["account-amended", 3],
    ["outcome", 2],
  ]);
});

test("an account under another word, or of another agent's claim, is not taken", async () => {
  const [lobby, floor2] = [await addAgent("lobby"), await addAgent("floor-2")];
  const id = await addJob();
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const account = { impressions: 9, source: "ipp", confidence: "medium" } as const;
  await store.settle({ jobId: id, claimId, agent: lobby }, outcome(claimId, "printed", "DONE"), 2);
  const contradicted = { ...outcome(claimId, "unknown", "IN_DOUBT"), account };
  expect(await store.settle({ jobId: id, claimId, agent: lobby }, contradicted, 3)).toMatchObject({
    result: "superseded",
  });
  const foreign = { ...outcome(claimId, "printed", "DONE"), account };
  expect(await store.settle({ jobId: id, claimId, agent: floor2 }, foreign, 4)).toMatchObject({ result: "superseded" });
  expect((await store.jobs(9))[0]).toMatchObject({ account: null });
});

test("an agent that was in doubt may still find out", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const ref = { jobId: id, claimId, agent: lobby };
  await store.settle(ref, outcome(claimId, "unknown", "IN_DOUBT"), 2);
  expect(await store.renewLease(ref, 3 + LEASE)).toBe(false);
  expect((await store.settle(ref, outcome(claimId, "printed", "DONE"), 3)).documentDone).toBe(true);
  expect(await stateOf(id, 4)).toBe("printed");
});

test("a lease that runs out leaves the job unsettled: nobody else gets it, its agent may renew and report", async () => {
  const [lobby, floor2] = [await addAgent("lobby"), await addAgent("floor-2")];
  const id = await addJob();
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const ref = { jobId: id, claimId, agent: lobby };
  const late = LEASE + 10;
  expect(await stateOf(id, late)).toBe("unsettled");
  expect(await claimed(floor2, late)).toEqual([]);
  expect(await claimed(lobby, late)).toEqual([]);
  expect(await store.mayFetch(ref, late)).toBe(false);
  expect(await store.renewLease({ ...ref, agent: floor2 }, late + LEASE)).toBe(false);
  expect(await store.renewLease(ref, late + LEASE)).toBe(true);
  expect(await store.mayFetch(ref, late)).toBe(true);
  expect(await store.mayFetch({ ...ref, agent: floor2 }, late)).toBe(false);
});

test("a person decides only about doubtful jobs; then the agent's late word is superseded", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob();
  const at = (time: number) => ({ ...BY, at: time });
  await expect(store.decide(at(1), id, "held")).rejects.toMatchObject({ code: "job-not-doubtful" });
  const [{ claimId } = { claimId: "" }] = await claimed(lobby, 1);
  const ref = { jobId: id, claimId, agent: lobby };
  await expect(store.decide(at(2), id, "held")).rejects.toMatchObject({ code: "job-not-doubtful" });
  await store.decide(at(LEASE + 10), id, "held");
  const [second] = await claimed(lobby, LEASE + 20);
  expect(second?.jobId).toBe(id);
  expect(await store.settle(ref, outcome(claimId, "printed", "DONE"), LEASE + 30)).toMatchObject({
    result: "superseded",
  });
  expect(await store.renewLease(ref, 9 * LEASE)).toBe(false);
  expect(await stateOf(id, LEASE + 40)).toBe("claimed");
  await expect(store.decide(at(1), randomUUID(), "held")).rejects.toMatchObject({ code: "job-unknown" });
});

test("a doubtful job past its expiry can be decided as printed only, and its document is needed no more", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob(1, 1000);
  await claimed(lobby, 1);
  expect(await store.needsDocument(id, 2000)).toBe(true); // the lease still runs
  expect(await store.needsDocument(id, LEASE + 10)).toBe(false);
  const by = { ...BY, at: LEASE + 10 };
  await expect(store.decide(by, id, "held")).rejects.toMatchObject({ code: "job-expired" });
  await store.decide(by, id, "printed");
  expect(await stateOf(id, LEASE + 10)).toBe("printed");
});

test("what ended long ago is forgotten; its audit is not", async () => {
  const lobby = await addAgent("lobby");
  const id = await addJob(1, 1000);
  const rows = (await store.audit(100)).length;
  await store.expire(1000);
  await store.expire(1000 + RETENTION_MS);
  expect(await stateOf(id, 0)).toBeUndefined();
  expect((await store.audit(100)).length).toBe(rows + 1);
  const gone = { jobId: id, claimId: randomUUID(), agent: lobby };
  expect(await store.settle(gone, outcome(gone.claimId, "printed", "DONE"), 0)).toMatchObject({ result: "superseded" });
});

test("a card belongs to one user; names are unique, whatever their case", async () => {
  await store.addUser(BY, "ben", "Ben");
  await expect(store.addCard(BY, "ben", TOKEN)).rejects.toMatchObject({ code: "card-taken" });
  await expect(store.addUser(BY, "ANNA", "x")).rejects.toMatchObject({ code: "user-exists" });
  await expect(store.addCard(BY, "carl", TOKEN)).rejects.toMatchObject({ code: "user-unknown" });
  await store.removeCard(BY, TOKEN);
  await expect(store.removeCard(BY, TOKEN)).rejects.toMatchObject({ code: "card-unknown" });
  await store.addCard(BY, "ben", TOKEN);
});

test("a revoked agent is known as such", async () => {
  await addAgent("lobby");
  await store.revokeAgent(BY, "lobby");
  expect(await known(store, "lobby")).toMatchObject({ enabled: false });
  await expect(store.revokeAgent(BY, "floor-2")).rejects.toMatchObject({ code: "agent-unknown" });
  expect(await store.agents()).toMatchObject([{ name: "lobby", enabled: false }]);
});

test("audit rows can be neither changed, deleted nor replaced, and hold masked tokens only", async () => {
  const lobby = await addAgent("lobby");
  await addJob();
  await claim(lobby, 1);
  await claim(lobby, 1, { credential: { kind: "card", token: "f".repeat(64) } });
  const db = new DatabaseSync(join(folder, "central.db"));
  const before = db.prepare("SELECT * FROM audit").all();
  for (const sql of [
    "UPDATE audit SET actor = 'nobody'",
    "DELETE FROM audit",
    "REPLACE INTO audit (seq, at, actor, event, detail) VALUES (1, 0, '', '', '')",
  ]) {
    expect(() => db.exec(sql)).toThrow("append-only");
  }
  expect(db.prepare("SELECT * FROM audit").all()).toEqual(before);
  db.close();
  const text = JSON.stringify(before);
  expect(text).toContain("a1b2c3d4");
  expect(text).not.toContain(TOKEN.slice(0, 9));
  expect(text).not.toContain("f".repeat(9));
});

test("the database file is its owner's alone, and one of a newer version is refused", async () => {
  const file = join(folder, "central.db");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await stat(`${file}-wal`)).mode & 0o777).toBe(0o600);
  const db = new DatabaseSync(file);
  db.exec("PRAGMA user_version = 99");
  db.close();
  expect(() => new SqliteStore(file)).toThrow("central-data-newer");
});

test("what is no database is refused with a code", async () => {
  expect(() => new SqliteStore(folder)).toThrow("central-data-unusable");
  const file = join(folder, "other.db");
  await writeFile(file, "This is not a database at all, but it is long enough to look like something.".repeat(20));
  expect(() => new SqliteStore(file)).toThrow("central-data-unusable");
});
