import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { guessFormat } from "../../../agent/central/document-format.ts";
import { CHUNK_SIZE, Documents } from "../../../agent/central/documents.ts";
import { RateLimit } from "../../../agent/central/rate-limit.ts";
import { tempFolder } from "./site-fixture.ts";

let root: string;
let folder: string;
let documents: Documents;

beforeEach(async () => {
  root = await tempFolder();
  folder = join(root, "documents");
  await mkdir(folder);
  documents = new Documents(folder);
});

afterEach(() => rm(root, { recursive: true }));

async function add(bytes: Buffer, progress: (bytes: number) => void = () => {}) {
  const path = join(root, randomUUID());
  await writeFile(path, bytes);
  const source = await open(path);
  const id = randomUUID();
  try {
    return { id, stored: await documents.add(id, source, progress) };
  } finally {
    await source.close();
  }
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

test.each([1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE])(
  "a document of %i bytes is stored whole, with the hash of each chunk",
  async (size) => {
    const bytes = randomBytes(size);
    const heard: number[] = [];
    const { id, stored } = await add(bytes, (so) => heard.push(so));
    const chunks = [];
    for (let at = 0; at < size; at += CHUNK_SIZE) chunks.push(sha256(bytes.subarray(at, at + CHUNK_SIZE)));
    expect(stored).toMatchObject({ size, sha256: sha256(bytes).toString("hex"), chunkSize: CHUNK_SIZE });
    expect(Buffer.concat(chunks).equals(stored.chunks)).toBe(true);
    expect((await readFile(join(folder, id))).equals(bytes)).toBe(true);
    expect((await stat(join(folder, id))).mode & 0o777).toBe(0o600);
    expect(heard.at(-1)).toBe(size);
    expect(await readdir(folder)).toEqual([id]);
  },
);

test("an empty or unreadable document is refused and leaves nothing", async () => {
  await expect(add(Buffer.alloc(0))).rejects.toMatchObject({ code: "document-size" });
  const directory = await open(root);
  await expect(documents.add(randomUUID(), directory, () => {})).rejects.toMatchObject({ code: "document-unreadable" });
  await directory.close();
  expect(await readdir(folder)).toEqual([]);
});

test("removing what is not there is no error; what is no job id never becomes a path", async () => {
  await documents.remove(randomUUID());
  expect(await documents.open(randomUUID())).toBeUndefined();
  await expect(documents.open("../keys/ca.key")).rejects.toThrow(TypeError);
  expect(() => documents.remove("..")).toThrow(TypeError);
});

test("only old files that no job needs are cleared away, and nothing that is not a document", async () => {
  const { id: needed } = await add(Buffer.from("a"));
  const { id: unneeded } = await add(Buffer.from("b"));
  await writeFile(join(folder, `${needed}.tmp`), "c");
  await writeFile(join(folder, "README"), "d");
  const isNeeded = async (id: string) => id === needed;
  expect(await documents.removeUnneeded(isNeeded, 0)).toBe(0);
  expect(await documents.removeUnneeded(isNeeded, Number.POSITIVE_INFINITY)).toBe(2);
  expect((await readdir(folder)).sort()).toEqual([needed, "README"].sort());
  expect(await readdir(folder)).not.toContain(unneeded);
});

test.each([
  ["%PDF-1.7\n", "application/pdf"],
  ["RaS2PwgRaster", "image/pwg-raster"],
  ["UNIRAST\0\0\0\0", "image/urf"],
  ["\x1bE\x1b&l0O", "application/vnd.hp-pcl"],
  ["%!PS-Adobe-3.0", "application/postscript"],
  ["\xff\xd8\xff\xe0JFIF", "image/jpeg"],
  ["Hello", undefined],
  ["", undefined],
])("the first bytes %j speak for %s", (head, format) => {
  expect(guessFormat(Buffer.from(head, "latin1"))).toBe(format);
});

test("a rate limit lets through its burst at once and its rate in the long run, and remembers few keys", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 200 }), (waits) => {
      const limit = new RateLimit(10, 5, 4);
      let [now, taken] = [0, 0];
      for (const [index, wait] of waits.entries()) {
        now += wait;
        const retryMs = limit.take("key", now);
        if (retryMs === 0) taken += 1;
        else expect(limit.take("key", now + retryMs - 1)).toBeGreaterThan(0);
        limit.take(`other-${index % 3}`, now);
      }
      expect(taken).toBeLessThanOrEqual(5 + (now + 100) / 100);
    }),
  );
  const limit = new RateLimit(1, 1, 2);
  expect(limit.take("a", 0)).toBe(0);
  expect(limit.take("a", 0)).toBe(1000);
  limit.take("b", 0);
  limit.take("c", 0);
  expect(limit.take("a", 0)).toBe(0); // forgotten: memory is bounded
});
