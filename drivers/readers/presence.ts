/** One poll that does not see a card may be the edge of its field; so many in a row are its absence. */
const MISSES = 2;
/** Two cards held together are found in turn. */
const REMEMBERED = 8;

interface Sight {
  readonly at: number;
  readonly misses: number;
}

/**
 * Which cards lie on a reader that is polled: a card is one presence from its first sight until it is gone, however long
 * that takes. This is the one place that ends a presence, and not the de-bounce of the session, because only who polls
 * knows "no card" from "not asked" and "no answer": a hold by time alone ends while a reader is silent or busy, and a card
 * that was left on it would be a second tap.
 */
export class Presence {
  readonly #goneAfterMs: number;
  readonly #cards = new Map<string, Sight>();

  /** A card is gone when it was missed twice in a row and last seen at least `goneAfterMs` ago. */
  constructor(goneAfterMs: number) {
    this.#goneAfterMs = goneAfterMs;
  }

  /** The answer to a poll was this card, read at `at` (monotonic ms). True when it was not there before. */
  seen(card: string, at: number): boolean {
    this.#age(at, card);
    // Deleted first so that the map stays in the order of last sight.
    const known = this.#cards.delete(card);
    this.#cards.set(card, { at, misses: 0 });
    if (this.#cards.size > REMEMBERED) {
      const oldest = this.#cards.keys().next();
      if (oldest.done !== true) this.#cards.delete(oldest.value);
    }
    return !known;
  }

  /** The answer to a poll was that there is no card. */
  missed(now: number): void {
    this.#age(now);
  }

  clear(): void {
    this.#cards.clear();
  }

  #age(now: number, except?: string): void {
    for (const [card, { at, misses }] of this.#cards) {
      const missed = card === except ? misses : misses + 1;
      if (missed >= MISSES && now - at >= this.#goneAfterMs) this.#cards.delete(card);
      else this.#cards.set(card, { at, misses: missed });
    }
  }
}
