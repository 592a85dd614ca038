import { randomUUID } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cardToken } from "../../../agent/cards/token.ts";
import { CentralLink } from "../../../agent/link/client.ts";
import type { Identity } from "../../../agent/link/enrolment/identity.ts";
import { openManifest } from "../../../agent/protocol/envelope.ts";
import type { Outcome } from "../../../agent/protocol/schema.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { silentLog } from "../../../drivers/log.ts";
import { BOOT, SiteFixture } from "./site-fixture.ts";

let site: SiteFixture;
let identity: Identity;
let link: CentralLink;

beforeAll(async () => {
  site = await SiteFixture.start();
  await site.admin.addUser("anna", "Anna A.");
  await site.admin.addCard("anna", "4711");
  identity = (await site.addAgent("lobby")).identity;
  const { url, trust, granted, keys } = identity;
  const client = { certificate: granted.certificate, key: keys.tls };
  link = new CentralLink({ url, ...trust, client, boot: BOOT, clock: systemClock, log: silentLog });
});

afterAll(async () => {
  await link.stop();
  await site.stop();
});

test("an agent that was enrolled can do all that the protocol offers", async () => {
  const job = await site.addDocument("anna", "the document");
  await link.warm();
  const tapId = randomUUID();
  const at = "2026-01-01T00:00:00.000Z";
  const token = cardToken(Buffer.from(identity.granted.cardKey, "base64url"), "4711");
  const answer = await link.tap({ tapId, at, reader: "front", printer: "mfd-1", credential: { kind: "card", token } });
  const jobs = answer.result === "accepted" ? answer.jobs : [];
  const { manifestKey } = identity.granted;
  const { jobId, claimId } = openManifest(jobs[0] ?? expect.unreachable(), manifestKey);
  expect(jobId).toBe(job.id);
  expect(await link.claims()).toEqual({ claims: [{ jobId, claimId, tapId, printer: "mfd-1" }] });
  expect(await link.renewLease(jobId, claimId)).toEqual({ claimId, leaseMs: 300_000 });
  expect((await buffer(link.document(jobId, claimId))).toString()).toBe("the document");
  const outcome: Outcome = { claimId, word: "printed", state: "DONE", reason: "none", at };
  expect(await link.outcome(jobId, outcome)).toEqual({ claimId, result: "settled" });
  expect(await link.claims()).toEqual({ claims: [] });
  await expect(link.renewLease(jobId, claimId)).rejects.toMatchObject({ code: "link-claim-lost" });
  await expect(buffer(link.document(jobId, claimId))).rejects.toMatchObject({ code: "link-claim-lost" });
});

test("a revoked agent is refused, and a server that is gone cannot be reached", async () => {
  await site.admin.revokeAgent("lobby");
  await expect(link.claims()).rejects.toMatchObject({ code: "link-revoked" });
  await site.server.stop();
  await expect(link.claims()).rejects.toMatchObject({ code: "link-unreachable" });
});
