import { type Read, ReaderError, type ReaderListener, type ReaderState } from "../../../drivers/reader.ts";
import type { Transport, TransportListener } from "../../../drivers/transports/transport.ts";

/** A transport whose device does what the test says; it fails the test that breaks the contract. */
export class ScriptedTransport implements Transport {
  readonly counters = { fromTransport: 1 };
  opens = 0;
  closes = 0;
  /** What was written, in hexadecimal. */
  readonly written: string[] = [];
  #pending: PromiseWithResolvers<void> | undefined;
  #offered: (TransportListener & { restarted?(): void }) | undefined;
  #listener: (TransportListener & { restarted?(): void }) | undefined;

  get opening(): boolean {
    return this.#pending !== undefined;
  }

  get isOpen(): boolean {
    return this.#listener !== undefined;
  }

  describe(): string {
    return "scripted";
  }

  open(listener: TransportListener): Promise<void> {
    if (this.opening || this.isOpen) throw new Error("opened twice at once");
    this.opens += 1;
    this.#offered = listener;
    this.#pending = Promise.withResolvers();
    return this.#pending.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.written.push(Buffer.from(bytes).toString("hex"));
  }

  async close(): Promise<void> {
    this.closes += 1;
    this.#listener = undefined;
  }

  appear(): Promise<void> {
    this.#listener = this.#offered;
    this.#pending?.resolve();
    return this.#settled();
  }

  refuse(error: Error = new ReaderError("reader-absent")): Promise<void> {
    this.#pending?.reject(error);
    return this.#settled();
  }

  vanish(error = new ReaderError("reader-lost")): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.closed(error);
    return turns();
  }

  /** To whoever opened last, even after a loss or close, as a late event of a real device may come. */
  send(bytes: string): void {
    if (!this.opening) this.#offered?.data(Buffer.from(bytes, "latin1"));
  }

  restart(): void {
    this.#listener?.restarted?.();
  }

  #settled(): Promise<void> {
    this.#pending = undefined;
    return turns();
  }
}

/** Lets promises that are settled run their callbacks. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
}

/** What a reader told; `until` waits for it to tell something. */
export class Recorder implements ReaderListener {
  readonly reads: { readonly text: string; readonly at: number }[] = [];
  readonly states: string[] = [];
  /** All keys of the keypad so far. */
  pressed = "";
  #waiting: (() => void)[] = [];

  read(read: Read, at: number): void {
    this.reads.push({ text: read.kind === "text" ? read.text : Buffer.from(read.bytes).toString("hex"), at });
    this.#told();
  }

  keys(keys: string): void {
    this.pressed += keys;
    this.#told();
  }

  state({ status, error }: ReaderState): void {
    this.states.push(error === undefined ? status : `${status}: ${error.code}`);
    this.#told();
  }

  get texts(): string[] {
    return this.reads.map(({ text }) => text);
  }

  /** Resolves when the latest state is `state`. */
  async inState(state: string): Promise<void> {
    while (this.states.at(-1) !== state) await this.#next();
  }

  async untilReads(count: number): Promise<string[]> {
    while (this.reads.length < count) await this.#next();
    return this.texts;
  }

  #next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #told(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
