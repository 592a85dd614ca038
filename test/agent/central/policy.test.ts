import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Administration } from "../../../agent/central/administration.ts";
import { parsePolicy, policyExample } from "../../../agent/central/policy-file.ts";
import { PolicyStore } from "../../../agent/policy/store.ts";
import { paths } from "../../../agent/protocol/paths.ts";
import { DEFAULT_SETTINGS, PolicySettings } from "../../../agent/protocol/policy.ts";
import { RootEnvelope } from "../../../agent/protocol/root.ts";
import { Envelope } from "../../../agent/protocol/schema.ts";
import { codeOf } from "../../../drivers/coded-error.ts";
import { type AgentFixture, SiteFixture } from "./site-fixture.ts";

const DAY = 86_400_000;
const MINUTE = 60_000;

let site: SiteFixture;
let lobby: AgentFixture;
beforeEach(async () => {
  site = await SiteFixture.start();
  lobby = await site.addAgent("lobby");
  await site.admin.addUser("anna");
  await site.admin.addCard("anna", "C1");
});
afterEach(async () => {
  lobby.close();
  await site.stop();
});

const publish = (settings: object) => site.admin.publishPolicy(PolicySettings.parse(settings));
const policyNow = async () => Envelope.parse((await lobby.request("GET", paths.policy)).json);
const rootKeys = () => join(site.dataDir, "root-keys");

/** An agent's store that takes all that the server has. */
async function agentStore(): Promise<PolicyStore> {
  const anchor = lobby.identity.granted.policyRoot ?? expect.unreachable();
  const store = await PolicyStore.open(
    await mkdir(join(site.folder, "agent"), { recursive: true }).then(() => join(site.folder, "agent")),
    anchor,
  );
  for (;;) {
    const reply = await lobby.request("GET", paths.root((store.root?.version ?? 0) + 1));
    if (reply.status !== 200) break;
    await store.takeRoot(RootEnvelope.parse(reply.json));
  }
  await store.offer(await policyNow(), site.clock.wall());
  return store;
}

describe("what a new site has", () => {
  test("a policy with the defaults, from the start, that an agent can verify", async () => {
    const store = await agentStore();
    expect(store.current?.policy).toMatchObject({ root: 1, version: 1, settings: DEFAULT_SETTINGS });
  });

  test("three root keys in a folder of their own, which the server does not need", async () => {
    expect((await readdir(rootKeys())).sort()).toEqual(["root-1.key", "root-2.key", "root-3.key"]);
    expect((await stat(rootKeys())).mode & 0o777).toBe(0o700);
    for (const name of await readdir(rootKeys())) expect((await stat(join(rootKeys(), name))).mode & 0o777).toBe(0o600);
    await rename(rootKeys(), join(site.folder, "offline"));
    const again = await Administration.open(site.dataDir);
    await again.publishPolicy(DEFAULT_SETTINGS);
    await again.close();
  });
});

describe("GET /v1/policy", () => {
  test("answers with the newest, and with 304 to whoever has it", async () => {
    const first = await lobby.request("GET", paths.policy);
    expect(first.status).toBe(200);
    const etag = String(first.headers.etag);
    const headers = { "if-none-match": etag };
    const same = await lobby.request("GET", paths.policy, { headers });
    expect([same.status, same.body.length, same.headers.etag]).toEqual([304, 0, etag]);
    await publish({ release: { mode: "newest" } });
    const next = await lobby.request("GET", paths.policy, { headers });
    expect(next.status).toBe(200);
    expect(next.headers.etag).not.toBe(etag);
  });

  test("is for agents alone, as is the chain of roots; what is not there is told", async () => {
    const nobody = { agent: false, ca: lobby.tls.ca };
    for (const path of [paths.policy, paths.root(1)])
      expect((await lobby.request("GET", path, nobody)).json.code).toBe("not-an-agent");
    expect((await lobby.request("GET", paths.root(2))).json.code).toBe("policy-none");
    expect((await lobby.request("POST", paths.policy)).json.code).toBe("method-not-allowed");
    expect((await lobby.request("GET", "/v1/root/0")).json.code).toBe("not-found");
  });
});

