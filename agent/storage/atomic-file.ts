import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { StorageError } from "./storage-error.ts";

/** Makes the names in a folder durable (a rename lives in the folder, not in the file). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Replaces `path` so that after a power cut it holds either the old or the new bytes, never a mixture:
 * temp file in the same folder, write, fsync, rename, fsync the folder. Mode 0600, or mode and owner of the file `like`.
 */
export async function replaceFile(path: string, bytes: Uint8Array | string, like?: Stats): Promise<void> {
  const temp = join(dirname(path), `.${randomUUID()}.tmp`);
  let step = "create";
  try {
    const handle = await open(temp, "wx", 0o600);
    try {
      step = "write";
      await handle.writeFile(bytes);
      if (like !== undefined) {
        step = "give the owner of";
        const { uid, gid } = await handle.stat();
        if (uid !== like.uid || gid !== like.gid) await handle.chown(like.uid, like.gid);
        await handle.chmod(like.mode & 0o7777);
      }
      step = "fsync";
      await handle.sync();
    } finally {
      await handle.close();
    }
    step = "rename";
    await rename(temp, path);
    step = "fsync folder of";
    await syncFolder(dirname(path));
  } catch (error) {
    // The temp file is gone after a rename, and was never there after a failed create; what is left of it is ours.
    await unlink(temp).catch((left: NodeJS.ErrnoException) => {
      if (left.code !== "ENOENT") throw StorageError.from(left, `remove ${temp}`);
    });
    throw StorageError.from(error, `${step} ${path}`);
  }
}
