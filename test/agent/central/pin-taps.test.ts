import { createHash, generateKeyPairSync, randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pins } from "../../../agent/central/pins.ts";
import { CentralServer } from "../../../agent/central/server.ts";
import { STEPS } from "../../../agent/central/sqlite-schema.ts";
import { SqliteStore } from "../../../agent/central/sqlite-store.ts";
import { Tap } from "../../../agent/protocol/schema.ts";
import type { Log } from "../../../drivers/log.ts";
import { AgentFixture, SiteFixture } from "./site-fixture.ts";
import { agentIn } from "./store-agent.ts";

const CARD = { card: "4711" };
const ID = "8600420137";
const PIN = "7351902864";
const WRONG = "5550198237";
const MINUTE = 60_000;

let site: SiteFixture;
let lobby: AgentFixture;
let log = "";

beforeEach(async () => {
  log = "";
  const add = (fields: object, message: string) => {
    log += `${JSON.stringify(fields)} ${message}\n`;
  };
  const memory: Log = { debug: add, info: add, warn: add, error: add, child: () => memory };
  site = await SiteFixture.start({ log: memory, limits: { pinBurst: 1000 } });
  lobby = await site.addAgent("lobby");
  await site.admin.addUser("anna", "Anna A.");
  await site.admin.addCard("anna", CARD.card);
  await site.admin.setPin("anna", true, PIN);
  await site.admin.setId("anna", ID);
});

afterEach(async () => {
  lobby.close();
  await site.stop();
});

const resultOf = async (who: Parameters<AgentFixture["tapWithPin"]>[0], pin: string, reader = "front") =>
  (await lobby.tapWithPin(who, pin, { reader })).json.result;

const reasons = async () => (await site.admin.audit(100)).map(({ detail }) => detail.reason);

test("card and PIN, and number and PIN, release; a card alone is told that the PIN is needed and claims nothing", async () => {
  const job = await site.addDocument("anna", "one");
  expect((await lobby.tap(CARD.card)).answer).toMatchObject({ result: "pin-needed" });
  expect((await site.admin.jobs())[0]?.state).toBe("held");
  const reply = await lobby.tapWithPin(CARD, PIN);
  expect(reply.json).toMatchObject({ result: "accepted", displayName: "Anna A." });
  expect((await site.admin.jobs()).find(({ id }) => id === job.id)?.state).toBe("claimed");
  expect(await resultOf({ id: ID }, PIN)).toBe("accepted");
});

test("where the PIN is not required, the card alone releases, and a PIN that comes with it must be right", async () => {
  await site.admin.setPin("anna", false, PIN);
  expect((await lobby.tap(CARD.card)).answer.result).toBe("accepted");
  expect(await resultOf(CARD, PIN)).toBe("accepted");
  expect(await resultOf(CARD, WRONG)).toBe("refused");
});

test("an unknown card, an unknown number, a wrong PIN, none at all, a lock and a disabled user are one answer", async () => {
  await site.admin.addUser("ben");
  await site.admin.addCard("ben", "0815");
  const bodies = new Set<string>();
  const refuse = async (who: Parameters<AgentFixture["tapWithPin"]>[0], pin: string) => {
    const tapId = randomUUID();
    const { status, json, headers } = await lobby.tapWithPin(who, pin, { tapId });
    expect([status, json.tapId]).toEqual([200, tapId]);
    bodies.add(JSON.stringify({ ...json, tapId: "", serverTime: "", length: headers["content-length"] }));
  };
  await refuse({ card: "9999" }, PIN);
  await refuse({ id: "1" }, PIN);
  await refuse({ card: "0815" }, PIN);
  for (let n = 0; n < 5; n++) await refuse(CARD, WRONG);
  await refuse(CARD, PIN);
  await site.admin.unlockUser("anna");
  await site.admin.enableUser("anna", false);
  await refuse(CARD, PIN);
  expect(bodies.size).toBe(1);
  expect([...bodies][0]).toContain('"result":"refused"');
  const told = await reasons();
  for (const reason of [
    "unknown card",
    "unknown ID",
    "no PIN is set",
    "wrong PIN",
    "the person is locked",
    "disabled user",
  ]) {
    expect(told).toContain(reason);
  }
});

