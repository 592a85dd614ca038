import type { DocumentBody } from "../../drivers/printer.ts";
import type { Manifest } from "../protocol/schema.ts";
import { type RamSpool, verified } from "./spool.ts";

/**
 * A job's verified document: whole in the RAM spool where it fits, else as a stream whose first chunk is here.
 * `discard` gives the memory back and ends the download; it is safe to call at any time, more than once.
 */
export interface FetchedDocument {
  readonly body: DocumentBody;
  discard(): void;
}

export async function fetchDocument(
  manifest: Manifest,
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  spool: RamSpool,
): Promise<FetchedDocument> {
  const abort = new AbortController();
  const chunks = verified(open(abort.signal), manifest);
  if (!spool.reserve(manifest.size)) return streamed(manifest, chunks, abort);
  let reserved = true;
  const free = () => {
    if (reserved) spool.release(manifest.size);
    reserved = false;
  };
  const pieces: Uint8Array[] = [];
  try {
    for await (const chunk of chunks) pieces.push(...chunk);
  } catch (error) {
    abort.abort();
    free();
    throw error;
  }
  return {
    body: {
      size: manifest.size,
      async *chunks() {
        yield* pieces;
      },
    },
    discard() {
      pieces.length = 0;
      free();
    },
  };
}

async function streamed(
  manifest: Manifest,
  chunks: AsyncGenerator<Uint8Array[]>,
  abort: AbortController,
): Promise<FetchedDocument> {
  let first: IteratorResult<Uint8Array[]>;
  try {
    first = await chunks.next();
  } catch (error) {
    abort.abort();
    throw error;
  }
  return {
    body: {
      size: manifest.size,
      async *chunks() {
        if (first.done !== true) yield* first.value;
        for await (const chunk of chunks) yield* chunk;
      },
    },
    discard: () => abort.abort(),
  };
}
