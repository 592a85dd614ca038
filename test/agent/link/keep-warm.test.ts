import { describe, expect, it } from "vitest";
import { KeepWarm } from "../../../agent/link/keep-warm.ts";
import { LinkError } from "../../../agent/link/link-error.ts";
import { FakeClock } from "../../sim/clock.ts";
import { answerJson, type SeenRequest } from "../../sim/tls-server.ts";
import { linkTo, refused, self, serverWith, tap } from "./fixture.ts";

/** Lets the promises that are settled run on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A keeper whose pings do what `next` says; `pings` are the times of them. */
function keeper(next: () => Promise<{ reused: boolean; idleMs: number }>) {
  const clock = new FakeClock();
  const line = { load: 0, lastUsed: Number.NEGATIVE_INFINITY };
  const pings: number[] = [];
  const keep = new KeepWarm(clock, line, () => {
    pings.push(clock.monotonic());
    line.lastUsed = clock.monotonic();
    return next();
  });
  const run = async (ms: number) => {
    await settle();
    for (let left = ms; left > 0; left -= 250) {
      clock.advance(250);
      await settle();
    }
  };
  return { clock, line, keep, pings, run };
}

describe("a warm line", () => {
  it("is asked at the start and after each 25 s of idleness", async () => {
    const { keep, pings, run, line, clock } = keeper(async () => ({ reused: true, idleMs: Number.POSITIVE_INFINITY }));
    keep.start();
    await run(60_000);
    expect(pings).toEqual([0, 25_000, 50_000]);
    line.lastUsed = clock.monotonic();
    await run(24_750);
    expect(pings).toHaveLength(3);
    await run(250);
    expect(pings.at(-1)).toBe(85_000);
  });

  it("is asked sooner when the server keeps idle connections for less", async () => {
    const { keep, pings, run } = keeper(async () => ({ reused: true, idleMs: 2_000 }));
    keep.start();
    await run(6_000);
    expect(pings).toEqual([0, 2_000, 4_000, 6_000]);
  });

  it("is left alone while something is under way on it", async () => {
    const { keep, pings, run, line } = keeper(async () => ({ reused: true, idleMs: 25_000 }));
    line.load = 1;
    keep.start();
    await run(100_000);
    expect(pings).toEqual([]);
  });

  it("is asked less and less often while the server is away, then as before", async () => {
    let away = true;
    const { keep, pings, run } = keeper(async () => {
      if (away) throw new LinkError("link-unreachable");
      return { reused: pings.length > 8, idleMs: 25_000 };
    });
    keep.start();
    await run(60_000);
    expect(pings).toEqual([0, 1_000, 3_000, 7_000, 15_000, 31_000, 56_000]);
    away = false;
    await run(21_000 + 100_000);
    expect(pings.slice(7)).toEqual([81_000, 106_000, 131_000, 156_000, 181_000]);
  });

  it("waits as long as the server asks", async () => {
    const { keep, pings, run } = keeper(async () => {
      throw new LinkError("link-rate-limited", "", 40_000);
    });
    keep.start();
    await run(80_000);
    expect(pings).toEqual([0, 40_000, 80_000]);
  });

  it("is opened anew soon after its connection was lost, and not each second when that goes on", async () => {
    const { keep, pings, run } = keeper(async () => ({ reused: false, idleMs: 25_000 }));
    keep.start();
    await run(250);
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 16_000, 25_000]) {
      keep.lost();
      const before = pings.length;
      await run(waitMs - 250);
      expect(pings).toHaveLength(before);
      await run(250);
      expect(pings).toHaveLength(before + 1);
    }
  });

  it("is asked no more once it is stopped, even when a ping is under way", async () => {
    let end = (): void => {};
    const { keep, pings, run, clock } = keeper(
      () =>
        new Promise((resolve) => {
          end = () => resolve({ reused: true, idleMs: 1_000 });
        }),
    );
    keep.start();
    keep.stop();
    end();
    keep.lost();
    await run(60_000);
    expect(pings).toEqual([0]);
    expect(clock.pending).toBe(0);
  });
});

describe("the link", () => {
  const wellBehaved = (request: SeenRequest) => answerJson(request, 200, request.path === "/v1/taps" ? refused : self);

  it("has both connections warm before the first tap, which then opens none", async () => {
    const server = await serverWith(wellBehaved);
    const { link } = linkTo(server);
    await link.warm();
    expect(server.connections).toHaveLength(2);
    await link.tap(tap);
    expect(server.connections).toHaveLength(2);
    expect(link.counters.connections).toBe(2);
  });

  it("says why it cannot warm up", async () => {
    const server = await serverWith(wellBehaved);
    await server.stop();
    const { link } = linkTo(server);
    await expect(link.warm()).rejects.toMatchObject({ code: "link-unreachable" });
    expect(link.state).toMatchObject({ status: "disconnected", lastError: { code: "link-unreachable" } });
  });

  it("keeps both warm, and opens them anew after the server restarted", async () => {
    const server = await serverWith(wellBehaved);
    // No deadline ends a handshake while the clock runs ahead of it.
    const { link, clock } = linkTo(server, { deadlines: { self: 1e9 } });
    link.start();
    await link.warm();
    clock.advance(25_000);
    await server.until(() => server.requests.length === 6);
    expect(server.connections).toHaveLength(2);
    server.dropConnections();
    await server.until(() => server.open === 0);
    // The client's side learns of it in its own time.
    while (server.connections.length < 4) {
      clock.advance(1_000);
      await settle();
    }
    await server.until(() => server.requests.length >= 8);
    expect(link.counters["link-unreachable"]).toBe(0);
  });

  it("takes the server's keep-alive hint", async () => {
    const server = await serverWith((request) =>
      answerJson(request, 200, self, { "keep-alive": "timeout=10, max=100" }),
    );
    const { link, clock } = linkTo(server);
    link.start();
    await link.warm();
    clock.advance(6_999);
    await settle();
    expect(server.requests).toHaveLength(4);
    clock.advance(1);
    await server.until(() => server.requests.length === 6);
    expect(server.connections).toHaveLength(2);
  });
});
