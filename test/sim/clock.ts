import type { Clock } from "../../drivers/clock.ts";

/** A clock that moves only when told. Timers run in the order of their due times, equal ones in the order they were set. */
export class FakeClock implements Clock {
  #now: number;
  #timers: { readonly due: number; readonly run: () => void }[] = [];
  readonly #wallAtZero: number;

  constructor(now = 0, wallAtZero = Date.UTC(2026, 0, 1)) {
    this.#now = now;
    this.#wallAtZero = wallAtZero;
  }

  wall(): number {
    return this.#wallAtZero + this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    // Node warns of it on standard error, which a journal shows.
    if (ms < 0) throw new RangeError(`a timer of ${ms} ms`);
    const timer = { due: this.#now + ms, run };
    const later = this.#timers.findIndex(({ due }) => due > timer.due);
    this.#timers.splice(later === -1 ? this.#timers.length : later, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Timers that are waiting. */
  get pending(): number {
    return this.#timers.length;
  }

  /** How many ms from now the next timer is due; undefined if none waits. */
  get nextIn(): number | undefined {
    const next = this.#timers[0];
    return next === undefined ? undefined : Math.max(0, next.due - this.#now);
  }

  /** Moves time on by `ms`, running each timer at its due time, those that they set included. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#timers[0]; next !== undefined && next.due <= end; next = this.#timers[0]) {
      this.#timers.shift();
      this.#now = next.due;
      next.run();
    }
    this.#now = end;
  }
}
