import type { Keys, Read, ReaderListener } from "../reader.ts";
import { count, zeroed } from "./counters.ts";
import { Debounce } from "./debounce.ts";
import { RateLimit } from "./rate-limit.ts";

const RATE_WINDOW_MS = 10_000;
/** People press some 5 keys a second; a keypad that sends more is broken or no keypad. */
const MAX_KEYS_PER_10S = 100;

/** What of the good reads is passed on: one for each presentation of a card, and no flood. */
export class Delivery {
  readonly counters = zeroed("repeats", "overRate");
  readonly #debounce: Debounce;
  readonly #readLimit: RateLimit;
  readonly #keyLimit = new RateLimit(MAX_KEYS_PER_10S, RATE_WINDOW_MS);
  #lastReadAt: number | undefined;

  constructor(settings: { readonly repeatHoldMs: number; readonly maxReadsPer10s: number }) {
    this.#debounce = new Debounce(settings.repeatHoldMs);
    this.#readLimit = new RateLimit(settings.maxReadsPer10s, RATE_WINDOW_MS);
  }

  /** Monotonic ms of the latest good read, passed on or not. */
  get lastReadAt(): number | undefined {
    return this.#lastReadAt;
  }

  pass(read: Read | Keys, at: number, listener: ReaderListener | undefined): void {
    if (read.kind === "keys") {
      if (this.#keyLimit.accepts(at)) listener?.keys(read.keys, at);
      else count(this.counters, "overRate");
      return;
    }
    this.#lastReadAt = at;
    if (!this.#debounce.accepts(read, at)) count(this.counters, "repeats");
    else if (!this.#readLimit.accepts(at)) {
      count(this.counters, "overRate");
      this.#debounce.forget(read);
    } else listener?.read(read, at);
  }

  /** Forgets what was read. */
  clear(): void {
    this.#debounce.clear();
  }
}
