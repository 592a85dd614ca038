import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { AppendLog, decodeLog } from "../../../agent/storage/append-log.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-log-"));
  path = join(folder, "ledger.log");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

const anyRecord = fc.jsonValue({ maxDepth: 2 });

/** The bytes of a log that holds these records, as the log itself writes them. */
async function written(records: readonly unknown[]): Promise<Buffer> {
  const target = join(folder, "made.log");
  await rm(target, { force: true });
  const { log } = await AppendLog.open(target);
  await Promise.all(records.map((record) => log.append(record, false)));
  await log.close();
  return readFile(target);
}

/** Where each line ends. */
function lineEnds(bytes: Buffer): number[] {
  return [...bytes.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at + 1);
}

const plain = (records: readonly unknown[]): unknown => JSON.parse(JSON.stringify(records));

describe("decoding", () => {
  test("any truncation recovers exactly the whole records before it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRecord, { maxLength: 8 }), fc.nat(), async (records, point) => {
        const bytes = await written(records);
        const cut = point % (bytes.length + 1);
        const found = decodeLog(bytes.subarray(0, cut));
        // A record is whole without the newline behind it.
        const whole = lineEnds(bytes).filter((end) => end - 1 <= cut);
        expect(found.records).toEqual(plain(records.slice(0, whole.length)));
        expect(found.tornBytes).toBe(Math.max(0, cut - (whole.at(-1) ?? 0)));
        expect(found.damagedLines).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("no single changed byte yields a record that was not written, and none goes unnoticed", async () => {
    const records = [{ c: "a", n: 1 }, "two", [3, null], { deep: { er: "four" } }];
    const bytes = await written(records);
    const originals = records.map((record) => JSON.stringify(record));
    for (let at = 0; at < bytes.length; at += 1) {
      for (const flip of [0x01, 0x20, 0x80, (bytes[at] ?? 0) ^ 0x0a, (bytes[at] ?? 0) ^ 0x20]) {
        if (flip === 0) continue;
        const changed = Buffer.from(bytes);
        changed[at] = (bytes[at] ?? 0) ^ flip;
        const found = decodeLog(changed);
        const got = found.records.map((record) => JSON.stringify(record));
        expect(got.every((record) => originals.includes(record))).toBe(true);
        expect(got.length).toBeLessThan(records.length);
        expect(found.tornBytes + found.damagedLines).toBeGreaterThan(0);
      }
    }
  });

  test("damage with a sound record after it is counted as damage, not taken for a torn append", async () => {
    const bytes = await written(["one", "two", "three", "four"]);
    bytes[lineEnds(bytes)[0] ?? 0] = 0x58;
    const found = decodeLog(bytes);
    expect(found).toMatchObject({ records: ["one", "three", "four"], damagedLines: 1, tornBytes: 0 });
  });

  test("arbitrary bytes never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(decodeLog(Buffer.from(bytes)).tornBytes).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe("opening", () => {
  test("a missing file is fresh, and private to its owner", async () => {
    const { log, recovered } = await AppendLog.open(path);
    await log.close();
    expect(recovered).toMatchObject({ fresh: true, records: [], tornBytes: 0, damagedLines: 0 });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("what is appended after a torn tail stands on a line of its own", async () => {
    const bytes = await written(["one", "two", "three"]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      await writeFile(path, bytes.subarray(0, cut));
      const { log, recovered } = await AppendLog.open(path);
      await log.append("new", true);
      expect(log.size).toBe((await stat(path)).size);
      await log.close();
      expect(decodeLog(await readFile(path)).records).toEqual([...recovered.records, "new"]);
    }
  });

  test("a loss stays visible at each start until the log is rewritten, so that a crash in between cannot hide it", async () => {
    const bytes = await written(["one", "two", "three"]);
    await writeFile(path, bytes.subarray(0, bytes.length - 3));
    for (const start of [1, 2, 3]) {
      const { log, recovered } = await AppendLog.open(path);
      expect(recovered.tornBytes + recovered.damagedLines).toBeGreaterThan(0);
      if (start === 2) await log.append("later", true);
      if (start === 3) await log.rewrite(() => recovered.records);
      await log.close();
    }
    const { log, recovered } = await AppendLog.open(path);
    await log.close();
    expect(recovered).toMatchObject({ records: ["one", "two", "later"], tornBytes: 0, damagedLines: 0, fresh: false });
  });

  test("a folder in the file's place is a storage error", async () => {
    await mkdir(path);
    await expect(AppendLog.open(path)).rejects.toMatchObject({ code: "storage-failed" });
  });

  test("a missing state folder is a storage error", async () => {
    await expect(AppendLog.open(join(folder, "none", "ledger.log"))).rejects.toMatchObject({ code: "storage-failed" });
  });
});

describe("appending", () => {
  /** All file handles share one prototype; a watched method still does its work. */
  async function handlePrototype() {
    const { open } = await import("node:fs/promises");
    const handle = await open(folder, "r");
    await handle.close();
    return Object.getPrototypeOf(handle) as typeof handle;
  }

  test("concurrent appends keep their order and share their syncs", async () => {
    const { log } = await AppendLog.open(path);
    const sync = vi.spyOn(await handlePrototype(), "datasync");
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    await Promise.all(numbers.map((n) => log.append(n, true)));
    expect(sync.mock.calls.length).toBeLessThanOrEqual(3);
    await log.close();
    expect(decodeLog(await readFile(path)).records).toEqual(numbers);
  });

  test("only a durable append syncs", async () => {
    const { log } = await AppendLog.open(path);
    const sync = vi.spyOn(await handlePrototype(), "datasync");
    await log.append("soft", false);
    expect(sync).not.toHaveBeenCalled();
    await log.append("hard", true);
    expect(sync).toHaveBeenCalledTimes(1);
    await log.close();
  });

  const failure = (code: string) => Object.assign(new Error(code), { code });

  test.each([
    ["ENOSPC", "storage-full"],
    ["EDQUOT", "storage-full"],
    ["EROFS", "storage-read-only"],
    ["EACCES", "storage-read-only"],
    ["EIO", "storage-failed"],
  ])("%s while writing is %s, and the log goes on afterwards", async (errno, code) => {
    const { log } = await AppendLog.open(path);
    await log.append("before", true);
    vi.spyOn(await handlePrototype(), "write").mockRejectedValueOnce(failure(errno));
    await expect(log.append("lost", true)).rejects.toMatchObject({ code });
    await log.append("after", true);
    await log.close();
    expect(decodeLog(await readFile(path))).toMatchObject({
      records: ["before", "after"],
      tornBytes: 0,
      damagedLines: 0,
    });
  });

  test("a half-written line is cut off before the next one, even if cutting it off failed at first", async () => {
    const { log } = await AppendLog.open(path);
    await log.append("before", true);
    const prototype = await handlePrototype();
    const whole = prototype.write;
    const half = async function (this: typeof prototype, bytes: Buffer): Promise<never> {
      await Reflect.apply(whole, this, [bytes, 0, 7]);
      throw failure("ENOSPC");
    };
    vi.spyOn(prototype, "write").mockImplementationOnce(half as never);
    const cut = vi.spyOn(prototype, "truncate");
    cut.mockRejectedValueOnce(failure("EIO"));
    await expect(log.append("lost", true)).rejects.toMatchObject({ code: "storage-full" });
    cut.mockRejectedValueOnce(failure("EIO"));
    await expect(log.append("also lost", true)).rejects.toMatchObject({ code: "storage-failed" });
    await log.append("after", true);
    await log.close();
    expect(decodeLog(await readFile(path))).toMatchObject({
      records: ["before", "after"],
      tornBytes: 0,
      damagedLines: 0,
    });
  });

  test("a record whose sync failed is not left in the file to be believed later", async () => {
    const { log } = await AppendLog.open(path);
    vi.spyOn(await handlePrototype(), "datasync").mockRejectedValueOnce(failure("EIO"));
    await expect(log.append("unsure", true)).rejects.toMatchObject({ code: "storage-failed" });
    await log.close();
    expect(decodeLog(await readFile(path)).records).toEqual([]);
  });

  test("a file system that really refuses to grow the file: whole records stay, the error is coded, the log goes on", () => {
    const program = `
      import { truncateSync } from "node:fs";
      import { AppendLog } from ${JSON.stringify(new URL("../../../agent/storage/append-log.ts", import.meta.url).href)};
      process.on("SIGXFSZ", () => {}); // the limit then shows as EFBIG
      const { log } = await AppendLog.open(${JSON.stringify(path)});
      let [taken, codes] = [0, new Set()];
      for (let n = 0; n < 40; n += 1) {
        await log.append({ n, fill: "x".repeat(100) }, true).then(() => (taken += 1), (error) => codes.add(error.code));
      }
      await log.rewrite(() => ["small"]);
      await log.append("after", true);
      await log.close();
      console.log(JSON.stringify({ taken, codes: [...codes] }));
    `;
    const node = `exec ${JSON.stringify(process.execPath)} --input-type=module`;
    const child = spawnSync("bash", ["-c", `ulimit -f 2 && ${node}`], { input: program, encoding: "utf8" });
    expect(child.stderr).toBe("");
    const { taken, codes } = JSON.parse(child.stdout) as { taken: number; codes: string[] };
    expect(taken).toBeGreaterThan(5);
    expect(taken).toBeLessThan(40);
    expect(codes).toEqual(["storage-failed"]);
  });

  test("after close an append is refused, and nothing is left behind", async () => {
    const { log } = await AppendLog.open(path);
    await log.append("one", false);
    await log.close();
    await expect(log.append("two", false)).rejects.toMatchObject({ code: "storage-failed" });
    expect(await readdir(folder)).toEqual(["ledger.log"]);
  });
});

describe("rewriting", () => {
  test("it replaces everything, and later appends follow it", async () => {
    const { log } = await AppendLog.open(path);
    await log.append("old", true);
    await log.rewrite(() => ["new"]);
    await log.append("after", true);
    expect(log.size).toBe((await stat(path)).size);
    await log.close();
    expect(decodeLog(await readFile(path)).records).toEqual(["new", "after"]);
    expect(await readdir(folder)).toEqual(["ledger.log"]);
  });

  test("no append is lost to a rewrite, in whatever order both are asked for", async () => {
    const action = fc.constantFrom("soft", "durable", "rewrite", "turn");
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        await rm(path, { force: true });
        const { log } = await AppendLog.open(path);
        const live: number[] = [];
        const pending: Promise<void>[] = [];
        for (const [n, what] of actions.entries()) {
          if (what === "turn") await new Promise((resolve) => setImmediate(resolve));
          else if (what === "rewrite") pending.push(log.rewrite(() => [...live]));
          else {
            live.push(n);
            pending.push(log.append(n, what === "durable"));
          }
        }
        await Promise.all(pending);
        await log.close();
        // A record may stand twice: once in what the rewrite took, once behind it.
        expect(new Set(decodeLog(await readFile(path)).records)).toEqual(new Set(live));
      }),
      { numRuns: 60 },
    );
  });

  test("when the new file cannot be opened again, no append is believed that went to the old one", async () => {
    const { log } = await AppendLog.open(path);
    await log.append("old", true);
    // The rename succeeds; then the log's own folder has gone away under it.
    const gone = join(folder, "..", `${folder.split("/").at(-1)}-moved`);
    const { rename } = await import("node:fs/promises");
    await rename(folder, gone);
    await expect(log.rewrite(() => ["new"])).rejects.toMatchObject({ code: "storage-failed" });
    await expect(log.append("to nowhere", true)).rejects.toMatchObject({ code: "storage-failed" });
    await rename(gone, folder);
    await log.append("after", true);
    await log.close();
    expect(decodeLog(await readFile(path)).records).toEqual(["old", "after"]);
  });

  test("a failed rewrite leaves the old content", async () => {
    const { log } = await AppendLog.open(path);
    await log.append("old", true);
    await expect(log.rewrite(() => [1n])).rejects.toMatchObject({ code: "storage-failed" });
    await log.append("after", true);
    await log.close();
    expect(decodeLog(await readFile(path)).records).toEqual(["old", "after"]);
  });

  test("a file that lost bytes under the log is not written on blindly", async () => {
    const { log } = await AppendLog.open(path);
    await log.append("one", true);
    await truncate(path, 3);
    await log.append("two", true);
    await log.close();
    expect(decodeLog(await readFile(path)).tornBytes).toBeGreaterThan(0);
  });
});
