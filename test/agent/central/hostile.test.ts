import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_REQUEST_BYTES } from "../../../agent/central/http.ts";
import { CentralServer } from "../../../agent/central/server.ts";
import { BOOT_HEADER, CLAIM_HEADER, paths } from "../../../agent/protocol/paths.ts";
import { Problem } from "../../../agent/protocol/schema.ts";
import { type AgentFixture, BOOT, SiteFixture } from "./site-fixture.ts";

let site: SiteFixture;
let agent: AgentFixture;
let impatient: CentralServer;

beforeAll(async () => {
  site = await SiteFixture.start({
    limits: { tapBurst: 5, strangersPerSecond: 2 },
  });
  await site.admin.addUser("anna");
  await site.admin.addCard("anna", "4711");
  agent = await site.addAgent("lobby");
  // The same site with times so short that only clients that do nothing should meet it.
  const times = { headersMs: 100, requestMs: 200, handshakeMs: 100, stallMs: 100 };
  impatient = await CentralServer.start({ dataDir: site.dataDir, clock: site.clock, times });
});

afterAll(async () => {
  agent.close();
  await impatient.stop();
  await site.stop();
});

const JSON_TYPE = { "content-type": "application/json" };

async function codeOf(reply: ReturnType<AgentFixture["request"]>): Promise<[number, string]> {
  const { status, json } = await reply;
  return [status, Problem.parse(json).code];
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once("close", () => resolve()));

function rawTls(port = site.server.port) {
  const socket = connectTls({ port, host: "127.0.0.1", ...agent.tls });
  socket.on("error", () => {}); // a reset is one of the ways in which the server may hang up
  return socket;
}

test("a body that says it is too large is refused unread", async () => {
  const body = Buffer.alloc(MAX_REQUEST_BYTES + 1, 0x20);
  const reply = await agent.request(
    "POST",
    paths.taps,
    { headers: { ...JSON_TYPE, "content-length": body.length } },
    body,
  );
  expect([reply.status, reply.json.code, reply.headers.connection]).toEqual([413, "body-too-large", "close"]);
});

