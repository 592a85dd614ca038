import {
  type Decoder,
  type DriverContext,
  type Read,
  type Reader,
  ReaderError,
  type ReaderListener,
  type ReaderState,
  type ReaderStatus,
} from "../reader.ts";
import type { Transport, TransportListener } from "../transports/transport.ts";
import { count, zeroed } from "./counters.ts";
import { Debounce } from "./debounce.ts";
import { RateLimit } from "./rate-limit.ts";
import { NEW_SESSION, type SessionEffect, type SessionInput, type SessionState, step } from "./session-machine.ts";

export interface CommonSettings {
  /** Unique among the readers. */
  readonly name: string;
  /** An equal read within this time is the same tap. Default 1500. */
  readonly repeatHoldMs: number;
  /** More reads than this in 10 s are dropped. Default 5. */
  readonly maxReadsPer10s: number;
}

/** Calls `onChange` whenever a device may have appeared; the returned function ends it. Neither throws. */
export type DeviceWatch = (onChange: () => void) => () => void;

export interface SessionParts {
  readonly settings: CommonSettings;
  readonly decoder: Decoder;
  /** A transport may count, too. */
  readonly transport: Transport & { readonly counters?: Readonly<Record<string, number>> };
  readonly context: DriverContext;
  /** For readers that can be plugged in. */
  readonly watch?: DeviceWatch;
}

const RATE_WINDOW_MS = 10_000;
/** Added to a back-off at most, as a part of it, so that many agents do not retry in step. */
const JITTER = 0.25;
/** Longer than any open or close of a transport may take. */
const STOP_MS = 15_000;

/** One reader of any family: keeps its transport open, decodes, de-bounces, limits the rate. */
export class ReaderSession implements Reader {
  readonly name: string;
  readonly #decoder: Decoder;
  readonly #transport: SessionParts["transport"];
  readonly #context: DriverContext;
  readonly #watch: DeviceWatch | undefined;
  readonly #debounce: Debounce;
  readonly #rateLimit: RateLimit;
  readonly #counters = zeroed("opened", "openFailed", "lost", "repeats", "overRate", "signals", "closeFailed");

