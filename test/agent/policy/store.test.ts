import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUILT_MS, PolicyStore } from "../../../agent/policy/store.ts";
import { seal } from "../../../agent/protocol/envelope.ts";
import { DEFAULT_SETTINGS } from "../../../agent/protocol/policy.ts";
import { sealRoot } from "../../../agent/protocol/root.ts";
import { codeOf } from "../../../drivers/coded-error.ts";
import { DAY, iso, makeKey, NOW, PolicyAuthority, rawOf } from "./authority.ts";

let folder: string;
let authority: PolicyAuthority;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-policy-test-"));
  authority = new PolicyAuthority();
});
afterEach(() => rm(folder, { recursive: true }));

const open = (anchor = authority.anchor) => PolicyStore.open(folder, anchor);
const ready = async () => {
  const store = await open();
  if (store.root === undefined) await store.takeRoot(authority.rootAt(1));
  return store;
};
const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    (value) => `none: ${value}`,
    (error: unknown) => codeOf(error),
  );
const newest = { release: { mode: "newest" } };
const reset = async () => {
  for (const name of await readdir(folder)) if (/^policy\.[01]$/.test(name)) await rm(join(folder, name));
};

describe("the policy role", () => {
  it("is obeyed from the moment it is accepted, and after a restart", async () => {
    const store = await ready();
    expect(store.settings).toEqual(DEFAULT_SETTINGS);
    expect(await store.offer(authority.policy(newest), NOW)).toBe("accepted");
    expect(store.settings.release.mode).toBe("newest");
    const again = await open();
    expect(again.settings).toEqual(store.settings);
    expect(again.current?.hash).toBe(store.current?.hash);
  });

  it("is taken once, however often it comes", async () => {
    const store = await ready();
    const policy = authority.policy();
    expect(await store.offer(policy, NOW)).toBe("accepted");
    expect(await store.offer(policy, NOW)).toBe("same");
    expect(await (await open()).offer(policy, NOW)).toBe("same");
  });

  it("rollback: an older one is refused, also after a restart and after a factory reset", async () => {
    const first = authority.policy();
    const second = authority.policy(newest);
    const store = await ready();
    await store.offer(second, NOW);
    expect(await refusal(store.offer(first, NOW))).toBe("policy-older");
    expect(await refusal((await open()).offer(first, NOW))).toBe("policy-older");
    await reset();
    const fresh = await ready();
    expect(fresh.current).toBeUndefined();
    expect(await refusal(fresh.offer(first, NOW))).toBe("policy-older");
    expect(await fresh.offer(second, NOW)).toBe("accepted");
    expect(fresh.settings.release.mode).toBe("newest");
  });

  it("freeze: what is in force runs out, and a replay of it does not prolong it", async () => {
    const store = await ready();
    const policy = authority.policy();
    await store.offer(policy, NOW);
    expect(await store.offer(policy, NOW + 40 * DAY)).toBe("same");
    const { expiryOf } = await import("../../../agent/policy/accept.ts");
    const current = store.current?.policy;
    expect(current && expiryOf(current, { wall: NOW + 40 * DAY, floor: store.floor })).toBe("expired");
    await reset();
    expect(await refusal((await ready()).offer(policy, NOW + 40 * DAY))).toBe("policy-expired");
  });

  it("fast-forward: versions and times that a thief used up end with the next root", async () => {
    const store = await ready();
    const thief = { version: Number.MAX_SAFE_INTEGER, issuedAt: iso(NOW + DAY / 2) };
    await store.offer(authority.policy({}, thief), NOW);
    expect(await refusal(store.offer(authority.policy(), NOW))).toBe("policy-older");
    expect(store.floor).toBe(NOW + DAY / 2);
    await store.takeRoot(authority.rotate());
    expect(store.floor).toBe(NOW);
    expect(await store.offer(authority.policy(newest), NOW)).toBe("accepted");
    expect((await open()).settings.release.mode).toBe("newest");
  });

  it("mix-and-match: an old root's policy under the new root, and the other way round", async () => {
    const store = await ready();
    const oldKey = authority.policyKey;
    await store.offer(authority.policy(), NOW);
    await store.takeRoot(authority.rotate());
    // In force until there is one under the new root, but no other of the old root is taken.
    expect(store.current?.policy.root).toBe(1);
    const late = seal(authority.content({ root: 1, version: 9 }), oldKey);
    expect(await refusal(store.offer(late, NOW))).toBe("envelope-key-unknown");
    const posing = seal(authority.content({ root: 2, version: 9 }), oldKey);
    expect(await refusal(store.offer(posing, NOW))).toBe("envelope-key-unknown");
    const mixed = seal(authority.content({ root: 1, version: 9 }), authority.policyKey);
    expect(await refusal(store.offer(mixed, NOW))).toBe("policy-other-root");
  });

  it("truncated and altered: nothing of it is parsed", async () => {
    const store = await ready();
    const policy = authority.policy();
    const { payload, signature } = policy;
    expect(await refusal(store.offer({ ...policy, payload: payload.slice(0, -4) }, NOW))).toBe(
      "envelope-signature-wrong",
    );
    const other = `${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
    expect(await refusal(store.offer({ ...policy, signature: other }, NOW))).toBe("envelope-signature-wrong");
    const notJson = seal(authority.content(), makeKey());
    expect(await refusal(store.offer(notJson, NOW))).toBe("envelope-key-unknown");
    const huge = { ...policy, payload: "A".repeat(50_000) };
    expect(await refusal(store.offer(huge, NOW))).toBe("envelope-too-large");
    expect(store.current).toBeUndefined();
  });

  it("wrong roles: a root key signs no policy, a policy under another kind is none", async () => {
    const store = await ready();
    const [rootKey = makeKey()] = authority.rootKeys;
    expect(await refusal(store.offer(seal(authority.content({ version: 1 }), rootKey), NOW))).toBe(
      "envelope-key-unknown",
    );
    const manifest = seal(authority.content({ kind: "manifest", version: 1 }), authority.policyKey);
    expect(await refusal(store.offer(manifest, NOW))).toBe("envelope-content-invalid");
  });

  it("future schema: refused by its own code, the old one stays in force", async () => {
    const store = await ready();
    await store.offer(authority.policy(newest), NOW);
    expect(await refusal(store.offer(authority.policy({}, { schema: 2, novel: true }), NOW))).toBe(
      "envelope-schema-newer",
    );
    const unknownKey = authority.policy({}, { settings: { ...DEFAULT_SETTINGS, page: { idle_min: 5 } } });
    expect(await refusal(store.offer(unknownKey, NOW))).toBe("envelope-content-invalid");
    expect(store.settings.release.mode).toBe("newest");
  });

  it("clock in 1970 and in 2100: a newer policy is taken, an older one is not", async () => {
    for (const wall of [0, Date.UTC(2100, 0, 1)]) {
      const store = await ready();
      const older = authority.policy();
      expect(await store.offer(authority.policy(newest), wall)).toBe("accepted");
      expect(await refusal(store.offer(older, wall))).toBe("policy-older");
    }
  });

  it("the floor rises with what is accepted and survives", async () => {
    const store = await ready();
    expect(store.floor).toBeGreaterThanOrEqual(BUILT_MS);
    await store.offer(authority.policy({}, { issuedAt: iso(NOW + 3_600_000) }), NOW);
    await reset();
    expect((await open()).floor).toBe(NOW + 3_600_000);
  });

  it("remembers the one before, for a diff", async () => {
    const store = await ready();
    await store.offer(authority.policy(), NOW);
    await store.offer(authority.policy(newest), NOW);
    expect((await open()).previous).toEqual({ version: "1.1", settings: DEFAULT_SETTINGS });
    // Signed anew with the same settings: the difference is still to that one.
    await store.offer(authority.policy(newest), NOW);
    expect((await open()).previous?.version).toBe("1.1");
  });
});

describe("the root role", () => {
  it("begins with the root that the enrolment names, and no other", async () => {
    const store = await open();
    const stranger = new PolicyAuthority();
    expect(await refusal(store.takeRoot(stranger.rootAt(1)))).toBe("envelope-root-unknown");
    expect(await refusal(store.offer(authority.policy(), NOW))).toBe("policy-none");
    await store.takeRoot(authority.rootAt(1));
    expect(store.root?.version).toBe(1);
  });

  it("goes step by step, signed by the old keys and by the new", async () => {
    const store = await ready();
    await store.takeRoot(authority.rotate());
    await store.takeRoot(authority.rotate(true));
    await store.takeRoot(authority.rotate());
    expect((await open()).root?.version).toBe(4);
  });

  it("rollback and replay: the current root, an older one", async () => {
    const store = await ready();
    await store.takeRoot(authority.rotate());
    await store.takeRoot(authority.rotate());
    for (const version of [1, 2, 3])
      expect(await refusal(store.takeRoot(authority.rootAt(version)))).toBe("envelope-content-invalid");
  });

  it("fast-forward: a version is never skipped, even with all signatures", async () => {
    const store = await ready();
    const far = sealRoot(authority.root(1_000_000), authority.rootKeys);
    expect(await refusal(store.takeRoot(far))).toBe("envelope-content-invalid");
  });

  it("mix-and-match: signatures of the old keys alone, of the new keys alone, of one key twice", async () => {
    const store = await ready();
    const old = authority.rootKeys;
    const fresh = [makeKey(), makeKey(), makeKey()];
    const next = authority.root(2, { rootKeys: fresh.map(rawOf) });
    for (const signers of [old, fresh, [old[0], old[0], ...fresh], [...old, fresh[0]]]) {
      const keys = signers.filter((key) => key !== undefined);
      expect(await refusal(store.takeRoot(sealRoot(next, keys)))).toBe("envelope-signature-wrong");
    }
    await store.takeRoot(sealRoot(next, [...old.slice(1), ...fresh.slice(1)]));
  });

  it("truncated, another role's signature, a threshold above the keys", async () => {
    const store = await ready();
    const next = sealRoot(authority.root(2), authority.rootKeys);
    const cut = { ...next, payload: next.payload.slice(0, -8) };
    expect(await refusal(store.takeRoot(cut))).toBe("envelope-signature-wrong");
    const byPolicy = sealRoot(authority.root(2), [authority.policyKey, authority.policyKey]);
    expect(await refusal(store.takeRoot(byPolicy))).toBe("envelope-signature-wrong");
    const tooMany = sealRoot(authority.root(2, { threshold: 4 }), authority.rootKeys);
    expect(await refusal(store.takeRoot(tooMany))).toBe("envelope-content-invalid");
  });

  it("future schema: refused by its own code", async () => {
    const store = await ready();
    const future = { ...authority.root(2), schema: 2, more: true } as unknown as ReturnType<PolicyAuthority["root"]>;
    expect(await refusal(store.takeRoot(sealRoot(future, authority.rootKeys)))).toBe("envelope-schema-newer");
  });

  it("after a reset the chain is walked again, and the heights still hold", async () => {
    const store = await ready();
    const first = authority.policy();
    await store.takeRoot(authority.rotate());
    await store.offer(authority.policy(newest), NOW);
    await reset();
    const fresh = await ready();
    expect(await refusal(fresh.offer(first, NOW))).toBe("policy-older");
    await fresh.takeRoot(authority.rootAt(2));
    expect(await refusal(fresh.offer(authority.policy({}, { version: 0 }), NOW))).toBe("envelope-content-invalid");
  });
});

describe("another central server", () => {
  it("is another chain: its versions count for themselves, and the old ones are not forgotten", async () => {
    const old = authority;
    const store = await ready();
    const first = old.policy();
    await store.offer(old.policy(newest), NOW);
    authority = new PolicyAuthority();
    const other = await ready();
    expect(other.current).toBeUndefined();
    await other.offer(authority.policy(), NOW);
    authority = old;
    const back = await ready();
    expect(await refusal(back.offer(first, NOW))).toBe("policy-older");
  });

  it("the same chain named by a later root is no other", async () => {
    const store = await ready();
    await store.takeRoot(authority.rotate());
    await store.offer(authority.policy(newest), NOW);
    const { anchorOf } = await import("../../../agent/protocol/root.ts");
    const later = await open(anchorOf(authority.rootAt(2), 2));
    expect(later.settings.release.mode).toBe("newest");
  });
});

describe("what a power cut or a bad card leaves", () => {
  it("is the old or the new policy, whatever becomes of one copy", async () => {
    const store = await ready();
    const policies = [authority.policy(), authority.policy(newest)];
    for (const policy of policies) await store.offer(policy, NOW);
    const files = ["policy.0", "policy.1", "policy-height.0", "policy-height.1"];
    const whole = await Promise.all(files.map((name) => readFile(join(folder, name))));
    await fc.assert(
      fc.asyncProperty(fc.nat(3), fc.boolean(), fc.nat(), fc.nat(7), async (file, cut, place, bit) => {
        for (const [index, name] of files.entries()) await writeFile(join(folder, name), whole[index] ?? "");
        const bytes = Buffer.from(whole[file] ?? "");
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        await writeFile(join(folder, files[file] ?? ""), cut ? bytes.subarray(0, at) : bytes);
        const found = await open();
        expect(["1.1", "1.2"]).toContain(`${found.current?.policy.root}.${found.current?.policy.version}`);
        expect(found.damaged).toBe(false);
        expect(found.damagedCopies).toBe(1);
        // Never back, whichever copy was hit.
        expect(found.height).toMatchObject({ version: 2 });
        expect(await refusal(found.offer(policies[0] ?? authority.policy(), NOW))).toBe("policy-older");
      }),
      { numRuns: 150 },
    );
  });

  it("is told when nothing of it is whole", async () => {
    const store = await ready();
    await store.offer(authority.policy(), NOW);
    for (const name of await readdir(folder)) await writeFile(join(folder, name), "0000");
    const lost = await open();
    expect(lost.damaged).toBe(true);
    expect(lost.settings).toEqual(DEFAULT_SETTINGS);
    expect((await PolicyStore.open(await mkdtemp(join(folder, "new-")), authority.anchor)).damaged).toBe(false);
  });
});