describe("the server obeys its own policy", () => {
  const jobs = async () => {
    for (const text of ["one", "two", "three"]) await site.addDocument("anna", text);
  };

  test("release mode, for all agents or for some", async () => {
    await jobs();
    const floor2 = await site.addAgent("floor-2");
    await publish({ release: { newest_at: ["lobby"] } });
    expect((await lobby.tap("C1")).manifests).toHaveLength(1);
    expect((await floor2.tap("C1")).manifests).toHaveLength(2);
    floor2.close();
    await jobs();
    await publish({ release: { mode: "newest" } });
    expect((await lobby.tap("C1")).manifests).toHaveLength(1);
  });

  test("PINs: their length, wrong ones, the lock", async () => {
    await site.admin.setPin("anna", undefined, "4711");
    await publish({ pin: { min_length: 6, tries: 3, lock_min: 60 } });
    await expect(site.admin.setPin("anna", undefined, "12345")).rejects.toMatchObject({ code: "pin-invalid" });
    expect((await site.admin.setPin("anna", undefined)).pin).toMatch(/^[0-9]{6,}$/);
    await publish({ pin: { min_length: 8, tries: 3, lock_min: 60 } });
    const { pin } = await site.admin.setPin("anna", undefined);
    expect(pin).toMatch(/^[0-9]{8}$/);
    const at = async (typed: string) => (await lobby.tapWithPin({ card: "C1" }, typed)).json.result;
    for (let wrong = 0; wrong < 3; wrong++) expect(await at("00000000")).toBe("refused");
    site.clock.advance(59 * MINUTE);
    expect(await at(pin)).toBe("refused");
    site.clock.advance(2 * MINUTE);
    expect(await at(pin)).toBe("accepted");
  });

  test("how long a job is held, and how long an ended one is remembered", async () => {
    await publish({ retention: { held_h: 1, ended_d: 2 } });
    const job = await site.addDocument("anna", "one");
    expect(job.expiresAt - site.clock.wall()).toBe(60 * MINUTE);
    const { manifests } = await lobby.tap("C1");
    const [manifest] = manifests;
    if (manifest !== undefined) await lobby.outcome(manifest, "printed", "DONE");
    const swept = async (ms: number) => {
      site.clock.advance(ms);
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      return site.admin.jobs();
    };
    expect(await swept(2 * DAY - MINUTE)).toHaveLength(1);
    await expect.poll(() => swept(2 * MINUTE)).toHaveLength(0);
  });
});

describe("the policy goes on by itself", () => {
  test("it is signed anew when half its time is over, with the same settings", async () => {
    await publish({ release: { mode: "newest" }, policy: { valid_d: 10 } });
    const before = (await site.admin.policy()).policy;
    expect(Date.parse(before.expiresAt) - Date.parse(before.issuedAt)).toBe(10 * DAY);
    const { PolicyBook } = await import("../../../agent/central/policy-book.ts");
    const { openSite } = await import("../../../agent/central/site.ts");
    const { readPolicyKey } = await import("../../../agent/central/keys.ts");
    const { store, keysFolder } = await openSite(site.dataDir, site.clock.wall());
    const book = new PolicyBook(store, () => readPolicyKey(keysFolder));
    const by = (days: number) => ({ actor: "central", at: Date.parse(before.issuedAt) + days * DAY });
    expect(await book.renew(by(4.9))).toBe(false);
    expect(await book.renew(by(5.1))).toBe(true);
    await store.close();
    const after = (await site.admin.policy()).policy;
    expect(after.settings).toEqual(before.settings);
    expect(after.version).toBe(before.version + 1);
  });

  test("versions count up; two administrators at once get two versions", async () => {
    const other = await Administration.open(site.dataDir);
    await Promise.all([publish({ release: { mode: "newest" } }), other.publishPolicy(DEFAULT_SETTINGS), publish({})]);
    await other.close();
    expect((await site.admin.policy()).policy.version).toBe(4);
  });
});

