import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const MIB = 1024; // /proc counts in KiB

/** Resident memory of a process now (VmRSS), and its peak since the last `resetPeak` (VmHWM), in MiB. */
export function memoryMiB(pid: number): { readonly resident: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / MIB;
  return { resident: of("VmRSS"), peak: of("VmHWM") };
}

/** proc(5): 5 resets the peak of the resident memory. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** CPU time of all threads, in ms; finer than the clock ticks of /proc/PID/stat. */
export function cpuMs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ", 1)[0]);
  }
  return ns / 1e6;
}

/** Octets that the process made the kernel write to disks, in whole pages. */
export function writtenBytes(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1]);
}
