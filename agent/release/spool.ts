import { createHash } from "node:crypto";
import type { Manifest } from "../protocol/schema.ts";
import { ReleaseError } from "./release-error.ts";

/**
 * Passes a document on chunk by chunk, each only after its SHA-256 matched the signed manifest. At most one chunk is held,
 * in one piece: a source that drips single bytes must not cost an object for each.
 * Throws `document-altered` at the first wrong chunk and at bytes beyond the end, `document-truncated` when bytes are missing.
 */
export async function* verified(source: AsyncIterable<Uint8Array>, manifest: Manifest): AsyncGenerator<Uint8Array> {
  let [index, filled] = [0, 0];
  let chunk = Buffer.allocUnsafe(chunkLength(manifest, 0));
  let hash = createHash("sha256");
  for await (let bytes of source) {
    while (bytes.length > 0) {
      if (chunk.length === 0) throw new ReleaseError("document-altered", "longer than its manifest");
      const piece = bytes.subarray(0, chunk.length - filled);
      bytes = bytes.subarray(piece.length);
      chunk.set(piece, filled);
      filled += piece.length;
      hash.update(piece);
      if (filled < chunk.length) continue;
      if (hash.digest("hex") !== manifest.chunks[index]) throw new ReleaseError("document-altered", `chunk ${index}`);
      yield chunk;
      index += 1;
      filled = 0;
      chunk = Buffer.allocUnsafe(chunkLength(manifest, index));
      hash = createHash("sha256");
    }
  }
  if (chunk.length > 0) throw new ReleaseError("document-truncated", `ends in chunk ${index}`);
}

/** 0 behind the last chunk. */
function chunkLength({ size, chunkSize }: Manifest, index: number): number {
  return Math.max(0, Math.min(chunkSize, size - index * chunkSize));
}

/** Memory for whole documents, so that the printer's job is created only when its document is here. */
export class RamSpool {
  readonly capacity: number;
  #used = 0;

  constructor(capacityBytes: number) {
    this.capacity = capacityBytes;
  }

  get used(): number {
    return this.#used;
  }

  fits(bytes: number): boolean {
    return this.#used + bytes <= this.capacity;
  }

  /** True if `bytes` are now set aside; give them back with `release`. */
  reserve(bytes: number): boolean {
    if (!this.fits(bytes)) return false;
    this.#used += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#used -= bytes;
  }
}
