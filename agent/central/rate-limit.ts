/** Token buckets by key: `burst` at once, `perSecond` in the long run; at most `keys` are remembered, the oldest go first. */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #keys: number;
  readonly #buckets = new Map<string, { level: number; at: number }>();

  constructor(perSecond: number, burst: number, keys = 1024) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#keys = keys;
  }

  /** Takes one of the key's tokens at the monotonic time `now` (ms): 0, or the milliseconds until there is one. */
  take(key: string, now: number): number {
    const before = this.#buckets.get(key) ?? { level: this.#burst, at: now };
    const level = Math.min(this.#burst, before.level + Math.max(0, now - before.at) * this.#perMs);
    const taken = level >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { level: taken ? level - 1 : level, at: now });
    if (this.#buckets.size > this.#keys) {
      const oldest = this.#buckets.keys().next();
      if (oldest.done !== true) this.#buckets.delete(oldest.value);
    }
    return taken ? 0 : Math.ceil((1 - level) / this.#perMs);
  }
}
