import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import type { MfdDocument } from "./mfd-jobs.ts";
import { CutShort } from "./mfd-wire.ts";

/** Takes a document's bytes as they come, into the file where there is one. Undefined if this would be a second document. */
export async function takeDocument(
  chunks: AsyncIterable<Uint8Array>,
  path: string | undefined,
  hasOne: () => boolean,
  first: () => number,
): Promise<MfdDocument | undefined> {
  const hash = createHash("sha256");
  let file: FileHandle | undefined;
  let firstByteAt: number | undefined;
  let size = 0;
  let cut = false;
  try {
    for await (const chunk of chunks) {
      if (chunk.length === 0) continue;
      if (hasOne()) return undefined;
      if (firstByteAt === undefined) {
        firstByteAt = first();
        file = path ? await open(path, "w") : undefined;
      }
      hash.update(chunk);
      size += chunk.length;
      await file?.writeFile(chunk);
    }
  } catch (error) {
    if (!(error instanceof CutShort)) throw error;
    cut = true;
  } finally {
    await file?.close();
  }
  return { sha256: hash.digest("hex"), size, firstByteAt, cut, file: file && path };
}
