import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Architecture } from "./addons.ts";
import { cacheFolder } from "./target-modules.ts";

const run = promisify(execFile);

/** The oldest Debian that we are for; Raspberry Pi OS of the same name is built on it. */
const SUITE = "bookworm";

export interface RootOptions {
  readonly architecture: Architecture;
  /** `minbase`: a small system, its packages configured. `extract`: their files alone, for programs that are run from outside. */
  readonly variant: "minbase" | "extract";
  readonly packages: readonly string[];
}

/** A Debian file system made of Debian's packages, kept in the cache. As root, or nobody else could own its files. */
export async function debianRoot({ architecture, variant, packages }: RootOptions): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([SUITE, architecture, variant, packages]));
  const folder = join(cacheFolder(), `root-${architecture}-${hash.digest("hex").slice(0, 12)}`);
  if (await exists(folder)) return folder;
  await mkdir(cacheFolder(), { recursive: true });
  const work = await mkdtemp(join(cacheFolder(), "building-"));
  try {
    const options = [`--architectures=${architecture}`, `--variant=${variant}`, `--include=${packages.join(",")}`];
    await run("mmdebstrap", ["--mode=root", "--quiet", ...options, SUITE, join(work, "root")]);
    await rename(join(work, "root"), folder);
  } catch (error) {
    if (!(await exists(folder))) throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
