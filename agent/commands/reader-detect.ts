import type { Clock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { type Read, type Reader, ReaderError } from "../../drivers/reader.ts";
import type { ReaderContext } from "../../drivers/readers/context.ts";
import { openReader } from "../../drivers/readers/open-reader.ts";
import type { Transport, TransportListener } from "../../drivers/transports/transport.ts";
import type { ReaderConfig } from "../config/config.ts";

/** A piece of what a reader sent, and when (monotonic ms). */
export interface Heard {
  readonly bytes: Uint8Array;
  readonly at: number;
}

/** After this silence a tap is over. The slowest keyboard readers press a key every 40 ms. */
const QUIET_MS = 600;
/** Some readers repeat as long as the card lies there. */
const LONGEST_TAP_MS = 3000;
const MAX_BYTES = 8192;
/** A reader that is asked answers within this, or is none of its family. */
const ANSWER_MS = 3000;

export interface Wait {
  readonly context: ReaderContext;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** What the reader sends at the next tap; empty if nothing came. Rejects with a `ReaderError` if the device cannot be opened. */
export async function hear(transport: Transport, wait: Wait, opened: () => void): Promise<Heard[]> {
  const { clock } = wait.context;
  const heard: Heard[] = [];
  const over = Promise.withResolvers<void>();
  let cancel = clock.after(wait.waitMs, over.resolve);
  const listener: TransportListener = {
    data(bytes) {
      const at = clock.monotonic();
      // Copied, because a transport may use its buffer again.
      heard.push({ bytes: Uint8Array.from(bytes), at });
      cancel();
      const left = (heard[0]?.at ?? at) + LONGEST_TAP_MS - at;
      const full = heard.reduce((sum, piece) => sum + piece.bytes.length, 0) > MAX_BYTES;
      if (left <= 0 || full) over.resolve();
      else cancel = clock.after(Math.min(QUIET_MS, left), over.resolve);
    },
    // Some network readers hang up after each card.
    closed: (error) => (heard.length > 0 ? over.resolve() : over.reject(error)),
  };
  over.promise.catch(() => {}); // a loss before the wait below begins
  await transport.open(listener);
  wait.signal.addEventListener("abort", () => over.resolve(), { once: true });
  try {
    opened();
    await over.promise;
  } finally {
    cancel();
    await transport.close();
  }
  return heard;
}

export interface Meaning {
  readonly reads: readonly Read[];
  /** Counters of what was dropped; none if all that came made sense. */
  readonly flaws: readonly string[];
}

/** Counters that tell of nothing dropped. */
const HARMLESS: ReadonlySet<string> = new Set([
  "reads",
  "opened",
  "repeats",
  "overRate",
  "signals",
  "connected",
  "keys",
]);

/** What a tap means to a reader with these settings: it is played to the family's own driver, in its own time. */
export async function meaningOf(settings: ReaderConfig, heard: readonly Heard[]): Promise<Meaning> {
  const clock = new PlayedClock();
  const tape = new Tape();
  const reader = await openReader(settings, { clock, log: silentLog, random: () => 0, transport: tape });
  const reads: Read[] = [];
  reader.start({ read: (read) => void reads.push(read), keys() {}, state() {} });
  await tape.opened;
  for (const { bytes, at } of heard) {
    clock.advanceTo(at - (heard[0]?.at ?? 0) + 1);
    tape.play(bytes);
  }
  // Before the stop, which forgets half a frame: what a silence ends has ended now, or never will.
  clock.advanceTo(clock.monotonic() + 20_000);
  const flaws = Object.entries(reader.counters).flatMap(([name, n]) => (n > 0 && !HARMLESS.has(name) ? [name] : []));
  await reader.stop();
  return { reads, flaws };
}

/** Most card numbers are digits and letters; many signs are a keyboard layout or a speed that is wrong. */
export function isPlausible(read: Read): boolean {
  if (read.kind === "bits") return true;
  const plain = read.text.replace(/[^0-9A-Za-z]/g, "").length;
  return plain * 2 > read.text.length;
}

/** Whether an asked family answers on this device; the reader stays open, for its next read. */
export async function answers(reader: Reader, { context, signal }: Wait): Promise<boolean> {
  const settled = Promise.withResolvers<boolean>();
  const cancel = context.clock.after(ANSWER_MS, () => settled.resolve(false));
  signal.addEventListener("abort", () => settled.resolve(false), { once: true });
  reader.start({
    read() {},
    keys() {},
    state: ({ status, error }) => {
      if (status === "ready") settled.resolve(true);
      else if (error !== undefined) settled.resolve(false);
    },
  });
  try {
    return await settled.promise;
  } finally {
    cancel();
    await reader.stop();
  }
}

/** The next read of a reader with these settings, as the agent will have it; undefined if none came. */
export async function nextRead(settings: ReaderConfig, wait: Wait, opened: () => void): Promise<Read | undefined> {
  const reader = await openReader(settings, wait.context);
  const over = Promise.withResolvers<Read | undefined>();
  const cancel = wait.context.clock.after(wait.waitMs, () => over.resolve(undefined));
  wait.signal.addEventListener("abort", () => over.resolve(undefined), { once: true });
  reader.start({
    read: over.resolve,
    keys() {},
    state: ({ status, error }) => {
      if (status === "ready") opened();
      else if (error !== undefined) over.reject(new ReaderError(error.code, error.detail));
    },
  });
  try {
    return await over.promise;
  } finally {
    cancel();
    await reader.stop();
  }
}

/** A transport that plays what was heard. */
class Tape implements Transport {
  readonly #opened = Promise.withResolvers<void>();
  #listener: TransportListener | undefined;

  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  async open(listener: TransportListener): Promise<void> {
    this.#listener = listener;
    this.#opened.resolve();
  }

  play(bytes: Uint8Array): void {
    this.#listener?.data(bytes);
  }

  async write(): Promise<void> {}

  async close(): Promise<void> {
    this.#listener = undefined;
  }

  describe(): string {
    return "tape";
  }
}

/** The time of what was heard. */
class PlayedClock implements Clock {
  #now = 0;
  #timers: { readonly due: number; readonly run: () => void }[] = [];

  wall(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { due: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advanceTo(end: number): void {
    for (;;) {
      const next = this.#timers.filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.due);
      next.run();
    }
    this.#now = Math.max(this.#now, end);
  }
}
