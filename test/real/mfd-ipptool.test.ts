import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { samplePdf } from "../../agent/demo/sample-pdf.ts";
import { systemClock } from "../../drivers/clock.ts";
import { startEvePrinter } from "./ippeveprinter.ts";

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

/** The documents that ipp-1.1.test prints, which are not shipped with it; it looks for them beside itself. */
const DOCUMENTS = [
  ...["document-a4.pdf", "document-letter.pdf", "document-a4.ps", "document-letter.ps"],
  ...["color.jpg", "gray.jpg"],
];
const FORMATS = ["application/pdf", "image/jpeg", "application/octet-stream"];

/** Each of the suite's tests by its name and turn, and how it ended. */
function results(stdout: string): ReadonlyMap<string, string> {
  const lines = [...stdout.matchAll(/^ {4}(\S.*?) +\[(PASS|FAIL|SKIP)\]/gm)];
  return new Map(lines.map(([, name, result = ""], turn) => [`${turn + 1} ${name}`, result]));
}

test("ipp-1.1.test fails nowhere that it does not fail with ippeveprinter", async () => {
  const suite = join(folder, "ipp-1.1.test");
  await copyFile("/usr/share/cups/ipptool/ipp-1.1.test", suite);
  const page = samplePdf(["a page"]);
  for (const name of DOCUMENTS) await writeFile(join(folder, name), page);
  // -I: goes on after a failure; -R: repeats while the printer is busy, which ippeveprinter is with one job.
  const against = async (printerUri: string) => {
    const args = ["-tIR", "-T", "20", "-f", join(folder, "document-a4.pdf"), printerUri, suite];
    const { stdout } = await run("ipptool", args, { timeout: 90_000 }).catch((error: { stdout?: string }) => ({
      stdout: error.stdout ?? "", // its exit code says that something failed: what did is looked at below
    }));
    return results(stdout);
  };
  const eve = await startEvePrinter({ formats: FORMATS });
  const plain = await VirtualMfd.start({ clock: systemClock, printMs: 0, formats: FORMATS });
  try {
    const [ours, theirs] = await Promise.all([against(plain.uri), against(eve.uri)]);
    const failed = (all: ReadonlyMap<string, string>) =>
      [...all].filter(([, how]) => how === "FAIL").map(([name]) => name);
    const passed = (all: ReadonlyMap<string, string>) => [...all].filter(([, how]) => how === "PASS").length;
    expect([...ours.keys()]).toEqual([...theirs.keys()]);
    expect(passed(ours)).toBeGreaterThanOrEqual(38);
    expect(failed(ours).filter((name) => !failed(theirs).includes(name))).toEqual([]);
    expect(plain.failures).toEqual([]);
  } finally {
    await plain.stop();
    await eve.stop();
  }
}, 120_000);
