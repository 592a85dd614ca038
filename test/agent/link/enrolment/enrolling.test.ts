import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { enrol } from "../../../../agent/demo/enrolled.ts";
import { ask } from "../../../../agent/link/enrolment/ask.ts";
import { certificateRequest } from "../../../../agent/link/enrolment/csr.ts";
import { Enrolling, type EnrollingOptions } from "../../../../agent/link/enrolment/enrolling.ts";
import { IdentityFolder, newDeviceKeys } from "../../../../agent/link/enrolment/identity.ts";
import { addressOf } from "../../../../agent/link/settings.ts";
import { claimKey, digestOf, requestProof } from "../../../../agent/protocol/claim.ts";
import { EnrolmentAnswer, EnrolmentOffer, type EnrolmentRequest } from "../../../../agent/protocol/enrolment.ts";
import { BOOT_HEADER, paths } from "../../../../agent/protocol/paths.ts";
import { rawOf } from "../../../../agent/protocol/sealed.ts";
import { systemClock } from "../../../../drivers/clock.ts";
import { keyPinOf } from "../../../../drivers/transports/tls.ts";
import { Authority } from "../../../sim/authority.ts";
import { answerJson, HostileServer, type SeenRequest } from "../../../sim/tls-server.ts";
import { SiteFixture } from "../../central/site-fixture.ts";
import { failure } from "../fixture.ts";

const BOOT = "0123456789abcdef0123456789abcdef";

let site: SiteFixture;
let stateDir: string;
let given: AbortController;

beforeAll(async () => {
  site = await SiteFixture.start();
});
afterAll(() => site.stop());

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "printgate-enrol-test-"));
  given = new AbortController();
});
afterEach(async () => {
  given.abort();
  await rm(stateDir, { recursive: true });
});

type Shown = Parameters<EnrollingOptions["shown"]>[0];

function enrolling(options: Partial<EnrollingOptions> = {}): Enrolling {
  return new Enrolling({
    folder: new IdentityFolder(stateDir),
    url: site.server.url,
    again: false,
    boot: BOOT,
    clock: systemClock,
    signal: given.signal,
    shown() {},
    trouble() {},
    ...options,
  });
}

const approve =
  (name: string, replace = false) =>
  async (shown: Shown) => {
    const enrolment = await site.admin.enrolmentOf(shown.code);
    expect(enrolment.fingerprint).toBe(shown.fingerprint);
    await site.admin.approve(enrolment, { name, replace });
  };

const agentsNamed = async (name: string) => (await site.admin.agents()).filter((agent) => agent.name === name);

/** As anybody can ask the real server. */
function asked() {
  const { peer, origin } = addressOf(site.server.url);
  return { peer, origin, clock: systemClock, signal: given.signal };
}

async function offerOf(url = site.server.url): Promise<EnrolmentOffer> {
  const { peer, origin } = addressOf(url);
  const keyPins = await pinsOfSite();
  return ask({ ...asked(), peer, origin, trust: { keyPins } }, "GET", paths.enrolment, EnrolmentOffer);
}

async function pinsOfSite(): Promise<string[]> {
  const pem = await readFile(join(site.dataDir, "keys", "server.crt"), "utf8");
  return [keyPinOf(new X509Certificate(pem))];
}

/** A request of a device of the test's own, by someone who knows this code. */
async function requestWith(code: string, offer: EnrolmentOffer, keys = newDeviceKeys()): Promise<EnrolmentRequest> {
  const tls = createPrivateKey(keys.tls);
  const raw = (pem: string) => rawOf(createPublicKey(createPrivateKey(pem))).toString("base64url");
  const [signingKey, sealingKey] = [raw(keys.signing), raw(keys.sealing)];
  const tlsKey = createPublicKey(tls).export({ type: "spki", format: "der" });
  const proof = requestProof(await claimKey(code, tlsKey), digestOf({ tlsKey, signingKey, sealingKey, ...offer }));
  const csr = certificateRequest(tls).toString("base64url");
  return { csr, signingKey, sealingKey, proof: proof.toString("base64url") };
}

async function post(request: EnrolmentRequest): Promise<EnrolmentAnswer> {
  const trust = { keyPins: await pinsOfSite() };
  return ask({ ...asked(), trust }, "POST", paths.enrolments, EnrolmentAnswer, request);
}

