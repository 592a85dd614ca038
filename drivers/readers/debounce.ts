import type { Read } from "../reader.ts";

/** Two cards held together are read in turn, so a few reads are remembered, not only the last. */
const REMEMBERED = 8;

/**
 * One presentation of a card is one read, however often the reader repeats it. A read equal to one within the last
 * `holdMs` is a repeat, and a repeat extends the hold: a card left on the reader stays one tap.
 */
export class Debounce {
  readonly #holdMs: number;
  readonly #lastSeen = new Map<string, number>();

  constructor(holdMs: number) {
    this.#holdMs = holdMs;
  }

  /** False for a repeat. `now` is monotonic ms. */
  accepts(read: Read, now: number): boolean {
    for (const [key, seen] of this.#lastSeen) {
      if (now - seen >= this.#holdMs) this.#lastSeen.delete(key);
    }
    const key = keyOf(read);
    // Deleted first so that the map stays in the order of last sight, and the oldest is the one to go.
    const repeat = this.#lastSeen.delete(key);
    this.#lastSeen.set(key, now);
    if (this.#lastSeen.size > REMEMBERED) {
      const oldest = this.#lastSeen.keys().next();
      if (oldest.done !== true) this.#lastSeen.delete(oldest.value);
    }
    return !repeat;
  }

  /** This one was not taken after all: shown again, it is no repeat. */
  forget(read: Read): void {
    this.#lastSeen.delete(keyOf(read));
  }

  /** Forgets every read. */
  clear(): void {
    this.#lastSeen.clear();
  }
}

function keyOf(read: Read): string {
  switch (read.kind) {
    case "text":
      return `t${read.text}`;
    case "bits":
      return `b${read.bitLength}:${Buffer.from(read.bytes).toString("hex")}`;
  }
}
