import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Account } from "../../../agent/protocol/account.ts";
import { type Claim, Ledger, replay } from "../../../agent/release/ledger.ts";
import { claimed, PHASES, type Phase, type Release } from "../../../agent/release/machine.ts";
import { AppendLog, decodeLog } from "../../../agent/storage/append-log.ts";

let folder: string;
let path: string;
const AT = "2026-01-01T00:00:00.000Z";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-ledger-"));
  path = join(folder, "ledger.log");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const claimOf = (n: number): Claim => ({ jobId: `job-${n}`, claimId: `claim-${n}`, tapId: `tap-${n}`, printer: "mfd" });
const ended = (word: "printed" | "not printed" | "unknown" = "printed"): Release => ({
  ...{ phase: word === "printed" ? "DONE" : "RETURNED", failures: 0, end: { word, reason: "none" } },
});
const accountOf = (impressions: number): Account => ({ impressions, source: "ipp", confidence: "medium" });
const releaseIn = (phase: Phase): Release => {
  const base: Release = {
    phase,
    failures: 1,
    job: { id: 7, name: "printgate-x", uuid: "urn:uuid:1" },
    broken: "printer-timeout",
  };
  if (!["DONE", "CANCELED", "ABORTED", "RETURNED", "IN_DOUBT"].includes(phase)) return base;
  return { ...base, end: { word: "unknown", reason: "none", impressions: 2, sheets: 1 } };
};

async function reopened(): Promise<Ledger> {
  const ledger = await Ledger.open(path);
  await ledger.close();
  return ledger;
}

/** A ledger that a first start has vouched for. */
async function sound(): Promise<Ledger> {
  const ledger = await Ledger.open(path);
  await ledger.vouch();
  return ledger;
}

describe("replay", () => {
  test.each(PHASES)("%s is read back as it was written", async (phase) => {
    const ledger = await sound();
    await ledger.claim(claimOf(1), AT);
    await ledger.record("claim-1", releaseIn(phase), AT, phase === "SENDING");
    await ledger.close();
    const again = await reopened();
    expect(again.entries).toEqual(ledger.entries);
    expect(again.entries[0]?.release).toEqual(releaseIn(phase));
    expect(again.trusted).toBe(true);
  });

  test("any history, with rewrites and restarts in between, is read back as the live state", async () => {
    const action = fc.oneof(
      fc.record({ do: fc.constant("claim" as const), n: fc.nat(5) }),
      fc.record({
        do: fc.constant("record" as const),
        n: fc.nat(5),
        phase: fc.constantFrom(...PHASES),
        durable: fc.boolean(),
      }),
      fc.record({ do: fc.constant("reported" as const), n: fc.nat(5) }),
      fc.record({ do: fc.constant("account" as const), n: fc.nat(5), impressions: fc.nat(9) }),
      fc.record({ do: fc.constantFrom("vouch" as const, "restart" as const, "turn" as const), n: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        await rm(path, { force: true });
        let ledger = await Ledger.open(path);
        const pending: Promise<void>[] = [];
        for (const step of actions) {
          const { claimId } = claimOf(step.n);
          if (step.do === "claim") {
            if (!ledger.has(claimId)) pending.push(ledger.claim(claimOf(step.n), AT));
          } else if (step.do === "vouch") pending.push(ledger.vouch());
          else if (step.do === "turn") await new Promise((resolve) => setImmediate(resolve));
          else if (step.do === "restart") {
            const { entries } = ledger;
            await Promise.all(pending);
            await ledger.close();
            ledger = await Ledger.open(path);
            expect(ledger.entries).toEqual(entries);
          } else if (!ledger.has(claimId)) continue;
          else if (step.do === "record") pending.push(ledger.record(claimId, releaseIn(step.phase), AT, step.durable));
          else if (step.do === "account") pending.push(ledger.account(claimId, accountOf(step.impressions), AT));
          else pending.push(ledger.reported(claimId, AT));
        }
        await Promise.all(pending);
        await ledger.close();
        expect((await reopened()).entries).toEqual(ledger.entries);
      }),
      { numRuns: 50 },
    );
  });

  test("a claim's first record that stands twice does not take the claim back to its beginning", () => {
    const { c, ...claim } = { c: "claim-1", jobId: "job-1", tapId: "tap-1", printer: "mfd" };
    const first = { c, claim, at: AT };
    const { entries } = replay({ records: [first, { c, release: releaseIn("SENDING"), at: AT }, first] });
    expect(entries.get(c)?.release.phase).toBe("SENDING");
  });

  test("an account makes the outcome unreported again, until it was reported with it", () => {
    const claim = { jobId: "job-1", tapId: "tap-1", printer: "mfd" };
    const records: unknown[] = [
      { c: "claim-1", claim, release: ended(), at: AT },
      { c: "claim-1", reported: true, at: AT },
      { c: "claim-1", release: ended(), account: accountOf(3), at: AT },
    ];
    expect(replay({ records }).entries.get("claim-1")).toMatchObject({ reported: false, account: accountOf(3) });
    records.push({ c: "claim-1", reported: true, at: AT });
    expect(replay({ records }).entries.get("claim-1")).toMatchObject({ reported: true, account: accountOf(3) });
  });

  test("an account of a newer version costs itself alone: its release stands", () => {
    const claim = { jobId: "job-1", tapId: "tap-1", printer: "mfd" };
    const account = { ...accountOf(3), source: "camera" };
    const { entries, unknownRecords } = replay({
      records: [{ c: "claim-1", claim, release: ended(), account, at: AT }],
    });
    expect([entries.get("claim-1")?.release, unknownRecords]).toEqual([ended(), 0]);
    expect(entries.get("claim-1")).not.toHaveProperty("account");
  });

  test("records that mean nothing are counted and never throw", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (records) => {
        expect(replay({ records }).unknownRecords).toBeLessThanOrEqual(records.length);
      }),
    );
    expect(
      replay({ records: [null, 1, {}, { c: "x", reported: true, at: AT }, { c: "x", at: AT }] }).unknownRecords,
    ).toBe(5);
  });

  test("a claim that is known already is refused", async () => {
    const ledger = await sound();
    await ledger.claim(claimOf(1), AT);
    expect(() => ledger.claim(claimOf(1), AT)).toThrow("twice");
    expect(() => ledger.record("claim-2", claimed, AT, false)).toThrow("never saw");
    await ledger.close();
  });
});

