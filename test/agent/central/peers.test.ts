import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  AGENTS_AUTHORITY_NAME,
  type Authority,
  certifyAgent,
  certifyAuthority,
} from "../../../agent/central/certificates.ts";
import { readKeys } from "../../../agent/central/keys.ts";
import { GRACE_MS } from "../../../agent/central/peers.ts";
import { SqliteStore } from "../../../agent/central/sqlite-store.ts";
import { enrol } from "../../../agent/demo/enrolled.ts";
import { certificateRequest } from "../../../agent/link/enrolment/csr.ts";
import { BOOT_HEADER, CLAIM_HEADER, paths } from "../../../agent/protocol/paths.ts";
import { AgentFixture, BOOT, SiteFixture, tempFolder } from "./site-fixture.ts";
import { agentIn, known } from "./store-agent.ts";

const DAY = 86_400_000;

let site: SiteFixture;
let lobby: AgentFixture;

beforeAll(async () => {
  site = await SiteFixture.start({ limits: { strangersPerSecond: 1000 } });
  await site.admin.addUser("anna");
  await site.admin.addCard("anna", "4711");
  lobby = await site.addAgent("lobby");
});
afterAll(async () => {
  lobby.close();
  await site.stop();
});

const newKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const pemOf = (key: ReturnType<typeof newKey>) => key.export({ type: "pkcs8", format: "pem" }).toString();

/** The fixture of an agent that shows another certificate. */
function showing({ identity }: AgentFixture, certificate: string, tls: string): AgentFixture {
  const { granted, keys } = identity;
  return new AgentFixture({ ...identity, granted: { ...granted, certificate }, keys: { ...keys, tls } });
}

async function problemOf(agent: AgentFixture, path: string = paths.self): Promise<unknown> {
  const { status, json } = await agent.request("GET", path);
  return status === 200 ? "none" : json.code;
}

describe("a certificate is worth nothing", () => {
  const now = Date.now();

  async function refusedWith(authority: Authority, name: string): Promise<unknown> {
    const key = newKey();
    const stranger = showing(lobby, await certifyAgent(authority, createPublicKey(key), name, now), pemOf(key));
    const problem = await problemOf(stranger);
    stranger.close();
    return problem;
  }

  test("of another CA, whatever name that has", async () => {
    for (const ca of ["Another CA", AGENTS_AUTHORITY_NAME]) {
      const key = newKey();
      const authority = { key, certificate: await certifyAuthority(key, now, ca) };
      expect(await refusedWith(authority, "lobby")).toBe("not-an-agent");
    }
  });

  test("of the CA itself, for a key that no agent has, or under another agent's name", async () => {
    const { agentsAuthority } = await readKeys(join(site.dataDir, "keys"));
    expect(await refusedWith(agentsAuthority, "lobby")).toBe("not-an-agent");
    const own = createPublicKey(createPrivateKey(lobby.identity.keys.tls));
    const renamed = showing(lobby, await certifyAgent(agentsAuthority, own, "floor-9", now), lobby.identity.keys.tls);
    expect(await problemOf(renamed)).toBe("not-an-agent");
    renamed.close();
  });

  test("of a CA that signs servers: the server's own certificate is no agent's", async () => {
    const { serverCertificate, serverKey } = await readKeys(join(site.dataDir, "keys"));
    const server = showing(lobby, serverCertificate, serverKey);
    expect(await problemOf(server)).toBe("not-an-agent");
    server.close();
  });

  test("by itself: whoever shows it and cannot sign with its key gets no connection", async () => {
    const folder = await mkdtemp(join(tmpdir(), "printgate-peers-"));
    await writeFile(join(folder, "cert"), lobby.tls.cert);
    await writeFile(join(folder, "key"), lobby.tls.key, { mode: 0o600 });
    const relay = await forgingRelay(site.server.port);
    const { port } = relay.address() as AddressInfo;
    const handshake = (to: number) =>
      new Promise<string>((resolve) => {
        const words = ["s_client", "-connect", `127.0.0.1:${to}`, "-tls1_2", "-no_ticket"];
        const more = ["-cert", join(folder, "cert"), "-key", join(folder, "key")];
        const child = execFile("openssl", [...words, ...more], (_error, stdout, stderr) => resolve(stdout + stderr));
        child.stdin?.end(
          `GET ${paths.self} HTTP/1.1\r\nHost: l\r\n${BOOT_HEADER}: ${BOOT}\r\nConnection: close\r\n\r\n`,
        );
      });
    expect(await handshake(site.server.port)).toContain("Verification error"); // s_client knows no CA; the server took it
    expect(await handshake(port)).toMatch(/alert (decrypt error|handshake failure|bad certificate)/);
    relay.close();
    await rm(folder, { recursive: true });
  });

  test("without a boot, and a boot that is none", async () => {
    for (const boot of ["", "x", BOOT.toUpperCase(), `${BOOT}0`]) {
      const reply = await lobby.request("GET", paths.self, { headers: { [BOOT_HEADER]: boot } });
      expect([reply.status, reply.json.code]).toEqual([400, "boot-missing"]);
    }
    expect(await problemOf(lobby)).toBe("none");
  });
});

