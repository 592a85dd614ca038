import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { STATE_FORMAT, VERSION } from "../agent/version.ts";
import { ARCHITECTURES, type Architecture, HOST } from "./addons.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { type BundledPackage, bundledPackage, licencesText } from "./licences.ts";
import { bashCompletion, type Help, manPage } from "./manual.ts";
import { sbom } from "./sbom.ts";
import { runtimeOf, targetModules } from "./target-modules.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");
const DEBIAN = join(ROOT, "build/debian");
const LIB = "usr/lib/printgate";
const DOC = "usr/share/doc/printgate";

/** binutils of that architecture; Debian names them so on every machine. */
const STRIP: Readonly<Record<Architecture, string>> = {
  amd64: "x86_64-linux-gnu-strip",
  arm64: "aarch64-linux-gnu-strip",
};

/** What of the checkout goes where in the package. */
const FILES: Readonly<Record<string, string>> = {
  "systemd/printgate.service": "lib/systemd/system/printgate.service",
  "systemd/printgate-central.service": "lib/systemd/system/printgate-central.service",
  "systemd/printgate.sysusers": "usr/lib/sysusers.d/printgate.conf",
  "systemd/printgate.tmpfiles": "usr/lib/tmpfiles.d/printgate.conf",
  "systemd/60-printgate-readers.rules": "lib/udev/rules.d/60-printgate-readers.rules",
  "systemd/50-printgate-pcsc.rules": "usr/share/polkit-1/rules.d/50-printgate-pcsc.rules",
  "systemd/printgate.journald": "etc/systemd/journald.conf.d/printgate.conf",
  "build/debian/copyright": `${DOC}/copyright`,
  "build/debian/lintian-overrides": "usr/share/lintian/overrides/printgate",
};
const CONFFILES = ["/etc/systemd/journald.conf.d/printgate.conf"];
const SCRIPTS = ["preinst", "postinst", "prerm", "postrm"];

export interface DebOptions {
  readonly architecture: Architecture;
  readonly outdir: string;
  /** In place of the checkout's own: for tests of upgrades. */
  readonly version?: string;
  readonly stateFormat?: number;
  /** Packed without compression: what is in it is the same, and it takes a second instead of a minute. */
  readonly quick?: boolean;
}

/** Builds the Debian package; the same commit gives the same bytes, whenever and wherever. Resolves to its path. */
export async function buildDeb(options: DebOptions): Promise<string> {
  const { architecture, outdir, version = VERSION, stateFormat = STATE_FORMAT, quick = false } = options;
  const epoch = await sourceDate();
  const modules = await targetModules(architecture);
  const work = await mkdtemp(join(tmpdir(), "printgate-deb-"));
  try {
    const tree = join(work, "tree");
    const place = async (path: string, content: string | Uint8Array) => {
      await mkdir(dirname(join(tree, path)), { recursive: true });
      await writeFile(join(tree, path), content);
    };
    const packed = (text: string) => gzipSync(text, { level: 9 });

    const { packages } = await programs(join(tree, LIB), architecture, modules);
    const runtime = await bundledPackage(join(modules, runtimeOf(architecture)));
    const all = [...packages, runtime].sort((a, b) => (a.name < b.name ? -1 : 1));
    await place(`${LIB}/state-format`, `${stateFormat}\n`);
    await place(`${LIB}/sbom.cdx.json`, await sbomOf(all, version, architecture, epoch));
    await mkdir(join(tree, "usr/bin"));
    await symlink("../lib/printgate/printgate", join(tree, "usr/bin/printgate"));

    for (const [from, to] of Object.entries(FILES)) await place(to, await readFile(join(ROOT, from)));
    await place(`${DOC}/third-party-licences.txt.gz`, packed(licencesText(all)));
    await place(`${DOC}/changelog.gz`, packed(changelog(version, epoch)));
    const { overview, commands, example } = await told(join(tree, LIB));
    const day = epoch.toISOString().slice(0, 10);
    await place("usr/share/man/man1/printgate.1.gz", packed(manPage(overview, commands, version, day)));
    await place("usr/share/bash-completion/completions/printgate", bashCompletion(commands));
    await place(`${DOC}/examples/printgate.toml`, example);

    const files = await finished(tree);
    await control(tree, files, { architecture, version, stateFormat });
    await mkdir(outdir, { recursive: true });
    const name = `printgate_${version}_${architecture}.deb`;
    // Two threads: with one, liblzma makes another stream. tar's order, owners and times are dpkg-deb's care.
    const packing = quick ? ["-Znone"] : ["-Zxz", "-z6", "--threads-max=2"];
    await run("dpkg-deb", ["--root-owner-group", ...packing, "--build", tree, join(work, name)], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch.getTime() / 1000) },
    });
    await copyFile(join(work, name), join(outdir, `.${name}`));
    await rename(join(outdir, `.${name}`), join(outdir, name));
    return join(outdir, name);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** When the commit was made: all times in the package. */
async function sourceDate(): Promise<Date> {
  const { SOURCE_DATE_EPOCH } = process.env;
  if (SOURCE_DATE_EPOCH !== undefined) return new Date(Number(SOURCE_DATE_EPOCH) * 1000);
  const { stdout } = await run("git", ["log", "-1", "--format=%ct"], { cwd: ROOT });
  return new Date(Number(stdout) * 1000);
}

