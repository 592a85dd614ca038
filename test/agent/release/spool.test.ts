import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Manifest } from "../../../agent/protocol/schema.ts";
import { fetchDocument } from "../../../agent/release/document.ts";
import { RamSpool, verified } from "../../../agent/release/spool.ts";
import { documentOf } from "./world.ts";

const CHUNK = 4096;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function manifestOf(document: Uint8Array): Manifest {
  const chunks: string[] = [];
  for (let at = 0; at < document.length; at += CHUNK) chunks.push(sha256(document.subarray(at, at + CHUNK)));
  return {
    ...{
      kind: "manifest",
      jobId: "j",
      claimId: "c",
      agent: "pi",
      printer: "mfd",
      user: "ada",
      format: "application/pdf",
    },
    ...{
      size: document.length,
      sha256: sha256(document),
      chunkSize: CHUNK,
      chunks,
      leaseUntil: "2026-01-01T00:00:00Z",
    },
  };
}

/** The bytes, cut after each of these lengths in turn. */
async function* inPieces(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let [at, n] = [0, 0]; at < bytes.length; n += 1) {
    const length = lengths.length === 0 ? bytes.length : (lengths[n % lengths.length] ?? 1);
    yield bytes.subarray(at, at + length);
    at += length;
    if (length === 0 && lengths.every((each) => each === 0)) return;
  }
}

/** What came out before the end or the error. */
async function read(source: AsyncIterable<Uint8Array>): Promise<{ out: Buffer; code: string }> {
  const out: Uint8Array[] = [];
  try {
    for await (const piece of source) out.push(Buffer.from(piece));
    return { out: Buffer.concat(out), code: "whole" };
  } catch (error) {
    return { out: Buffer.concat(out), code: (error as { code?: string }).code ?? String(error) };
  }
}

const anySize = fc.oneof(
  fc.integer({ min: 1, max: 3 * CHUNK + 5 }),
  fc.constantFrom(1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK),
);
const cuts = fc.array(fc.integer({ min: 0, max: 2 * CHUNK }), { maxLength: 6 }).map((lengths) => [...lengths, 700]);

