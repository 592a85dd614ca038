import type { Clock } from "../../drivers/clock.ts";
import { LinkError } from "./link-error.ts";

/** Below the idle limit of the usual firewall and server. */
const MAX_IDLE_MS = 25_000;
const FIRST_RETRY_MS = 1_000;

/** Sends a request down the line; resolves to whether its connection had been used before, and how long it may idle. */
export type Ping = () => Promise<{ reused: boolean; idleMs: number }>;

/** A line as far as it matters here. */
export interface KeptLine {
  /** Requests under way or waiting. */
  readonly load: number;
  /** When the last one ended, on the monotonic clock. */
  readonly lastUsed: number;
}

/** Keeps one line connected: asks when it was idle for long, and soon after its connection was lost. */
export class KeepWarm {
  readonly #clock: Clock;
  readonly #line: KeptLine;
  readonly #ping: Ping;
  #idleMs = MAX_IDLE_MS;
  /** Losses since a connection last proved to last; a server that closes after each answer must not be asked each second. */
  #losses = 0;
  #busy = false;
  #on = false;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, line: KeptLine, ping: Ping) {
    this.#clock = clock;
    this.#line = line;
    this.#ping = ping;
  }

  start(): void {
    this.#on = true;
    this.#look();
  }

  stop(): void {
    this.#on = false;
    this.#cancel?.();
  }

  /** The line's connection is gone. */
  lost(): void {
    if (this.#on && !this.#busy) this.#later(this.#loss());
  }

  #later(ms: number): void {
    this.#cancel?.();
    if (this.#on) this.#cancel = this.#clock.after(ms, () => this.#look());
  }

  #loss(): number {
    this.#losses += 1;
    return Math.min(MAX_IDLE_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#losses - 1, 10));
  }

  #look(): void {
    // After a loss the line is asked at once, however lately it was used.
    const idle = this.#losses > 0 ? this.#idleMs : this.#clock.monotonic() - this.#line.lastUsed;
    const waitMs = this.#line.load > 0 ? this.#idleMs : this.#idleMs - idle;
    if (waitMs > 0) {
      this.#later(waitMs);
      return;
    }
    this.#busy = true;
    void this.#ping().then(
      ({ reused, idleMs }) => {
        this.#busy = false;
        this.#idleMs = Math.min(idleMs, MAX_IDLE_MS);
        if (reused) this.#losses = 0;
        this.#later(this.#idleMs);
      },
      (error: unknown) => {
        this.#busy = false;
        const askedToWait = error instanceof LinkError ? error.retryAfterMs : undefined;
        this.#later(Math.max(askedToWait ?? 0, this.#loss()));
      },
    );
  }
}
