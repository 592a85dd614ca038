import type { IncomingMessage } from "node:http";
import { Agent as HttpAgent, request } from "node:https";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Administration } from "../../../agent/central/administration.ts";
import { EventStreamParser, type ServerEvent } from "../../../agent/link/events.ts";
import { BOOT_HEADER, paths } from "../../../agent/protocol/paths.ts";
import { DEFAULT_SETTINGS } from "../../../agent/protocol/policy.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { type AgentFixture, SiteFixture } from "./site-fixture.ts";

let site: SiteFixture;
let lobby: AgentFixture;
const open: (() => void)[] = [];

beforeEach(async () => {
  site = await SiteFixture.start({ clock: systemClock, times: { heartbeatMs: 30, graceMs: 2_000 } });
  lobby = await site.addAgent("lobby");
});
afterEach(async () => {
  for (const close of open.splice(0)) close();
  lobby.close();
  await site.stop();
});

interface Stream {
  readonly response: IncomingMessage;
  readonly events: ServerEvent[];
  text: string;
  ended: boolean;
}

function follow(agent: AgentFixture = lobby, headers: Record<string, string> = {}): Promise<Stream> {
  const connections = new HttpAgent({ ...agent.tls, keepAlive: true });
  open.push(() => connections.destroy());
  return new Promise((resolve, reject) => {
    const sent = request(site.server.url, {
      agent: connections,
      path: paths.events,
      headers: { [BOOT_HEADER]: agent.boot, ...headers },
    });
    sent.once("error", reject);
    sent.once("response", (response) => {
      const parser = new EventStreamParser();
      const stream: Stream = { response, events: [], text: "", ended: false };
      response.on("data", (bytes: Buffer) => {
        stream.text += bytes.toString();
        stream.events.push(...parser.push(bytes));
      });
      response.once("close", () => {
        stream.ended = true;
      });
      response.on("error", () => {});
      open.push(() => sent.destroy());
      resolve(stream);
    });
    sent.end();
  });
}

/** As `printgate central policy publish` does it: from beside the server. */
async function publish(): Promise<void> {
  const admin = await Administration.open(site.dataDir);
  await admin.publishPolicy(DEFAULT_SETTINGS);
  await admin.close();
}

describe("the stream of events", () => {
  test("tells of a policy that another process published, within a second, with an id", async () => {
    const stream = await follow();
    expect(stream.response.headers["content-type"]).toBe("text/event-stream");
    const began = performance.now();
    await publish();
    await expect.poll(() => stream.events.length, { interval: 5 }).toBe(1);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(stream.events[0]).toMatchObject({ type: "policy", data: '{"root":1,"version":2}' });
    expect(stream.events[0]?.id).toMatch(/^[0-9a-f]{12}-1$/);
  });

  test("lives: a comment comes when there is nothing to tell", async () => {
    const stream = await follow();
    await expect.poll(() => stream.text.match(/^:$/gm)?.length ?? 0).toBeGreaterThan(2);
    expect(stream.events).toEqual([]);
  });

  test("resumes after the last event that the agent had, and says when it cannot", async () => {
    const first = await follow();
    for (let times = 0; times < 3; times++) {
      await publish();
      await expect.poll(() => first.events.length).toBe(times + 1);
    }
    const ids = first.events.map(({ id }) => id);
    const missed = await follow(lobby, { "last-event-id": ids[0] ?? "" });
    await expect.poll(() => missed.events.map(({ id }) => id)).toEqual(ids.slice(1));
    const current = await follow(lobby, { "last-event-id": ids[2] ?? "" });
    for (const unknown of ["", "nonsense", "000000000000-1", ids[0]?.replace(/1$/, "99") ?? ""]) {
      const stream = await follow(lobby, { "last-event-id": unknown });
      await expect.poll(() => stream.events.map(({ type }) => type)).toEqual(["resync"]);
      expect(stream.events[0]?.id).toBe(ids[2]);
    }
    expect(current.events).toEqual([]);
  });

  test("is for agents alone, and for two connections of each: the oldest goes", async () => {
    const floor2 = await site.addAgent("floor-2");
    const streams = [await follow(), await follow(floor2), await follow(), await follow()];
    await expect.poll(() => streams.map(({ ended }) => ended)).toEqual([true, false, false, false]);
    floor2.close();
    const nobody = await lobby.request("GET", paths.events, { agent: false, ca: lobby.tls.ca });
    expect([nobody.status, nobody.json.code]).toEqual([403, "not-an-agent"]);
    expect((await lobby.request("POST", paths.events)).json.code).toBe("method-not-allowed");
  });

  test("ends at once for an agent that is revoked", async () => {
    const stream = await follow();
    const admin = await Administration.open(site.dataDir);
    await admin.revokeAgent("lobby");
    await admin.close();
    await expect.poll(() => stream.ended).toBe(true);
  });

  test("an agent that takes nothing is cut off, and nobody else notices", async () => {
    const { EventHub } = await import("../../../agent/central/event-hub.ts");
    const { PassThrough } = await import("node:stream");
    const hub = new EventHub(systemClock);
    const stuck = Object.assign(new PassThrough({ highWaterMark: 1 }), { writeHead: () => {} });
    const ended = hub.follow("stuck", stuck as never, undefined);
    for (let n = 0; n < 2_000; n++) hub.tell("policy", { root: 1, version: n });
    await ended;
    expect(stuck.destroyed).toBe(true);
    expect(hub.agents.size).toBe(0);
    hub.close();
  });

  test("does not keep the server from stopping", async () => {
    const stream = await follow();
    const began = performance.now();
    await site.server.stop();
    expect(performance.now() - began).toBeLessThan(1_500);
    await expect.poll(() => stream.ended).toBe(true);
  });
});
