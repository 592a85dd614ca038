import { readFile, rm, stat } from "node:fs/promises";
import { build } from "esbuild";

/**
 * Bundles the agent to dist/: ES modules, split so that a driver or command is loaded only when it is used.
 * Native addons stay outside; their packages are found in node_modules.
 */
export async function bundle(outdir: string): Promise<void> {
  const root = new URL("..", import.meta.url).pathname;
  const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  await rm(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: root,
    entryPoints: { printgate: "agent/main.ts" },
    outdir,
    bundle: true,
    splitting: true,
    minify: true,
    keepNames: true,
    sourcemap: "linked",
    legalComments: "linked",
    platform: "node",
    target: "node26",
    format: "esm",
    outExtension: { ".js": ".mjs" },
    external: ["node-hid", "serialport"],
    define: { PRINTGATE_VERSION: JSON.stringify(version) },
    // CommonJS dependencies call `require` for Node's own modules.
    banner: {
      js: 'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);',
    },
    logLevel: "warning",
  });
}

if (import.meta.main) {
  const outdir = new URL("../dist", import.meta.url).pathname;
  await bundle(outdir);
  const { size } = await stat(`${outdir}/printgate.mjs`);
  process.stdout.write(`dist/printgate.mjs ${(size / 1024).toFixed(0)} KiB and its parts\n`);
}
