import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeSlot, encodeSlot, KeptFile } from "../../../agent/storage/kept-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-kept-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

const text = (content: unknown) => (typeof content === "string" ? content : undefined);
const open = () => KeptFile.open(join(folder, "it"), text);

test("holds the last value, and the one before it on the disk", async () => {
  const file = await open();
  expect(file.value).toBeUndefined();
  for (const value of ["one", "two", "three"]) await file.write(value);
  expect((await open()).value).toBe("three");
  expect((await readdir(folder)).sort()).toEqual(["it.0", "it.1"]);
  const newest = (await readFile(join(folder, "it.0"), "utf8")).includes("three") ? "it.0" : "it.1";
  await writeFile(join(folder, newest), "");
  const before = await open();
  expect([before.value, before.damaged]).toEqual(["two", 1]);
  await before.write("four");
  const after = await open();
  expect([after.value, after.damaged]).toEqual(["four", 0]);
});

test("writes that are asked for at once are done in their order", async () => {
  const file = await open();
  await Promise.all(["a", "b", "c"].map((value) => file.write(value)));
  expect((await open()).value).toBe("c");
});

test("a value that cannot be read is damage, not absence", async () => {
  await writeFile(join(folder, "it.0"), encodeSlot({ generation: 3, value: 42 }));
  await writeFile(join(folder, "it.1"), encodeSlot({ generation: 2, value: "older" }));
  const file = await open();
  expect([file.value, file.damaged]).toEqual(["older", 1]);
});

test("a write that fails leaves the old value, here and on the disk", async () => {
  const file = await open();
  await file.write("old");
  const gone = await KeptFile.open(join(folder, "no", "such"), text);
  await expect(gone.write("x")).rejects.toMatchObject({ code: "storage-failed" });
  expect(gone.value).toBeUndefined();
  expect((await open()).value).toBe("old");
});

test("any garbage decodes to nothing, and what is whole to itself", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(decodeSlot(Buffer.from(bytes))).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.nat(), fc.string(), fc.nat(), fc.nat(7), (generation, value, place, bit) => {
      const bytes = Buffer.from(encodeSlot({ generation, value }));
      expect(decodeSlot(bytes)).toEqual({ generation, value });
      const at = place % bytes.length;
      expect(decodeSlot(bytes.subarray(0, at))).toBeUndefined();
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      expect(decodeSlot(bytes)).toBeUndefined();
    }),
  );
});
