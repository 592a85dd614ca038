import type { DocumentBody } from "../../drivers/printer.ts";
import type { Manifest } from "../protocol/schema.ts";
import { type RamSpool, verified } from "./spool.ts";

/**
 * A job's verified document: whole in the RAM spool where it fits, else as a stream whose first chunk is here.
 * `discard` gives the memory back and leaves the source; it is safe to call at any time, more than once.
 */
export interface FetchedDocument {
  readonly body: DocumentBody;
  discard(): void;
}

/** Leaves the source when it fails. A source that is stuck is ended by whoever opened it. */
export async function fetchDocument(
  manifest: Manifest,
  source: AsyncIterable<Uint8Array>,
  spool: RamSpool,
): Promise<FetchedDocument> {
  const { size } = manifest;
  const chunks = verified(source, manifest);
  if (!spool.reserve(size)) return streamed(size, chunks);
  let reserved = true;
  const free = () => {
    if (reserved) spool.release(size);
    reserved = false;
  };
  const whole: Uint8Array[] = [];
  try {
    for await (const chunk of chunks) whole.push(chunk);
  } catch (error) {
    free();
    throw error;
  }
  return {
    body: {
      size,
      async *chunks() {
        yield* whole;
      },
    },
    discard() {
      whole.length = 0;
      free();
    },
  };
}

async function streamed(size: number, chunks: AsyncGenerator<Uint8Array>): Promise<FetchedDocument> {
  const first = await chunks.next();
  return {
    body: {
      size,
      async *chunks() {
        if (first.done !== true) yield first.value;
        yield* chunks;
      },
    },
    // What a source has to say to being left no longer matters.
    discard: () => void chunks.return(undefined).catch(() => {}),
  };
}
