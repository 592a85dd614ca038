import type { Log } from "../../drivers/log.ts";

/** How the service manager is told: lines of `NAME=value` (sd_notify(3)). */
export type Notify = (message: string) => void;

export interface ServiceManager {
  readonly notify: Notify;
  /** Ends the service if `WATCHDOG=1` stays away for so long; undefined where it does not watch us. */
  readonly watchdogMs: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * systemd, if it started us and wants to be told. By its own library: Node cannot write to a datagram socket of the Unix
 * kind. Undefined without a word where there is none; with a warning where it wants to be told and cannot be.
 */
export async function serviceManager(environment: Environment, log: Log): Promise<ServiceManager | undefined> {
  if (!environment.NOTIFY_SOCKET) return undefined;
  try {
    const { dlopen } = await import("node:ffi");
    // The function holds as long as the library is referred to.
    const library = dlopen("libsystemd.so.0", { sd_notify: { arguments: ["i32", "string"], return: "i32" } });
    return { notify: (message) => void library.functions.sd_notify(0, message), watchdogMs: watchdogMs(environment) };
  } catch (error) {
    log.warn({ err: error }, "systemd cannot be told how we do; it takes us for not started (libsystemd0 is missing?)");
    return undefined;
  }
}

/** sd_watchdog_enabled(3): microseconds, for the process that is named. */
function watchdogMs({ WATCHDOG_USEC = "", WATCHDOG_PID = String(process.pid) }: Environment): number | undefined {
  const ms = Number(WATCHDOG_USEC) / 1000;
  return Number.isFinite(ms) && ms > 0 && WATCHDOG_PID === String(process.pid) ? ms : undefined;
}

/** One line of text for STATUS=. */
export function statusLine(text: string): string {
  return `STATUS=${text.replaceAll(/\s+/g, " ").slice(0, 500)}`;
}
