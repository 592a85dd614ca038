import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildDeb } from "../../build/deb.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");

let folder: string;
beforeAll(async () => {
  // On the checkout's disk, so that node_modules is linked and not copied.
  await mkdir(join(ROOT, "tmp"), { recursive: true });
  folder = await mkdtemp(join(ROOT, "tmp", "reproducible-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the same commit gives the same package, from another folder, at another time, with another umask and time zone", async () => {
  const here = await buildDeb({ architecture: "amd64", outdir: join(folder, "here") });

  const elsewhere = join(folder, "a longer name of a folder");
  const { stdout: files } = await run("git", ["ls-files", "-z", "-co", "--exclude-standard"], { cwd: ROOT });
  for (const file of files.split("\0").filter(Boolean)) await cp(join(ROOT, file), join(elsewhere, file));
  await run("cp", ["-al", join(ROOT, "node_modules"), join(elsewhere, "node_modules")]);
  const { stdout: time } = await run("git", ["log", "-1", "--format=%ct"], { cwd: ROOT });
  const out = join(folder, "there");
  const build = 'umask 077; cd "$1"; exec "$2" build/deb.ts --arch amd64 --out "$3"';
  await run("sh", ["-ec", build, "sh", elsewhere, process.execPath, out], {
    env: { ...process.env, SOURCE_DATE_EPOCH: time.trim(), TZ: "Asia/Tokyo", LC_ALL: "C", HOME: process.env.HOME },
  });

  const [one, other] = await Promise.all([readFile(here), readFile(join(out, basename(here)))]);
  expect(other.equals(one)).toBe(true);
});
