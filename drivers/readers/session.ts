import {
  type CapturedFrame,
  type Decoder,
  type DriverContext,
  type Keys,
  type Protocol,
  type Read,
  type Reader,
  ReaderError,
  type ReaderListener,
  type ReaderState,
  type ReaderStatus,
  type Signal,
} from "../reader.ts";
import type { Transport, TransportListener } from "../transports/transport.ts";
import { FrameCapture, textShape } from "./capture.ts";
import { count, zeroed } from "./counters.ts";
import { Delivery } from "./delivery.ts";
import { inTime, sayAll } from "./farewell.ts";
import {
  NEW_SESSION,
  type Remedy,
  type SessionEffect,
  type SessionInput,
  type SessionState,
  step,
} from "./session-machine.ts";
import { statusOf } from "./status.ts";

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
  readonly decoder: Decoder | Protocol;
  /** How a captured frame is masked; default `textShape`. */
  readonly shapeOf?: (bytes: Uint8Array) => string;
  /** What can be done to a deaf device, resolving when it is done; absent where nothing can. */
  readonly mend?: (remedy: Remedy) => Promise<void>;
  /** A transport may count, too. */
  readonly transport: Transport & { readonly counters?: Readonly<Record<string, number>> };
  readonly context: DriverContext;
  /** For readers that can be plugged in. */
  readonly watch?: DeviceWatch;
}

/** Added to a back-off at most, as a part of it, so that many agents do not retry in step. */
const JITTER = 0.25;
/** A reader takes a message within milliseconds; one that does not is not worth the wait. */
const FAREWELL_MS = 2000;
/** Longer than any open or close of a transport may take. */
const STOP_MS = 15_000;

