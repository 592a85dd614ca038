/** A file of an initial RAM file system. Owner is root; the target of a link is its text. */
export type CpioEntry =
  | { readonly path: string; readonly type: "directory" }
  | { readonly path: string; readonly type: "file"; readonly mode: number; readonly content: Uint8Array }
  | { readonly path: string; readonly type: "link"; readonly target: string };

const MAGIC = "070701";
const TYPE = { directory: 0o040000, file: 0o100000, link: 0o120000 } as const;
const TRAILER = "TRAILER!!!";

/**
 * An archive in the `newc` format that the kernel unpacks at boot (its Documentation/driver-api/early-userspace/
 * buffer-format.rst). Several, one after another, are one file system: later files replace earlier ones. Written here
 * because cpio(1) wants root for other people's files and devices, and this wants nobody.
 */
export function* cpio(entries: Iterable<CpioEntry>): Generator<Uint8Array> {
  let inode = 0;
  const made = new Set<string>();
  for (const entry of entries) {
    for (const directory of parents(entry.path)) {
      if (made.has(directory)) continue;
      made.add(directory);
      inode += 1;
      yield header(directory, inode, TYPE.directory | 0o755, 0);
    }
    if (entry.type === "directory" && made.has(entry.path)) continue;
    made.add(entry.path);
    inode += 1;
    const content = contentOf(entry);
    yield header(entry.path, inode, TYPE[entry.type] | modeOf(entry), content.length);
    if (content.length > 0) yield content;
    const padding = -content.length & 3;
    if (padding > 0) yield new Uint8Array(padding);
  }
  yield header(TRAILER, 0, 0, 0);
}

function contentOf(entry: CpioEntry): Uint8Array {
  switch (entry.type) {
    case "directory":
      return new Uint8Array(0);
    case "file":
      return entry.content;
    case "link":
      return Buffer.from(entry.target);
  }
}

function modeOf(entry: CpioEntry): number {
  switch (entry.type) {
    case "directory":
      return 0o755;
    case "file":
      return entry.mode;
    case "link":
      return 0o777;
  }
}

function* parents(path: string): Generator<string> {
  for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) yield path.slice(0, at);
}

function header(path: string, inode: number, mode: number, size: number): Uint8Array {
  const name = Buffer.from(`${path}\0`);
  const links = 1;
  //              ino    mode  uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name.length, 0];
  const text = MAGIC + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  const padding = Buffer.alloc(-(text.length + name.length) & 3);
  return Buffer.concat([Buffer.from(text, "latin1"), name, padding]);
}
