import { ReaderError } from "../../drivers/reader.ts";
import type { Transport, TransportListener } from "../../drivers/transports/transport.ts";

/** A line reader of no hardware: what `tap` is given comes in as its bytes. Behind it runs the real driver. */
export class VirtualReader implements Transport {
  #listener: TransportListener | undefined;
  #plugged = true;
  #waiting: (() => void)[] = [];

  async open(listener: TransportListener): Promise<void> {
    if (!this.#plugged) throw new ReaderError("reader-absent", this.describe());
    this.#listener = listener;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async write(): Promise<void> {}

  async close(): Promise<void> {
    this.#listener = undefined;
  }

  describe(): string {
    return "virtual reader";
  }

  get plugged(): boolean {
    return this.#plugged;
  }

  /** Resolves when the driver has it open. */
  opened(): Promise<void> {
    return this.#listener === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  /** A card is held on the reader. False if nobody reads it. */
  tap(cardText: string): boolean {
    this.#listener?.data(Buffer.from(`${cardText}\r\n`, "latin1"));
    return this.#listener !== undefined;
  }

  unplug(): void {
    this.#plugged = false;
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.closed(new ReaderError("reader-lost", this.describe()));
  }

  plug(): void {
    this.#plugged = true;
  }
}