/** Resolves with what was shown; the enrolment goes on waiting. */
function waiting(options: Partial<EnrollingOptions> = {}): Promise<Shown> {
  return new Promise((resolve, reject) => {
    enrolling({ ...options, shown: resolve })
      .run()
      .catch(reject);
  });
}

describe("an agent is enrolled", () => {
  test("with keys of its own, in a folder of its own", async () => {
    const identity = await enrolling({ shown: approve("plain") }).run();
    expect(identity.granted.name).toBe("plain");
    const folder = join(stateDir, "identity");
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await readdir(folder)).toEqual(["identity.json"]);
    expect((await stat(join(folder, "identity.json"))).mode & 0o777).toBe(0o600);
    expect(await new IdentityFolder(stateDir).load()).toEqual(identity);
    const certificate = new X509Certificate(identity.granted.certificate);
    const days = (certificate.validToDate.getTime() - site.clock.wall()) / 86_400_000;
    expect(days).toBeCloseTo(90, 1);
    expect(createPrivateKey(identity.keys.tls).asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(createPrivateKey(identity.keys.signing).asymmetricKeyType).toBe("ed25519");
    expect(createPrivateKey(identity.keys.sealing).asymmetricKeyType).toBe("x25519");
    // The card key is the site's, and was on the wire sealed only.
    const cardKey = (await readFile(join(site.dataDir, "keys", "card.key"), "utf8")).trim();
    expect(identity.granted.cardKey).toBe(cardKey);
    await expect(enrolling().run()).rejects.toMatchObject({ code: "identity-exists" });
  });

  test("with preset trust, by the same steps", async () => {
    const { ca } = await offerOf();
    const identity = await enrolling({
      preset: { ca, keyPins: await pinsOfSite() },
      shown: approve("preset"),
    }).run();
    expect(identity.trust.keyPins.length).toBe(2);
  });

  test("again, with new keys under its old name; the old ones are worth nothing then", async () => {
    const before = await enrolling({ shown: approve("again") }).run();
    await expect(enrolling({ again: true, shown: approve("again") }).run()).rejects.toMatchObject({
      code: "agent-exists",
    });
    const after = await enrolling({ again: true, shown: approve("again", true) }).run();
    expect(after.keys).not.toEqual(before.keys);
    const client = { certificate: before.granted.certificate, key: before.keys.tls };
    const trust = { ...before.trust, client };
    const old = ask({ ...asked(), trust, headers: { [BOOT_HEADER]: BOOT } }, "GET", paths.self, EnrolmentOffer);
    await expect(old).rejects.toMatchObject({ problem: "not-an-agent" });
    expect(await agentsNamed("again")).toHaveLength(1);
  });
});

describe("power is lost", () => {
  class Crash extends Error {}

  /** Loses power just before or just after its n-th durable write. */
  class Unlucky extends IdentityFolder {
    left: number;
    readonly before: boolean;
    constructor(left: number, before: boolean) {
      super(stateDir);
      this.left = left;
      this.before = before;
    }
    async #unlucky(write: () => Promise<void>): Promise<void> {
      this.left -= 1;
      if (this.left === 0 && this.before) throw new Crash();
      await write();
      if (this.left === 0) throw new Crash();
    }
    override save(...words: Parameters<IdentityFolder["save"]>) {
      return this.#unlucky(() => super.save(...words));
    }
    override saveUnfinished(state: object) {
      return this.#unlucky(() => super.saveUnfinished(state));
    }
    override dropUnfinished() {
      return this.#unlucky(() => super.dropUnfinished());
    }
  }

  for (const before of [true, false]) {
    test(`just ${before ? "before" : "after"} each durable write in turn: it goes on and ends as one agent`, async () => {
      let crashes = 0;
      for (let write = 1; ; write++) {
        await rm(join(stateDir, "identity"), { recursive: true, force: true });
        const name = `unlucky-${before}-${write}`;
        let approved = 0;
        // A person approves once, whatever the device shows later.
        const shown = async (what: Shown) => {
          const enrolment = await site.admin.enrolmentOf(what.code).catch(() => undefined);
          if (enrolment === undefined) return;
          approved += 1;
          await site.admin.approve(enrolment, { name });
        };
        const folder = new Unlucky(write, before);
        const first = await enrolling({ folder, shown })
          .run()
          .then(
            () => "enrolled",
            (error) => (error instanceof Crash ? "crashed" : Promise.reject(error)),
          );
        if (first === "enrolled") break;
        crashes += 1;
        const identity = await enrolling({ shown })
          .run()
          .catch((error: unknown) => {
            // After the very last write there is nothing to go on with.
            expect(error).toMatchObject({ code: "identity-exists" });
            return new IdentityFolder(stateDir).load();
          });
        expect(approved).toBe(1);
        expect(await agentsNamed(name)).toHaveLength(1);
        const agents = (await site.admin.agents()).filter((agent) => agent.name.startsWith(`unlucky-${before}-`));
        expect(agents).toHaveLength(write);
        expect(await readdir(join(stateDir, "identity"))).toEqual(["identity.json"]);
        expect((await new IdentityFolder(stateDir).load()).keys).toEqual(identity.keys);
        const trust = {
          ...identity.trust,
          client: { certificate: identity.granted.certificate, key: identity.keys.tls },
        };
        const self = ask({ ...asked(), trust, headers: { [BOOT_HEADER]: BOOT } }, "GET", paths.self, EnrolmentOffer);
        // The answer is an agent's self, which this schema refuses: it was accepted.
        await expect(self).rejects.toMatchObject({ code: "link-bad-reply", detail: expect.stringContaining("200") });
      }
      expect(crashes).toBe(6);
    });
  }
});

