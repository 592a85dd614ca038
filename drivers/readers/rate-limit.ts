/** At most `limit` in any `windowMs`; remembers `limit` times and no more. */
export class RateLimit {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #accepted: number[] = [];

  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  /** `now` is monotonic ms. What is refused does not count against the limit. */
  accepts(now: number): boolean {
    while (this.#accepted[0] !== undefined && now - this.#accepted[0] >= this.#windowMs) this.#accepted.shift();
    if (this.#accepted.length >= this.#limit) return false;
    this.#accepted.push(now);
    return true;
  }
}