describe("trust", () => {
  test("a new ledger is not trusted, over any number of starts, until it is vouched for", async () => {
    expect((await reopened()).trusted).toBe(false);
    expect((await reopened()).trusted).toBe(false);
    const ledger = await Ledger.open(path);
    await ledger.claim(claimOf(1), AT);
    expect(ledger.trusted).toBe(false);
    await ledger.vouch();
    expect(ledger.trusted).toBe(true);
    await ledger.close();
    expect((await reopened()).trusted).toBe(true);
  });

  test.each([
    ["a torn tail", (bytes: Buffer) => bytes.subarray(0, bytes.length - 5)],
    ["damage in the middle", (bytes: Buffer) => Buffer.from(bytes.toString().replace("job-1", "job-X"))],
    ["an empty file", () => Buffer.alloc(0)],
    ["zeros at the end", (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(100)])],
  ])("after %s it is not trusted, even when the start that found it dies at once", async (_what, harm) => {
    const ledger = await sound();
    await ledger.claim(claimOf(1), AT);
    await ledger.record("claim-1", releaseIn("SENDING"), AT, true);
    await ledger.close();
    await writeFile(path, harm(await readFile(path)));
    for (const start of [1, 2, 3]) {
      const found = await Ledger.open(path);
      expect(found.trusted, `start ${start}`).toBe(false);
      await found.claim(claimOf(start + 10), AT);
      await found.close();
    }
    const last = await Ledger.open(path);
    await last.vouch();
    await last.close();
    const again = await reopened();
    expect(again.trusted).toBe(true);
    expect(again.entries).toEqual(last.entries);
  });

  test("a record of a later version is not understood, so the ledger is not trusted", async () => {
    const ledger = await sound();
    await ledger.close();
    const { log } = await AppendLog.open(path);
    await log.append({ c: "claim-1", novelty: true, at: AT }, true);
    await log.close();
    const again = await reopened();
    expect(again.health.unknownRecords).toBe(1);
    expect(again.trusted).toBe(false);
  });

  test("SENDING stands even if the disk was full when the claim came", async () => {
    const ledger = await sound();
    const { open } = await import("node:fs/promises");
    const handle = await open(folder, "r");
    await handle.close();
    const full = Object.assign(new Error("full"), { code: "ENOSPC" });
    vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, "write").mockRejectedValueOnce(full);
    await expect(ledger.claim(claimOf(1), AT)).rejects.toMatchObject({ code: "storage-full" });
    await ledger.record("claim-1", releaseIn("SENDING"), AT, true);
    await ledger.close();
    const again = await reopened();
    expect(again.trusted).toBe(true);
    expect(again.entries).toMatchObject([{ ...claimOf(1), release: { phase: "SENDING" } }]);
  });

  test.each([
    ["record", (ledger: Ledger) => ledger.record("claim-1", ended("not printed"), AT, false)],
    [
      "report",
      async (ledger: Ledger) => {
        vi.spyOn(AppendLog.prototype, "append").mockRejectedValueOnce(new Error("full"));
        await expect(ledger.record("claim-1", ended("not printed"), AT, false)).rejects.toThrow("full");
        await ledger.reported("claim-1", AT);
      },
    ],
  ])("a %s that fits where the claim did not names the claim itself", async (_, settle) => {
    const ledger = await sound();
    vi.spyOn(AppendLog.prototype, "append").mockRejectedValueOnce(new Error("full"));
    await expect(ledger.claim(claimOf(1), AT)).rejects.toThrow("full");
    await settle(ledger);
    await ledger.close();
    const again = await reopened();
    expect(again.entries).toEqual(ledger.entries);
    expect(again.trusted).toBe(true);
  });
});