describe("a claim code", () => {
  test("that is wrong, or no code, fits nothing", async () => {
    const { code } = await waiting();
    const wrong = code.startsWith("0") ? `1${code.slice(1)}` : `0${code.slice(1)}`;
    await expect(site.admin.enrolmentOf(wrong)).rejects.toMatchObject({ code: "claim-unknown" });
    await expect(site.admin.enrolmentOf("password")).rejects.toMatchObject({ code: "claim-invalid" });
  });

  test("is over after 15 minutes at both sides; a clock that was set back makes it no longer", async () => {
    const shown = await waiting();
    given.abort();
    given = new AbortController();
    site.clock.advance(15 * 60_000);
    await expect(site.admin.enrolmentOf(shown.code)).rejects.toMatchObject({ code: "claim-unknown" });
    await expect(enrolling().run()).rejects.toMatchObject({ code: "enrolment-over" });
    const anew = await waiting();
    expect(anew.code).not.toBe(shown.code);
  });

  test("is used once", async () => {
    let code = "";
    await enrolling({
      async shown(shown) {
        code = shown.code;
        await approve("once")(shown);
        await expect(site.admin.enrolmentOf(code)).rejects.toMatchObject({ code: "claim-unknown" });
      },
    }).run();
    await expect(site.admin.enrolmentOf(code)).rejects.toMatchObject({ code: "claim-unknown" });
  });

  test("that somebody has seen and used for a device of his own: both requests are dropped", async () => {
    const shown = await waiting();
    await post(await requestWith(shown.code, await offerOf()));
    await expect(site.admin.enrolmentOf(shown.code)).rejects.toMatchObject({ code: "claim-ambiguous" });
    await expect(site.admin.enrolmentOf(shown.code)).rejects.toMatchObject({ code: "claim-unknown" });
    expect((await site.admin.audit(1))[0]).toMatchObject({ event: "enrolments-dropped" });
  });

  test("that somebody has seen, whose request came alone: the fingerprint is another", async () => {
    const offer = await offerOf();
    const keys = newDeviceKeys();
    const shown = await waiting();
    const own = (await site.admin.enrolments()).at(-1);
    site.clock.advance(10 * 60_000);
    await post(await requestWith(shown.code, offer, keys));
    site.clock.advance(6 * 60_000); // the device's own request is over
    const found = await site.admin.enrolmentOf(shown.code);
    expect(found.request.id).not.toBe(own?.id);
    expect(found.fingerprint).not.toBe(shown.fingerprint);
  });

  test("proves nothing for a request in other words: the same key is refused, and a request is never replaced", async () => {
    const request = await requestWith("7K2QDM9XAB", await offerOf());
    expect(await post(request)).toMatchObject({ state: "pending" });
    const raw = rawOf(generateKeyPairSync("x25519").publicKey).toString("base64url");
    for (const changed of [{ sealingKey: raw }, { signingKey: raw }, { proof: raw }]) {
      await expect(post({ ...request, ...changed })).rejects.toMatchObject({ problem: "enrolment-changed" });
    }
    expect(await post(request)).toMatchObject({ state: "pending" });
  });

  test("and a request altered on its way fits no code", async () => {
    const [request, other] = [await requestWith("7K2QDM9XAC", await offerOf()), newDeviceKeys()];
    const sealingKey = rawOf(createPublicKey(createPrivateKey(other.sealing))).toString("base64url");
    await post({ ...request, sealingKey });
    await expect(site.admin.enrolmentOf("7K2QDM9XAC")).rejects.toMatchObject({ code: "claim-unknown" });
  });
});

