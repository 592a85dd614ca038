import type { Clock } from "../clock.ts";
import { codeOf } from "../coded-error.ts";
import type { Log } from "../log.ts";
import { AT_HOME, type FollowInput, followStep, type Whereabouts } from "./follow-machine.ts";
import { isAtHome, type LocateSurroundings, locate, type Wanted } from "./locate.ts";

export interface FollowerOptions extends Wanted {
  readonly clock: Clock;
  readonly log: Log;
  /** Told the host that is used from now on: what belongs to the printer beside IPP follows too. */
  readonly moved?: (host: string | undefined) => void;
  readonly surroundings?: LocateSurroundings;
}

/** How often the configured address is asked while another one is used. */
const WATCH_MS = 30_000;

/** Finds a printer again by its uuid when its address changed. Never on the way of a release: it works beside, in its own time. */
export class Follower {
  readonly counters = { followLooks: 0, followMoves: 0, followReturns: 0, followRefused: 0 };
  readonly #options: FollowerOptions;
  readonly #stopping = new AbortController();
  #state = AT_HOME;
  #work: Promise<void> = Promise.resolve();
  #cancelWatch = (): void => {};

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** In place of the configured host; undefined where that one is right. */
  get host(): string | undefined {
    return this.#state.host;
  }

  get whereabouts(): Whereabouts {
    const { follows, seen } = this.#state;
    return { ...(follows && { follows }), ...(seen && { seen }) };
  }

  /** A connection to the printer came to be. */
  reached(): void {
    if (this.#state.lost !== undefined || this.#state.seen !== undefined) this.#take({ type: "reached" });
  }

  /** There was no connection to be had. */
  unreachable(): void {
    this.#take({ type: "unreachable" });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelWatch();
    await this.#work;
  }

  #take(input: FollowInput): void {
    if (this.#stopping.signal.aborted) return;
    const { clock, log, moved } = this.#options;
    const before = this.#state;
    const { state, effects } = followStep(before, input, clock.monotonic());
    this.#state = state;
    for (const effect of effects) {
      switch (effect) {
        case "look":
          this.#work = this.#look();
          break;
        case "watch":
          this.#cancelWatch();
          this.#cancelWatch = clock.after(WATCH_MS, () => {
            this.#work = this.#watch();
          });
          break;
        case "move":
          this.counters.followMoves++;
          log.warn({ host: state.host, uri: state.follows?.uri }, "the printer is followed to another address");
          moved?.(state.host);
          break;
        case "return":
          this.counters.followReturns++;
          this.#cancelWatch();
          log.info({ host: before.host }, "the printer's configured address is used again");
          moved?.(undefined);
          break;
      }
    }
    if (state.seen !== undefined && state.seen !== before.seen) {
      this.counters.followRefused++;
      log.warn({ ...state.seen }, "the printer is said to be elsewhere, and is not followed");
    }
  }

  async #look(): Promise<void> {
    const { clock, surroundings, log } = this.#options;
    this.counters.followLooks++;
    try {
      const found = await locate(this.#options, clock, this.#stopping.signal, surroundings);
      this.#take({ type: "looked", found });
    } catch (error) {
      log.warn({ code: codeOf(error) }, "the printer could not be looked for");
      this.#take({ type: "looked", found: [] });
    }
  }

  async #watch(): Promise<void> {
    this.#take({ type: "home", answers: await isAtHome(this.#options, this.#stopping.signal) });
  }
}
