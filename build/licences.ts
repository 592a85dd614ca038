import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Metafile } from "esbuild";

/** A package of other people's that is in the bundle, or beside it. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression, as the package says. */
  readonly licence: string;
  /** The texts of its licence and notice files, one after the other. */
  readonly text: string;
}

/** Longest first, so that `@scope/name` is whole and a package inside another's `node_modules` is that package. */
const PACKAGE = /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//;

/** The packages of which something is in the bundle: their folders, sorted. */
export function bundledFolders({ inputs }: Metafile): string[] {
  const folders = new Set<string>();
  for (const path of Object.keys(inputs)) {
    const [prefix] = PACKAGE.exec(path) ?? [];
    if (prefix !== undefined) folders.add(prefix.replace(/\/$/, ""));
  }
  return [...folders].sort();
}

/** Every licence wants its text to travel with the program: a package without one is an error of the build. */
export async function bundledPackage(folder: string): Promise<BundledPackage> {
  const manifest: unknown = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const field = (name: string): string => {
    const value: unknown = manifest !== null && typeof manifest === "object" && Reflect.get(manifest, name);
    return typeof value === "string" ? value : "";
  };
  const files = (await readdir(folder)).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  // Packages that state their licence, but forget the file: the statement is all there is.
  const text = texts.length > 0 ? texts.map((one) => one.trim()).join("\n\n") : `Licence: ${field("license")}`;
  const found = { name: field("name"), version: field("version"), licence: field("license"), text };
  if (found.name === "" || found.version === "" || found.licence === "")
    throw new Error(`${folder}: its package.json has no name, version or licence`);
  return found;
}

/** node-hid has the C library hidapi in its native addon; of its three licences this is the one that we take it under. */
export async function hidapi(modules: string): Promise<BundledPackage> {
  const folder = join(modules, "node-hid", "hidapi");
  const [version, text] = await Promise.all(
    ["VERSION", "LICENSE-bsd.txt"].map((file) => readFile(join(folder, file), "utf8")),
  );
  return { name: "hidapi", version: version?.trim() ?? "", licence: "BSD-3-Clause", text: text ?? "" };
}

/** The file that is shipped. */
export function licencesText(packages: readonly BundledPackage[]): string {
  const rule = "=".repeat(78);
  const parts = packages.map(
    ({ name, version, licence, text }) => `${rule}\n${name} ${version} (${licence})\n${rule}\n\n${text}\n`,
  );
  return `Printgate contains these works of others, each under its own licence.\n\n${parts.join("\n")}`;
}
