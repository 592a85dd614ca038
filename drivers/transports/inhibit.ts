import { access, readdir, readFile, realpath, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** What became of the input nodes of a device: all inhibited, one that is not and why, or the device has gone. */
export type Inhibition =
  | { readonly is: "inhibited"; readonly repaired: number }
  | { readonly is: "open"; readonly reason: string }
  | { readonly is: "gone" };

/**
 * Keeps the keys of a device from the console and from everything else that listens to keyboards, by the kernel's
 * `inhibited` attribute (Linux 5.11, Documentation/input/input-programming.rst), which leaves hidraw alone. A reader may
 * type through more nodes than the one that we read, so all of the USB device count: every interface, every input. A udev
 * rule sets the attribute at plug-in, before anybody can read a key; this verifies, and repairs where it may.
 * `hidDevice` is the HID device's directory in sysfs. Never rejects.
 */
export async function inhibit(hidDevice: string): Promise<Inhibition> {
  let repaired = 0;
  try {
    const device = await realpath(hidDevice);
    for (const node of await inputNodes(device)) {
      const outcome = await inhibitNode(node);
      if (outcome === "repaired") repaired += 1;
      else if (outcome !== "inhibited") return outcome;
    }
    return { is: "inhibited", repaired };
  } catch (error) {
    return codeOf(error) === "ENOENT" ? { is: "gone" } : { is: "open", reason: `${hidDevice}: ${reasonOf(error)}` };
  }
}

/** The `inputN` directories of the whole USB device, or of the HID device alone where none is above it (uhid). */
async function inputNodes(hidDevice: string): Promise<string[]> {
  const nodes: string[] = [];
  for (const owner of await owners(hidDevice)) {
    for (const name of await list(join(owner, "input"))) {
      if (/^input\d+$/.test(name)) nodes.push(join(owner, "input", name));
    }
  }
  return nodes;
}

/**
 * What may have input nodes: `1-1/1-1:1.0/0003:09D8:0410.0001/input/input7`, so each child of each interface; a driver
 * that is not HID's puts its `input` right below the interface.
 */
async function owners(hidDevice: string): Promise<string[]> {
  const usb = dirname(dirname(hidDevice));
  if (!(await exists(join(usb, "idVendor")))) return [hidDevice];
  const found: string[] = [];
  for (const name of await list(usb)) {
    // Below a hub, `1-1.2` is another device; an interface of ours has our name and a colon.
    if (!name.startsWith(`${basename(usb)}:`)) continue;
    const part = join(usb, name);
    found.push(part);
    for (const child of await list(part)) if (child !== "input" && child.includes(":")) found.push(join(part, child));
  }
  return found;
}

async function inhibitNode(node: string): Promise<"inhibited" | "repaired" | Inhibition> {
  const file = join(node, "inhibited");
  try {
    if ((await readFile(file, "latin1")).trim() === "1") return "inhibited";
    // Never made where it is not: `r+`.
    await writeFile(file, "1", { flag: "r+" });
    if ((await readFile(file, "latin1")).trim() === "1") return "repaired";
    return { is: "open", reason: `${file} stays 0` };
  } catch (error) {
    if (codeOf(error) !== "ENOENT") return { is: "open", reason: `${file}: ${reasonOf(error)}` };
    // A node that has gone types nothing; what remains without the attribute is a node of an old kernel.
    if (!(await exists(node))) return "inhibited";
    return { is: "open", reason: `${file} is not there: the kernel is older than 5.11` };
  }
}

/** The names in a directory; none where it is not. */
async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function reasonOf(error: unknown): string {
  return String(codeOf(error) ?? error);
}
