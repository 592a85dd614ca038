import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";

/**
 * Which boot of this machine this is: 32 hex digits that change with each boot and are nowhere on its storage, so that a copy of the SD
 * card in another device has others. Of the kernel's boot id, hashed, because other programs' messages may hold that one. Restarts of the
 * agent, and commands beside it, are of the same boot.
 */
export async function bootId(): Promise<string> {
  const kernels = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => undefined);
  // Not on Linux: then each process is a boot of its own, which a second one beside it makes look like a copy.
  if (kernels === undefined) return randomBytes(16).toString("hex");
  return createHash("sha256").update("printgate boot 1").update(kernels.trim()).digest("hex").slice(0, 32);
}
