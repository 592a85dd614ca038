import type { Clock } from "../../drivers/clock.ts";
import { STATUS } from "../../drivers/printers/ipp/tags.ts";
import type { IppEndpoint } from "./mfd-endpoint.ts";
import { type DeviceFault, isWireFault, type MfdFault, type WireAct, WireFaults } from "./mfd-faults.ts";
import type { MfdQueue } from "./mfd-jobs.ts";

export interface ConditionsOptions {
  readonly clock: Clock;
  readonly queue: MfdQueue;
  readonly endpoint: IppEndpoint;
  readonly printsCut: boolean;
  readonly powerCycle: () => void;
}

/** What the printer is in: paper jams, a person at its panel, and the faults of its script. */
export class MfdConditions {
  busy = false;
  singleJob = false;
  accepting = true;
  /** Jobs that have ended are known. */
  keepsHistory = true;
  /** Prints what it got of a document that was cut, and calls it completed. */
  printsCut: boolean;
  #spoolFull = false;
  readonly #options: ConditionsOptions;
  readonly #troubles = new Set<string>();
  readonly #wire = new WireFaults();
  /** What ends the faults that are on. */
  readonly #timers = new Set<() => void>();

  constructor(options: ConditionsOptions) {
    this.#options = options;
    this.printsCut = options.printsCut;
  }

  /** No paper comes out. */
  get stopped(): boolean {
    return this.#troubles.size > 0;
  }

  /** printer-state-reasons. */
  get reasons(): readonly string[] {
    return [...this.#troubles, ...(this.#spoolFull ? ["spool-area-full"] : [])];
  }

  /** Why no new job is taken now. */
  get refusal(): number | undefined {
    if (!this.accepting) return STATUS.notAcceptingJobs;
    if (this.#spoolFull) return STATUS.temporaryError;
    return this.busy || (this.singleJob && this.#options.queue.active.length > 0) ? STATUS.busy : undefined;
  }

  trouble(reason: string, on: boolean): void {
    if (on) this.#troubles.add(reason);
    else this.#troubles.delete(reason);
    this.#options.queue.halt(this.stopped);
  }

  jam(clearedAfterMs?: number): void {
    this.trouble("media-jam-error", true);
    if (clearedAfterMs !== undefined) this.#after(clearedAfterMs, () => this.trouble("media-jam-error", false));
  }

  /** What goes wrong with this request. */
  meet(operation: number): WireAct | undefined {
    return this.#wire.meet(operation, this.#options.clock.monotonic());
  }

  inject(fault: MfdFault): void {
    if (isWireFault(fault)) this.#wire.add(fault, this.#options.clock.monotonic());
    else this.#befall(fault);
  }

  async heal(): Promise<void> {
    const { queue, endpoint, printsCut } = this.#options;
    this.stop();
    this.#wire.clear();
    queue.fault = undefined;
    this.keepsHistory = true;
    this.printsCut = printsCut;
    this.busy = this.#spoolFull = false;
    this.accepting = true;
    endpoint.drop(false);
    await endpoint.refuse(false);
    this.trouble("media-jam-error", false);
    queue.releaseHeld();
  }

  /** No fault ends by itself any more. */
  stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  #befall(fault: DeviceFault): void {
    const { queue, endpoint, powerCycle } = this.#options;
    switch (fault.does) {
      case "jam":
      case "abort":
      case "cancel-at-panel":
      case "lie":
        queue.fault = fault;
        break;
      case "hold-at-panel":
        queue.holdNext = { releasedAfterMs: fault.releasedAfterMs };
        break;
      case "refuse-connections":
        this.#during(fault.forMs, (on) => void endpoint.refuse(on));
        break;
      case "drop-connections":
        this.#during(fault.forMs, (on) => endpoint.drop(on));
        break;
      case "reboot":
        powerCycle();
        for (let n = 1; n <= (fault.strangers ?? 0); n++) queue.cancel(queue.create(`theirs-${n}`, "eve"));
        if (fault.downMs !== undefined) this.#during(fault.downMs, (on) => void endpoint.refuse(on));
        break;
      case "forget-history":
        this.keepsHistory = false;
        break;
      case "print-cut-documents":
        this.printsCut = true;
        break;
      case "busy":
        this.#during(fault.forMs, (on) => {
          this.busy = on;
        });
        break;
      case "not-accepting":
        this.#during(fault.forMs, (on) => {
          this.accepting = !on;
        });
        break;
      case "spool-full":
        this.#during(fault.forMs, (on) => {
          this.#spoolFull = on;
        });
        break;
    }
  }

  #during(ms: number | undefined, set: (on: boolean) => void): void {
    set(true);
    if (ms !== undefined) this.#after(ms, () => set(false));
  }

  #after(ms: number, run: () => void): void {
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }
}
