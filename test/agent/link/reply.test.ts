import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LINK_CODES, LinkError } from "../../../agent/link/link-error.ts";
import { JsonReply } from "../../../agent/link/reply.ts";
import { AgentSelf, MAX_JSON_BYTES, TapAnswer } from "../../../agent/protocol/schema.ts";
import { self, tap } from "./fixture.ts";

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

/** `bytes` cut at `cuts`. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

describe("a JSON reply", () => {
  it("reads the same however it is cut", () => {
    const bytes = Buffer.from(JSON.stringify({ ...self, name: "a" }).padEnd(20_000, " "));
    const property = fc.property(fc.array(fc.nat(), { maxLength: 50 }), (cuts) => {
      const reply = new JsonReply(MAX_JSON_BYTES);
      expect(reply.head(200, JSON_TYPE)).toBeUndefined();
      for (const piece of chunks(bytes, cuts)) expect(reply.piece(piece)).toBeUndefined();
      expect(reply.read(AgentSelf)).toEqual({ ...self, name: "a" });
    });
    void fc.assert(property);
  });

  it("takes its cap and not an octet more", () => {
    for (const more of [0, 1]) {
      const reply = new JsonReply(1000);
      reply.head(200, JSON_TYPE);
      expect(reply.piece(Buffer.alloc(500))).toBeUndefined();
      const wrong = reply.piece(Buffer.alloc(500 + more));
      expect(wrong?.code).toBe(more === 0 ? undefined : "link-reply-too-large");
    }
  });

  it("is not parsed when it would unfold to a multiple of its size", () => {
    for (const text of ["[]", "{}", "1", '"a":1']) {
      const reply = new JsonReply(MAX_JSON_BYTES);
      reply.head(200, JSON_TYPE);
      reply.piece(Buffer.from(`[${`${text},`.repeat(500_000)}0]`));
      expect(reply.read(AgentSelf)).toMatchObject({ code: "link-reply-too-large" });
    }
  });

  it("may be as large as the cap when that is in few values", () => {
    const reply = new JsonReply(MAX_JSON_BYTES);
    reply.head(200, JSON_TYPE);
    const envelope = { keyId: "0123456789abcdef", payload: "A".repeat(41_000), signature: "b".repeat(86) };
    const answer = {
      result: "accepted",
      tapId: tap.tapId,
      displayName: "A",
      jobs: Array(100).fill(envelope),
      leaseMs: 1000,
      serverTime: self.serverTime,
    };
    reply.piece(Buffer.from(JSON.stringify(answer)));
    expect(reply.read(TapAnswer)).toEqual(answer);
  });

  it("is an answer that fits or an error with a code, whatever came", () => {
    const status = fc.integer({ min: 200, max: 999 });
    const header = fc.constantFrom<Record<string, string>>(JSON_TYPE, {}, { "retry-after": "3" }, { location: "//x" });
    const property = fc.property(status, header, fc.uint8Array(), (code, headers, bytes) => {
      const reply = new JsonReply(1000);
      const result = reply.head(code, headers) ?? reply.piece(Buffer.from(bytes)) ?? reply.read(AgentSelf);
      expect(result).toBeInstanceOf(LinkError);
      expect(Object.keys(LINK_CODES)).toContain((result as LinkError).code);
    });
    void fc.assert(property);
  });

  it("says where an answer does not fit, and quotes nothing of it", () => {
    const reply = new JsonReply(1000);
    reply.head(200, JSON_TYPE);
    reply.piece(Buffer.from(JSON.stringify({ ...self, serverTime: "canary" })));
    const error = reply.read(AgentSelf);
    expect(error).toMatchObject({ code: "link-bad-reply", detail: "200 that does not fit at /serverTime" });
  });

  it("takes Retry-After in seconds, at most a minute, and ignores every other form", () => {
    for (const [text, waitMs] of [
      ["0", 0],
      ["7", 7_000],
      ["86400", 60_000],
      ["-1", 5_000],
      ["soon", 5_000],
      ["Wed, 21 Oct 2026 07:28:00 GMT", 5_000],
      ["99999999999999999999", 5_000],
    ] as const) {
      const reply = new JsonReply(1000);
      reply.head(429, { "retry-after": text });
      expect(reply.error().retryAfterMs).toBe(waitMs);
    }
  });
});

describe("the table of codes", () => {
  it("has a row for each, and an error shows its own", () => {
    for (const [code, row] of Object.entries(LINK_CODES)) {
      expect(new LinkError(code as "link-refused").row).toEqual(row);
      expect(row.what).toMatch(/\.$/);
      expect(row.next).toMatch(/\.$/);
    }
  });
});