describe("verified", () => {
  test("any chunking of the right bytes gives the same bytes", async () => {
    await fc.assert(
      fc.asyncProperty(anySize, cuts, async (size, lengths) => {
        const document = documentOf(size);
        const { out, code } = await read(verified(inPieces(document, lengths), manifestOf(document)));
        expect(code).toBe("whole");
        expect(out.equals(document)).toBe(true);
      }),
    );
  });

  type Harm = { code: string; apply: (document: Buffer, at: number) => Buffer };
  const harms: Record<string, Harm> = {
    flip: {
      code: "document-altered",
      apply: (document, at) => {
        document[at] = (document[at] ?? 0) ^ 0x10;
        return document;
      },
    },
    truncate: { code: "document-truncated", apply: (document, at) => document.subarray(0, at) },
    extend: { code: "document-altered", apply: (document, at) => Buffer.concat([document, Buffer.alloc(at + 1)]) },
    insert: {
      code: "document-altered",
      apply: (document, at) =>
        Buffer.concat([document.subarray(0, at), Buffer.from([0xaa, 0x55]), document.subarray(at)]),
    },
    reorder: {
      code: "document-altered",
      apply: (document) =>
        Buffer.concat([document.subarray(CHUNK, 2 * CHUNK), document.subarray(0, CHUNK), document.subarray(2 * CHUNK)]),
    },
  };

  test.each(Object.keys(harms))("%s: the right code, and not one wrong byte passes", async (name) => {
    const { code, apply } = harms[name] as Harm;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2 * CHUNK, max: 3 * CHUNK + 9 }),
        fc.nat(),
        cuts,
        async (size, point, lengths) => {
          const document = documentOf(size);
          const harmed = apply(Buffer.from(document), point % size);
          const found = await read(verified(inPieces(harmed, lengths), manifestOf(document)));
          expect(found.code).toBe(code);
          expect(found.out.equals(document.subarray(0, found.out.length))).toBe(true);
          expect(found.out.length === document.length || found.out.length % CHUNK === 0).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("an empty answer is a truncated document", async () => {
    expect(await read(verified(inPieces(Buffer.alloc(0), []), manifestOf(documentOf(10))))).toMatchObject({
      code: "document-truncated",
    });
  });

  test("at most one chunk is taken ahead of whoever reads", async () => {
    const document = documentOf(8 * CHUNK);
    let given = 0;
    const source = async function* () {
      for await (const piece of inPieces(document, [512])) {
        given += piece.length;
        yield piece;
      }
    };
    let taken = 0;
    for await (const chunk of verified(source(), manifestOf(document))) {
      expect(given - taken).toBeLessThanOrEqual(CHUNK);
      taken += chunk.length;
    }
    expect(taken).toBe(document.length);
  });

  test("a source that drips single bytes costs no object per byte", async () => {
    const document = documentOf(CHUNK);
    const seen: number[] = [];
    for await (const chunk of verified(inPieces(document, [1]), manifestOf(document))) seen.push(chunk.length);
    expect(seen).toEqual([CHUNK]);
  });
});

describe("a fetched document", () => {
  const sourceOf = (document: Buffer, log: string[] = []) =>
    (async function* () {
      try {
        yield* inPieces(document, [1000]);
      } finally {
        log.push("left");
      }
    })();

  test("one that fits is held whole, counted once, and given back once", async () => {
    const document = documentOf(10_000);
    const spool = new RamSpool(16_384);
    const fetched = await fetchDocument(manifestOf(document), sourceOf(document), spool);
    expect(spool.used).toBe(10_000);
    expect((await read(fetched.body.chunks())).out.equals(document)).toBe(true);
    fetched.discard();
    fetched.discard();
    expect(spool.used).toBe(0);
  });

  test.each(["flip", "cut", "throw"])("one that fails (%s) gives its memory back", async (how) => {
    const document = documentOf(10_000);
    const harmed = how === "cut" ? document.subarray(0, 9000) : Buffer.from(document);
    if (how === "flip") harmed[9999] = 0;
    const broken = async function* () {
      yield document.subarray(0, 5000);
      throw new Error("the line broke");
    };
    const spool = new RamSpool(16_384);
    const source = how === "throw" ? broken() : sourceOf(harmed);
    await expect(fetchDocument(manifestOf(document), source, spool)).rejects.toThrow();
    expect(spool.used).toBe(0);
  });

  test("one that does not fit is streamed, with no memory set aside, and only its first chunk is read ahead", async () => {
    const document = documentOf(40_000);
    const spool = new RamSpool(16_384);
    let given = 0;
    const source = async function* () {
      for await (const piece of inPieces(document, [1000])) {
        given += piece.length;
        yield piece;
      }
    };
    const fetched = await fetchDocument(manifestOf(document), source(), spool);
    expect(spool.used).toBe(0);
    expect(given).toBeLessThanOrEqual(CHUNK + 1000);
    expect((await read(fetched.body.chunks())).out.equals(document)).toBe(true);
  });

  test("two that fit one by one but not together: the second streams", async () => {
    const document = documentOf(10_000);
    const spool = new RamSpool(16_384);
    const first = await fetchDocument(manifestOf(document), sourceOf(document), spool);
    const second = await fetchDocument(manifestOf(document), sourceOf(document), spool);
    expect(spool.used).toBe(10_000);
    first.discard();
    second.discard();
    expect(spool.used).toBe(0);
  });

  test("discarding a streamed one leaves its source, read or not", async () => {
    const document = documentOf(40_000);
    for (const pieces of [0, 1, 2]) {
      const log: string[] = [];
      const fetched = await fetchDocument(manifestOf(document), sourceOf(document, log), new RamSpool(0));
      const reader = fetched.body.chunks()[Symbol.asyncIterator]();
      for (let n = 0; n < pieces; n += 1) await reader.next();
      fetched.discard();
      await new Promise((resolve) => setImmediate(resolve));
      expect(log).toEqual(["left"]);
    }
  });
});
