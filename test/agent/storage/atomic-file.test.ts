import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { replaceFile } from "../../../agent/storage/atomic-file.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-file-"));
  path = join(folder, "state.json");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

async function handlePrototype() {
  const { open } = await import("node:fs/promises");
  const handle = await open(folder, "r");
  await handle.close();
  return Object.getPrototypeOf(handle) as typeof handle;
}

test("a file is made, and replaced, with mode 0600 and nothing beside it", async () => {
  await replaceFile(path, "old");
  await replaceFile(path, Buffer.from("new"));
  expect(await readFile(path, "utf8")).toBe("new");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(["state.json"]);
});

test.each(["writeFile", "sync"] as const)(
  "when %s fails, the old bytes stay and no temp file is left",
  async (method) => {
    await replaceFile(path, "old");
    const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
    vi.spyOn(await handlePrototype(), method).mockRejectedValueOnce(full);
    await expect(replaceFile(path, "new")).rejects.toMatchObject({ code: "storage-full" });
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["state.json"]);
  },
);

test("the bytes are synced before the rename and the folder after it", async () => {
  const seen: string[] = [];
  const prototype = await handlePrototype();
  const { sync } = prototype;
  vi.spyOn(prototype, "sync").mockImplementation(async function (this: typeof prototype) {
    seen.push(
      (await readFile(path, "utf8").catch(() => "none")) + ((await this.stat()).isDirectory() ? " folder" : " file"),
    );
    await sync.call(this);
  });
  await replaceFile(path, "new");
  expect(seen).toEqual(["none file", "new folder"]);
});

test("a folder in the file's place is a storage error that leaves nothing", async () => {
  await mkdir(path);
  await writeFile(join(path, "inside"), "");
  await expect(replaceFile(path, "new")).rejects.toMatchObject({ code: "storage-failed" });
  expect(await readdir(folder)).toEqual(["state.json"]);
});

test("a missing folder is a storage error", async () => {
  await expect(replaceFile(join(folder, "none", "file"), "new")).rejects.toMatchObject({ code: "storage-failed" });
});