/** Between a TLS 1.2 client and the server; alters the signature by which the client proves that it has its key. */
async function forgingRelay(to: number) {
  const relay = createServer((client) => {
    const server = connectTcp(to, "127.0.0.1");
    let bytes = Buffer.alloc(0);
    client.on("data", (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt16BE(3)) {
        const record = Buffer.from(bytes.subarray(0, 5 + bytes.readUInt16BE(3)));
        bytes = bytes.subarray(record.length);
        // RFC 5246 7.4: CertificateVerify is handshake message 15; the last octet is of the signature.
        if (record[0] === 22 && record[5] === 15) record[record.length - 1] = (record.at(-1) ?? 0) ^ 1;
        server.write(record);
      }
    });
    server.on("data", (piece) => client.write(piece));
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.on("error", () => {}).on("close", () => other.destroy());
    }
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return relay;
}

describe("a certificate that has ended", () => {
  test("still passes the handshake, for half a year fetches the next one and nothing else, and then not even that", async () => {
    // By the real clock, too, it is over.
    const past = await SiteFixture.start({ limits: { strangersPerSecond: 1000 } }, Date.now() - 100 * DAY);
    try {
      const agent = await past.addAgent("old");
      expect(await problemOf(agent, paths.claims)).toBe("none");
      past.clock.advance(100 * DAY);
      expect(await problemOf(agent, paths.claims)).toBe("certificate-expired");
      expect((await agent.post(paths.taps, agent.tapBody("4711"))).json.code).toBe("certificate-expired");
      expect(await problemOf(agent, paths.self)).toBe("none");
      const key = newKey();
      const csr = certificateRequest(key).toString("base64url");
      const { certificate } = (await agent.post(paths.certificate, { csr })).json as { certificate: string };
      const renewed = showing(agent, certificate, pemOf(key));
      expect(await problemOf(renewed, paths.claims)).toBe("none");
      past.clock.advance(90 * DAY + GRACE_MS);
      for (const path of [paths.self, paths.claims]) expect(await problemOf(renewed, path)).toBe("certificate-expired");
      expect((await renewed.post(paths.certificate, { csr })).json.code).toBe("certificate-expired");
      agent.close();
      renewed.close();
    } finally {
      await past.stop();
    }
  });

  test("whose time has not begun is taken: a clock of the server that was set back keeps no agent out", async () => {
    const other = await SiteFixture.start();
    other.clock.advance(50 * DAY);
    const agent = await other.addAgent("early"); // its certificate begins in 49 days by the real clock
    expect(await problemOf(agent)).toBe("none");
    agent.close();
    await other.stop();
  });
});

