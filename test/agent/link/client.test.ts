import { describe, expect, it } from "vitest";
import { LinkError } from "../../../agent/link/link-error.ts";
import { answer, answerJson, pour, type SeenRequest } from "../../sim/tls-server.ts";
import {
  BOOT,
  CLAIM,
  codeFrom,
  drain,
  failure,
  JOB,
  linkTo,
  outcome,
  refused,
  self,
  serverWith,
  tap,
} from "./fixture.ts";

/** Answers as a central server in order does; a document is 100,000 octets. */
const DOCUMENT = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
const ANSWERS: Readonly<Record<string, object>> = {
  "GET /v1/agents/self": self,
  "GET /v1/agents/self/claims": { claims: [] },
  "POST /v1/taps": refused,
  [`POST /v1/jobs/${JOB}/outcome`]: { claimId: CLAIM, result: "settled" },
  [`POST /v1/jobs/${JOB}/lease`]: { claimId: CLAIM, leaseMs: 60_000 },
};
function wellBehaved(request: SeenRequest): void {
  const known = ANSWERS[`${request.method} ${request.path}`];
  if (known !== undefined) answerJson(request, 200, known);
  else if (request.path === `/v1/jobs/${JOB}/document`) answer(request, 200, DOCUMENT);
  else answerJson(request, 404, { code: "not-found", message: "" });
}

const sayNothing = () => {};

describe("requests", () => {
  it("take no answer that names another tap or claim", async () => {
    const other = "44444444-4444-4444-8444-444444444444";
    const server = await serverWith((request) => {
      const outcomeOrLease = request.path.endsWith("/outcome") ? { result: "settled" } : { leaseMs: 60_000 };
      answerJson(
        request,
        200,
        request.path === "/v1/taps" ? { ...refused, tapId: other } : { claimId: other, ...outcomeOrLease },
      );
    });
    const { link } = linkTo(server);
    expect(await codeFrom(link.tap(tap))).toBe("link-bad-reply");
    expect(await codeFrom(link.outcome(JOB, outcome))).toBe("link-bad-reply");
    expect(await codeFrom(link.renewLease(JOB, CLAIM))).toBe("link-bad-reply");
  });

  it("ask what the protocol says and give the validated answer", async () => {
    const server = await serverWith(wellBehaved);
    const { link } = linkTo(server);
    expect(await link.tap(tap)).toEqual(refused);
    expect(await link.outcome(JOB, outcome)).toEqual({ claimId: CLAIM, result: "settled" });
    expect(await link.renewLease(JOB, CLAIM)).toEqual({ claimId: CLAIM, leaseMs: 60_000 });
    expect(await link.claims()).toEqual({ claims: [] });
    expect(await link.self()).toEqual(self);
    expect(await drain(link.document(JOB, CLAIM))).toEqual(DOCUMENT);
    const bodies = server.requests
      .filter(({ method }) => method === "POST")
      .map(({ body }) => JSON.parse(body.toString()));
    expect(bodies).toEqual([tap, outcome, { claimId: CLAIM }]);
    expect(server.requests.at(-1)?.headers.get("printgate-claim")).toBe(CLAIM);
    for (const { headers } of server.requests) expect(headers.get("printgate-boot")).toBe(BOOT);
  });

  it("go over one connection, and documents over another", async () => {
    const server = await serverWith(wellBehaved);
    const { link } = linkTo(server);
    for (let round = 0; round < 5; round++) {
      await link.tap(tap);
      await drain(link.document(JOB, CLAIM));
    }
    expect(server.connections.length).toBe(2);
    expect(link.counters.connections).toBe(2);
  });

  it("never resume a TLS session", async () => {
    const server = await serverWith(wellBehaved);
    const { link } = linkTo(server);
    for (let round = 0; round < 4; round++) {
      await link.tap(tap);
      server.dropConnections();
      await server.until(() => server.open === 0);
    }
    expect(server.connections.map(({ sessionReused }) => sessionReused)).toEqual([false, false, false, false]);
  });

  it("measure the round trip and the server's clock", async () => {
    const server = await serverWith();
    const { link, clock } = linkTo(server);
    const asking = link.self();
    await server.until(() => server.requests.length === 1);
    clock.advance(100);
    answerJson(server.requests[0] as SeenRequest, 200, self);
    await asking;
    // The server's clock says :02; half of the 100 ms passed since, and ours says :00.100.
    expect(link.state).toMatchObject({ status: "connected", roundTripMs: 100, clockOffsetMs: 1_950 });
  });
});

