import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../drivers/clock.ts";
import { CodedError } from "../../drivers/coded-error.ts";
import { replaceFile } from "../storage/atomic-file.ts";

/** `skip`: it cannot be told here, or nothing needs it. */
export type CheckResult = "pass" | "warn" | "fail" | "skip";

/** One row of the doctor's list: what was looked at, what was seen, and the next step unless all is well. */
export interface Check {
  readonly name: string;
  readonly result: CheckResult;
  readonly evidence: string;
  readonly next?: string;
}

/** Runs one check; a coded error becomes its row, any other is a defect and is thrown. */
export async function check(name: string, look: () => Promise<Omit<Check, "name">>): Promise<Check> {
  try {
    return { name, ...(await look()) };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const { code, detail, row } = error;
    return {
      name,
      result: "fail",
      evidence: `${code}${detail === "" ? "" : ` (${detail})`}: ${row.what}`,
      next: row.next,
    };
  }
}

/** No release is possible below this. */
const MIN_FREE_BYTES = 16 * 2 ** 20;
/** An fsync slower than this is felt at every tap. */
const SLOW_FSYNC_MS = 250;

export function checkStorage(stateDir: string, clock: Clock): Promise<Check> {
  return check("storage", async () => {
    // Not made here: made by root, it would be closed to the agent's user.
    if (!existsSync(stateDir)) {
      return { result: "warn", evidence: `${stateDir} is not there`, next: "The agent makes it at its first start." };
    }
    const path = join(stateDir, `.doctor-${randomBytes(6).toString("hex")}`);
    const start = clock.monotonic();
    await replaceFile(path, randomBytes(4096));
    const ms = clock.monotonic() - start;
    await unlink(path);
    const { bavail, bsize } = await statfs(stateDir);
    const evidence = `${stateDir}: 4 KiB durable in ${ms.toFixed(1)} ms, ${Math.floor((bavail * bsize) / 2 ** 20)} MiB free`;
    if (bavail * bsize < MIN_FREE_BYTES) return { result: "fail", evidence, next: "Free space on this disk." };
    if (ms > SLOW_FSYNC_MS)
      return { result: "warn", evidence, next: "The disk is slow or worn; consider a new SD card." };
    return { result: "pass", evidence };
  });
}

/** A clock before this is wrong: the program is not older. */
const BUILT_AFTER = Date.UTC(2026, 10, 1);

export function checkClock(clock: Clock, serverTime: string | undefined): Promise<Check> {
  return check("clock", async () => {
    const now = clock.wall();
    const shown = new Date(now).toISOString();
    if (now < BUILT_AFTER) {
      return {
        result: "fail",
        evidence: `${shown}: before this program was built`,
        next: "Set the clock, or let the Pi reach a time server.",
      };
    }
    if (serverTime === undefined)
      return { result: "warn", evidence: `${shown}: not compared`, next: "See the central server's check." };
    const offset = Math.round((now - Date.parse(serverTime)) / 1000);
    const evidence = `${shown}, ${offset} s from the central server`;
    return Math.abs(offset) > 60
      ? { result: "warn", evidence, next: "Let the Pi reach a time server; certificates are judged by this clock." }
      : { result: "pass", evidence };
  });
}
