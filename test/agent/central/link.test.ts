import { randomUUID } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cardToken } from "../../../agent/cards/token.ts";
import { type Config, parseConfig } from "../../../agent/config/config.ts";
import { CentralLink } from "../../../agent/link/client.ts";
import { openManifest } from "../../../agent/protocol/envelope.ts";
import type { Outcome } from "../../../agent/protocol/schema.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { silentLog } from "../../../drivers/log.ts";
import { SiteFixture } from "./site-fixture.ts";

let site: SiteFixture;
let config: Config;
let link: CentralLink;

beforeAll(async () => {
  site = await SiteFixture.start();
  await site.admin.addUser("anna", "Anna A.");
  await site.admin.addCard("anna", "4711");
  const { toml } = await site.admin.addAgent("lobby", site.server.url);
  // The printed samples, taken as they are, make the configuration whole.
  config = await parseConfig(toml.replaceAll(/^# (?=\[\[|[a-z_]+ = )/gm, ""), "agent.toml");
  link = new CentralLink({ ...config.central, clock: systemClock, log: silentLog });
});

afterAll(async () => {
  await link.stop();
  await site.stop();
});

test("an agent that runs on the printed configuration can do all that the protocol offers", async () => {
  const job = await site.addDocument("anna", "the document");
  await link.warm();
  const tapId = randomUUID();
  const at = "2026-01-01T00:00:00.000Z";
  const token = cardToken(config.central.cardKey, "4711");
  const answer = await link.tap({ tapId, at, reader: "front", printer: "mfd-1", credential: { kind: "card", token } });
  const jobs = answer.result === "accepted" ? answer.jobs : [];
  const manifestKey = config.central.manifestKey.toString("base64url");
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

test("a disabled agent is refused, and a server that is gone cannot be reached", async () => {
  await site.admin.disableAgent("lobby");
  await expect(link.claims()).rejects.toMatchObject({ code: "link-refused" });
  await site.server.stop();
  await expect(link.claims()).rejects.toMatchObject({ code: "link-unreachable" });
});
