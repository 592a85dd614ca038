import type { Keys, Protocol, Read, Signal } from "../../../drivers/reader.ts";
import type { FakeClock } from "../../sim/clock.ts";

interface Device {
  hear(bytes: Uint8Array): void;
}

/** A protocol and a simulated reader at the two ends of a line, driven as the session does but without a promise. */
export class Conversation {
  readonly reads: { readonly id: string; readonly bitLength: number; readonly at: number }[] = [];
  /** What the protocol said, with the time. */
  readonly said: { readonly bytes: Uint8Array; readonly at: number }[] = [];
  /** How the reader's bytes arrive; each piece at once, or after so many ms more. */
  split: (bytes: Buffer) => readonly { readonly piece: Uint8Array; readonly afterMs?: number }[] = (piece) => [
    { piece },
  ];
  /** Bytes of ours that get lost on their way. */
  isCut = false;
  readonly #protocol: Protocol;
  readonly #clock: FakeClock;
  readonly #device: Device;
  #cancel = () => {};
  #lineFreeAt = 0;
  #isPumping = false;

  constructor(protocol: Protocol, clock: FakeClock, connect: (say: (bytes: Buffer) => void) => Device) {
    this.#protocol = protocol;
    this.#clock = clock;
    this.#device = connect((bytes) => this.#arrive(bytes));
  }

  get ids(): string[] {
    return this.reads.map(({ id }) => id);
  }

  open(): void {
    this.#protocol.open(this.#clock.monotonic());
    this.#pump();
  }

  signal(signal: Signal): void {
    this.#protocol.signal(signal, this.#clock.monotonic());
    this.#pump();
  }

  data(bytes: Uint8Array): void {
    const now = this.#clock.monotonic();
    this.#expire(now);
    this.#collect(this.#protocol.push(bytes, now));
    this.#pump();
  }

  #arrive(bytes: Buffer): void {
    for (const { piece, afterMs = 0 } of this.split(bytes)) {
      const at = Math.max(this.#clock.monotonic(), this.#lineFreeAt) + afterMs;
      if (at <= this.#clock.monotonic()) this.data(piece);
      else {
        this.#lineFreeAt = at;
        this.#clock.after(at - this.#clock.monotonic(), () => this.data(piece));
      }
    }
  }

  #expire(now: number): void {
    const { deadline } = this.#protocol;
    if (deadline !== undefined && now >= deadline) this.#collect(this.#protocol.expire(now));
  }

  /** The reader may answer while we speak; what there is to say next is said by the outer call. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let messages = 0; this.#protocol.failure === undefined; messages += 1) {
      if (messages > 10_000) throw new Error("speaks without end");
      const now = this.#clock.monotonic();
      const bytes = this.#protocol.output(now);
      if (bytes === undefined) break;
      this.said.push({ bytes, at: now });
      if (!this.isCut) this.#device.hear(bytes);
    }
    this.#isPumping = false;
    this.#arm();
  }

  #arm(): void {
    this.#cancel();
    const { deadline } = this.#protocol;
    if (deadline === undefined) return;
    this.#cancel = this.#clock.after(Math.max(0, deadline - this.#clock.monotonic()), () => {
      this.#expire(this.#clock.monotonic());
      this.#pump();
    });
  }

  #collect(reads: readonly (Read | Keys)[]): void {
    for (const read of reads) {
      if (read.kind !== "bits") throw new Error(`a read of kind ${read.kind}`);
      const { bytes, bitLength } = read;
      if (bitLength === 0 || bytes.length !== Math.ceil(bitLength / 8)) throw new Error("a read of the wrong length");
      const id = Buffer.from(bytes).toString("hex").toUpperCase();
      this.reads.push({ id, bitLength, at: this.#clock.monotonic() });
    }
  }
}
