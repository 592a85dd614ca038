/** Time, passed in. Deadlines use `monotonic()`; `wall()` is for records only, because a Pi's clock may be wrong. */
export interface Clock {
  /** Milliseconds since the Unix epoch, as far as this machine knows. */
  wall(): number;
  /** Milliseconds of a clock that never steps. */
  monotonic(): number;
  /** Calls `run` once after `ms`; the returned function cancels it. A pending timer does not keep the process alive. */
  after(ms: number, run: () => void): () => void;
}

/** The wall clock as RFC 3339 in UTC, with milliseconds: how records and messages name a time. */
export function isoTime(clock: Clock): string {
  return new Date(clock.wall()).toISOString();
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or at once (without an error) when `signal` aborts. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
