export interface ExchangeTiming {
  readonly replyTimeoutMs: number;
  readonly baudRate: number;
}

/** A command is written this often at most; then the reader counts as silent. */
export const ATTEMPTS = 8;
/** A reader that is busy is asked again after this long, */
export const BUSY_MS = 200;
/** and this often at most: ten seconds. */
export const BUSY_LIMIT = 50;
/** While a reply is arriving, its next byte is waited for; adapters and networks deliver in lumps. */
const LUMP_MS = 100;
/** The longest packet at 9600 bit/s takes 1.5 s. */
const MAX_REPLY_MS = 2000;
const BITS_PER_BYTE = 10;

/**
 * One command at a time and its reply, on a line on which only one side may speak (SIA OSDP 2.2, 5.7): the sequence numbers
 * 0, then 1, 2, 3, 1 ...; the same bytes with the same number again when no reply comes, so that a reader that has done
 * the command repeats its reply and does not do it twice.
 */
export class Exchange {
  readonly #timing: ExchangeTiming;
  #message: Uint8Array | undefined;
  #phase: "idle" | "to-write" | "waiting" | "paused" = "idle";
  #sequence = 0;
  #attempts = 0;
  #busy = 0;
  #writtenAt = 0;
  #dueAt = 0;

  constructor(timing: ExchangeTiming) {
    this.#timing = timing;
  }

  get isIdle(): boolean {
    return this.#phase === "idle";
  }

  /** A reply may come, or was due and is about to be asked for again. */
  get isAwaiting(): boolean {
    return this.#phase === "waiting" || (this.#phase === "to-write" && this.#attempts > 0);
  }

  /** Of the command under way, or of the next one. */
  get sequence(): number {
    return this.#sequence;
  }

  /** When something is to be done if nothing comes. */
  get deadline(): number | undefined {
    return this.#phase === "waiting" || this.#phase === "paused" ? this.#dueAt : undefined;
  }

  /** Nothing is under way, and the next command has this number. */
  restart(): void {
    this.#phase = "idle";
    this.#message = undefined;
    this.#sequence = 0;
  }

  begin(message: Uint8Array): void {
    this.#message = message;
    this.#phase = "to-write";
    this.#attempts = 0;
    this.#busy = 0;
  }

  /** What is to be written now; its reply is due from now on. */
  take(now: number): Uint8Array | undefined {
    const isDue = this.#phase === "to-write" || (this.#phase === "paused" && now >= this.#dueAt);
    if (!isDue || this.#message === undefined) return undefined;
    this.#phase = "waiting";
    this.#attempts += 1;
    this.#writtenAt = now;
    this.#dueAt = now + this.#timing.replyTimeoutMs + this.#transferMs(this.#message.length);
    return this.#message;
  }

  /** Part of a packet has come. */
  arriving(now: number): void {
    if (this.#phase !== "waiting") return;
    this.#dueAt = Math.min(
      this.#writtenAt + MAX_REPLY_MS + this.#timing.replyTimeoutMs,
      Math.max(this.#dueAt, now + LUMP_MS),
    );
  }

  /** What the passing of time means: nothing, that the command is to be written again, or that this is of no use. */
  expire(now: number): "nothing" | "again" | "silent" {
    if (this.#phase !== "waiting" || now < this.#dueAt) return "nothing";
    if (this.#attempts >= ATTEMPTS) {
      this.#phase = "idle";
      return "silent";
    }
    this.#phase = "to-write";
    return "again";
  }

  /** The reader has no time: later, with the same number. False when it has had none for too long. */
  postpone(now: number): boolean {
    this.#busy += 1;
    if (this.#busy > BUSY_LIMIT) return false;
    // It does answer.
    this.#attempts = 0;
    this.#phase = "paused";
    this.#dueAt = now + BUSY_MS;
    return true;
  }

  /** The reply has come. */
  finish(): void {
    this.#phase = "idle";
    this.#message = undefined;
    this.#sequence = (this.#sequence % 3) + 1;
  }

  #transferMs(bytes: number): number {
    return (bytes * BITS_PER_BYTE * 1000) / this.#timing.baudRate;
  }
}