test("a body without end is cut off", async () => {
  const socket = rawTls();
  await once(socket, "secureConnect");
  const head = `POST ${paths.lease(randomUUID())} HTTP/1.1\r\nHost: localhost\r\n${BOOT_HEADER}: ${BOOT}\r\n`;
  socket.write(`${head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const chunk = Buffer.concat([Buffer.from("4000\r\n"), Buffer.alloc(0x4000, 0x20), Buffer.from("\r\n")]);
  let sent = 0;
  const flood = () => {
    while (!socket.destroyed && socket.write(chunk)) sent += chunk.length;
    sent += chunk.length;
  };
  socket.on("drain", flood);
  socket.resume();
  flood();
  await closed(socket);
  expect(sent).toBeLessThan(16 * 2 ** 20);
});

test("wrong types, keys, content types and JSON are refused with a code, and without an echo", async () => {
  const good = agent.tapBody("4711");
  site.clock.advance(60_000);
  for (const body of [
    "",
    "{",
    "null",
    "[]",
    "[".repeat(60_000),
    `{"__proto__":{"x":1}}`,
    JSON.stringify({ ...good, extra: "canary" }),
    JSON.stringify({ ...good, tapId: "canary" }),
    JSON.stringify({ ...good, credential: { kind: "card", token: "canary" } }),
    JSON.stringify({ ...good, credential: [] }),
  ]) {
    const reply = await agent.request("POST", paths.taps, { headers: JSON_TYPE }, body);
    expect([reply.status, reply.json.code]).toEqual([400, "body-invalid"]);
    expect(reply.body.toString()).not.toContain("canary");
    site.clock.advance(1000);
  }
  const plain = agent.request("POST", paths.taps, { headers: { "content-type": "text/plain" } }, "{}");
  expect(await codeOf(plain)).toEqual([415, "body-not-json"]);
});

test.each([
  "/",
  "/v1",
  "/v1/taps/",
  "/v1/taps?x=1",
  "/v1/jobs/../agents/self",
  `/v1/jobs/${randomUUID()}`,
  `/v1/jobs/${randomUUID()}/document/`,
  `/v1/jobs/${randomUUID().toUpperCase()}/document`,
  "/v1/jobs/..%2f..%2fkeys%2fca.key/document",
  "/v1/jobs/%00/document",
  "/v1/jobs/../../keys/ca.key/document",
  "//v1/agents/self",
  "http://localhost/v1/agents/self",
])("the path %s leads nowhere", async (path) => {
  const reply = agent.request("GET", path, { headers: { [CLAIM_HEADER]: randomUUID() } });
  expect(await codeOf(reply)).toEqual([404, "not-found"]);
});

test("a wrong method is refused", async () => {
  for (const [method, path] of [
    ["GET", paths.taps],
    ["POST", paths.self],
    ["PUT", paths.outcome(randomUUID())],
    ["DELETE", paths.document(randomUUID())],
    ["POST", paths.openapi],
  ] as const) {
    expect(await codeOf(agent.request(method, path))).toEqual([405, "method-not-allowed"]);
  }
});

test("any bytes as a body get a problem with a code", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (body) => {
      site.clock.advance(1000);
      const path = paths.outcome(randomUUID());
      const [status, code] = await codeOf(agent.request("POST", path, { headers: JSON_TYPE }, body));
      expect([status, code]).toEqual([400, "body-invalid"]);
    }),
    { numRuns: 100 },
  );
});

test("taps above the rate are put off, other agents' are not", async () => {
  site.clock.advance(60_000);
  const floor2 = await site.addAgent("floor-2");
  const replies = [];
  for (let n = 0; n < 7; n++) replies.push(await agent.post(paths.taps, agent.tapBody("0000")));
  expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429, 429]);
  expect(Number(replies[6]?.headers["retry-after"])).toBeGreaterThan(0);
  expect((await floor2.post(paths.taps, floor2.tapBody("0000"))).status).toBe(200);
  site.clock.advance(1000);
  expect((await agent.post(paths.taps, agent.tapBody("0000"))).status).toBe(200);
  floor2.close();
});

test("strangers above the rate are put off; an agent at the same address is not", async () => {
  site.clock.advance(60_000);
  const statuses = [];
  for (let n = 0; n < 4; n++) {
    statuses.push((await agent.request("GET", paths.self, { agent: undefined, ca: agent.tls.ca })).status);
  }
  expect(statuses).toEqual([403, 403, 429, 429]);
  expect((await agent.request("GET", paths.self)).status).toBe(200);
});

test.each([
  ["says nothing", ""],
  ["sends its header drop by drop", "GET /v1/agents/self HTTP/1.1\r\nHost: l"],
  ["never ends its body", "POST /v1/taps HTTP/1.1\r\nHost: l\r\nAUTH\r\nContent-Length: 500\r\n\r\n{"],
])("a client that %s is hung up on", async (_, bytes) => {
  const socket = rawTls(impatient.port);
  await once(socket, "secureConnect");
  const headers = `${BOOT_HEADER}: ${BOOT}\r\nContent-Type: application/json`;
  socket.write(bytes.replace("AUTH", headers));
  socket.resume();
  await closed(socket);
});

test("a TCP connection without a handshake is hung up on", async () => {
  const socket = connectTcp(impatient.port, "127.0.0.1");
  socket.resume();
  await closed(socket);
});

test("an agent that stops taking a document is hung up on", async () => {
  await site.addDocument("anna", randomBytes(32 * 2 ** 20));
  site.clock.advance(60_000);
  const [manifest = expect.unreachable()] = (await agent.tap("4711")).manifests;
  const socket = rawTls(impatient.port);
  await once(socket, "secureConnect");
  socket.pause();
  const head = `GET ${paths.document(manifest.jobId)} HTTP/1.1\r\nHost: l\r\n${BOOT_HEADER}: ${BOOT}\r\n`;
  socket.write(`${head}${CLAIM_HEADER}: ${manifest.claimId}\r\n\r\n`);
  expect(impatient.connections).toBe(1);
  await expect.poll(() => impatient.connections, { interval: 10, timeout: 10_000 }).toBe(0);
  socket.destroy();
});

test.each([
  ["-tls1", 1],
  ["-tls1_1", 1],
  ["-tls1_2", 0],
  ["-tls1_3", 0],
])("openssl s_client %s ends with %i", async (version, expected) => {
  const args = ["s_client", "-connect", `127.0.0.1:${site.server.port}`, version, "-cipher", "DEFAULT@SECLEVEL=0"];
  const code = await new Promise<number | string | null>((resolve) => {
    const child = execFile("openssl", args, (error) => resolve(error === null ? 0 : (error.code ?? null)));
    child.stdin?.end();
  });
  expect(code).toBe(expected);
});

test("no TLS session is ever resumed", async () => {
  const first = rawTls();
  const sessions: Buffer[] = [];
  first.on("session", (session) => sessions.push(session));
  await once(first, "secureConnect");
  first.write("GET /v1/openapi.json HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n");
  first.resume();
  await closed(first);
  const session = sessions.at(-1) ?? first.getSession();
  const options = { port: site.server.port, host: "127.0.0.1", ...agent.tls };
  const second = connectTls(session === undefined ? options : { ...options, session });
  await once(second, "secureConnect");
  expect(second.isSessionReused()).toBe(false);
  second.destroy();
});
