import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

/**
 * Opening a keyboard reader keeps its keys from the console. The function that is returned gives back what that took, so that
 * somebody's own keyboard, named by mistake, is not dead until it is unplugged.
 */
export async function keptFromConsole(nodes: readonly string[], root: string): Promise<() => Promise<void>> {
  const typing: string[] = [];
  for (const node of nodes.filter((path) => path.startsWith("/dev/hidraw"))) {
    const inputs = join(root, "sys/class/hidraw", basename(node), "device/input");
    for (const input of await readdir(inputs).catch((): string[] => [])) {
      const file = join(inputs, input, "inhibited");
      if ((await readFile(file, "latin1").catch(() => "")).trim() === "0") typing.push(file);
    }
  }
  return async () => {
    for (const file of typing) {
      // Gone with its device, or never ours to change.
      await writeFile(file, "0", { flag: "r+" }).catch(() => {});
    }
  };
}
