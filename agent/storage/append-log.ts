import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { replaceFile, syncFolder } from "./atomic-file.ts";
import { StorageError } from "./storage-error.ts";

/** What `AppendLog.open` found in the file. */
export interface Recovered {
  readonly records: readonly unknown[];
  /** Octets after the last sound record: an append that a power cut tore. */
  readonly tornBytes: number;
  /** Unsound lines with a sound record after them: not a torn append, but damage. They are passed over. */
  readonly damagedLines: number;
  /** True if there was no file, or an empty one. */
  readonly fresh: boolean;
}

const line = (record: unknown): string => {
  const json = JSON.stringify(record);
  return `${crc32(json).toString(16).padStart(8, "0")} ${json}\n`;
};

/** Pure: what a log file's bytes hold. One record a line: CRC-32 of the JSON in 8 hex digits, a space, the JSON. */
export function decodeLog(bytes: Buffer): Recovered {
  const records: unknown[] = [];
  let [at, soundBytes, damaged, pending] = [0, 0, 0, 0];
  while (at < bytes.length) {
    const end = bytes.indexOf(0x0a, at);
    const next = end === -1 ? bytes.length : end + 1;
    // The checksum, not the line's end, says whether a record is whole.
    const record = decodeLine(bytes.subarray(at, end === -1 ? next : end));
    if (record === undefined) pending += 1;
    else {
      records.push(record.value);
      damaged += pending;
      pending = 0;
      soundBytes = next;
    }
    at = next;
  }
  return { records, tornBytes: bytes.length - soundBytes, damagedLines: damaged, fresh: bytes.length === 0 };
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

/**
 * An append-only file of JSON records, each with its checksum. Appends keep their order; concurrent syncs share one fsync.
 * What is unsound stays in the file until `rewrite`, so that a loss is seen at every start until its owner has dealt with it.
 */
export class AppendLog {
  readonly #path: string;
  #handle: FileHandle;
  #size: number;
  #tail: Promise<void> = Promise.resolve();
  #unwritten = "";
  #wantsSync = false;
  #batch: Promise<void> | undefined;
  /** Set while the file may not be as `#handle` and `#size` say; done before anything else is written. */
  #mend: (() => Promise<void>) | undefined;
  #begun = 0;
  #ended = 0;

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
      const recovered = decodeLog(bytes ?? Buffer.alloc(0));
      const handle = await open(path, "a", 0o600);
      try {
        if (bytes === undefined) await syncFolder(dirname(path));
      } catch (error) {
        await handle.close();
        throw error;
      }
      const log = new AppendLog(path, handle, bytes?.length ?? 0);
      if (bytes !== undefined && bytes.length > 0 && bytes.at(-1) !== 0x0a) log.#mend = () => log.#endLine();
      return { log, recovered };
    } catch (error) {
      throw StorageError.from(error, `open ${path}`);
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Writes that were asked for, and those of them that have ended, well or not. */
  get writes(): { readonly begun: number; readonly ended: number } {
    return { begun: this.#begun, ended: this.#ended };
  }

  /** Resolves when the record is written; with `durable`, when it is on the disk. Rejects with a `StorageError`. */
  append(record: unknown, durable: boolean): Promise<void> {
    this.#unwritten += line(record);
    this.#wantsSync ||= durable;
    // Everything that is appended while a write is under way goes out together in the next one.
    this.#batch ??= this.#after(() => this.#flush());
    return this.#batch;
  }

  /**
   * Atomically replaces the whole content by what `records` gives in its turn, when every append that was asked for
   * is in the file or still to come: what comes after it may stand in the file twice, but is never lost.
   */
  rewrite(records: () => readonly unknown[]): Promise<void> {
    return this.#after(async () => {
      // Until the new file is open, an append would go to the one that has lost its name.
      this.#mend = () => this.#reopen();
      await replaceFile(this.#path, records().map(line).join(""));
      await this.#mended();
    });
  }

  async close(): Promise<void> {
    await this.#after(async () => {});
    await this.#handle.close();
  }

  #after(work: () => Promise<void>): Promise<void> {
    this.#begun += 1;
    const run = this.#tail
      .then(work)
      .catch((error: unknown) => {
        throw error instanceof StorageError ? error : StorageError.from(error, `write ${this.#path}`);
      })
      .finally(() => {
        this.#ended += 1;
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
    await this.#mended();
    // A half-written line would be followed by the next one; cut it off so that only whole records stand in the file.
    this.#mend = () => this.#handle.truncate(this.#size);
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.#handle.write(bytes, at)).bytesWritten;
      if (sync) await this.#handle.datasync();
    } catch (error) {
      await this.#mended().catch(() => {}); // tried again before the next write; why the write failed is what matters
      throw error;
    }
    this.#mend = undefined;
    this.#size += bytes.length;
  }

  /** The next record must not stand on the line of one whose end was torn off. */
  async #endLine(): Promise<void> {
    this.#size += (await this.#handle.write("\n")).bytesWritten;
  }

  async #mended(): Promise<void> {
    await this.#mend?.();
    this.#mend = undefined;
  }

  async #reopen(): Promise<void> {
    const handle = await open(this.#path, "a", 0o600);
    try {
      await syncFolder(dirname(this.#path));
      this.#size = (await handle.stat()).size;
    } catch (error) {
      await handle.close();
      throw error;
    }
    const old = this.#handle;
    this.#handle = handle;
    await old.close();
  }
}
