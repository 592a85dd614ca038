import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { JobPasswords } from "../../../agent/central/job-passwords.ts";
import { paths } from "../../../agent/protocol/paths.ts";
import { PolicySettings } from "../../../agent/protocol/policy.ts";
import type { TicketAttributes } from "../../../agent/protocol/ticket.ts";
import { JobPassword } from "../../../agent/protocol/ticket.ts";
import { type AgentFixture, SiteFixture } from "./site-fixture.ts";

const CARD = "04A1B2C3";
const PASSWORD = "740193";
const TICKET: TicketAttributes = {
  copies: 2,
  sides: "two-sided-long-edge",
  "media-col": { "media-size": { "x-dimension": 21_000, "y-dimension": 29_700 } },
  finishings: [4],
  "page-ranges": [{ lower: 1, upper: 3 }],
};

let site: SiteFixture;
let agent: AgentFixture;

beforeEach(async () => {
  site = await SiteFixture.start();
  await site.admin.addUser("anna", "Anna A.");
  await site.admin.addCard("anna", CARD);
  agent = await site.addAgent("lobby");
});

afterEach(async () => {
  agent.close();
  await site.stop();
});

async function submit(more: { ticket?: TicketAttributes; jobPassword?: string }) {
  const file = join(site.folder, randomUUID());
  await writeFile(file, "%PDF-1.7");
  return site.admin.addJob({ file, user: "anna", ...more });
}

test("a ticket comes with the signed manifest, and says what the policy says", async () => {
  await submit({ ticket: TICKET });
  await submit({});
  await submit({ ticket: {} });
  const { answer, manifests } = await agent.tap(CARD);
  expect(manifests.map(({ ticket }) => ticket)).toEqual([{ ...TICKET, unsupported: "hold" }, undefined, undefined]);
  expect(answer).not.toHaveProperty("jobPasswords");
  expect((await site.admin.jobs()).map(({ ticket }) => ticket)).toEqual([TICKET, null, null]);
});

test.each([
  ["drop", { unsupported: "drop" }],
  ["drop", { drop_at: ["lobby"] }],
  ["hold", { drop_at: ["cellar"] }],
] as const)("the manifest says %s under the policy's ticket = %o", async (unsupported, rules) => {
  await site.admin.publishPolicy(PolicySettings.parse({ ticket: rules }));
  await submit({ ticket: { copies: 2 } });
  const { manifests } = await agent.tap(CARD);
  expect(manifests[0]?.ticket).toEqual({ copies: 2, unsupported });
});

test("a job-password comes beside the manifest, again for the same tap, and is nowhere in clear", async () => {
  const job = await submit({ ticket: { copies: 1 }, jobPassword: PASSWORD });
  await submit({});
  const tapId = randomUUID();
  const { answer, manifests } = await agent.tap(CARD, tapId);
  expect(manifests[0]?.ticket).toEqual({ copies: 1, "job-password": true, unsupported: "hold" });
  const jobPasswords = [{ claimId: manifests[0]?.claimId, password: PASSWORD }];
  expect(answer).toMatchObject({ result: "accepted", jobPasswords });
  expect((await agent.tap(CARD, tapId)).answer).toMatchObject({ jobPasswords });
  expect(JSON.stringify(answer.result === "accepted" && answer.jobs)).not.toContain(PASSWORD);
  expect(Buffer.from(answer.result === "accepted" ? (answer.jobs[0]?.payload ?? "") : "", "base64url")).not.toContain(
    PASSWORD,
  );
  expect(JSON.stringify([await site.admin.audit(100), await site.admin.jobs()])).not.toContain(PASSWORD);
  for (const name of ["central.db", "central.db-wal"]) {
    expect((await readFile(join(site.dataDir, name))).includes(PASSWORD)).toBe(false);
  }
  expect((await site.admin.jobs()).map(({ hasPassword }) => hasPassword)).toEqual([true, false]);
  expect(job).not.toHaveProperty("jobPassword");
});