describe("documents", () => {
  it("do not hold up a tap or an outcome, however slowly they are read", async () => {
    const server = await serverWith((request) => {
      if (!request.path.endsWith("/document")) return wellBehaved(request);
      request.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
      pour(request.socket, Buffer.alloc(65_536), 100_000_000);
    });
    const { link } = linkTo(server);
    const documents = [0, 1, 2].map(() => link.document(JOB, CLAIM)[Symbol.asyncIterator]());
    for (const document of documents) expect((await document.next()).value?.length).toBeGreaterThan(0);
    expect(await link.tap(tap)).toEqual(refused);
    expect(await link.outcome(JOB, outcome)).toEqual({ claimId: CLAIM, result: "settled" });
    for (const document of documents) await document.return?.(undefined);
    await server.until(() => server.open === 1);
  });

  it("come no faster than they are read", async () => {
    let done = false;
    const server = await serverWith((request) => {
      request.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n");
      pour(request.socket, Buffer.alloc(65_536), 50_000_000, () => {
        done = true;
      });
    });
    const { link, clock } = linkTo(server);
    const document = link.document(JOB, CLAIM)[Symbol.asyncIterator]();
    let read = (await document.next()).value?.length ?? 0;
    // The server is as far as it gets once its own buffer is full; several turns of the loop change nothing any more.
    const socket = server.connections[0]?.socket;
    for (let last = -1; socket !== undefined && last !== socket.bytesWritten - socket.writableLength; ) {
      last = socket.bytesWritten - socket.writableLength;
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(done).toBe(false);
    // A slow reader is no stall.
    clock.advance(3_600_000);
    for (let next = await document.next(); next.done !== true; next = await document.next()) read += next.value.length;
    expect(read).toBe(50_000_000);
  });

  it("end in link-timeout when the header or a piece does not come", async () => {
    const server = await serverWith(sayNothing);
    const { link, clock } = linkTo(server);
    const silent = codeFrom(drain(link.document(JOB, CLAIM)));
    await server.until(() => server.requests.length === 1);
    clock.advance(9_999);
    expect(link.counters["link-timeout"]).toBe(0);
    clock.advance(1);
    expect(await silent).toBe("link-timeout");

    server.script = (request) => request.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    const document = link.document(JOB, CLAIM)[Symbol.asyncIterator]();
    expect((await document.next()).value?.length).toBe(3);
    const stalled = codeFrom(document.next());
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(15_000);
    expect(await stalled).toBe("link-timeout");
    expect(clock.pending).toBe(0);
  });

  it("end in an error when the connection ends inside them", async () => {
    const server = await serverWith((request) => {
      request.socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    });
    const { link } = linkTo(server);
    expect(await codeFrom(drain(link.document(JOB, CLAIM)))).toBe("link-unreachable");
    expect(link.counters.retries).toBe(0);
  });

  it("close their connection when they are given up halfway", async () => {
    const server = await serverWith((request) =>
      request.socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
    );
    const { link, clock } = linkTo(server);
    for await (const piece of link.document(JOB, CLAIM)) {
      expect(piece.length).toBe(3);
      break;
    }
    await server.until(() => server.open === 0);
    expect(clock.pending).toBe(0);
  });
});

describe("statuses", () => {
  const problem = (code: string) => ({ code, message: "" });
  it.each([
    [401, "not-an-agent", "link-refused", "link-refused", "link-refused"],
    [403, "", "link-refused", "link-refused", "link-refused"],
    [404, "not-found", "link-bad-reply", "link-bad-reply", "link-bad-reply"],
    [404, "", "link-bad-reply", "link-bad-reply", "link-bad-reply"],
    [409, "", "link-bad-reply", "link-bad-reply", "link-bad-reply"],
    [409, "claim-over", "link-bad-reply", "link-claim-lost", "link-claim-lost"],
    [410, "document-gone", "link-bad-reply", "link-claim-lost", "link-claim-lost"],
    [400, "body-invalid", "link-bad-reply", "link-bad-reply", "link-bad-reply"],
    [204, "", "link-bad-reply", "link-bad-reply", "link-bad-reply"],
    [206, "", "link-bad-reply", "link-bad-reply", "link-bad-reply"],
    [429, "too-many-requests", "link-rate-limited", "link-rate-limited", "link-rate-limited"],
    [500, "internal-error", "link-server-error", "link-server-error", "link-server-error"],
    [503, "", "link-server-error", "link-server-error", "link-server-error"],
  ])("%d %s", async (status, code, ofTap, ofDocument, ofOutcome) => {
    const server = await serverWith((request) => {
      if (code === "") answer(request, status, "", { "content-type": "text/html" });
      else answerJson(request, status, problem(code));
    });
    const { link } = linkTo(server);
    const errors = [
      failure(link.tap(tap)),
      failure(drain(link.document(JOB, CLAIM))),
      failure(link.outcome(JOB, outcome)),
    ];
    const [tapError, documentError, outcomeError] = await Promise.all(errors);
    expect([tapError?.code, documentError?.code, outcomeError?.code]).toEqual([ofTap, ofDocument, ofOutcome]);
    for (const error of [tapError, documentError]) {
      expect(error).toBeInstanceOf(LinkError);
      expect(error?.detail).toContain(String(status));
      expect(error?.detail).toContain(code);
    }
    expect(link.counters[ofTap as "link-refused"]).toBeGreaterThan(0);
  });

  it("429 keeps the agent from asking the same again, for as long as it says but no longer than a minute", async () => {
    const server = await serverWith((request) => {
      if (request.path !== "/v1/taps") return wellBehaved(request);
      answerJson(request, 429, problem("too-many-requests"), { "retry-after": "86400" });
    });
    const { link, clock } = linkTo(server);
    expect(await failure(link.tap(tap))).toMatchObject({ code: "link-rate-limited", retryAfterMs: 60_000 });
    expect(await failure(link.tap(tap))).toMatchObject({ code: "link-rate-limited", retryAfterMs: 60_000 });
    expect(server.requests.length).toBe(1);
    expect(await link.renewLease(JOB, CLAIM)).toEqual({ claimId: CLAIM, leaseMs: 60_000 });
    expect(link.state.status).toBe("connected");
    clock.advance(60_000);
    server.script = wellBehaved;
    expect(await link.tap(tap)).toEqual(refused);
  });
});

describe("a connection that the server closed meanwhile", () => {
  it("costs one retry on a new connection", async () => {
    const server = await serverWith((request) => {
      if (request.place === 1) request.socket.destroy();
      else wellBehaved(request);
    });
    const { link } = linkTo(server);
    await link.self();
    expect(await link.tap(tap)).toEqual(refused);
    expect(server.requests.map(({ path, connection }) => `${connection} ${path}`)).toEqual([
      "0 /v1/agents/self",
      "0 /v1/taps",
      "1 /v1/taps",
    ]);
    expect(link.counters).toMatchObject({ retries: 1, requests: 2, "link-unreachable": 0 });
  });

  it("is not asked a third time", async () => {
    const server = await serverWith((request) => {
      if (request.connection === 0 && request.place === 0) wellBehaved(request);
      else request.socket.destroy();
    });
    const { link } = linkTo(server);
    await link.self();
    expect(await codeFrom(link.tap(tap))).toBe("link-unreachable");
    expect(server.requests.length).toBe(3);
  });

  it("is not asked again when it was a new one, nor when the answer had begun", async () => {
    const server = await serverWith((request) => request.socket.destroy());
    const { link } = linkTo(server);
    expect(await codeFrom(link.tap(tap))).toBe("link-unreachable");
    expect(server.requests.length).toBe(1);

    server.script = (request) => (request.place === 0 ? wellBehaved(request) : request.socket.end("H"));
    await link.self();
    expect(await codeFrom(link.tap(tap))).toBe("link-unreachable");
    expect(server.requests.length).toBe(3);
    expect(link.counters.retries).toBe(0);
  });

  it("keeps to the one deadline over both tries", async () => {
    const server = await serverWith((request) => {
      if (request.connection === 0) return request.place === 0 ? wellBehaved(request) : void request.socket.destroy();
    });
    const { link, clock } = linkTo(server);
    await link.self();
    const tapping = codeFrom(link.tap(tap));
    await server.until(() => server.requests.length === 3);
    clock.advance(5_000);
    expect(await tapping).toBe("link-timeout");
    expect(clock.pending).toBe(0);
  });
});

describe("giving up", () => {
  it("ends each operation at its deadline and closes its connection", async () => {
    const server = await serverWith(sayNothing);
    const { link, clock } = linkTo(server);
    const asked: [Promise<unknown>, number][] = [
      [link.tap(tap), 5_000],
      [link.renewLease(JOB, CLAIM), 5_000],
      [link.self(), 5_000],
      [link.outcome(JOB, outcome), 10_000],
      [link.claims(), 10_000],
    ];
    const errors = asked.map(([promise]) => codeFrom(promise));
    await server.until(() => server.requests.length === 5);
    clock.advance(4_999);
    expect(link.counters["link-timeout"]).toBe(0);
    clock.advance(1);
    expect(link.counters["link-timeout"]).toBe(3);
    clock.advance(5_000);
    expect(await Promise.all(errors)).toEqual(Array(5).fill("link-timeout"));
    await server.until(() => server.open === 0);
    expect(clock.pending).toBe(0);
    expect(link.state).toMatchObject({ status: "disconnected", lastError: { code: "link-timeout" } });
  });

  it("ends a request that still waits its turn, and spares the connection", async () => {
    const server = await serverWith(sayNothing);
    const { link } = linkTo(server);
    const stops = Array.from({ length: 7 }, () => new AbortController());
    const errors = stops.map(({ signal }) => codeFrom(link.tap(tap, signal)));
    await server.until(() => server.requests.length === 6);
    stops[6]?.abort();
    expect(await errors[6]).toBe("link-given-up");
    for (const request of server.requests) answerJson(request, 200, refused);
    expect(await Promise.allSettled(errors.slice(0, 6))).toHaveLength(6);
    expect(server.open).toBe(6);
  });

  it("by the caller's signal, before and while asking", async () => {
    const server = await serverWith(sayNothing);
    const { link, clock } = linkTo(server);
    expect(await codeFrom(link.tap(tap, AbortSignal.abort()))).toBe("link-given-up");
    expect(await codeFrom(drain(link.document(JOB, CLAIM, AbortSignal.abort())))).toBe("link-given-up");
    expect(server.accepted).toBe(0);
    const stop = new AbortController();
    const errors = [codeFrom(link.tap(tap, stop.signal)), codeFrom(drain(link.document(JOB, CLAIM, stop.signal)))];
    await server.until(() => server.requests.length === 2);
    stop.abort();
    expect(await Promise.all(errors)).toEqual(["link-given-up", "link-given-up"]);
    await server.until(() => server.open === 0);
    expect(clock.pending).toBe(0);
    expect(link.state.status).toBe("unknown");
  });

  it("stop rejects everything and leaves no connection and no timer", async () => {
    const server = await serverWith(sayNothing);
    const { link, clock } = linkTo(server);
    link.start();
    const errors = [link.warm(), link.tap(tap), link.outcome(JOB, outcome), drain(link.document(JOB, CLAIM))].map(
      codeFrom,
    );
    // Two of the four pings wait their turn.
    await server.until(() => server.requests.length === 5);
    await link.stop();
    expect(await Promise.all(errors)).toEqual(Array(4).fill("link-given-up"));
    await server.until(() => server.open === 0);
    expect(clock.pending).toBe(0);
    expect(await codeFrom(link.tap(tap))).toBe("link-given-up");
    expect(await codeFrom(drain(link.document(JOB, CLAIM)))).toBe("link-given-up");
  });

  it("stop ends a connection that is still being made", async () => {
    const server = await serverWith(sayNothing, null);
    const { link } = linkTo(server);
    const error = codeFrom(link.tap(tap));
    await server.until(() => server.accepted === 1);
    await link.stop();
    expect(await error).toBe("link-given-up");
    await server.until(() => server.open === 0);
  });
});

describe("the state", () => {
  it("changes with what the server does, and is logged once per change", async () => {
    const server = await serverWith(wellBehaved);
    const { link, clock, log } = linkTo(server);
    expect(link.state).toEqual({ status: "unknown", since: clock.wall() });
    await link.tap(tap);
    expect(link.state.status).toBe("connected");
    clock.advance(1_000);
    server.script = (request) => answer(request, 500, "");
    for (let round = 0; round < 3; round++) await failure(link.tap(tap));
    expect(link.state).toMatchObject({
      status: "disconnected",
      since: clock.wall(),
      lastError: { code: "link-server-error", detail: "500", at: clock.wall() },
    });
    server.script = wellBehaved;
    await link.tap(tap);
    expect(link.state).toMatchObject({ status: "connected", lastError: { code: "link-server-error" } });
    expect(log.text.trim().split("\n")).toHaveLength(3);
  });
});