describe("a new key", () => {
  test("counts from its first use; until then the one before does, and from then on no more", async () => {
    const agent = await site.addAgent("renews");
    const [key, replaced] = [newKey(), newKey()];
    const ask = async (by: AgentFixture, asked: typeof key) => {
      const reply = await by.post(paths.certificate, { csr: certificateRequest(asked).toString("base64url") });
      expect(reply.status).toBe(200);
      return showing(by, String(reply.json.certificate), pemOf(asked));
    };
    const never = await ask(agent, replaced);
    const next = await ask(agent, key);
    expect(await problemOf(never)).toBe("not-an-agent"); // a later request took its place
    expect(await problemOf(agent)).toBe("none");
    expect(await problemOf(next)).toBe("none");
    expect(await problemOf(agent)).toBe("not-an-agent");
    // The same key again: another certificate, nothing else changes.
    const same = await ask(next, key);
    expect([await problemOf(next), await problemOf(same)]).toEqual(["none", "none"]);
    for (const one of [agent, never, next, same]) one.close();
  });

  test("that another agent has is refused", async () => {
    const csr = certificateRequest(createPrivateKey(lobby.identity.keys.tls)).toString("base64url");
    const thief = await site.addAgent("thief");
    expect((await thief.post(paths.certificate, { csr })).json.code).toBe("enrolment-changed");
    expect((await thief.post(paths.certificate, { csr: "AAAA" })).json.code).toBe("csr-invalid");
    expect(await problemOf(lobby)).toBe("none");
    thief.close();
  });

  test("cannot be asked for as often as one likes", async () => {
    const agent = await site.addAgent("eager");
    const codes: unknown[] = [];
    for (let n = 0; n < 7; n++) codes.push((await agent.post(paths.certificate, { csr: "AAAA" })).json.code);
    expect(codes).toEqual([...Array(5).fill("csr-invalid"), "too-many-requests", "too-many-requests"]);
    agent.close();
  });
});

describe("revoked", () => {
  test("an agent is refused at its next request, and its open connections are closed, a document under way too", async () => {
    const agent = await site.addAgent("goes");
    await site.addDocument("anna", Buffer.alloc(64 * 2 ** 20, "%PDF-1.7 "));
    const [manifest = expect.unreachable()] = (await agent.tap("4711")).manifests;
    const options = { port: site.server.port, host: "127.0.0.1", ...agent.tls };
    const slow = connectTls(options);
    await once(slow, "secureConnect");
    slow.write(
      `GET ${paths.document(manifest.jobId)} HTTP/1.1\r\nHost: l\r\n${BOOT_HEADER}: ${BOOT}\r\n${CLAIM_HEADER}: ${manifest.claimId}\r\n\r\n`,
    );
    await once(slow, "readable");
    const ended = new Promise((resolve) => slow.on("error", resolve).on("close", resolve));
    const others = await problemOf(lobby);
    await site.admin.revokeAgent("goes");
    site.clock.advance(250);
    slow.resume();
    await ended;
    expect(await problemOf(agent)).toBe("agent-revoked");
    expect([others, await problemOf(lobby)]).toEqual(["none", "none"]);
    agent.close();
  });

  test("it comes back only with new keys, approved by name", async () => {
    const agent = await site.addAgent("returns");
    await site.admin.revokeAgent("returns");
    const stateDir = join(site.folder, "state-returns");
    const identity = await enrol(site.admin, {
      ...{ url: site.server.url, stateDir, name: "returns", boot: BOOT, replace: true },
    });
    const again = new AgentFixture(identity);
    expect([await problemOf(agent), await problemOf(again)]).toEqual(["not-an-agent", "none"]);
    agent.close();
    again.close();
  });
});

