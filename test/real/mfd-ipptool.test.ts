import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";

const run = promisify(execFile);

let folder: string;
let file: string;
let mfd: VirtualMfd;
const document = Buffer.concat([Buffer.from("%PDF-1.4\n"), Buffer.alloc(300_000, "printgate ")]);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-mfd-"));
  file = join(folder, "sample.pdf");
  await writeFile(file, document);
  mfd = await VirtualMfd.start({ clock: systemClock, folder: join(folder, "out"), printMs: 20 });
});

afterEach(async () => {
  await mfd.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Debian's ipptool with one of its own test files; its output if the exit code is 0. */
async function ipptool(name: string, ...options: string[]): Promise<string> {
  const { stdout } = await run("ipptool", ["-t", "-T", "10", ...options, "-f", file, mfd.uri, name], {
    timeout: 60_000,
  });
  return stdout;
}

test("Get-Printer-Attributes has all that ipptool expects", async () => {
  expect(await ipptool("get-printer-attributes.test")).toMatch(/\[PASS\]/);
});

test.each([
  ["print-job.test", []],
  ["print-job.test", ["-L"]],
  ["create-job.test", []],
  ["create-job.test", ["-L"]],
])("%s %j prints the same bytes, once", async (name, options) => {
  await ipptool(name, ...options);
  await vi.waitFor(() => expect(mfd.prints).toHaveLength(1), { interval: 5 });
  const [print] = mfd.prints;
  expect(print).toMatchObject({ size: document.length, sha256: createHash("sha256").update(document).digest("hex") });
  expect((await readdir(join(folder, "out"))).filter((entry) => !entry.startsWith("."))).toHaveLength(1);
  expect((await readFile(print?.file ?? "")).equals(document)).toBe(true);
});

test.each(["validate-job.test", "get-jobs.test", "get-completed-jobs.test"])("%s passes", async (name) => {
  expect(await ipptool(name)).not.toMatch(/FAIL/);
});

test("the IPP/2.0 suite passes, with the IPP/1.1 suite in it", async () => {
  // The suite's own sample documents are not shipped; a printer without PDF and JPEG is not asked to print them.
  const formats = ["application/octet-stream"];
  const plain = await VirtualMfd.start({ clock: systemClock, printMs: 0, formats });
  const { stdout } = await run("ipptool", ["-t", "-I", "-f", "/etc/hostname", plain.uri, "ipp-2.0.test"]).finally(() =>
    plain.stop(),
  );
  expect(stdout).not.toContain("[FAIL]");
  expect(stdout.match(/\[PASS\]/g)?.length).toBeGreaterThanOrEqual(30);
  expect(plain.failures).toEqual([]);
});
