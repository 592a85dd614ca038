import type { PrinterJobStatus } from "../../drivers/printer.ts";
import { mayStandMs, type Release } from "./machine.ts";

/** How long a printer may say nothing of a job before it is in doubt. */
const SILENCE_MS = 10 * 60_000;
/** How long a job is watched, whatever changes: some printers turn in circles. */
const WATCH_MS = 24 * 3_600_000;

/** The time side of the look-ups of one job: when to look next, and when it has been long enough. All in monotonic ms. */
export class Watch {
  #started = 0;
  #heard = 0;
  #moved = 0;
  #gaveUp: number | undefined;
  #last = "";
  #looks = 0;

  /** Nothing was missed until now. */
  begin(now: number): void {
    this.#started = this.#heard = this.#moved = now;
  }

  /** The job was given up: its end is looked after closely. */
  gaveUp(now: number): void {
    this.#gaveUp = now;
    this.#looks = 1;
  }

  /** Before the next look: at once, then every 0.5 s while the person stands there, then slower. */
  pauseMs(): number {
    const n = this.#looks++;
    if (n === 0) return 0;
    if (n <= 10) return 500;
    return n <= 15 ? 1000 : n <= 20 ? 2000 : 5000;
  }

  isSilent(now: number): boolean {
    return now - this.#heard > SILENCE_MS;
  }

  /** The printer answered. True if the job has stood so for longer than it may. */
  heard(now: number, state: Release, status: PrinterJobStatus | undefined): boolean {
    this.#heard = now;
    const seen = JSON.stringify(status);
    if (seen !== this.#last) this.#moved = now;
    this.#last = seen;
    if (status === undefined) return false;
    return now - (this.#gaveUp ?? this.#moved) > mayStandMs(state, status) || now - this.#started > WATCH_MS;
  }
}