  #listener: ReaderListener | undefined;
  #machine: SessionState = NEW_SESSION;
  #state: ReaderState;
  /** Numbers the opens: a callback of an earlier one is ignored. */
  #generation = 0;
  #lastByteAt = 0;
  #cancelRetry = () => {};
  #cancelDeadline = () => {};
  #unwatch = () => {};
  #opening: Promise<void> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  constructor(parts: SessionParts) {
    this.name = parts.settings.name;
    this.#decoder = parts.decoder;
    this.#transport = parts.transport;
    this.#context = {
      ...parts.context,
      log: parts.context.log.child({ reader: this.name, device: parts.transport.describe() }),
    };
    this.#watch = parts.watch;
    this.#debounce = new Debounce(parts.settings.repeatHoldMs);
    this.#rateLimit = new RateLimit(parts.settings.maxReadsPer10s, RATE_WINDOW_MS);
    this.#state = { status: "closed", since: this.#context.clock.monotonic() };
  }

  get state(): ReaderState {
    return this.#state;
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#transport.counters, ...this.#decoder.counters, ...this.#counters };
  }

  start(listener: ReaderListener): void {
    if (this.#machine.phase !== "new") return;
    this.#listener = listener;
    this.#unwatch = this.#watch?.(() => this.#dispatch({ type: "wake" })) ?? this.#unwatch;
    this.#publish("opening");
    this.#dispatch({ type: "start" });
  }

  /** These families have neither lights nor sounds: not one byte is written to the device. */
  signal(): void {
    count(this.#counters, "signals");
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#generation += 1;
    this.#unwatch();
    this.#cancelDeadline();
    this.#decoder.reset();
    this.#debounce.clear();
    this.#dispatch({ type: "stop" });
    let cancel = () => {};
    const overdue = new Promise<"overdue">((resolve) => {
      cancel = this.#context.clock.after(STOP_MS, () => resolve("overdue"));
    });
    // An open that ends after the stop closes what it opened, hence the order.
    const over = this.#opening.then(() => this.#closing);
    if ((await Promise.race([over, overdue])) === "overdue") {
      count(this.#counters, "closeFailed");
      this.#context.log.error({}, "the reader's device did not close in time");
    }
    cancel();
    this.#publish("closed");
  }

  #dispatch(input: SessionInput): void {
    const { state, effects } = step(this.#machine, input);
    this.#machine = state;
    for (const effect of effects) this.#run(effect);
  }

  #run(effect: SessionEffect): void {
    switch (effect.type) {
      case "open":
        this.#opening = this.#open();
        break;
      case "close":
        this.#closing = this.#close();
        break;
      case "retry-after": {
        this.#cancelRetry();
        const ms = effect.ms * (1 + JITTER * this.#context.random());
        this.#cancelRetry = this.#context.clock.after(ms, () => this.#dispatch({ type: "retry" }));
        break;
      }
      case "cancel-retry":
        this.#cancelRetry();
        break;
    }
  }

  async #open(): Promise<void> {
    this.#generation += 1;
    const generation = this.#generation;
    // A device that opened may speak in the moment before we learn of it, so "opening" will do.
    const isCurrent = () =>
      generation === this.#generation && (this.#machine.phase === "opening" || this.#machine.phase === "ready");
    this.#forgetHalfFrame();
    const settled = Promise.withResolvers<void>();
    const listener: TransportListener & { restarted(): void } = {
      data: (bytes) => {
        if (isCurrent()) this.#data(bytes);
      },
      restarted: () => {
        if (isCurrent()) this.#forgetHalfFrame();
      },
      closed: (error) => {
        // The loss may be told before we learn that the open succeeded.
        void settled.promise.then(() => {
          if (isCurrent()) this.#lost(error);
        });
      },
    };
    try {
      await this.#transport.open(listener);
    } catch (error) {
      count(this.#counters, "openFailed");
      this.#dispatch({ type: "failed" });
      this.#failed(
        error instanceof ReaderError ? error : new ReaderError("reader-open-failed", String(error), { cause: error }),
      );
      return;
    }
    count(this.#counters, "opened");
    this.#dispatch({ type: "opened", now: this.#context.clock.monotonic() });
    this.#publish("ready");
    settled.resolve();
  }

  async #close(): Promise<void> {
    const earlier = this.#closing;
    try {
      await this.#transport.close();
    } catch (error) {
      count(this.#counters, "closeFailed");
      this.#context.log.warn({ err: error }, "closing the reader's device failed");
    }
    await earlier;
  }

  #lost(error: ReaderError): void {
    this.#generation += 1;
    count(this.#counters, "lost");
    this.#forgetHalfFrame();
    this.#dispatch({ type: "lost", now: this.#context.clock.monotonic() });
    this.#failed(error);
  }

  #data(bytes: Uint8Array): void {
    const now = this.#context.clock.monotonic();
    this.#expire(now);
    this.#lastByteAt = now;
    this.#deliver(this.#decoder.push(bytes, now), now);
    this.#armDeadline();
  }

  /** A frame that a silence completes was complete when its last byte came. */
  #expire(now: number): void {
    const { deadline } = this.#decoder;
    if (deadline === undefined || now < deadline) return;
    this.#deliver(this.#decoder.expire(now), this.#lastByteAt);
  }

  #armDeadline(): void {
    this.#cancelDeadline();
    const { deadline } = this.#decoder;
    if (deadline === undefined || this.#stopping !== undefined) return;
    const { clock } = this.#context;
    this.#cancelDeadline = clock.after(Math.max(0, deadline - clock.monotonic()), () => {
      this.#expire(clock.monotonic());
      // A timer may fire a fraction of a millisecond early.
      this.#armDeadline();
    });
  }

  #forgetHalfFrame(): void {
    this.#cancelDeadline();
    this.#decoder.reset();
  }

  #deliver(reads: readonly Read[], at: number): void {
    for (const read of reads) {
      // The listener may have stopped us at the read before.
      if (this.#stopping !== undefined) return;
      if (!this.#debounce.accepts(read, at)) count(this.#counters, "repeats");
      else if (!this.#rateLimit.accepts(at)) count(this.#counters, "overRate");
      else this.#listener?.read(read, at);
    }
  }

  #failed(error: ReaderError): void {
    this.#publish(statusOf(error), error);
  }

  #publish(status: ReaderStatus, error?: ReaderError): void {
    const before = this.#state;
    if (status === before.status && error?.code === before.error?.code) return;
    // A stopping session tells nothing any more but that it is closed.
    if (this.#stopping !== undefined && status !== "closed") return;
    const since = status === before.status ? before.since : this.#context.clock.monotonic();
    this.#state = error === undefined ? { status, since } : { status, error, since };
    if (error === undefined) this.#context.log.info({ status }, "reader");
    else this.#context.log.warn({ status, code: error.code, detail: error.detail }, error.row.what);
    this.#listener?.state(this.#state);
  }
}

function statusOf(error: ReaderError): ReaderStatus {
  switch (error.code) {
    case "reader-absent":
    case "reader-lost":
    case "reader-unreachable":
    case "reader-silent-peer":
      return "absent";
    case "reader-open-failed":
    case "reader-listen-failed":
    case "reader-source-refused":
    case "reader-not-a-keyboard":
      return "failed";
  }
}
