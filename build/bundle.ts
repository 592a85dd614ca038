import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { type Architecture, copyAddons, HOST, nativeAddons } from "./addons.ts";
import { type BundledPackage, bundledFolders, bundledPackage, hidapi, licencesText } from "./licences.ts";

/**
 * How the agent is run on a Pi. V8 lets its young generation grow to three times 16 MiB under a flood of taps and glibc
 * gives each thread an arena of its own, and neither gives it back; taps are short-lived, so small ones cost them little.
 * `run` alone: the central server's machine is no Pi. Node says at every start that its FFI is experimental; it is tested here.
 * The package has its own Node beside the launcher.
 */
const LAUNCHER = `#!/bin/sh
export MALLOC_ARENA_MAX=2
small=
[ "\${1:-}" != run ] || small="--max-semi-space-size=1 --max-old-space-size=64 --optimize-for-size --v8-pool-size=1"
here=$(dirname "$(readlink -f "$0")")
node=\${PRINTGATE_NODE:-$here/node}
[ -x "$node" ] || node=node
exec "$node" --disable-warning=ExperimentalWarning $small "$here/printgate.mjs" "$@"
`;

const ROOT = join(import.meta.dirname, "..");

export interface BundleTarget {
  readonly architecture: Architecture;
  /** Where that architecture's native addons are. */
  readonly modules: string;
}

export interface Bundle {
  readonly packages: readonly BundledPackage[];
  /** Native addons that are not published for this architecture. */
  readonly missing: readonly string[];
}

const HERE: BundleTarget = { architecture: HOST, modules: join(ROOT, "node_modules") };

/**
 * Bundles the agent to `outdir`: ES modules, split so that a driver or command is loaded only when it is used, native addons,
 * the licences of all that is in it, and the launcher. It needs nothing else but Node. Source maps are in `maps/`, apart.
 */
export async function bundle(outdir: string, { architecture, modules }: BundleTarget = HERE): Promise<Bundle> {
  await rm(outdir, { recursive: true, force: true });
  // The names of the parts are hashes of them and of their source maps, which have paths from where they are to the sources:
  // wherever the bundle is to be, they are made for one and the same place in the checkout.
  const place = join(ROOT, "dist");
  const { metafile, outputFiles } = await build({
    ...(await bundleOptions({ printgate: "agent/main.ts" }, place)),
    external: [],
    plugins: [nativeAddons()],
    sourcemap: "external",
    legalComments: "none",
    metafile: true,
    write: false,
  });
  await mkdir(join(outdir, "maps"), { recursive: true });
  for (const { path, contents } of outputFiles) {
    await writeFile(join(outdir, path.endsWith(".map") ? "maps" : "", relative(place, path)), contents);
  }
  const missing = await copyAddons(modules, architecture, join(outdir, "addons"));
  const packages = await Promise.all([
    ...bundledFolders(metafile).map((folder) => bundledPackage(join(ROOT, folder))),
    hidapi(modules),
  ]);
  await writeFile(join(outdir, "LICENCES.txt"), licencesText(packages));
  await writeFile(join(outdir, "printgate"), LAUNCHER, { mode: 0o755 });
  return { packages, missing };
}

/** How our code is bundled wherever it runs outside a checkout. */
export async function bundleOptions(entryPoints: Record<string, string>, outdir: string): Promise<BuildOptions> {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { version: string };
  return {
    absWorkingDir: ROOT,
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
  const outdir = join(ROOT, "dist");
  const { packages, missing } = await bundle(outdir);
  const { size } = await stat(join(outdir, "printgate.mjs"));
  const without = missing.length === 0 ? "" : `, without the native addon ${missing.join(", ")}`;
  process.stdout.write(
    `dist/printgate: the launcher; dist/printgate.mjs (${(size / 1024).toFixed(0)} KiB) and its parts${without}; ${packages.length} packages of others in it\n`,
  );
}
