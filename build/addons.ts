import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Plugin } from "esbuild";

/** What Debian calls the architectures that we build for. */
export const ARCHITECTURES = ["amd64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** This machine's. */
export const HOST: Architecture = process.arch === "arm64" ? "arm64" : "amd64";

/** The prebuilt native addons of the packages that have one, and where these keep it; glibc's, as Debian's is. */
const ADDONS: Readonly<Record<string, Readonly<Record<Architecture, string>>>> = {
  hid: {
    amd64: "node-hid/prebuilds/HID_hidraw-linux-x64/node-napi-v4.node",
    arm64: "node-hid/prebuilds/HID_hidraw-linux-arm64/node-napi-v4.node",
  },
  serialport: {
    amd64: "@serialport/bindings-cpp/prebuilds/linux-x64/@serialport+bindings-cpp.glibc.node",
    arm64: "@serialport/bindings-cpp/prebuilds/linux-arm64/@serialport+bindings-cpp.armv8.glibc.node",
  },
  pcsc: {
    amd64: "@pcsc-mini/linux-x86_64-gnu/addon.node",
    arm64: "@pcsc-mini/linux-aarch64-gnu/addon.node",
  },
};

/** Each package searches its addon in its own way, among those of all platforms: these are the places where they do. */
const SEARCHES = [
  { from: /\/node_modules\/node-hid\//, asked: /^pkg-prebuilds\/bindings$/, addon: "hid", called: true },
  {
    from: /\/node_modules\/@serialport\/bindings-cpp\//,
    asked: /^node-gyp-build$/,
    addon: "serialport",
    called: true,
  },
  { from: /\/node_modules\/pcsc-mini\//, asked: /^\.\/addon\.node$/, addon: "pcsc", called: false },
] as const;

/** CommonJS packages whose names are imported lazily: without this the bundle would have them in `default` alone. */
const NAMES: Readonly<Record<string, readonly string[]>> = { serialport: ["SerialPort"] };

/**
 * Takes the packages with native addons into the bundle. What they load is `addons/NAME.node` beside the bundle, of the one
 * architecture that it is for, so that the bundle runs wherever it is put and reads no `node_modules`.
 */
export function nativeAddons(): Plugin {
  return {
    name: "native-addons",
    setup(build) {
      // They tell their search where they are; it is not asked any more.
      build.initialOptions.define = { ...build.initialOptions.define, __dirname: "import.meta.dirname" };
      for (const { from, asked, addon, called } of SEARCHES) {
        build.onResolve({ filter: asked }, ({ importer }) =>
          from.test(importer) ? { path: addon, namespace: "addon", pluginData: { called } } : undefined,
        );
      }
      build.onLoad({ filter: /.*/, namespace: "addon" }, ({ path, pluginData }) => {
        const load = `require("./addons/${path}.node")`;
        return { contents: `module.exports = ${pluginData.called === true ? `() => ${load}` : load};` };
      });
      build.onResolve({ filter: /^\.\/addons\// }, ({ path }) => ({ path, external: true }));
      for (const [name, exported] of Object.entries(NAMES)) {
        build.onResolve({ filter: new RegExp(`^${name}$`) }, ({ kind }) =>
          kind === "dynamic-import" ? { path: name, namespace: "named" } : undefined,
        );
        build.onLoad({ filter: new RegExp(`^${name}$`), namespace: "named" }, () => ({
          contents: `import library from ${JSON.stringify(name)}; export const { ${exported.join(", ")} } = library;`,
          resolveDir: import.meta.dirname,
        }));
      }
    },
  };
}

/**
 * Puts the addons of an architecture into a folder, from these `node_modules`; says which are not there. The optional one
 * (pcsc-mini) is not published for every architecture, and its readers then say so at their open.
 */
export async function copyAddons(modules: string, architecture: Architecture, outdir: string): Promise<string[]> {
  await mkdir(outdir, { recursive: true });
  const missing: string[] = [];
  for (const [name, { [architecture]: path }] of Object.entries(ADDONS)) {
    try {
      await copyFile(join(modules, path), join(outdir, `${name}.node`));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || name !== "pcsc") throw error;
      missing.push(name);
    }
  }
  return missing;
}