describe("compaction", () => {
  test("keeps all that is open or unreported, the newest settled ones, and the trust", async () => {
    const ledger = await sound();
    await ledger.claim(claimOf(0), AT);
    await ledger.record("claim-0", releaseIn("SENDING"), AT, false);
    await ledger.claim(claimOf(1), AT);
    await ledger.record("claim-1", ended(), AT, false);
    const fill: Promise<void>[] = [];
    for (let n = 2; n < 1500; n += 1) {
      fill.push(
        ledger.claim(claimOf(n), AT),
        ledger.record(`claim-${n}`, ended(), AT, false),
        ledger.reported(`claim-${n}`, AT),
      );
    }
    await Promise.all(fill);
    const before = (await stat(path)).size;
    await ledger.compactIfLarge();
    await ledger.close();
    expect((await stat(path)).size).toBeLessThan(before / 2);
    const again = await reopened();
    expect(again.trusted).toBe(true);
    expect(again.entries).toEqual(ledger.entries);
    expect(again.entries).toHaveLength(202);
    expect(again.open.map(({ claimId }) => claimId)).toEqual(["claim-0"]);
    expect(again.unreported.map(({ claimId }) => claimId)).toEqual(["claim-1"]);
    expect(again.has("claim-1499")).toBe(true);
  });

  test("a small file is left alone", async () => {
    const ledger = await sound();
    await ledger.claim(claimOf(1), AT);
    const before = await readFile(path);
    await ledger.compactIfLarge();
    await ledger.close();
    expect(await readFile(path)).toEqual(before);
  });

  test("it does not make a damaged ledger look sound", async () => {
    await appendFile(path, "nonsense\n");
    const ledger = await Ledger.open(path);
    for (let n = 0; n < 2500; n += 1) void ledger.claim(claimOf(n), AT);
    await ledger.record("claim-0", ended(), AT, true);
    await ledger.compactIfLarge();
    await ledger.close();
    expect(decodeLog(await readFile(path)).damagedLines).toBe(0);
    expect((await reopened()).trusted).toBe(false);
  });

  test("a SENDING that is written while others wait for the disk survives a compaction that was asked for before it", async () => {
    const ledger = await sound();
    const fill: Promise<void>[] = [];
    for (let n = 0; n < 1500; n += 1)
      fill.push(ledger.claim(claimOf(n), AT), ledger.record(`claim-${n}`, ended(), AT, false));
    await Promise.all(fill);
    await ledger.claim(claimOf(2000), AT);
    const slow = ledger.record("claim-2000", releaseIn("CREATED"), AT, true);
    const behind = ledger.reported("claim-1", AT);
    const compaction = ledger.compactIfLarge();
    const sending = ledger.record("claim-2000", releaseIn("SENDING"), AT, true);
    await Promise.all([slow, behind, compaction, sending]);
    await ledger.close();
    expect((await reopened()).open).toMatchObject([{ claimId: "claim-2000", release: { phase: "SENDING" } }]);
  });
});
