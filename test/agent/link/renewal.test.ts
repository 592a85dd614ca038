import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { enrol } from "../../../agent/demo/enrolled.ts";
import { CentralLink } from "../../../agent/link/client.ts";
import { fits, type Identity, IdentityFolder } from "../../../agent/link/enrolment/identity.ts";
import { isDue, Renewal } from "../../../agent/link/renewal.ts";
import { paths } from "../../../agent/protocol/paths.ts";
import { silentLog } from "../../../drivers/log.ts";
import { FakeClock } from "../../sim/clock.ts";
import { answerJson } from "../../sim/tls-server.ts";
import { BOOT, SiteFixture } from "../central/site-fixture.ts";
import { authority, client, identity as serverIdentity, serverWith } from "./fixture.ts";

const DAY = 86_400_000;
const POLL = { interval: 5, timeout: 10_000 };

let site: SiteFixture;
let stateDir: string;
let agents = 0;
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  site = await SiteFixture.start();
});
afterAll(() => site.stop());
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "printgate-renewal-"));
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  await rm(stateDir, { recursive: true });
});

class Crash extends Error {}

/** Loses power just before or just after its n-th write, and writes no more. */
class Unlucky extends IdentityFolder {
  left: number;
  readonly #before: boolean;
  constructor(left: number, before: boolean) {
    super(stateDir);
    this.left = left;
    this.#before = before;
  }
  override async save(identity: Identity): Promise<void> {
    this.left -= 1;
    if (this.left < 0 || (this.left === 0 && this.#before)) throw new Crash();
    await super.save(identity);
    if (this.left === 0) throw new Crash();
  }
}

/** The part of a running agent that matters here, as it starts from its folder. */
async function started(folder: IdentityFolder = new IdentityFolder(stateDir), clock = new FakeClock()) {
  const identity = await folder.load();
  const renewal = new Renewal({ folder, identity, clock, log: silentLog });
  const { url, trust } = identity;
  const link = new CentralLink({
    ...{ url, ...trust, client: renewal.client, boot: BOOT, clock, log: silentLog },
    heard: (what) => renewal.heard(what),
  });
  renewal.attach(link);
  const stop = async () => {
    await link.stop();
    await renewal.stop();
  };
  stops.push(stop);
  return { link, renewal, clock, stop };
}

const enrolled = (): Promise<Identity> => {
  agents += 1;
  return enrol(site.admin, { url: site.server.url, stateDir, name: `agent-${agents}`, boot: BOOT });
};

describe("a certificate is due", () => {
  test("at two thirds of its time, and from then on, by the server's clock alone", async () => {
    const { granted } = await enrolled();
    const from = site.clock.wall();
    fc.assert(
      fc.property(fc.integer({ min: -40_000, max: 40_000 }), (days) => {
        expect(isDue(granted.certificate, from + days * DAY)).toBe(days >= 60);
      }),
    );
  });

  test("wherever the agent's own clock is", async () => {
    for (const wall of [0, Date.UTC(2100)]) {
      await rm(join(stateDir, "identity"), { recursive: true, force: true });
      const before = await enrolled();
      const { link, renewal } = await started(undefined, new FakeClock(0, wall));
      await link.warm();
      await renewal.stop();
      expect(renewal.identity).toEqual(before);
    }
  });
});

describe("a renewal", () => {
  test("makes a new key, uses it, and only then forgets the one before; the certificate is good for 90 days again", async () => {
    const before = await enrolled();
    site.clock.advance(61 * DAY);
    const { link, renewal } = await started();
    const other = link.document("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222").next();
    await Promise.allSettled([link.warm(), other]); // a request that is under way meanwhile ends as it would have
    await expect(other).rejects.toMatchObject({ code: "link-claim-lost" });
    await expect.poll(() => renewal.identity.granted.certificate, POLL).not.toBe(before.granted.certificate);
    await renewal.stop();
    const after = await new IdentityFolder(stateDir).load();
    expect(after).toEqual(renewal.identity);
    expect(after.next).toBeUndefined();
    expect(after.keys.tls).not.toBe(before.keys.tls);
    expect([after.keys.signing, after.keys.sealing]).toEqual([before.keys.signing, before.keys.sealing]);
    expect(isDue(after.granted.certificate, site.clock.wall() + 59 * DAY)).toBe(false);
    expect(await link.claims()).toEqual({ claims: [] });
    // What was forgotten is worth nothing.
    const old = new CentralLink({
      ...{ url: before.url, ...before.trust, boot: BOOT, clock: new FakeClock(), log: silentLog },
      client: { certificate: before.granted.certificate, key: before.keys.tls },
    });
    await expect(old.self()).rejects.toMatchObject({ code: "link-refused" });
    await old.stop();
  });

  test("takes the event stream along: the one of the key before ends, and is followed again by the new one", async () => {
    const before = await enrolled();
    site.clock.advance(61 * DAY);
    const { link, renewal } = await started();
    const events = new AbortController();
    const listener = (opened: () => void) => ({ opened, event() {} });
    const stream = await new Promise<{ ended: Promise<void> }>((resolve, reject) => {
      const ended = link.events(listener(() => resolve({ ended })));
      ended.catch(reject);
    });
    await link.warm();
    await expect(stream.ended).rejects.toMatchObject({ code: expect.stringMatching(/^link-/) });
    await expect.poll(() => renewal.identity.keys.tls, POLL).not.toBe(before.keys.tls);
    await new Promise<void>((resolve, reject) => {
      link.events(listener(resolve), undefined, events.signal).catch(reject);
    });
    events.abort();
  });

  test.each(["before", "after"])(
    "goes on after a power loss just %s any of its writes, and ends with one identity that works",
    async (when) => {
      let crashes = 0;
      for (let write = 1; ; write++) {
        await rm(join(stateDir, "identity"), { recursive: true, force: true });
        const before = await enrolled();
        site.clock.advance(61 * DAY);
        const folder = new Unlucky(write, when === "before");
        const first = await started(folder);
        await first.link.warm();
        await expect
          .poll(() => folder.left <= 0 || first.renewal.identity.keys.tls !== before.keys.tls, POLL)
          .toBe(true);
        await first.stop();
        const crashed = folder.left <= 0;
        if (crashed) crashes += 1;
        const second = await started();
        await second.link.warm();
        await expect.poll(() => second.renewal.identity.keys.tls, POLL).not.toBe(before.keys.tls);
        await expect.poll(() => second.renewal.identity.next, POLL).toBeUndefined();
        await second.link.claims();
        await second.stop();
        const { keys, granted } = await new IdentityFolder(stateDir).load();
        expect(fits(granted.certificate, keys.tls, granted.name)).toBe(true);
        if (!crashed) break;
      }
      expect(crashes).toBe(3);
    },
  );

  test("that the server does not answer is tried again after an hour, with the same key; the agent works on", async () => {
    const before = await enrolled();
    site.clock.advance(61 * DAY);
    const name = before.granted.name;
    for (let n = 0; n < 5; n++) {
      // Its renewals are used up.
      const { link, stop } = await started();
      await link.certificate("AAAA").catch(() => {});
      await stop();
    }
    const clock = new FakeClock();
    const { link, renewal } = await started(undefined, clock);
    await link.warm();
    await expect.poll(() => renewal.identity.next?.tls, POLL).toBeDefined();
    const tried = renewal.identity.next?.tls;
    await expect.poll(() => link.counters["link-rate-limited"], POLL).toBeGreaterThan(0);
    expect(await link.self()).toMatchObject({ name });
    expect(renewal.identity.keys).toEqual(before.keys);
    site.clock.advance(3_600_000);
    clock.advance(3_600_000);
    await expect.poll(() => link.self().then(() => renewal.identity.keys.tls), POLL).toBe(tried);
  });

  test("of an agent that was off until its certificate had ended is its first act", async () => {
    const before = await enrolled();
    site.clock.advance(120 * DAY);
    const { link, renewal } = await started();
    await expect(link.claims()).rejects.toMatchObject({ code: "link-certificate-expired" });
    await link.warm();
    await expect.poll(() => renewal.identity.keys.tls, POLL).not.toBe(before.keys.tls);
    await expect.poll(() => link.claims(), POLL).toEqual({ claims: [] });
  });

  test("whose certificate the server has forgotten, as from an older backup, goes back to the one before", async () => {
    const before = await enrolled();
    const folder = new IdentityFolder(stateDir);
    const own = { certificate: before.granted.certificate, tls: before.keys.tls };
    // A next one that this server never gave: it is for the right name, and unknown.
    const lost = await mkdtemp(join(tmpdir(), "printgate-renewal-"));
    const elsewhere = await SiteFixture.start();
    const words = { url: elsewhere.server.url, stateDir: lost, name: before.granted.name, boot: BOOT };
    const unknown = await enrol(elsewhere.admin, words);
    await elsewhere.stop();
    await rm(lost, { recursive: true });
    const next = { tls: unknown.keys.tls, certificate: unknown.granted.certificate };
    await folder.save({ ...before, next });
    const { link, renewal } = await started();
    await link.warm().catch(() => {});
    await expect.poll(() => renewal.identity.next, POLL).toBeUndefined();
    expect(renewal.identity.keys.tls).toBe(own.tls);
    await expect.poll(() => link.claims().catch(() => undefined), POLL).toEqual({ claims: [] });
    expect(await folder.load()).toEqual(before);
  });

  test("takes no certificate for another key, or another agent, from whatever answers", async () => {
    const before = await enrolled();
    const serverTime = new Date(site.clock.wall() + 61 * DAY).toISOString();
    const server = await serverWith((request) => {
      if (request.path !== paths.certificate) {
        return answerJson(request, 200, { name: before.granted.name, serverTime });
      }
      answerJson(request, 200, { certificate: client.certificate, serverTime });
    });
    const folder = new IdentityFolder(stateDir);
    const trust = { ca: authority.pem, keyPins: [serverIdentity.pin, `sha256/${"A".repeat(43)}=`] };
    await folder.save({ ...before, url: server.url, trust });
    const { link, renewal } = await started();
    await link.warm();
    await server.until(() => server.requests.some(({ path }) => path === paths.certificate));
    await renewal.stop();
    expect(renewal.identity).toMatchObject({ keys: before.keys, granted: before.granted });
    expect(renewal.identity.next?.certificate).toBeUndefined();
  });
});
