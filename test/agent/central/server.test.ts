import { createHash, randomBytes, randomUUID, type X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readdir, rename, rm, utimes, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CentralServer } from "../../../agent/central/server.ts";
import { paths } from "../../../agent/protocol/paths.ts";
import { AgentClaims, AgentSelf, LeaseAnswer, OutcomeAnswer, TapAnswer } from "../../../agent/protocol/schema.ts";
import { keyPinOf } from "../../../drivers/transports/tls.ts";
import { FakeClock } from "../../sim/clock.ts";
import { type AgentFixture, SiteFixture } from "./site-fixture.ts";

let site: SiteFixture;
let lobby: AgentFixture;

beforeAll(async () => {
  site = await SiteFixture.start({ limits: { tapBurst: 1000 } });
  await site.admin.addUser("anna", "Anna A.");
  await site.admin.addCard("anna", "4711");
  lobby = await site.addAgent("lobby");
});

afterAll(async () => {
  lobby.close();
  await site.stop();
});

const POLL = { interval: 2, timeout: 10_000 };

const documents = () => readdir(join(site.dataDir, "documents"));

test("tap, document, outcome: the bytes are those that were added, and then they are gone", async () => {
  const bytes = randomBytes(3 * 2 ** 20 + 17);
  const job = await site.addDocument("anna", bytes);
  const { answer, manifests } = await lobby.tap("4711");
  expect(answer).toMatchObject({ result: "accepted", displayName: "Anna A.", leaseMs: 300_000 });
  const manifest = manifests[0] ?? expect.unreachable();
  expect(manifest).toMatchObject({ jobId: job.id, agent: "lobby", printer: "mfd-1", user: "anna", size: bytes.length });
  const reply = await lobby.document(manifest);
  expect(reply.headers["content-length"]).toBe(String(bytes.length));
  expect(reply.body.equals(bytes)).toBe(true);
  const hashes = manifest.chunks.map((_, index) => {
    const chunk = reply.body.subarray(index * manifest.chunkSize, (index + 1) * manifest.chunkSize);
    return createHash("sha256").update(chunk).digest("hex");
  });
  expect(hashes).toEqual(manifest.chunks);
  expect(await lobby.outcome(manifest, "printed", "DONE")).toBe("settled");
  expect(await lobby.outcome(manifest, "printed", "DONE")).toBe("settled");
  expect(await documents()).not.toContain(job.id);
  expect((await lobby.document(manifest)).json.code).toBe("claim-over");
});

test("every answer fits the schema of the protocol", async () => {
  await site.addDocument("anna", "x");
  const tap = await lobby.post(paths.taps, lobby.tapBody("4711"));
  expect(TapAnswer.parse(tap.json).result).toBe("accepted");
  const { manifests } = await lobby.tap("0000");
  expect(manifests).toEqual([]);
  expect(AgentSelf.parse((await lobby.request("GET", paths.self)).json)).toMatchObject({ name: "lobby" });
  await site.addDocument("anna", "y");
  const [manifest = expect.unreachable()] = (await lobby.tap("4711")).manifests;
  LeaseAnswer.parse((await lobby.renew(manifest)).json);
  const said = {
    claimId: manifest.claimId,
    word: "unknown",
    state: "IN_DOUBT",
    reason: "none",
    at: "2026-01-01T00:00:00Z",
  };
  OutcomeAnswer.parse((await lobby.post(paths.outcome(manifest.jobId), said)).json);
});

test("an agent can ask for its claims without an outcome, and sees no other's", async () => {
  const floor9 = await site.addAgent("floor-9");
  const claims = async (agent: AgentFixture) =>
    AgentClaims.parse((await agent.request("GET", paths.claims)).json).claims;
  await site.addDocument("anna", "x");
  const tapId = randomUUID();
  const [{ jobId, claimId, printer } = expect.unreachable()] = (await floor9.tap("4711", tapId)).manifests;
  expect(await claims(floor9)).toEqual([{ jobId, claimId, tapId, printer }]);
  expect((await claims(lobby)).map((claim) => claim.claimId)).not.toContain(claimId);
  expect((await floor9.tap("4711", tapId)).manifests).toMatchObject([{ jobId, claimId }]);
  await floor9.outcome({ jobId, claimId }, "unknown", "IN_DOUBT");
  expect(await claims(floor9)).toEqual([]);
  floor9.close();
});

test("unknown card and disabled user get answers that are equal to the byte, but for the tap's own id", async () => {
  await site.admin.addUser("ben");
  await site.admin.addCard("ben", "1234");
  await site.admin.enableUser("ben", false);
  const unknown = await lobby.post(paths.taps, lobby.tapBody("9999"));
  const disabled = await lobby.post(paths.taps, lobby.tapBody("1234"));
  const withoutTapId = ({ body, json }: typeof unknown) => body.toString().replaceAll(String(json.tapId), "");
  expect(withoutTapId(disabled)).toEqual(withoutTapId(unknown));
  const comparable = ({ date: _, ...headers }: typeof unknown.headers) => headers;
  expect(comparable(disabled.headers)).toEqual(comparable(unknown.headers));
  expect(unknown.json).toMatchObject({ result: "refused" });
});

test("a document is for the agent that holds the claim, and for no other", async () => {
  const floor2 = await site.addAgent("floor-2");
  await site.addDocument("anna", "secret");
  const [manifest = expect.unreachable()] = (await lobby.tap("4711")).manifests;
  const other = await floor2.document(manifest);
  expect([other.status, other.json.code]).toEqual([409, "claim-over"]);
  expect((await lobby.document({ ...manifest, claimId: randomUUID() })).json.code).toBe("claim-over");
  expect((await lobby.request("GET", paths.document(manifest.jobId))).json.code).toBe("claim-over");
  expect(await floor2.outcome(manifest, "printed", "DONE")).toBe("superseded");
  expect((await lobby.document(manifest)).body.toString()).toBe("secret");
  floor2.close();
});

