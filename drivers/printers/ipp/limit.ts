import type { Clock } from "../../clock.ts";
import { PrinterError } from "../../printer.ts";

/** What ends one request early: the caller, the driver's stop, or a deadline that moves on with every step. */
export class Limit {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  #cancelDeadline = () => {};
  readonly #givenUp = () =>
    this.#controller.abort(new PrinterError("printer-broken-connection", "the request was given up"));

  constructor(clock: Clock, ...sources: readonly AbortSignal[]) {
    this.#clock = clock;
    this.#sources = sources;
    for (const source of sources) {
      if (source.aborted) this.#givenUp();
      else source.addEventListener("abort", this.#givenUp, { once: true });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on at most `ms`, instead of what was set before. */
  within(ms: number, waitingFor: string): void {
    this.#cancelDeadline();
    this.#cancelDeadline = this.#clock.after(ms, () =>
      this.#controller.abort(new PrinterError("printer-timeout", `${waitingFor} took more than ${ms} ms`)),
    );
  }

  /** No deadline until the next `within`. */
  hold(): void {
    this.#cancelDeadline();
  }

  release(): void {
    this.#cancelDeadline();
    for (const source of this.#sources) source.removeEventListener("abort", this.#givenUp);
  }
}