/** One reader of any family: keeps its transport open, decodes, de-bounces, limits the rate. */
export class ReaderSession implements Reader {
  readonly name: string;
  readonly #decoder: Decoder;
  /** The decoder again, of a family in which we speak too. */
  readonly #protocol: Protocol | undefined;
  readonly #mend: SessionParts["mend"];
  readonly #capture: FrameCapture;
  readonly #transport: SessionParts["transport"];
  readonly #context: DriverContext;
  readonly #watch: DeviceWatch | undefined;
  readonly #delivery: Delivery;
  readonly #counters = zeroed(
    "opened",
    "openFailed",
    "lost",
    "deaf",
    "useless",
    "mended",
    "mendFailed",
    "signals",
    "closeFailed",
    "farewellFailed",
  );

  #listener: ReaderListener | undefined;
  #machine: SessionState = NEW_SESSION;
  #state: ReaderState;
  /** Numbers the opens: a callback of an earlier one is ignored. */
  #generation = 0;
  #lastByteAt = 0;
  #writing = false;
  /** The latest write; never rejects. */
  #written: Promise<void> = Promise.resolve();
  #cancelRetry = () => {};
  #cancelDeadline = () => {};
  #unwatch = () => {};
  #opening: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(parts: SessionParts) {
    this.name = parts.settings.name;
    this.#decoder = parts.decoder;
    this.#protocol = "output" in parts.decoder ? parts.decoder : undefined;
    this.#mend = parts.mend;
    this.#capture = new FrameCapture(parts.shapeOf ?? textShape);
    this.#transport = parts.transport;
    this.#context = {
      ...parts.context,
      log: parts.context.log.child({ reader: this.name, device: parts.transport.describe() }),
    };
    this.#watch = parts.watch;
    this.#delivery = new Delivery(parts.settings);
    this.#state = { status: "closed", since: this.#context.clock.monotonic() };
  }

  get state(): ReaderState {
    return this.#state;
  }

  get lastReadAt(): number | undefined {
    return this.#delivery.lastReadAt;
  }

  get captured(): readonly CapturedFrame[] {
    return this.#capture.frames;
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#transport.counters, ...this.#decoder.counters, ...this.#delivery.counters, ...this.#counters };
  }

  start(listener: ReaderListener): void {
    if (this.#machine.phase !== "new") return;
    this.#listener = listener;
    this.#unwatch = this.#watch?.(() => this.#dispatch({ type: "wake" })) ?? this.#unwatch;
    this.#publish("opening");
    this.#dispatch({ type: "start" });
  }

  /** To a family that has neither lights nor sounds not one byte is written. */
  signal(signal: Signal): void {
    count(this.#counters, "signals");
    if (this.#protocol === undefined || this.#machine.phase !== "ready" || this.#stopping !== undefined) return;
    this.#protocol.signal(signal, this.#context.clock.monotonic());
    this.#converse();
  }

  capture(forMs: number): void {
    this.#capture.start(this.#context.clock.monotonic(), forMs);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#generation += 1;
    this.#unwatch();
    this.#cancelDeadline();
    const answers = this.#machine.phase === "ready" && this.#protocol?.failure === undefined;
    const farewell = answers ? this.#protocol?.farewell?.(this.#context.clock.monotonic()) : undefined;
    if (farewell !== undefined) {
      const said = this.#written.then(() => sayAll(this.#transport, farewell));
      if (!(await inTime(this.#context.clock, FAREWELL_MS, said))) count(this.#counters, "farewellFailed");
    }
    this.#decoder.reset();
    this.#delivery.clear();
    this.#dispatch({ type: "stop" });
    // An open that ends after the stop closes what it opened, hence the order.
    const over = this.#opening.then(() => this.#closing);
    if (!(await inTime(this.#context.clock, STOP_MS, over))) {
      count(this.#counters, "closeFailed");
      this.#context.log.error({}, "the reader's device did not close in time");
    }
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
      case "mend":
        void this.#repair(effect.remedy);
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
    this.#writing = false;
    const generation = this.#generation;
    // A device that opened may speak in the moment before we learn of it, so "opening" will do.
    const isCurrent = () =>
      generation === this.#generation && (this.#machine.phase === "opening" || this.#machine.phase === "ready");
    this.#forgetHalfFrame();
    if (this.#closing !== undefined && !(await inTime(this.#context.clock, STOP_MS, this.#closing))) {
      count(this.#counters, "closeFailed");
      this.#dispatch({ type: "failed" });
      this.#failed(new ReaderError("reader-open-failed", "it is still being closed"));
      return;
    }
    const settled = Promise.withResolvers<void>();
    const listener: TransportListener & { restarted(): void } = {
      data: (bytes) => {
        if (isCurrent()) this.#data(bytes);
      },
      restarted: () => {
        if (isCurrent()) this.#restarted();
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
    const now = this.#context.clock.monotonic();
    this.#dispatch({ type: "opened", now });
    if (this.#protocol === undefined) this.#publish("ready");
    else this.#begin(this.#protocol);
    settled.resolve();
  }

  /** What follows comes from another connection. */
  #restarted(): void {
    this.#forgetHalfFrame();
    if (this.#protocol !== undefined && this.#machine.phase === "ready") this.#begin(this.#protocol);
  }

  #begin(protocol: Protocol): void {
    protocol.open(this.#context.clock.monotonic());
    this.#converse();
  }

  /** Says what the protocol has to say, one message after the other, and acts on what became of it. */
  #converse(): void {
    const protocol = this.#protocol;
    if (protocol === undefined || this.#machine.phase !== "ready" || this.#stopping !== undefined) return;
    const { failure } = protocol;
    if (failure !== undefined) {
      this.#giveUp(failure);
      return;
    }
    if (protocol.online) this.#publish("ready");
    this.#armDeadline();
    if (this.#writing) return;
    const now = this.#context.clock.monotonic();
    const message = protocol.output(now);
    if (message === undefined) return;
    this.#writing = true;
    this.#armDeadline();
    this.#capture.take("out", message, now);
    const generation = this.#generation;
    const writing = this.#transport.write(message);
    this.#written = writing.catch(() => {
      // Whoever wrote has this error; a farewell only waits.
    });
    writing.then(
      () => {
        if (generation !== this.#generation) return;
        this.#writing = false;
        this.#converse();
      },
      (error: unknown) => {
        if (generation !== this.#generation) return;
        this.#giveUp(error instanceof ReaderError ? error : new ReaderError("reader-lost", String(error)));
      },
    );
  }

  /** The device is open but of no use: it is closed, and mended if it is deaf and opening it again does not help. */
  #giveUp(error: ReaderError): void {
    const type = error.code === "reader-deaf" ? "deaf" : "useless";
    this.#generation += 1;
    count(this.#counters, type);
    this.#forgetHalfFrame();
    this.#dispatch({ type, now: this.#context.clock.monotonic() });
    this.#failed(error);
  }

  async #repair(remedy: Remedy): Promise<void> {
    if (this.#mend === undefined) return;
    try {
      await this.#mend(remedy);
      count(this.#counters, "mended");
      this.#context.log.info({ remedy }, "did to the reader's device what may wake it");
    } catch (error) {
      count(this.#counters, "mendFailed");
      this.#context.log.warn({ remedy, err: error }, "could not do to the reader's device what may wake it");
    }
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
    this.#closing = undefined;
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
    this.#capture.take("in", bytes, now);
    this.#expire(now);
    this.#lastByteAt = now;
    this.#deliver(this.#decoder.push(bytes, now), now);
    this.#armDeadline();
    this.#converse();
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
    // What is due to be said waits for the message before it, and not for the time.
    if (this.#writing && deadline <= clock.monotonic()) return;
    this.#cancelDeadline = clock.after(Math.max(0, deadline - clock.monotonic()), () => {
      this.#expire(clock.monotonic());
      // A timer may fire a fraction of a millisecond early.
      this.#armDeadline();
      this.#converse();
    });
  }

  #forgetHalfFrame(): void {
    this.#cancelDeadline();
    this.#decoder.reset();
  }

  #deliver(reads: readonly (Read | Keys)[], at: number): void {
    for (const read of reads) {
      // The listener may have stopped us at the read before.
      if (this.#stopping !== undefined) return;
      this.#delivery.pass(read, at, this.#listener);
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
