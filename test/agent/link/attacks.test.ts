import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LINK_CODES, LinkError } from "../../../agent/link/link-error.ts";
import { MAX_JSON_BYTES } from "../../../agent/protocol/schema.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { Authority } from "../../sim/authority.ts";
import { answer, answerJson, HostileServer, pour } from "../../sim/tls-server.ts";
import {
  atEnd,
  authority,
  BOOT,
  CLAIM,
  client,
  codeFrom,
  drain,
  failure,
  identity,
  JOB,
  linkTo,
  refused,
  SPARE_PIN,
  self,
  serverWith,
  tap,
} from "./fixture.ts";

const MiB = 2 ** 20;
const JSON_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

describe("a server that is not the central server gets nothing of the application", () => {
  const other = new Authority("Other CA");
  it.each([
    ["of another CA", other.issue(), "link-untrusted-certificate", "another CA issued it"],
    ["of a CA of the same name", new Authority().issue(), "link-untrusted-certificate", "another key signed it"],
    [
      "for another host name",
      authority.issue({ hosts: ["elsewhere.example"] }),
      "link-untrusted-certificate",
      "host name",
    ],
    ["that expired", authority.issue({ fromDay: -3, toDay: -2 }), "link-untrusted-certificate", "it has expired"],
    ["not valid yet", authority.issue({ fromDay: 2, toDay: 3 }), "link-untrusted-certificate", "it is not valid yet"],
    [
      "forged in the CA's name, with its genuine one appended",
      authority.forge(),
      "link-untrusted-certificate",
      "another key signed it",
    ],
  ])("a certificate %s", async (_, wrong, code, detail) => {
    const server = await serverWith((request) => answerJson(request, 200, refused), wrong);
    // The pin is right: it is the certificate that must be refused.
    const { link } = linkTo(server, { keyPins: [SPARE_PIN, wrong.pin] });
    const errors = await Promise.all([failure(link.tap(tap)), failure(drain(link.document(JOB, CLAIM)))]);
    for (const error of errors) {
      expect(error).toBeInstanceOf(LinkError);
      expect(error.code).toBe(code);
      expect(error.detail).toContain(detail);
    }
    expect(server.received).toBe(0);
    expect(server.requests).toEqual([]);
    await server.until(() => server.open === 0);
  });

  it("a key that is not pinned, which it names", async () => {
    const unpinned = authority.issue();
    const server = await serverWith((request) => answerJson(request, 200, refused), unpinned);
    const { link } = linkTo(server);
    expect(await failure(link.tap(tap))).toMatchObject({ code: "link-key-not-pinned", detail: unpinned.pin });
    expect(server.accepted).toBe(1);
    expect(server.received).toBe(0);
  });

  it("a server that knows TLS 1.1 at best", async () => {
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    const server = await serverWith(undefined, identity, old);
    const { link } = linkTo(server);
    expect(await codeFrom(link.tap(tap))).toBe("link-no-tls");
    expect(server.accepted).toBe(1);
    expect(server.received).toBe(0);
  });

  it("a plain HTTP server", async () => {
    const server = await serverWith(undefined, null);
    const { link } = linkTo(server);
    const error = codeFrom(link.tap(tap));
    await server.until(() => server.received > 0);
    server.connections[0]?.socket.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    expect(await error).toBe("link-no-tls");
    // What it got is a ClientHello and nothing more.
    expect(server.requests).toEqual([]);
  });

  it("nobody at all", async () => {
    const server = await serverWith();
    await server.stop();
    const { link } = linkTo(server);
    expect(await failure(link.tap(tap))).toMatchObject({ code: "link-unreachable", detail: "ECONNREFUSED" });
  });

  it("a server that is silent in the handshake", async () => {
    const server = await serverWith(undefined, null);
    const { link } = linkTo(server, { deadlines: { connect: 20 } });
    expect(await failure(link.tap(tap))).toMatchObject({ code: "link-timeout", detail: "while connecting" });
    await server.until(() => server.open === 0);
  });
});

