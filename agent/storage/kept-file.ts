import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { replaceFile } from "./atomic-file.ts";
import { StorageError } from "./storage-error.ts";

/** What a slot may have; more is damage, and is not read. */
const MAX_BYTES = 256 * 1024;
const SLOTS = ["0", "1"] as const;

/** What one slot's bytes hold: SHA-256 of the rest in hex, a space, and the JSON of generation and value. */
export interface Slot {
  readonly generation: number;
  readonly value: unknown;
}

/** Pure: undefined for bytes that are not whole. */
export function decodeSlot(bytes: Buffer): Slot | undefined {
  if (bytes.length < 66 || bytes[64] !== 0x20) return undefined;
  const json = bytes.subarray(65);
  if (bytes.subarray(0, 64).toString("latin1") !== sha256(json)) return undefined;
  try {
    const content: unknown = JSON.parse(json.toString("utf8"));
    if (!Array.isArray(content) || content.length !== 2 || !Number.isSafeInteger(content[0])) return undefined;
    return { generation: content[0] as number, value: content[1] };
  } catch {
    return undefined; // counted by the caller as damage
  }
}

export function encodeSlot({ generation, value }: Slot): string {
  const json = JSON.stringify([generation, value]);
  return `${sha256(Buffer.from(json))} ${json}`;
}

/**
 * A small value that must survive anything: two files, `NAME.0` and `NAME.1`, written in turn, each atomically. The
 * newest whole one counts; what is damaged is never silently taken for "nothing there".
 */
export class KeptFile<T> {
  /** Slots that were there and not whole when this was opened. */
  readonly damaged: number;
  readonly #path: string;
  #value: T | undefined;
  #generation: number;
  #slot: number;
  #tail: Promise<void> = Promise.resolve();

  private constructor(path: string, found: Found<T>) {
    this.#path = path;
    this.damaged = found.damaged;
    this.#value = found.value;
    this.#generation = found.generation;
    this.#slot = found.slot;
  }

  /** `read`: the value that a slot's content stands for; undefined for what it cannot be. */
  static async open<T>(path: string, read: (content: unknown) => T | undefined): Promise<KeptFile<T>> {
    const found: Found<T> = { damaged: 0, value: undefined, generation: 0, slot: 1 };
    for (const [slot, name] of SLOTS.entries()) {
      const bytes = await bytesOf(`${path}.${name}`);
      if (bytes === undefined) continue;
      const decoded = decodeSlot(bytes);
      const value = decoded === undefined ? undefined : read(decoded.value);
      if (decoded === undefined || value === undefined) found.damaged += 1;
      else if (decoded.generation > found.generation) Object.assign(found, { ...decoded, value, slot });
    }
    return new KeptFile(path, found);
  }

  get value(): T | undefined {
    return this.#value;
  }

  /** Resolves when the value is on the disk. Until then, and when it fails, the old one stands. */
  write(value: T): Promise<void> {
    const run = this.#tail.then(async () => {
      const slot = 1 - this.#slot;
      const generation = this.#generation + 1;
      await replaceFile(`${this.#path}.${SLOTS[slot]}`, encodeSlot({ generation, value }));
      [this.#slot, this.#generation, this.#value] = [slot, generation, value];
    });
    this.#tail = run.catch(() => {}); // its caller has the error; the next write must still run
    return run;
  }
}

interface Found<T> {
  damaged: number;
  value: T | undefined;
  generation: number;
  slot: number;
}

async function bytesOf(path: string): Promise<Buffer | undefined> {
  try {
    const handle = await open(path, "r");
    try {
      const { size } = await handle.stat();
      return size > MAX_BYTES ? Buffer.alloc(0) : await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw StorageError.from(error, `read ${path}`);
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
