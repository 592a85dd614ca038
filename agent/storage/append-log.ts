import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { replaceFile, syncFolder } from "./atomic-file.ts";
import { StorageError } from "./storage-error.ts";

/** What `AppendLog.open` found in the file. */
export interface Recovered {
  readonly records: readonly unknown[];
  /** Octets after the last sound record: an append that a power cut tore. They are cut off. */
  readonly tornBytes: number;
  /** Unsound lines with a sound record after them: not a torn append, but damage. They are passed over. */
  readonly damagedLines: number;
  /** True if there was no file. */
  readonly fresh: boolean;
}

const line = (record: unknown): string => {
  const json = JSON.stringify(record);
  return `${crc32(json).toString(16).padStart(8, "0")} ${json}\n`;
};

/** Pure: what a log file's bytes hold. One record a line: CRC-32 of the JSON in 8 hex digits, a space, the JSON. */
export function decodeLog(bytes: Buffer): Recovered & { readonly soundBytes: number } {
  const records: unknown[] = [];
  let [at, soundBytes, damaged, pending] = [0, 0, 0, 0];
  while (at < bytes.length) {
    const end = bytes.indexOf(0x0a, at);
    const next = end === -1 ? bytes.length : end + 1;
    const record = end === -1 ? undefined : decodeLine(bytes.subarray(at, end));
    if (record === undefined) pending += 1;
    else {
      records.push(record.value);
      damaged += pending;
      pending = 0;
      soundBytes = next;
    }
    at = next;
  }
  return { records, soundBytes, tornBytes: bytes.length - soundBytes, damagedLines: damaged, fresh: false };
}

function decodeLine(bytes: Buffer): { value: unknown } | undefined {
  if (bytes.length < 10 || bytes[8] !== 0x20) return undefined;
  const json = bytes.subarray(9);
  if (bytes.subarray(0, 8).toString("latin1") !== crc32(json).toString(16).padStart(8, "0")) return undefined;
  try {
    return { value: JSON.parse(json.toString("utf8")) };
  } catch {
    return undefined; // counted by the caller as a damaged line
  }
}

/** An append-only file of JSON records, each with its checksum. Appends keep their order; concurrent syncs share one fsync. */
export class AppendLog {
  readonly #path: string;
  #handle: FileHandle;
  #size: number;
  #tail: Promise<void> = Promise.resolve();
  #unwritten = "";
  #wantsSync = false;
  #batch: Promise<void> | undefined;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  static async open(path: string): Promise<{ log: AppendLog; recovered: Recovered }> {
    try {
      const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return undefined;
        throw error;
      });
      const found = decodeLog(bytes ?? Buffer.alloc(0));
      const handle = await open(path, "a", 0o600);
      try {
        if (bytes === undefined) await syncFolder(dirname(path));
        if (found.tornBytes > 0) {
          await handle.truncate(found.soundBytes);
          await handle.datasync();
        }
      } catch (error) {
        await handle.close();
        throw error;
      }
      return {
        log: new AppendLog(path, handle, found.soundBytes),
        recovered: { ...found, fresh: bytes === undefined },
      };
    } catch (error) {
      throw StorageError.from(error, `open ${path}`);
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Resolves when the record is written; with `durable`, when it is on the disk. Rejects with a `StorageError`. */
  append(record: unknown, durable: boolean): Promise<void> {
    this.#unwritten += line(record);
    this.#wantsSync ||= durable;
    // Everything that is appended while a write is under way goes out together in the next one.
    this.#batch ??= this.#after(() => this.#flush());
    return this.#batch;
  }

  /** Atomically replaces the whole content; appends made meanwhile follow it. */
  rewrite(records: readonly unknown[]): Promise<void> {
    return this.#after(async () => {
      const text = records.map(line).join("");
      await replaceFile(this.#path, text);
      const old = this.#handle;
      this.#handle = await open(this.#path, "a", 0o600);
      this.#size = Buffer.byteLength(text);
      await old.close();
    });
  }

  async close(): Promise<void> {
    await this.#after(async () => {});
    await this.#handle.close();
  }

  #after(work: () => Promise<void>): Promise<void> {
    const run = this.#tail.then(work).catch((error: unknown) => {
      throw error instanceof StorageError ? error : StorageError.from(error, `write ${this.#path}`);
    });
    this.#tail = run.catch(() => {}); // the caller has the rejection; the next write must still run
    return run;
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#unwritten);
    const sync = this.#wantsSync;
    this.#unwritten = "";
    this.#wantsSync = false;
    this.#batch = undefined;
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.#handle.write(bytes, at)).bytesWritten;
      if (sync) await this.#handle.datasync();
      this.#size += bytes.length;
    } catch (error) {
      // A half-written line would be followed by the next one; cut it off so that only whole records stand in the file.
      await this.#handle.truncate(this.#size).catch((cause: unknown) => {
        throw StorageError.from(cause, `repair ${this.#path} after a failed write`);
      });
      throw error;
    }
  }
}