describe("requests", () => {
  test("that are replayed bring nothing: the answer is for the device alone, and after its first use there is none", async () => {
    const code = "0123456789";
    const request = await requestWith(code, await offerOf());
    await post(request);
    await site.admin.approve(await site.admin.enrolmentOf(code), { name: "replayed" });
    const replayed = await post(request);
    expect(replayed.state).toBe("approved");
    const cardKey = Buffer.from((await readFile(join(site.dataDir, "keys", "card.key"), "utf8")).trim(), "base64url");
    const text = JSON.stringify(replayed) + Buffer.from("content" in replayed ? replayed.content : "", "base64url");
    expect(text).not.toContain(cardKey.toString("base64url"));
    expect(text).not.toContain(cardKey.toString("hex"));
    await expect(site.admin.enrolmentOf(code)).rejects.toMatchObject({ code: "claim-unknown" });
  });

  test("of an agent that is enrolled already are over", async () => {
    const seen: string[] = [];
    const folder = new (class extends IdentityFolder {
      override saveUnfinished(state: object) {
        seen.push(JSON.stringify(state));
        return super.saveUnfinished(state);
      }
    })(stateDir);
    await enrolling({ folder, shown: approve("replays") }).run();
    const { attempt, offer } = JSON.parse(seen.find((text) => text.includes("requested")) ?? "{}");
    await expect(post(await requestWith(attempt.code, offer, attempt.keys))).rejects.toMatchObject({
      problem: "enrolment-over",
    });
  });

  test("that fill the waiting room are refused, those who wait stay", async () => {
    site.clock.advance(16 * 60_000);
    const offer = await offerOf();
    const results: string[] = [];
    for (let index = 0; index < 18; index++) {
      const request = await requestWith("7K2QDM9XAB", offer);
      results.push(
        await post(request).then(
          ({ state }) => state,
          ({ code }) => code,
        ),
      );
      site.clock.advance(1000);
    }
    expect(results).toEqual([...Array(16).fill("pending"), "link-rate-limited", "link-rate-limited"]);
    site.clock.advance(16 * 60_000);
    expect(await post(await requestWith("7K2QDM9XAB", offer))).toMatchObject({ state: "pending" });
  });

  test("with a request that is none, or for no key of its own, are refused", async () => {
    const request = await requestWith("7K2QDM9XAB", await offerOf());
    const der = Buffer.from(request.csr, "base64url");
    der[der.length - 5] = (der[der.length - 5] ?? 0) ^ 1;
    for (const csr of [der.toString("base64url"), randomBytes(200).toString("base64url")]) {
      await expect(post({ ...request, csr })).rejects.toMatchObject({ problem: "csr-invalid" });
    }
  });
});