describe("settings that would weaken the link are refused at once", () => {
  const good = { url: "https://central.example:8443", ca: authority.pem, keyPins: [identity.pin, SPARE_PIN] };
  it.each([
    ["plain HTTP", { url: "http://central.example" }],
    ["another scheme", { url: "ftp://central.example" }],
    ["no URL", { url: "central.example" }],
    ["a password in the URL", { url: "https://u:p@central.example" }],
    ["a path", { url: "https://central.example/central" }],
    ["a query", { url: "https://central.example/?a" }],
    ["no pin", { keyPins: [] }],
    ["one pin", { keyPins: [identity.pin] }],
    ["the same pin twice", { keyPins: [identity.pin, identity.pin] }],
    ["a pin that is none", { keyPins: [identity.pin, "sha256/abc"] }],
    ["no CA", { ca: "" }],
    ["a CA that is none", { ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" }],
    ["a certificate that is none", { client: { ...client, certificate: "canary" } }],
    ["a key that is none", { client: { ...client, key: "canary" } }],
    ["another certificate's key", { client: { ...client, key: identity.key } }],
    ["a boot id with a line break", { boot: `${BOOT}\r\nx: canary` }],
  ])("%s", (_, wrong) => {
    const make = () => linkTo({ url: "" }, { ...good, ...wrong });
    expect(make).toThrow(LinkError);
    expect(make).toThrow(/^link-settings-invalid: (url|ca|keyPins|client|boot): [^\r\n]*$/);
    expect(make).not.toThrow(/canary/);
  });

  it("any URL that is not https", () => {
    const property = fc.property(fc.constantFrom("http", "ws", "ftp", "file"), fc.domain(), (scheme, host) => {
      expect(() => linkTo({ url: `${scheme}://${host}` })).toThrow(
        "link-settings-invalid: url: it must begin with https:",
      );
    });
    void fc.assert(property);
  });

  it("an IPv6 address is none of them", () => {
    expect(() => linkTo({ url: "" }, { ...good, url: "https://[::1]:8443/" })).not.toThrow();
  });
});

describe("answers", () => {
  it.each([301, 302, 307, 308])("%d is not followed, and is named", async (status) => {
    const elsewhere = await HostileServer.start(undefined);
    atEnd(() => elsewhere.stop());
    const location = `http://127.0.0.1:${elsewhere.port}/v1/taps?token=secret`;
    const server = await serverWith((request) => answer(request, status, "", { location }));
    const { link } = linkTo(server);
    const expected = { code: "link-redirected", detail: `${status} to http://127.0.0.1:${elsewhere.port}` };
    expect(await failure(link.tap(tap))).toMatchObject(expected);
    expect(await failure(drain(link.document(JOB, CLAIM)))).toMatchObject(expected);
    expect(elsewhere.accepted).toBe(0);
  });

  it.each([
    ["HTML", { "content-type": "text/html" }, "<html>Sign in to the Wi-Fi</html>"],
    ["JSON that says it is HTML", { "content-type": "text/html" }, JSON.stringify(refused)],
    ["JSON of no type", {}, JSON.stringify(refused)],
    ["a type that only begins like JSON", { "content-type": "application/jsonp" }, JSON.stringify(refused)],
    ["compressed JSON", { "content-type": "application/json", "content-encoding": "gzip" }, JSON.stringify(refused)],
    ["truncated JSON", { "content-type": "application/json" }, JSON.stringify(refused).slice(0, -1)],
    ["no octet", { "content-type": "application/json" }, ""],
    ["another schema", { "content-type": "application/json" }, `{"result":"refused"}`],
    ["a field too many", { "content-type": "application/json" }, JSON.stringify({ ...refused, redirect: "x" })],
    ["deep nesting", { "content-type": "application/json" }, "[".repeat(60_000)],
    ["null", { "content-type": "application/json" }, "null"],
  ])("%s is refused", async (_, headers, body) => {
    const server = await serverWith((request) => answer(request, 200, body, headers));
    const { link } = linkTo(server);
    expect(await codeFrom(link.tap(tap))).toBe("link-bad-reply");
    expect(link.state.status).toBe("disconnected");
  });

  it("200 MB of JSON end at the cap, whether announced or not", async () => {
    const total = 200 * MiB;
    let chunked = false;
    const server = await serverWith(({ socket }) => {
      socket.write(`${JSON_HEAD}${chunked ? "transfer-encoding: chunked" : `content-length: ${total}`}\r\n\r\n`);
      const chunk = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(65_536, 0x20), Buffer.from("\r\n")]);
      pour(socket, chunked ? chunk : Buffer.alloc(65_536, 0x20), total);
    });
    const { link } = linkTo(server);
    // What the kernel may hold between the two beside what the client read: both socket buffers of loopback.
    const inFlight = 12 * MiB;
    for (const [asked, cap] of [
      [() => link.tap(tap), 0],
      [() => link.self(), 0],
      [() => link.tap(tap), MAX_JSON_BYTES],
      [() => link.self(), 64 * 1024],
    ] as const) {
      chunked = cap > 0;
      expect(await codeFrom(asked())).toBe("link-reply-too-large");
      await server.until(() => server.open === 0);
      expect(server.connections.at(-1)?.socket.bytesWritten).toBeLessThan(cap + inFlight);
    }
    expect(server.connections.length).toBe(4);
  });

  it("a million chunks of one octet give the JSON that they are", async () => {
    const text = JSON.stringify(refused).padEnd(1_000_000, " ");
    const server = await serverWith(({ socket }) => {
      socket.write(`${JSON_HEAD}transfer-encoding: chunked\r\n\r\n`);
      socket.write(`${[...text].map((octet) => `1\r\n${octet}\r\n`).join("")}0\r\n\r\n`);
    });
    const { link } = linkTo(server);
    expect(await link.tap(tap)).toEqual(refused);
  });

  it("an answer that comes by the octet ends at the deadline", async () => {
    const server = await serverWith(({ socket }) => {
      socket.write(`${JSON_HEAD}content-length: 1000\r\n\r\n`);
      const drip = setInterval(() => socket.write(" "), 2);
      socket.on("close", () => clearInterval(drip));
    });
    const { link } = linkTo(server, { clock: systemClock, deadlines: { tap: 60 } });
    expect(await failure(link.tap(tap))).toMatchObject({ code: "link-timeout", detail: "no answer within 60 ms" });
    await server.until(() => server.open === 0);
    expect(systemClock.monotonic()).toBeGreaterThan(0);
  });

  it("an endless header, and endless news before the answer, end", async () => {
    const header = Buffer.from(`x: ${"y".repeat(1000)}\r\n`);
    const server = await serverWith(({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      pour(socket, header, 100 * MiB);
    });
    const { link, clock } = linkTo(server);
    expect(await codeFrom(link.tap(tap))).toBe("link-bad-reply");
    server.script = ({ socket }) => pour(socket, Buffer.from("HTTP/1.1 103 Early Hints\r\n\r\n"), 1000 * MiB);
    const error = codeFrom(link.tap(tap));
    await server.until(() => server.requests.length === 2);
    clock.advance(5_000);
    expect(await error).toBe("link-timeout");
    await server.until(() => server.open === 0);
  });

  it("an answer that nobody asked for is not taken for the next one", async () => {
    const server = await serverWith((request) => {
      answerJson(request, 200, request.path === "/v1/taps" ? refused : self);
      if (request.connection === 0) answerJson(request, 200, { ...refused, serverTime: "2026-06-06T06:06:06Z" });
    });
    const { link } = linkTo(server);
    expect(await link.self()).toEqual(self);
    await server.until(() => server.open === 0);
    expect(await link.tap(tap)).toEqual(refused);
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 1]);
  });
});