describe("a copied SD card", () => {
  const [first, second, third] = ["1", "2", "3"].map((digit) => digit.repeat(32)) as [string, string, string];
  const at = (agent: AgentFixture, boot: string) => Object.assign(new AgentFixture(agent.identity), { boot });

  test("is noticed when the first device speaks again: both are refused until the right one is enrolled anew", async () => {
    const enrolled = await site.addAgent("copied");
    const [device, copy] = [at(enrolled, first), at(enrolled, second)];
    expect(await problemOf(device)).toBe("none");
    expect(await problemOf(copy)).toBe("none"); // it might be the same device, after a reboot
    expect(await problemOf(device)).toBe("agent-cloned");
    expect(await problemOf(copy)).toBe("agent-cloned");
    expect(await problemOf(at(enrolled, third))).toBe("agent-cloned"); // nor does a reboot help
    expect((await copy.post(paths.taps, copy.tapBody("4711"))).json.code).toBe("agent-cloned");
    expect((await copy.post(paths.certificate, { csr: "AAAA" })).json.code).toBe("agent-cloned");
    expect(await site.admin.agents()).toContainEqual(
      expect.objectContaining({ name: "copied", clonedAt: site.clock.wall() }),
    );
    expect((await site.admin.audit(1))[0]).toMatchObject({ event: "agent-cloned", actor: "agent:copied" });

    const stateDir = join(site.folder, "state-copied");
    const words = { url: site.server.url, stateDir, name: "copied", replace: true, boot: first };
    const right = at(new AgentFixture(await enrol(site.admin, words)), first);
    expect(await problemOf(right)).toBe("none");
    expect([await problemOf(device), await problemOf(copy)]).toEqual(["not-an-agent", "not-an-agent"]);
    expect(await problemOf(at(right, second))).toBe("none"); // its own reboot
    for (const one of [enrolled, device, copy, right]) one.close();
  });

  test("is never seen in reboots, also where the last words of the device come after it is up again", async () => {
    const enrolled = await site.addAgent("reboots");
    for (const boot of [first, second, third]) {
      const before = at(enrolled, boot);
      const stale = await opened(before, boot);
      const closed = new Promise((resolve) => stale.once("close", resolve));
      const next = at(enrolled, String(Number(boot[0]) + 3).repeat(32));
      // What was on its way when the power went: the rest of a request on a connection of the earlier boot.
      stale.write(`GET ${paths.self} HTTP/1.1\r\nHost: l\r\n`);
      expect(await problemOf(next)).toBe("none");
      stale.write(`${BOOT_HEADER}: ${boot}\r\n\r\n`);
      await closed;
      expect(await problemOf(next)).toBe("none");
      before.close();
      next.close();
    }
  });

  /** A connection on which this boot has spoken. */
  async function opened(agent: AgentFixture, boot: string): Promise<Socket> {
    const socket = connectTls({ port: site.server.port, host: "127.0.0.1", ...agent.tls });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    socket.write(`GET ${paths.self} HTTP/1.1\r\nHost: l\r\n${BOOT_HEADER}: ${boot}\r\n\r\n`);
    await once(socket, "data");
    return socket;
  }

  test("in any order of boots it is one that speaks after another has followed it, and no other", async () => {
    const folder = await tempFolder();
    const store = new SqliteStore(join(folder, "central.db"));
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 25 }), async (boots) => {
        const name = `agent-${run++}`;
        const agent = await agentIn(store, name);
        let [current, cloned]: [number | undefined, boolean] = [undefined, false];
        const earlier = new Set<number>();
        for (const boot of boots) {
          const returns = boot !== current && earlier.has(boot);
          cloned ||= returns;
          expect(await store.booted(agent, String(boot).repeat(32), 1)).toBe(returns ? "cloned" : "current");
          if (!returns) current = boot;
          earlier.add(boot);
        }
        expect((await known(store, name)).clonedAt !== null).toBe(cloned);
      }),
      { numRuns: 30 },
    );
    await store.close();
    await rm(folder, { recursive: true });
  });
});

test("no TLS session of openssl's is resumed, so each connection shows its certificate", async () => {
  const folder = await mkdtemp(join(tmpdir(), "printgate-peers-"));
  await writeFile(join(folder, "cert"), lobby.tls.cert);
  await writeFile(join(folder, "key"), lobby.tls.key, { mode: 0o600 });
  for (const version of ["-tls1_2", "-tls1_3"]) {
    const session = join(folder, `session${version}`);
    const connect = (...more: string[]) =>
      new Promise<string>((resolve) => {
        const words = ["s_client", "-connect", `127.0.0.1:${site.server.port}`, version, ...more];
        const own = more.includes("-sess_in") ? [] : ["-cert", join(folder, "cert"), "-key", join(folder, "key")];
        const child = execFile("openssl", [...words, ...own], (_error, stdout, stderr) => resolve(stdout + stderr));
        child.stdin?.end(
          `GET ${paths.self} HTTP/1.1\r\nHost: l\r\n${BOOT_HEADER}: ${BOOT}\r\nConnection: close\r\n\r\n`,
        );
      });
    await connect("-sess_out", session, "-ign_eof");
    await writeFile(session, "", { flag: "a" });
    const second = await connect("-sess_in", session, "-ign_eof");
    expect(second).not.toContain("Reused, TLS");
    expect(second).not.toContain('"name":"lobby"');
  }
  await rm(folder, { recursive: true });
});
