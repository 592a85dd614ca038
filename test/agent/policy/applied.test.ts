import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Administration } from "../../../agent/central/administration.ts";
import { command as policy } from "../../../agent/commands/policy.ts";
import { policyInWords } from "../../../agent/commands/status.ts";
import { VirtualMfd } from "../../../agent/demo/mfd.ts";
import { DemoSite } from "../../../agent/demo/site.ts";
import { verdictOf } from "../../../agent/health/status.ts";
import { IdentityFolder } from "../../../agent/link/enrolment/identity.ts";
import { PolicySettings } from "../../../agent/protocol/policy.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { silentLog } from "../../../drivers/log.ts";
import { FakeTerminal } from "../commands/terminal.ts";

const SPARE = ["A", "B"].map((letter) => `sha256/${letter.repeat(43)}=`);

let mfd: VirtualMfd;
let site: DemoSite;
beforeAll(async () => {
  mfd = await VirtualMfd.start({ clock: systemClock, printMs: 10 });
  site = await DemoSite.start({ log: silentLog, printerUri: mfd.uri });
});
afterAll(async () => {
  await site.stop();
  await mfd.stop();
});

/** As the command does it, from beside the server; resolves to how long it took until the agent obeyed, in ms. */
async function publish(settings: object): Promise<number> {
  const began = performance.now();
  const admin = await Administration.open(join(site.folder, "central"));
  const { policy: published } = await admin.publishPolicy(PolicySettings.parse(settings));
  await admin.close();
  const version = `${published.root}.${published.version}`;
  await expect.poll(() => site.agent.policy()?.summary.version, { interval: 5, timeout: 10_000 }).toBe(version);
  return performance.now() - began;
}

async function show(options: Record<string, string | boolean> = {}) {
  const terminal = new FakeTerminal();
  const invocation = { words: ["show"], terminal, signal: new AbortController().signal };
  const code = await policy.run({ ...invocation, options: { config: site.configPath, ...options } });
  return { code, text: terminal.text, result: terminal.results[0] as { diff?: { from: string; changes: object[] } } };
}

test("a policy is obeyed within a second of its publication, without a restart", async () => {
  await expect.poll(() => site.agent.status().policy).toMatchObject({ state: "valid", news: "pushed", version: "1.1" });
  for (let times = 0; times < 5; times++) {
    expect(await publish({ printer: { health_max_age_s: 20 + times } })).toBeLessThan(1_000);
    expect(site.agent.policy()?.settings.printer.health_max_age_s).toBe(20 + times);
  }
  expect(site.agent.policy()?.previous?.version).toBe("1.5");
});

describe("policy show", () => {
  test("tells version, age, expiry and every setting; --diff what changed", async () => {
    await publish({ printer: { health_max_age_s: 30 } });
    await publish({ printer: { health_max_age_s: 31 }, pin: { tries: 4 } });
    const whole = await show();
    expect(whole.code).toBe(0);
    expect(whole.text).toMatch(/^policy 1\.[0-9]+, signed .*, good until .*Z, news pushed$/m);
    expect(whole.text).toContain("  printer.health_max_age_s = 31");
    const diff = await show({ diff: true });
    expect(diff.text).toContain("printer.health_max_age_s: 30 -> 31");
    expect(diff.text).toContain("pin.tries: 5 -> 4");
    expect(diff.result.diff?.changes).toHaveLength(2);
    const defaults = await show({ diff: true, from: "defaults" });
    expect(defaults.text).toContain("printer.health_max_age_s: 15 -> 31");
    await expect(show({ from: "defaults" })).rejects.toMatchObject({ code: "usage" });
  });

  test("the status tells it too, and what is wrong with it is a problem of the agent", () => {
    const status = site.agent.status();
    if (status.policy === undefined) throw new Error("there is a policy");
    expect(policyInWords(status.policy)).toMatch(/^1\.[0-9]+, signed /);
    const row = { code: "policy-expired", detail: "", what: "Over.", next: "Look." };
    const problems = (more: object) =>
      verdictOf({ ...status, policy: { ...status.policy, ...more } as NonNullable<typeof status.policy> }).problems;
    expect(problems({})).toEqual([]);
    expect(problems({ expired: row, error: row })).toEqual(["policy: Over. Look."]);
    expect(problems({ error: { ...row, code: "link-unreachable" } })).toEqual([]);
    expect(problems({ error: { ...row, code: "policy-older" } })).toEqual(["policy: Over. Look."]);
  });
});

describe("key pins of the policy, on the real link", () => {
  const pinsOf = async () => {
    const { trust } = await new IdentityFolder(join(site.folder, "state")).load();
    const [server = "", backup = ""] = trust.keyPins;
    return { server, backup };
  };

  test("that the server's key is among are settled by themselves", async () => {
    const { server } = await pinsOf();
    await publish({ link: { key_pins: [server, ...SPARE] } });
    await expect.poll(() => site.agent.policy()?.trial, { timeout: 5_000 }).toBeUndefined();
    expect(site.agent.policy()?.undone).toBeUndefined();
  });

  test("that would lock the agent out stay on trial, and the agent goes on hearing the server", async () => {
    await publish({ link: { key_pins: SPARE } });
    await expect.poll(() => site.agent.policy()?.trial).toEqual(SPARE);
    expect((await show()).text).toContain("new key pins on trial");
    await site.cutNetwork();
    await site.healNetwork();
    // New connections, by the old key, and the way back.
    const { server, backup } = await pinsOf();
    await publish({ link: { key_pins: [server, backup] } });
    await expect.poll(() => site.agent.policy()?.trial, { timeout: 5_000 }).toBeUndefined();
    expect(site.agent.status().central.status).toBe("connected");
  });
});
