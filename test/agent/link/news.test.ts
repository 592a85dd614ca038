import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import type { EventListener, ServerEvent } from "../../../agent/link/events.ts";
import { keyPinOf } from "../../../drivers/transports/tls.ts";
import { answer, answerJson, pour, type SeenRequest } from "../../sim/tls-server.ts";
import { authority, codeFrom, failure, identity, linkTo, SPARE_PIN, self, serverWith } from "./fixture.ts";

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const ENVELOPE = { keyId: "0".repeat(16), payload: "e30", signature: "A".repeat(86) };

class Listener implements EventListener {
  opens = 0;
  readonly events: ServerEvent[] = [];
  opened(): void {
    this.opens += 1;
  }
  event(event: ServerEvent): void {
    this.events.push(event);
  }
}

const stream = (more: (request: SeenRequest) => void) => (request: SeenRequest) => {
  request.socket.write(HEAD);
  more(request);
};

test("events come as they are sent, on a connection of their own; the stream's end is no error", async () => {
  const server = await serverWith((request) => {
    if (request.path !== "/v1/agents/self/events") return answerJson(request, 200, self);
    stream(({ socket }) => socket.write("id: e-1\nevent: pol"))(request);
    setImmediate(() => request.socket.end("icy\ndata: {}\n\n"));
  });
  const { link } = linkTo(server);
  await link.self();
  const listener = new Listener();
  await link.events(listener, "e-0");
  expect(listener.events).toEqual([{ type: "policy", data: "{}", id: "e-1" }]);
  const [, asked] = server.requests;
  expect([asked?.connection, asked?.headers.get("last-event-id"), asked?.headers.get("accept")]).toEqual([
    1,
    "e-0",
    "text/event-stream",
  ]);
});

test("a stream that falls silent ends after 45 s, and each octet counts as life", async () => {
  let opened: SeenRequest | undefined;
  const server = await serverWith(
    stream((request) => {
      opened = request;
    }),
  );
  const { link, clock } = linkTo(server);
  const listener = new Listener();
  const end = codeFrom(link.events(listener));
  await expect.poll(() => listener.opens).toBe(1);
  clock.advance(44_000);
  opened?.socket.write("event: x\ndata: {}\n\n");
  await expect.poll(() => listener.events.length).toBe(1);
  clock.advance(44_000);
  expect(link.counters["link-timeout"]).toBe(0);
  clock.advance(1_001);
  expect(await end).toBe("link-timeout");
  // The line that taps take is not said to be down.
  expect(link.state.status).toBe("connected");
});

test("an endless stream is cut off after a mebibyte in a minute, in bounded memory", async () => {
  const piece = Buffer.from(`data: ${"x".repeat(1000)}\n\n`);
  const server = await serverWith(stream(({ socket }) => pour(socket, piece, 2 ** 30)));
  const { link } = linkTo(server);
  const listener = new Listener();
  expect(await codeFrom(link.events(listener))).toBe("link-reply-too-large");
  expect(listener.events.length).toBeLessThan(1100);
});

test.each([
  ["not a stream", (request: SeenRequest) => answerJson(request, 200, {}), "link-bad-reply"],
  ["a redirect", (request: SeenRequest) => answer(request, 302, "", { location: "http://x/" }), "link-redirected"],
  ["a server that is older", (request: SeenRequest) => answerJson(request, 404, {}), "link-bad-reply"],
  [
    "too many",
    (request: SeenRequest) => answerJson(request, 429, { code: "too-many-requests", message: "" }),
    "link-rate-limited",
  ],
  ["an unasked-for 304", (request: SeenRequest) => answer(request, 304, ""), "link-redirected"],
])("instead of a stream: %s", async (_, script, code) => {
  const server = await serverWith(script);
  const { link } = linkTo(server);
  expect(await codeFrom(link.events(new Listener()))).toBe(code);
});

test("a stop ends the stream and leaves no connection", async () => {
  const server = await serverWith(stream(() => {}));
  const { link } = linkTo(server);
  const listener = new Listener();
  const end = codeFrom(link.events(listener));
  await expect.poll(() => listener.opens).toBe(1);
  await link.stop();
  expect(await end).toBe("link-given-up");
  await server.until(() => server.open === 0);
});

test("a policy is asked for with the tag of the one that is there, and unchanged is an answer", async () => {
  const server = await serverWith((request) => {
    if (request.headers.get("if-none-match") === '"t1"') answer(request, 304, "", { etag: '"t1"' });
    else answerJson(request, 200, ENVELOPE, { etag: '"t1"' });
  });
  const { link } = linkTo(server);
  expect(await link.policy()).toEqual({ envelope: ENVELOPE, etag: '"t1"' });
  expect(await link.policy('"t1"')).toBeUndefined();
  expect(await link.policy('"t0"')).toMatchObject({ etag: '"t1"' });
});

test("a 304 that nobody asked for, a policy that is too large, and a root that there is not", async () => {
  const server = await serverWith((request) => answer(request, 304, ""));
  const { link } = linkTo(server);
  expect(await codeFrom(link.policy())).toBe("link-redirected");
  server.script = (request) => answerJson(request, 200, { ...ENVELOPE, payload: "A".repeat(70_000) });
  expect(await codeFrom(link.policy())).toBe("link-reply-too-large");
  server.script = (request) => answerJson(request, 404, { code: "policy-none", message: "" });
  expect(await codeFrom(link.root(7))).toBe("link-nothing-there");
  expect(link.state.status).toBe("connected");
  server.script = (request) => answer(request, 404, "nothing");
  expect((await failure(link.root(7))).code).toBe("link-bad-reply");
});

test("pins: what is no longer trusted is closed at once, what is on trial is told when it works", async () => {
  const server = await serverWith((request) => answerJson(request, 200, self));
  const told: string[] = [];
  const { link } = linkTo(server, { worked: (pin) => told.push(pin) });
  const other = `sha256/${"B".repeat(43)}=`;
  await link.self();
  expect(told).toEqual([]);
  link.trustPins([SPARE_PIN, identity.pin, other], true);
  await link.self();
  expect(told).toEqual([identity.pin]);
  expect(keyPinOf(new X509Certificate(identity.cert))).toBe(identity.pin);
  link.trustPins([SPARE_PIN, other], false);
  await server.until(() => server.open === 0);
  expect(await codeFrom(link.self())).toBe("link-key-not-pinned");
  expect(authority.pem).toContain("CERTIFICATE");
});
