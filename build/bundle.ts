import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { type BuildOptions, build } from "esbuild";

/**
 * How the agent is run on a Pi. V8 lets its young generation grow to three times 16 MiB under a flood of taps and glibc
 * gives each thread an arena of its own, and neither gives it back; taps are short-lived, so small ones cost them little.
 * `run` alone: the central server's machine is no Pi. Node says at every start that its FFI is experimental; it is tested here.
 */
const LAUNCHER = `#!/bin/sh
export MALLOC_ARENA_MAX=2
small=
[ "\${1:-}" != run ] || small="--max-semi-space-size=1 --max-old-space-size=64 --optimize-for-size --v8-pool-size=1"
exec "\${PRINTGATE_NODE:-node}" --disable-warning=ExperimentalWarning $small "$(dirname "$(readlink -f "$0")")/printgate.mjs" "$@"
`;

/**
 * Bundles the agent to dist/: ES modules, split so that a driver or command is loaded only when it is used.
 * Native addons stay outside; their packages are found in node_modules.
 */
export async function bundle(outdir: string): Promise<void> {
  await rm(outdir, { recursive: true, force: true });
  await build(await bundleOptions({ printgate: "agent/main.ts" }, outdir));
  await writeFile(`${outdir}/printgate`, LAUNCHER, { mode: 0o755 });
}

/** How our code is bundled wherever it runs outside a checkout. */
export async function bundleOptions(entryPoints: Record<string, string>, outdir: string): Promise<BuildOptions> {
  const root = new URL("..", import.meta.url).pathname;
  const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return {
    absWorkingDir: root,
    entryPoints,
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
    // A CommonJS package that is imported lazily would give its exports as `default` alone.
    mainFields: ["module", "main"],
    outExtension: { ".js": ".mjs" },
    external: ["node-hid", "pcsc-mini", "serialport"],
    define: { PRINTGATE_VERSION: JSON.stringify(version) },
    // CommonJS dependencies call `require` for Node's own modules.
    banner: {
      js: 'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);',
    },
    logLevel: "warning",
  };
}

if (import.meta.main) {
  const outdir = new URL("../dist", import.meta.url).pathname;
  await bundle(outdir);
  const { size } = await stat(`${outdir}/printgate.mjs`);
  process.stdout.write(
    `dist/printgate: the launcher; dist/printgate.mjs (${(size / 1024).toFixed(0)} KiB) and its parts\n`,
  );
}