test("five wrong PINs lock the person at every reader, over a restart too, until the time is over or somebody unlocks", async () => {
  for (let n = 0; n < 5; n++) expect(await resultOf(CARD, WRONG, `reader-${n}`)).toBe("refused");
  expect(await resultOf(CARD, PIN, "elsewhere")).toBe("refused");
  expect(await resultOf({ id: ID }, PIN, "elsewhere")).toBe("refused");
  site.clock.advance(15 * MINUTE);
  expect(await resultOf(CARD, PIN)).toBe("accepted");
  // A right PIN ends the count.
  for (let n = 0; n < 4; n++) await resultOf(CARD, WRONG);
  expect(await resultOf(CARD, PIN)).toBe("accepted");
  for (let n = 0; n < 5; n++) await resultOf(CARD, WRONG);
  expect(await resultOf(CARD, PIN)).toBe("refused");
  await site.admin.unlockUser("anna");
  expect(await resultOf(CARD, PIN)).toBe("accepted");
  for (let n = 0; n < 5; n++) await resultOf(CARD, WRONG);
  const restarted = await CentralServer.start({ dataDir: site.dataDir, clock: site.clock });
  const agent = new AgentFixture({ ...lobby.identity, url: restarted.url });
  expect((await agent.tapWithPin(CARD, PIN)).json.result).toBe("refused");
  agent.close();
  await restarted.stop();
});

test("one PIN tried with everybody's number locks the reader for PINs, not its cards and no other reader", async () => {
  await site.admin.addUser("ben");
  await site.admin.addCard("ben", "0815");
  for (let n = 0; n < 20; n++) expect(await resultOf({ id: `${n}` }, "1234")).toBe("refused");
  expect(await resultOf(CARD, PIN)).toBe("refused");
  expect((await reasons())[0]).toBe("the reader is locked");
  expect(await resultOf(CARD, PIN, "side")).toBe("accepted");
  expect((await lobby.tap("0815")).answer.result).toBe("accepted");
  site.clock.advance(15 * MINUTE);
  expect(await resultOf(CARD, PIN)).toBe("accepted");
});

test("guesses that come at the same instant are counted one by one", async () => {
  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => resultOf(CARD, n === 11 ? PIN : WRONG)));
  expect(answers).toEqual(Array.from({ length: 12 }, () => "refused"));
  expect((await reasons()).filter((reason) => reason === "wrong PIN")).toHaveLength(5);
});

test("the same tap again gets the same answer, and counts once; with another PIN it is another tap", async () => {
  const tapId = randomUUID();
  for (let n = 0; n < 8; n++) expect((await lobby.tapWithPin(CARD, WRONG, { tapId })).json.result).toBe("refused");
  expect((await lobby.tapWithPin(CARD, PIN, { tapId })).json.code).toBe("tap-id-reused");
  expect(await resultOf(CARD, PIN)).toBe("accepted");
  await site.addDocument("anna", "again");
  const again = randomUUID();
  const [first, second] = [
    await lobby.tapWithPin(CARD, PIN, { tapId: again }),
    await lobby.tapWithPin(CARD, PIN, { tapId: again }),
  ];
  expect(first.json.jobs).toHaveLength(1);
  expect(second.json).toMatchObject({ result: "accepted", jobs: [expect.anything()] });
  const bare = randomUUID();
  for (let n = 0; n < 2; n++) expect((await lobby.tap(CARD.card, bare)).answer.result).toBe("pin-needed");
});