describe("somebody between agent and server", () => {
  const authority = new Authority();
  const identity = authority.issue();
  const middle: HostileServer[] = [];
  afterEach(async () => {
    for (const server of middle.splice(0)) await server.stop();
  });

  async function between(script: (request: SeenRequest) => void): Promise<HostileServer> {
    const server = await HostileServer.start(identity);
    server.script = script;
    middle.push(server);
    return server;
  }

  const forgedOffer = { ca: authority.pem, keyPins: [identity.pin, `sha256/${"A".repeat(43)}=`] };

  test("who passes the request on is noticed at the server: no request fits the code", async () => {
    const server = await between((request) => {
      if (request.method === "GET") return answerJson(request, 200, forgedOffer);
      post(JSON.parse(request.body.toString()) as EnrolmentRequest).then(
        (answer) => answerJson(request, 200, answer),
        () => request.socket.destroy(),
      );
    });
    const shown = await waiting({ url: server.url });
    expect(await site.admin.enrolments()).not.toEqual([]);
    await expect(site.admin.enrolmentOf(shown.code)).rejects.toMatchObject({ code: "claim-unknown" });
  });

  test("who approves in the server's place is noticed by the agent, which gives nothing and keeps nothing", async () => {
    const server = await between((request) => {
      if (request.method === "GET") return answerJson(request, 200, forgedOffer);
      const content = Buffer.from(JSON.stringify({ kind: "enrolment", name: "lobby" })).toString("base64url");
      const proof = randomBytes(32).toString("base64url");
      answerJson(request, 200, { state: "approved", id: "0".repeat(64), content, proof });
    });
    const run = enrolling({ url: server.url }).run();
    await expect(run).rejects.toMatchObject({ code: "enrolment-approval-wrong" });
    expect(await new IdentityFolder(stateDir).find()).toBeUndefined();
    const { code } = JSON.parse(await readFile(join(stateDir, "identity", "enrolment.json"), "utf8")).attempt;
    expect(server.requests.map(({ body }) => body.toString()).join()).not.toContain(code);
  });

  test("who shows the real server's keys cannot answer for them", async () => {
    const offer = await offerOf();
    const server = await between((request) => answerJson(request, 200, offer));
    await expect(enrolling({ url: server.url }).run()).rejects.toMatchObject({ code: "link-untrusted-certificate" });
    expect(server.requests.map(({ method }) => method)).toEqual(["GET"]);
  });

  test("gets not one octet where the operator brought the server's CA and key pin", async () => {
    const server = await between(() => {});
    const { ca } = await offerOf();
    const run = enrolling({ url: server.url, preset: { ca, keyPins: await pinsOfSite() } }).run();
    await expect(run).rejects.toMatchObject({ code: "link-untrusted-certificate" });
    expect(server.requests).toEqual([]);
  });

  test("gets no second chance: an offer that was taken is not changed while a person is waited for", async () => {
    const shown = await waiting();
    const other = await HostileServer.start(identity);
    middle.push(other);
    const file = join(stateDir, "identity", "enrolment.json");
    // The device was off for a moment, and somebody else answers at the server's name.
    const saved = (await readFile(file, "utf8")).replaceAll(site.server.url, other.url);
    await writeFile(file, saved, { mode: 0o600 });
    const run = enrolling({ url: other.url }).run();
    await expect(run).rejects.toMatchObject({ code: "link-untrusted-certificate" });
    expect(other.requests).toEqual([]);
    expect(shown.code).not.toBe("");
  });
});

describe("the folder", () => {
  test("is refused when others can read it, or a file in it", async () => {
    await enrol(site.admin, { url: site.server.url, stateDir, name: "folder" });
    const folder = join(stateDir, "identity");
    for (const [path, open, closed] of [
      [folder, 0o750, 0o700],
      [join(folder, "identity.json"), 0o604, 0o600],
    ] as const) {
      await chmod(path, open);
      await expect(new IdentityFolder(stateDir).load()).rejects.toMatchObject({ code: "identity-readable-by-others" });
      await chmod(path, closed);
    }
    await new IdentityFolder(stateDir).load();
  });

  test("that is missing or damaged says so, without a word of what it holds", async () => {
    await expect(new IdentityFolder(stateDir).load()).rejects.toMatchObject({ code: "identity-missing" });
    await enrol(site.admin, { url: site.server.url, stateDir, name: "damaged" });
    const file = join(stateDir, "identity", "identity.json");
    const text = await readFile(file, "utf8");
    const other = newDeviceKeys().tls;
    const swapped = JSON.stringify({ ...JSON.parse(text), keys: { ...JSON.parse(text).keys, tls: other } });
    for (const broken of [text.slice(0, 500), "", "{}", text.replace('"version": 1', '"version": 2'), swapped]) {
      await writeFile(file, broken, { mode: 0o600 });
      const error = await failure(new IdentityFolder(stateDir).load());
      expect(error.code).toBe("identity-damaged");
      expect(`${error.message} ${error.stack}`).not.toMatch(/BEGIN|PRIVATE/);
    }
    // What is damaged is never silently replaced; a person says so.
    await expect(enrolling().run()).rejects.toMatchObject({ code: "identity-damaged" });
    await enrolling({ again: true, shown: approve("damaged", true) }).run();
  });
});
