import { rm } from "node:fs/promises";
import { build } from "esbuild";
import { bundleOptions } from "../../build/bundle.ts";

/** The guest's programs, bundled as the agent is. */
export async function bundleGuest(outdir: string): Promise<void> {
  await rm(outdir, { recursive: true, force: true });
  const entries = Object.fromEntries(["control", "readers", "uhid"].map((name) => [name, `test/vm/guest/${name}.ts`]));
  await build({ ...(await bundleOptions(entries, outdir)), sourcemap: false, legalComments: "none" });
}