test("a job that comes back is claimable again at once; a document that was lost is said to be gone", async () => {
  const job = await site.addDocument("anna", "again");
  const [first = expect.unreachable()] = (await lobby.tap("4711")).manifests;
  expect(await lobby.outcome(first, "not printed", "RETURNED")).toBe("settled");
  const [second = expect.unreachable()] = (await lobby.tap("4711")).manifests;
  expect(second.jobId).toBe(job.id);
  await rm(join(site.dataDir, "documents", job.id));
  const reply = await lobby.document(second);
  expect([reply.status, reply.json.code]).toEqual([410, "document-gone"]);
});

test("without a certificate nothing but the description is told, and what a new agent may ask", async () => {
  const bare = { agent: undefined, ca: lobby.tls.ca };
  for (const path of [paths.self, paths.claims, paths.taps, paths.certificate, "/v1/nothing"]) {
    const reply = await lobby.request("GET", path, bare);
    expect([reply.status, reply.json.code]).toEqual([403, "not-an-agent"]);
    site.clock.advance(1000);
  }
  expect((await lobby.request("GET", paths.openapi, bare)).json.openapi).toBe("3.1.1");
  expect((await lobby.request("GET", paths.enrolment, bare)).json.keyPins).toEqual(lobby.identity.trust.keyPins);
});

test("a revoked agent is shut out at once", async () => {
  const floor3 = await site.addAgent("floor-3");
  expect((await floor3.request("GET", paths.self)).status).toBe(200);
  await site.admin.revokeAgent("floor-3");
  expect((await floor3.request("GET", paths.self)).json.code).toBe("agent-revoked");
  floor3.close();
});

test("the sweep ends expired jobs, removes their documents, and in time every leftover file", async () => {
  const job = await site.addDocument("anna", "short", 30_000);
  const folder = join(site.dataDir, "documents");
  const [leftover, temp, young] = [randomUUID(), `${randomUUID()}.tmp`, randomUUID()];
  for (const name of [leftover, temp, young]) await writeFile(join(folder, name), "x");
  for (const name of [leftover, temp]) await utimes(join(folder, name), 0, 0);
  site.clock.advance(60_000);
  await expect.poll(documents, POLL).not.toContain(job.id);
  const aMinuteLater = () => {
    site.clock.advance(60_000);
    return documents();
  };
  await expect.poll(aMinuteLater, POLL).not.toContain(leftover);
  await expect.poll(documents, POLL).not.toContain(temp);
  expect((await site.admin.jobs()).find(({ id }) => id === job.id)?.state).toBe("expired");
});

test("an idle connection stays open for the next tap for two minutes", async () => {
  const reply = await lobby.request("GET", paths.self);
  expect(reply.headers["keep-alive"]).toBe("timeout=120");
});

test("the delay for measurements comes before each answer, and stop ends what is under way", async () => {
  const slow = await CentralServer.start({
    dataDir: site.dataDir,
    clock: site.clock,
    delayMs: 5000,
    times: { graceMs: 10 },
  });
  const sent = request(new URL(paths.openapi, slow.url), { ca: lobby.tls.ca, agent: false });
  sent.end();
  let answered = false;
  sent.once("response", (response) => {
    answered = true;
    response.resume();
  });
  const pending = site.clock.pending;
  await expect.poll(() => site.clock.pending, POLL).toBeGreaterThan(pending);
  expect(answered).toBe(false);
  site.clock.advance(5000);
  await once(sent, "close");
  expect(answered).toBe(true);
  await slow.stop();
  await expect(fetchRefused(slow.url)).resolves.toBe("ECONNREFUSED");
});

test("an address that is taken is a coded error and leaves nothing open", async () => {
  const start = CentralServer.start({ dataDir: site.dataDir, port: site.server.port });
  await expect(start).rejects.toMatchObject({ code: "central-listen-failed" });
});

function fetchRefused(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    request(url, { agent: false })
      .once("error", (error: NodeJS.ErrnoException) => resolve(error.code))
      .end();
  });
}

test("a certificate that ends soon is renewed at the start; without the CA's key the old one serves on", async () => {
  const own = await SiteFixture.start();
  const keys = join(own.dataDir, "keys");
  const clock = new FakeClock(0, Date.now() + 340 * 86_400_000);
  try {
    await rename(join(keys, "ca.key"), join(own.folder, "ca.key"));
    const before = await servedBy(own.dataDir, clock);
    expect(before.validToDate.getTime()).toBeLessThan(clock.wall() + 30 * 86_400_000);
    await rename(join(own.folder, "ca.key"), join(keys, "ca.key"));
    const after = await servedBy(own.dataDir, clock);
    expect(after.validToDate.getTime()).toBeGreaterThan(clock.wall() + 300 * 86_400_000);
    expect(keyPinOf(after)).toBe(keyPinOf(before));
  } finally {
    await own.stop();
  }
});

async function servedBy(dataDir: string, clock: FakeClock): Promise<X509Certificate> {
  const server = await CentralServer.start({ dataDir, clock });
  const socket = connect({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const certificate = socket.getPeerX509Certificate() ?? expect.unreachable();
  socket.destroy();
  await server.stop();
  return certificate;
}
