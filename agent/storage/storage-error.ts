import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

export const STORAGE_CODES = {
  "storage-full": {
    what: "The disk of the state folder is full.",
    next: "Free space on the disk that holds `state_dir`; releases start again by themselves.",
  },
  "storage-read-only": {
    what: "The state folder cannot be written.",
    next: "Check that its disk is mounted read-write (a failing SD card turns read-only) and that it belongs to the agent's user.",
  },
  "storage-failed": {
    what: "Reading or writing the state folder failed.",
    next: "Check the disk's health with `dmesg`; replace the SD card if it reports I/O errors.",
  },
  "storage-in-use": {
    what: "Another agent uses this state folder.",
    next: "Stop the process that the detail names, or give this agent a `state_dir` of its own.",
  },
} as const satisfies CodeTable;

export class StorageError extends codedError(STORAGE_CODES) {
  /** Maps a file-system error; `what` names the step and the path. */
  static from(cause: unknown, what: string): StorageError {
    const errno = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    const detail = `${what}: ${errno}`;
    if (errno === "ENOSPC" || errno === "EDQUOT") return new StorageError("storage-full", detail, { cause });
    if (errno === "EROFS" || errno === "EACCES" || errno === "EPERM") {
      return new StorageError("storage-read-only", detail, { cause });
    }
    return new StorageError("storage-failed", detail, { cause });
  }
}
