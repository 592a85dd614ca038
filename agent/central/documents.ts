import { createHash } from "node:crypto";
import { type FileHandle, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { syncFolder } from "../storage/atomic-file.ts";
import { StorageError } from "../storage/storage-error.ts";
import { CentralError } from "./central-error.ts";

export const CHUNK_SIZE = 2 ** 20;
/** 8192 chunks: their hashes make a manifest of about 0.6 MB, which fits an envelope. */
export const MAX_DOCUMENT_BYTES = 8192 * CHUNK_SIZE;

const DOCUMENT_NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TEMP_SUFFIX = ".tmp";

export interface StoredDocument {
  readonly size: number;
  readonly sha256: string;
  readonly chunkSize: number;
  readonly chunks: Uint8Array;
}

/** The documents as files of one folder, each named by its job's id. */
export class Documents {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Copies the file `source` in, hashing as it goes; durable when it resolves. Memory: one chunk.
   * `progress` hears the octets so far after each chunk. Rejects with `document-unreadable` or `document-size`.
   */
  async add(jobId: string, source: FileHandle, progress: (bytes: number) => void): Promise<StoredDocument> {
    const temp = `${this.#path(jobId)}${TEMP_SUFFIX}`;
    const target = await open(temp, "wx", 0o600);
    try {
      const stored = await copy(source, target, progress);
      await target.sync();
      await target.close();
      await rename(temp, this.#path(jobId));
      await syncFolder(this.#folder);
      return stored;
    } catch (error) {
      await target.close();
      await removeIfThere(temp);
      throw error instanceof CentralError ? error : StorageError.from(error, `store ${temp}`);
    }
  }

  /** The open file, or undefined if there is none. The caller closes it. */
  async open(jobId: string): Promise<{ file: FileHandle; size: number } | undefined> {
    let file: FileHandle;
    try {
      file = await open(this.#path(jobId), "r");
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    try {
      return { file, size: (await file.stat()).size };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  remove(jobId: string): Promise<void> {
    return removeIfThere(this.#path(jobId));
  }

  /** Removes what no job needs: leftovers of a crash or of a failed removal. Younger files may still get their job. */
  async removeUnneeded(needed: (jobId: string) => Promise<boolean>, olderThan: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.#folder)) {
      const jobId = name.endsWith(TEMP_SUFFIX) ? name.slice(0, -TEMP_SUFFIX.length) : name;
      if (!DOCUMENT_NAME.test(jobId)) continue;
      const path = join(this.#folder, name);
      if ((name === jobId && (await needed(jobId))) || !(await isOlder(path, olderThan))) continue;
      await removeIfThere(path);
      removed += 1;
    }
    return removed;
  }

  #path(jobId: string): string {
    if (!DOCUMENT_NAME.test(jobId)) throw new TypeError("a document is named by a job id");
    return join(this.#folder, jobId);
  }
}

async function copy(
  source: FileHandle,
  target: FileHandle,
  progress: (bytes: number) => void,
): Promise<StoredDocument> {
  const whole = createHash("sha256");
  const hashes: Buffer[] = [];
  const chunk = Buffer.allocUnsafe(CHUNK_SIZE);
  let size = 0;
  for (let filled = CHUNK_SIZE; filled === CHUNK_SIZE; ) {
    filled = await fill(chunk, source);
    if (filled === 0) break;
    size += filled;
    if (size > MAX_DOCUMENT_BYTES) throw new CentralError("document-size", "more than 8 GiB");
    const bytes = chunk.subarray(0, filled);
    whole.update(bytes);
    hashes.push(createHash("sha256").update(bytes).digest());
    for (let at = 0; at < filled; ) at += (await target.write(bytes, at)).bytesWritten;
    progress(size);
  }
  if (size === 0) throw new CentralError("document-size", "empty");
  return { size, sha256: whole.digest("hex"), chunkSize: CHUNK_SIZE, chunks: Buffer.concat(hashes) };
}

/** Octets read: as many as fit, fewer only at the end of the file. */
async function fill(chunk: Buffer, source: FileHandle): Promise<number> {
  let filled = 0;
  while (filled < chunk.length) {
    const { bytesRead } = await source.read(chunk, filled, chunk.length - filled).catch((cause: unknown) => {
      throw new CentralError("document-unreadable", "reading failed", { cause });
    });
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

async function isOlder(path: string, time: number): Promise<boolean> {
  try {
    return (await stat(path)).mtimeMs < time;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
