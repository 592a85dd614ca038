import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { FakeClock } from "../sim/clock.ts";

/** Requests to the file system and to the resolver that are under way. */
const isBusy = (): boolean => process.getActiveResourcesInfo().some((name) => name.includes("Req"));
/** I/O events that this process has handled: sockets, files, threads; no timers. */
const events = (): number => performance.nodeTiming.uvMetricsInfo.events;
/** How many looks, a millisecond apart, must find nothing before time moves on. */
const QUIET_LOOKS = 2;

/**
 * A clock for a whole site in one process: it jumps to the next timer as soon as nothing happens any more. Nobody waits
 * for real minutes, and no deadline passes while somebody still works.
 */
export class WarpClock extends FakeClock {
  #frozen = 0;

  constructor() {
    super(1000, Date.now());
  }

  /** Until the returned function is called, time stands still: what is looked at meanwhile costs nobody a deadline. */
  freeze(): () => void {
    this.#frozen += 1;
    return () => {
      this.#frozen -= 1;
    };
  }

  /** Lets everything happen that can, then jumps, until `done`; rejects when more than `withinMs` of its own time pass. */
  async run(what: string, done: () => boolean, withinMs: number): Promise<void> {
    const end = this.monotonic() + withinMs;
    while (!done()) {
      if (!(await this.still(done))) return;
      const { nextIn } = this;
      if (nextIn === undefined) throw new Error(`nothing happens any more: ${what}`);
      if (this.monotonic() + nextIn > end) throw new Error(`not within ${withinMs} ms: ${what}`);
      this.advance(nextIn);
    }
  }

  /** Resolves with true when nothing happens any more, or with false as soon as `enough`. */
  async still(enough: () => boolean = () => false): Promise<boolean> {
    for (let [quiet, seen] = [0, events()]; quiet < QUIET_LOOKS; ) {
      await sleep(1);
      if (enough()) return false;
      const now = events();
      quiet = now === seen && !isBusy() && this.#frozen === 0 ? quiet + 1 : 0;
      seen = now;
    }
    return true;
  }

  /** As `run`, for a promise. */
  async settle<T>(what: string, work: Promise<T>, withinMs: number): Promise<T> {
    let over = false;
    const mark = () => {
      over = true;
    };
    work.then(mark, mark);
    await this.run(what, () => over, withinMs);
    return work;
  }
}