test("a password is forgotten when its job ends, and kept while a person may still decide", async () => {
  const kept = () => {
    const database = new DatabaseSync(join(site.dataDir, "central.db"), { readOnly: true });
    const { kept: count } = database.prepare("SELECT count(job_password) AS kept FROM jobs").get() as { kept: number };
    database.close();
    return count;
  };
  for (let n = 0; n < 3; n++) await submit({ jobPassword: PASSWORD });
  const { manifests } = await agent.tap(CARD);
  expect(kept()).toBe(3);
  const [printed, canceled, doubtful] = manifests;
  if (printed === undefined || canceled === undefined || doubtful === undefined) throw new Error("not all came");
  await agent.outcome(printed, "printed", "DONE");
  expect(kept()).toBe(2);
  await agent.outcome(canceled, "not printed", "CANCELED");
  expect(kept()).toBe(1);
  await agent.outcome(doubtful, "unknown", "IN_DOUBT");
  expect(kept()).toBe(1);
  await site.admin.decide(doubtful.jobId, "printed");
  expect(kept()).toBe(0);
});

test("a password that no longer opens is left out, and the manifest still says that there is one", async () => {
  await submit({ jobPassword: PASSWORD });
  const database = new DatabaseSync(join(site.dataDir, "central.db"));
  database.exec("UPDATE jobs SET job_password = zeroblob(284)");
  database.close();
  const { answer, manifests } = await agent.tap(CARD);
  expect(manifests[0]?.ticket).toMatchObject({ "job-password": true });
  expect(answer).not.toHaveProperty("jobPasswords");
});

test("why a job came back, and what it is about, stands in the list of jobs", async () => {
  await submit({ ticket: TICKET });
  const { manifests } = await agent.tap(CARD);
  const { jobId = "", claimId = "" } = manifests[0] ?? {};
  const reply = await agent.post(paths.outcome(jobId), {
    ...{ claimId, word: "not printed", state: "RETURNED", at: "2026-01-01T00:00:00.000Z" },
    ...{ reason: "printer-ticket-unsupported", detail: "finishings staple" },
  });
  expect(reply.json).toEqual({ claimId, result: "settled" });
  expect(await site.admin.jobs()).toMatchObject([
    { state: "held", reason: "printer-ticket-unsupported", detail: "finishings staple", printer: "mfd-1" },
  ]);
});

test.each<[TicketAttributes, string]>([
  [{ copies: 0 }, "copies"],
  [{ media: "iso_a4_210x297mm", "media-col": { "media-type": "labels" } }, "media-col"],
  [{ "page-ranges": [{ lower: 3, upper: 1 }] }, "page-ranges"],
  [
    {
      "page-ranges": [
        { lower: 1, upper: 3 },
        { lower: 3, upper: 4 },
      ],
    },
    "page-ranges",
  ],
  [{ "job-priority": 100 } as TicketAttributes, "an attribute that no ticket has"],
])("%j is no ticket, and nothing is stored", async (ticket, what) => {
  await expect(submit({ ticket })).rejects.toMatchObject({ code: "ticket-invalid", detail: what });
  expect(await site.admin.jobs()).toEqual([]);
});

test.each(["", "12\n34", "ü", "1".repeat(256)])("%j is no job-password", async (jobPassword) => {
  await expect(submit({ jobPassword })).rejects.toMatchObject({ code: "job-password-invalid" });
});

test("what is sealed opens for the same job and key alone, and has one length", () => {
  const passwords = new JobPasswords(generateKeyPairSync("ed25519").privateKey);
  const other = new JobPasswords(generateKeyPairSync("ed25519").privateKey);
  const text = fc.string({ minLength: 1, maxLength: 255 }).filter((one) => JobPassword.safeParse(one).success);
  fc.assert(
    fc.property(text, fc.uuid(), fc.nat(), (password, job, at) => {
      const sealed = passwords.seal(job, password);
      expect(sealed).toHaveLength(284);
      expect(passwords.open(job, sealed)).toBe(password);
      expect(passwords.open(`${job}x`, sealed)).toBeUndefined();
      expect(other.open(job, sealed)).toBeUndefined();
      const altered = Buffer.from(sealed);
      altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ 1;
      expect(passwords.open(job, altered)).toBeUndefined();
      expect(passwords.open(job, sealed.subarray(1))).toBeUndefined();
    }),
  );
});