/** The bundle, its runtime and native addons, without symbols: for debugging, the published ones have the same code. */
async function programs(folder: string, architecture: Architecture, modules: string): Promise<Bundle> {
  const bundled = await bundle(folder, { architecture, modules });
  await rm(join(folder, "maps"), { recursive: true });
  await rm(join(folder, "LICENCES.txt"));
  await copyFile(join(modules, runtimeOf(architecture), "bin/node"), join(folder, "node"));
  const addons = (await readdir(join(folder, "addons"))).map((name) => join(folder, "addons", name));
  await run(STRIP[architecture], ["--strip-unneeded", join(folder, "node"), ...addons]);
  return bundled;
}

async function sbomOf(packages: readonly BundledPackage[], version: string, architecture: string, epoch: Date) {
  const [lock, { license }] = await Promise.all([json("package-lock.json"), json("package.json")]);
  const integrity = new Map<string, string>();
  for (const [path, entry] of Object.entries(lock.packages ?? {})) {
    const name = path.replace(/^.*node_modules\//, "");
    if (entry.integrity !== undefined) integrity.set(`${name}@${entry.version}`, entry.integrity);
  }
  const timestamp = epoch.toISOString().replace(".000", "");
  return sbom({ version, architecture, licence: license ?? "", timestamp, packages, integrity });
}

interface Manifest {
  readonly license?: string;
  readonly packages?: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>;
}

async function json(file: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(ROOT, file), "utf8"));
}

function changelog(version: string, epoch: Date): string {
  const date = epoch.toUTCString().replace("GMT", "+0000");
  return `printgate (${version}) unstable; urgency=medium\n\n  * Built from the commit of this date; its log tells what changed.\n\n -- Printgate maintainers <maintainers@printgate.example>  ${date}\n`;
}

/** What the bundled program says of itself, on this machine's Node. */
async function told(folder: string): Promise<{ overview: string; commands: Help[]; example: string }> {
  const say = async (...args: string[]) =>
    (await run(process.execPath, [join(folder, "printgate.mjs"), ...args])).stdout;
  const overview = await say("--help");
  const names = [...overview.matchAll(/^ {2}([a-z]+) {2,}/gm)].flatMap(([, name]) => name ?? []);
  const commands = await Promise.all(names.map(async (name) => ({ name, text: await say(name, "--help") })));
  return { overview, commands, example: await say("config", "example") };
}

/** Sets every mode, whatever the umask was; resolves to the files, sorted. */
async function finished(tree: string): Promise<string[]> {
  const files: string[] = [];
  for (const found of await readdir(tree, { recursive: true, withFileTypes: true })) {
    const path = join(found.parentPath, found.name);
    const isProgram = [`${LIB}/printgate`, `${LIB}/node`].includes(relative(tree, path));
    if (found.isDirectory() || isProgram) await chmod(path, 0o755);
    else if (found.isFile()) await chmod(path, 0o644);
    if (found.isFile()) files.push(relative(tree, path));
  }
  await chmod(tree, 0o755);
  return files.sort();
}

async function control(
  tree: string,
  files: readonly string[],
  { architecture, version, stateFormat }: Required<Omit<DebOptions, "outdir" | "quick">>,
): Promise<void> {
  const folder = join(tree, "DEBIAN");
  await mkdir(folder);
  await chmod(folder, 0o755);
  let bytes = 0;
  let sums = "";
  for (const file of files) {
    const content = await readFile(join(tree, file));
    // As dpkg-gencontrol counts: each file's own size, rounded up to KiB.
    bytes += Math.ceil(content.length / 1024) * 1024;
    if (!CONFFILES.includes(`/${file}`)) sums += `${createHash("md5").update(content).digest("hex")}  ${file}\n`;
  }
  const values: Readonly<Record<string, string>> = {
    VERSION: version,
    ARCHITECTURE: architecture,
    STATE_FORMAT: String(stateFormat),
    INSTALLED_SIZE: String(bytes / 1024),
  };
  const filled = async (name: string) =>
    (await readFile(join(DEBIAN, name), "utf8")).replace(/@([A-Z_]+)@/g, (_, key: string) => {
      const value = values[key];
      if (value === undefined) throw new Error(`${name}: there is no @${key}@`);
      return value;
    });
  const write = async (name: string, text: string, mode: number) => {
    await writeFile(join(folder, name), text);
    await chmod(join(folder, name), mode);
  };
  await write("control", await filled("control"), 0o644);
  await write("md5sums", sums, 0o644);
  await write("conffiles", CONFFILES.map((path) => `${path}\n`).join(""), 0o644);
  for (const name of SCRIPTS) await write(name, await filled(name), 0o755);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { arch: { type: "string" }, out: { type: "string" } } });
  const { arch = HOST, out = join(ROOT, "dist") } = values;
  const architecture = ARCHITECTURES.find((known) => known === arch);
  if (architecture === undefined) throw new Error(`--arch is ${ARCHITECTURES.join(" or ")}, not ${arch}`);
  const path = await buildDeb({ architecture, outdir: resolve(out) });
  const { size } = await stat(path);
  process.stdout.write(`${path}: ${(size / 2 ** 20).toFixed(1)} MiB\n`);
}