describe("rotation", () => {
  test("a new policy key under the next root; the running server signs with it from then on", async () => {
    const store = await agentStore();
    const key = store.root?.policyKeys;
    const root = await site.admin.rotateRoot([rootKeys()]);
    expect(root.version).toBe(2);
    expect(root.policyKeys).not.toEqual(key);
    await store.takeRoot(RootEnvelope.parse((await lobby.request("GET", paths.root(2))).json));
    expect(await store.offer(await policyNow(), site.clock.wall())).toBe("accepted");
    expect(store.current?.policy).toMatchObject({ root: 2, version: 1 });
    await publish({ release: { mode: "newest" } });
    expect(await store.offer(await policyNow(), site.clock.wall())).toBe("accepted");
    expect((await site.addAgent("new")).identity.granted.policyRoot).toMatch(/^2\./);
  });

  test("new root keys, from which alone the one after is signed", async () => {
    const store = await agentStore();
    const fresh = join(site.folder, "fresh");
    await site.admin.rotateRoot([rootKeys()], fresh);
    await expect(site.admin.rotateRoot([rootKeys()])).rejects.toMatchObject({ code: "root-keys-missing" });
    await rm(join(fresh, "root-2.key"));
    expect((await site.admin.rotateRoot([fresh])).version).toBe(3);
    for (const version of [2, 3])
      await store.takeRoot(RootEnvelope.parse((await lobby.request("GET", paths.root(version))).json));
    expect(await store.offer(await policyNow(), site.clock.wall())).toBe("accepted");
  });

  test("one root key is not enough, twice the same is one, and others' are none", async () => {
    const one = join(site.folder, "one");
    await mkdir(one);
    await rename(join(rootKeys(), "root-1.key"), join(one, "root-1.key"));
    for (const folders of [[one], [one, one]])
      await expect(site.admin.rotateRoot(folders)).rejects.toMatchObject({ code: "root-keys-missing" });
    await expect(site.admin.rotateRoot([join(site.folder, "nowhere")])).rejects.toMatchObject({
      code: "root-keys-unusable",
    });
    expect((await site.admin.policy()).policy.root).toBe(1);
    // Shares that lie in different places come together.
    await rm(join(rootKeys(), "root-3.key"));
    expect((await site.admin.rotateRoot([one, rootKeys()])).version).toBe(2);
  });

  test("a policy key that the newest root does not name publishes nothing", async () => {
    const { replacePolicyKey } = await import("../../../agent/central/keys.ts");
    const { makeEd25519 } = await import("../../../agent/central/root-keys.ts");
    await replacePolicyKey(join(site.dataDir, "keys"), makeEd25519());
    await expect(publish({})).rejects.toMatchObject({ code: "policy-key-outdated" });
    expect((await site.admin.policy()).policy.version).toBe(1);
  });
});

test("a policy that was altered in the database is not obeyed, and another can be published", async () => {
  const db = new DatabaseSync(join(site.dataDir, "central.db"));
  db.exec("UPDATE policies SET envelope = replace(envelope, 'e', 'f')");
  db.close();
  await expect(site.admin.policy()).rejects.toMatchObject({ code: "policy-unusable" });
  await publish({ release: { mode: "newest" } });
  expect((await site.admin.policy()).policy).toMatchObject({ version: 2, settings: { release: { mode: "newest" } } });
});

describe("a policy's file", () => {
  const wrong = (text: string, file = "policy.toml") =>
    parsePolicy(text, file).then(
      () => "none",
      (error: Error & { detail?: string }) => `${codeOf(error)} ${error.detail}`,
    );

  test("says what it changes; the rest has its default", async () => {
    const { release, pin } = await parsePolicy('[release]\nmode = "newest"\n', "policy.toml");
    expect([release.mode, pin]).toEqual(["newest", DEFAULT_SETTINGS.pin]);
    expect(await parsePolicy('{"pin": {"tries": 4}}', "policy.json")).toMatchObject({ pin: { tries: 4 } });
    expect(await parsePolicy("", "policy.toml")).toEqual(DEFAULT_SETTINGS);
  });

  test("refuses what nothing obeys, with its line and what was meant", async () => {
    expect(await wrong('[release]\n\nmod = "all"')).toBe(
      "policy-file-invalid policy.toml:3: release.mod: there is no such key (did you mean mode?)",
    );
    expect(await wrong("[page]\nidle_min = 5")).toContain("policy.toml:1: page: there is no such key");
    expect(await wrong('[release]\nmode = "choose"')).toContain('2: release.mode: must be one of "all", "newest"');
    expect(await wrong("[pin]\ntries = 1\nlock_min = 0")).toMatch(/:2: pin\.tries: .*\n.*:3: pin\.lock_min: /);
    const pin = `"sha256/${"A".repeat(43)}="`;
    expect(await wrong(`[link]\nkey_pins = [${pin}]`)).toContain("two or more");
    expect(await wrong(`[link]\nkey_pins = [${pin}, ${pin}]`)).toContain("no backup");
    expect(await wrong("[release\n")).toContain("policy.toml:1: it is not TOML");
    expect(await wrong("{", "policy.json")).toContain("it is not JSON");
    expect(await wrong('{"relase": {}}', "policy.json")).toContain("did you mean release?");
  });

  test("the example holds every key, and says the defaults", async () => {
    expect(await parsePolicy(policyExample(), "policy.toml")).toEqual(DEFAULT_SETTINGS);
    const set = policyExample().replace(/^#([a-z_]+ = )/gm, "$1");
    const all = await parsePolicy(set, "policy.toml");
    expect({ ...all, link: {} }).toEqual(DEFAULT_SETTINGS);
    expect(all.link.key_pins).toHaveLength(2);
  });
});
