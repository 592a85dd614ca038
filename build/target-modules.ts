import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Architecture } from "./addons.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");
const CPU: Readonly<Record<Architecture, string>> = { amd64: "x64", arm64: "arm64" };
/** The first has scripts of ours, which change nothing here; what it depends on is in the lockfile too. */
const FILES = ["package.json", "package-lock.json", ".npmrc"];

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "printgate");
}

/** Node's runtime of an architecture, in its `node_modules`. */
export function runtimeOf(architecture: Architecture): string {
  return `node-linux-${CPU[architecture]}`;
}

/**
 * The `node_modules` of another machine, or of this one: what the lockfile says, each package's bytes checked against it by
 * npm, no script run. Kept in the cache until the lockfile changes.
 */
export async function targetModules(architecture: Architecture): Promise<string> {
  const hash = createHash("sha256");
  for (const file of FILES.slice(1)) hash.update(await readFile(join(ROOT, file)));
  const folder = join(cacheFolder(), `npm-${architecture}-${hash.digest("hex").slice(0, 12)}`);
  const modules = join(folder, "node_modules");
  if (await exists(folder)) return modules;
  await mkdir(cacheFolder(), { recursive: true });
  const work = await mkdtemp(join(cacheFolder(), "building-"));
  try {
    for (const file of FILES) await copyFile(join(ROOT, file), join(work, file));
    const platform = ["--os=linux", "--libc=glibc", `--cpu=${CPU[architecture]}`];
    await run("npm", ["ci", ...platform, "--omit=dev", "--ignore-scripts", "--prefer-offline", "--loglevel=error"], {
      cwd: work,
    });
    // npm passes over an optional package that it cannot get, and this one is not optional here.
    await stat(join(work, "node_modules", runtimeOf(architecture), "bin/node"));
    await rename(work, folder);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    // Another build may have made the same.
    if (!(await exists(folder))) throw error;
  }
  return modules;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