describe("any octets whatever", () => {
  const status = fc.constantFrom(100, 101, 103, 200, 204, 302, 401, 404, 409, 429, 500, 999);
  const reply = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(status, fc.string({ maxLength: 40 }), fc.uint8Array({ maxLength: 100 }), fc.boolean())
      .map(([code, header, body, chunked]) => {
        const framing = chunked ? "transfer-encoding: chunked" : `content-length: ${body.length}`;
        const head = `HTTP/1.1 ${code} X\r\ncontent-type: application/json\r\nx: ${header}\r\n${framing}\r\n\r\n`;
        return Buffer.concat([Buffer.from(head), body]);
      }),
    fc
      .json({ maxDepth: 3 })
      .map((text) => Buffer.from(`${JSON_HEAD}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)),
  );

  it("give a coded error and nothing else", async () => {
    let octets = Buffer.alloc(0);
    const server = await serverWith(({ socket }) => socket.end(octets));
    const { link } = linkTo(server);
    const codes = new Set<string>();
    const shown: string[] = [];
    await fc.assert(
      fc.asyncProperty(reply, async (bytes) => {
        octets = bytes;
        const results = await Promise.allSettled([
          link.tap(tap),
          link.renewLease(JOB, CLAIM),
          link.self(),
          drain(link.document(JOB, CLAIM)),
        ]);
        const errors = results.flatMap((it): unknown[] => (it.status === "rejected" ? [it.reason] : []));
        // A document is whatever octets it is; everything else must fit its schema.
        expect(errors.length).toBeGreaterThanOrEqual(3);
        for (const error of errors) {
          if (!(error instanceof LinkError)) throw error;
          codes.add(error.code);
          shown.push(inspect(error));
        }
      }),
      { numRuns: 60 },
    );
    for (const code of codes) expect(Object.keys(LINK_CODES)).toContain(code);
    expect(shown.join("\n")).not.toContain("canary");
  });
});