test("PINs of one agent above the rate are put off, its cards are not", async () => {
  const other = await SiteFixture.start({ limits: { pinBurst: 3, pinsPerSecond: 1 } });
  const agent = await other.addAgent("lobby");
  const statuses = [];
  for (let n = 0; n < 5; n++) statuses.push((await agent.tapWithPin(CARD, PIN)).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  expect((await agent.tap(CARD.card)).answer.result).toBe("refused");
  agent.close();
  await other.stop();
});

test("numbers are one person's; a PIN that was taken away releases nothing", async () => {
  await site.admin.addUser("ben");
  await expect(site.admin.setId("ben", ID)).rejects.toMatchObject({ code: "id-taken" });
  await site.admin.setId("anna", ID);
  await site.admin.setId("anna", undefined);
  await site.admin.setId("ben", ID);
  expect(await resultOf({ id: ID }, PIN)).toBe("refused");
  await site.admin.clearPin("anna");
  await expect(site.admin.clearPin("anna")).rejects.toMatchObject({ code: "pin-none" });
  expect(await resultOf(CARD, PIN)).toBe("refused");
  expect((await lobby.tap(CARD.card)).answer.result).toBe("accepted");
  for (const act of [
    () => site.admin.setPin("nobody", true, PIN),
    () => site.admin.clearPin("nobody"),
    () => site.admin.unlockUser("nobody"),
    () => site.admin.setId("nobody", "1"),
  ]) {
    await expect(act()).rejects.toMatchObject({ code: "user-unknown" });
  }
});

test("a PIN that is changed while a guess at the old one is computed is not opened by it", async () => {
  const guess = lobby.tapWithPin(CARD, PIN);
  await site.admin.setPin("anna", true, WRONG);
  // Whichever came first: after both, only the new one opens.
  expect(["accepted", "refused"]).toContain((await guess).json.result);
  expect(await resultOf(CARD, PIN)).toBe("refused");
  expect(await resultOf(CARD, WRONG)).toBe("accepted");
});

test("no PIN, no number and no plain hash of them is in the database, the audit or the log", async () => {
  await site.addDocument("anna", "one");
  await lobby.tapWithPin(CARD, PIN);
  await lobby.tapWithPin(CARD, WRONG);
  await lobby.tapWithPin({ id: ID }, PIN);
  await lobby.tapWithPin({ id: ID }, WRONG);
  await lobby.tapWithPin({ id: WRONG }, WRONG);
  await lobby.post("/v1/taps", { ...lobby.tapBody("1"), credential: { kind: "id-pin", id: ID, pin: `${PIN}${PIN}` } });
  const files = (await readdir(site.dataDir)).filter((name) => name.startsWith("central.db"));
  expect(files).toContain("central.db-wal");
  const written = [log, JSON.stringify(await site.admin.audit(1000))];
  for (const name of files) written.push((await readFile(join(site.dataDir, name))).toString("latin1"));
  const text = written.join("\n").toLowerCase();
  for (const secret of [PIN, WRONG, ID]) {
    const bytes = Buffer.from(secret);
    for (const form of [secret, bytes.toString("hex"), bytes.toString("base64").slice(0, -3)]) {
      expect(text).not.toContain(form.toLowerCase());
    }
  }
  expect(log).toContain("id-pin");
});

test("each refusal costs one hash of the same kind, whoever it is", async () => {
  await site.admin.addUser("ben");
  await site.admin.addCard("ben", "0815");
  const compute = vi.spyOn(Pins.prototype, "compute");
  const refuse = async (who: Parameters<AgentFixture["tapWithPin"]>[0], pin: string) => {
    const before = compute.mock.calls.length;
    expect(await resultOf(who, pin)).toBe("refused");
    expect(compute.mock.calls.length).toBe(before + 1);
  };
  await refuse({ card: "9999" }, PIN);
  await refuse({ id: "1" }, PIN);
  await refuse({ card: "0815" }, PIN);
  for (let n = 0; n < 5; n++) await refuse(CARD, WRONG);
  await refuse(CARD, PIN); // locked by now
  const computed = await Promise.all(compute.mock.results.map(({ value }) => value as ReturnType<Pins["compute"]>));
  expect(new Set(computed.map(({ cost, salt }) => JSON.stringify([cost, salt.length]))).size).toBe(1);
  compute.mockRestore();
});

test("whoever has the database cannot try PINs on its taps", async () => {
  const credential = { kind: "card-pin", token: lobby.tapBody(CARD.card).credential.token, pin: PIN };
  const tap = Tap.parse({ ...lobby.tapBody(CARD.card), credential });
  await lobby.post("/v1/taps", tap);
  const db = new DatabaseSync(join(site.dataDir, "central.db"));
  const hashes = db.prepare("SELECT hex(tap_hash) AS hash FROM taps").all();
  db.close();
  expect(hashes).toHaveLength(1);
  const plain = createHash("sha256").update(JSON.stringify(tap)).digest("hex");
  expect(hashes[0]?.hash).not.toBe(plain.toUpperCase());
});

test("a lock that began while the clock was wrong lasts no longer than any other", async () => {
  const store = new SqliteStore(":memory:");
  await store.addUser({ actor: "test", at: 0 }, "anna", "Anna");
  await store.setId({ actor: "test", at: 0 }, "anna", "1".repeat(64));
  const pin = await new Pins(generateKeyPairSync("ed25519").privateKey).hash(PIN);
  await store.setPin({ actor: "test", at: 0 }, "anna", pin, false);
  const agent = await agentIn(store, "lobby");
  const resultAt = async (now: number, proof: Uint8Array) => {
    const credential = { kind: "id-pin", idToken: "1".repeat(64), proof } as const;
    const request = { agent, tapHash: Buffer.alloc(32), reader: "front", printer: "p", now, leaseUntil: now + 1 };
    const limits = { jobs: 20, chunks: 100 };
    return (await store.claim({ ...request, limits, credential, tapId: randomUUID() })).result;
  };
  for (let n = 0; n < 5; n++) await resultAt(Date.UTC(2040), Buffer.alloc(32));
  const corrected = Date.UTC(2026);
  expect(await resultAt(corrected, pin.hash)).toBe("refused");
  expect(await resultAt(corrected + 15 * MINUTE - 1, pin.hash)).toBe("refused");
  expect(await resultAt(corrected + 15 * MINUTE, pin.hash)).toBe("accepted");
  await store.close();
});

test("a database of the first version is brought up with all that is in it", async () => {
  const file = join(site.folder, "old.db");
  const old = new DatabaseSync(file);
  old.exec(`${STEPS[0]} PRAGMA user_version = 1`);
  old.exec(`INSERT INTO users (name, display_name, added_at) VALUES ('anna', 'Anna A.', 0);
    INSERT INTO cards (token, user_id, added_at) VALUES ('${"a".repeat(64)}', 1, 0);
    INSERT INTO agents (name, key_hash, release_mode, added_at) VALUES ('lobby', zeroblob(32), 'all', 0);
    INSERT INTO taps (id, agent_id, tap_hash, user_id, at) VALUES ('refused', 1, zeroblob(32), NULL, 0)`);
  old.close();
  const store = new SqliteStore(file);
  const agent = (await store.agentByKey(Buffer.alloc(32))) ?? expect.unreachable();
  const request = { agent, tapHash: Buffer.alloc(32), reader: "front", printer: "p", now: 1, leaseUntil: 2 };
  const limits = { jobs: 20, chunks: 100 };
  const credential = { kind: "card", token: "a".repeat(64) } as const;
  expect(await store.claim({ ...request, limits, credential, tapId: "refused" })).toEqual({ result: "refused" });
  expect(await store.claim({ ...request, limits, credential, tapId: "new" })).toMatchObject({ result: "accepted" });
  await store.close();
  const again = new DatabaseSync(file);
  const fresh = new DatabaseSync(join(site.dataDir, "central.db"));
  const tables = "SELECT name, sql FROM sqlite_schema ORDER BY name";
  expect(again.prepare(tables).all()).toEqual(fresh.prepare(tables).all());
  expect(again.prepare("PRAGMA user_version").get()).toEqual(fresh.prepare("PRAGMA user_version").get());
  again.close();
  fresh.close();
});
