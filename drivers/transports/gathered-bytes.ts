/** The octets of a reply that comes in pieces, never more of them than its cap. */
export class GatheredBytes {
  readonly #cap: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(cap: number) {
    this.#cap = cap;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** False, and nothing kept of it, if the piece would go beyond the cap. Copies all but a first piece: a million of one octet must not become a million objects. */
  add(piece: Buffer): boolean {
    const length = this.#length + piece.length;
    if (length > this.#cap) return false;
    if (this.#length === 0) {
      this.#bytes = piece;
    } else {
      if (length > this.#bytes.length) {
        const larger = Buffer.allocUnsafeSlow(Math.min(this.#cap, Math.max(4096, 2 * length)));
        this.#bytes.copy(larger, 0, 0, this.#length);
        this.#bytes = larger;
      }
      this.#bytes.set(piece, this.#length);
    }
    this.#length = length;
    return true;
  }
}
