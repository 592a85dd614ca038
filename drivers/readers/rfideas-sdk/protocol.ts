import { type Keys, type Protocol, type Read, ReaderError, type Signal } from "../../reader.ts";
import { READ_FEATURE } from "../../transports/hid-feature.ts";
import { count, zeroed } from "../counters.ts";
import { type Colour, PATTERNS } from "../feedback.ts";
import { Presence } from "../presence.ts";
import { Rhythm } from "../rhythm.ts";
import {
  atRest,
  COMMAND,
  command,
  equal,
  FINISH,
  forUs,
  isHalted,
  isPlausible,
  leftAligned,
  lit,
  MESSAGE_BYTES,
} from "./pages.ts";
import type { RfIdeasSdkSettings } from "./settings.ts";

const POLL_MS = 250;
/** Two polls that see no card, less what a timer may be early: a card is not gone before. */
const MISSED_MS = 2 * POLL_MS - 100;
const REPLY_MS = 2000;
/** The reader's buffer has eight bytes; no card has fewer bits than one of them. */
const MIN_BITS = 8;
const MAX_BITS = 8 * MESSAGE_BYTES;
const NO_READS: readonly Read[] = [];
const LAMPS: readonly (Colour | undefined)[] = ["red", "green", "amber", undefined];

/** What is said in one go, because the reader would take anything that came between for a part of it. */
interface Exchange {
  readonly messages: readonly Uint8Array[];
  /** Called with what a `READ_FEATURE` among the messages got; undefined when it was no message. */
  readonly reply?: (bytes: Uint8Array | undefined, now: number) => readonly Read[];
}

/**
 * An rf IDEAS pcProx reader spoken to by feature reports ("SDK mode"): its keystrokes are halted, its buffer is polled.
 * Everything that is set is set in its RAM: unplugged and plugged in again it is as it was before.
 *
 *   identify ─► read pages 0 and 2 ─► put page 0 ─► finish ─► read page 0 again: online
 *   every 250 ms: 8F, the card's data (zeros: no card), and 8E, its bits, when it is another one than before
 *   a signal: page 2 with a lamp on, finish; page 2 with it off, finish; ...
 */
export class RfIdeasSdk implements Protocol {
  readonly counters = zeroed("reads", "presentAtOpen", "badLength", "garbled", "wrongSize", "unasked", "foundHalted");
  readonly #presence: Presence;
  readonly #rhythm = new Rhythm();
  #queue: Exchange[] = [];
  /** How many messages of the first exchange were said. */
  #said = 0;
  #open = false;
  #online = false;
  #failure: ReaderError | undefined;
  #replyBy: number | undefined;
  #pollAt = 0;
  /** No poll has told yet whether a card lies there. */
  #opening = true;
  /** What the latest poll saw. */
  #latest: string | undefined;
  /** The pages as the reader had them. Kept when it is opened again, for it may have been ours that was found then. */
  #page0: Uint8Array | undefined;
  #page2: Uint8Array | undefined;
  #touched = false;

  constructor({ repeatHoldMs }: Pick<RfIdeasSdkSettings, "repeatHoldMs">) {
    this.#presence = new Presence(Math.max(repeatHoldMs, MISSED_MS));
  }

  get online(): boolean {
    return this.#online;
  }

  get failure(): ReaderError | undefined {
    return this.#failure;
  }

  get deadline(): number | undefined {
    if (!this.#open || this.#failure !== undefined) return undefined;
    if (this.#replyBy !== undefined) return this.#replyBy;
    return Math.min(this.#pollAt, this.#rhythm.at ?? this.#pollAt);
  }

  open(nowMs: number): void {
    this.reset();
    this.#open = true;
    this.#pollAt = nowMs;
    this.#queue = [
      this.#get(COMMAND.info, (info) => this.#identified(info)),
      this.#get(COMMAND.page0, (page) => this.#foundPage0(page)),
      this.#get(COMMAND.page2, (page) => this.#foundPage2(page)),
    ];
  }

  reset(): void {
    this.#open = false;
    this.#online = false;
    this.#failure = undefined;
    this.#queue = [];
    this.#said = 0;
    this.#replyBy = undefined;
    this.#opening = true;
    this.#latest = undefined;
    this.#touched = false;
    this.#presence.clear();
    this.#rhythm.stop();
  }

  signal(signal: Signal, nowMs: number): void {
    if (this.#online) this.#rhythm.start(PATTERNS[signal], nowMs);
  }

  output(nowMs: number): Uint8Array | undefined {
    if (!this.#open || this.#failure !== undefined || this.#replyBy !== undefined) return undefined;
    if (this.#queue.length === 0) this.#plan(nowMs);
    const [exchange] = this.#queue;
    const message = exchange?.messages[this.#said];
    if (exchange === undefined || message === undefined) return undefined;
    this.#said += 1;
    if (message === READ_FEATURE) this.#replyBy = nowMs + REPLY_MS;
    else if (this.#said === exchange.messages.length) this.#next();
    return message;
  }

  push(bytes: Uint8Array, nowMs: number): (Read | Keys)[] {
    const [exchange] = this.#queue;
    if (this.#replyBy === undefined || exchange === undefined) {
      count(this.counters, "unasked");
      return [];
    }
    this.#replyBy = undefined;
    this.#next();
    if (bytes.length !== MESSAGE_BYTES) count(this.counters, "wrongSize");
    const message = bytes.length === MESSAGE_BYTES ? Uint8Array.from(bytes) : undefined;
    return [...(exchange.reply?.(message, nowMs) ?? NO_READS)];
  }

  expire(nowMs: number): (Read | Keys)[] {
    if (this.#replyBy !== undefined && nowMs >= this.#replyBy)
      this.#fail("reader-deaf", "no answer to a feature report");
    return [];
  }

  /** The rest of what is half said, then the pages as they were found. */
  farewell(): readonly Uint8Array[] {
    if (!this.#open || this.#failure !== undefined) return [];
    const half = this.#said === 0 ? [] : (this.#queue[0]?.messages.slice(this.#said) ?? []);
    const { page0, page2 } = COMMAND;
    const pages = this.#touched ? [...put(page0, this.#page0), ...put(page2, this.#page2)] : [];
    return [...half, ...pages, FINISH];
  }

  #next(): void {
    this.#queue.shift();
    this.#said = 0;
  }

  #plan(now: number): void {
    const beat = this.#rhythm.beat(now);
    if (beat !== undefined && this.#page2 !== undefined) {
      const page = beat.on ? lit(this.#page2, beat.colour) : atRest(this.#page2);
      this.#queue = [{ messages: [...put(COMMAND.page2, page), FINISH] }];
    } else if (now >= this.#pollAt) {
      this.#pollAt = now + POLL_MS;
      this.#queue = [this.#get(COMMAND.card, (data, at) => this.#polled(data, at))];
    }
  }

  #get(code: number, reply: Exchange["reply"]): Exchange {
    return { messages: [command(code), READ_FEATURE], ...(reply === undefined ? {} : { reply }) };
  }

  #identified(info: Uint8Array | undefined): readonly Read[] {
    if (info === undefined || isZero(info)) this.#fail("reader-setup-failed", "it does not say what it is");
    return NO_READS;
  }

  #foundPage0(page: Uint8Array | undefined): readonly Read[] {
    if (page === undefined || !isPlausible(page, COMMAND.page0)) {
      this.#fail("reader-setup-failed", "its configuration cannot be read");
      return NO_READS;
    }
    if (this.#page0 === undefined || !equal(page, forUs(this.#page0))) {
      this.#page0 = page;
      // By somebody else, or by us before a crash: the reader alone knows what it was, and knows it again when replugged.
      if (isHalted(page)) count(this.counters, "foundHalted");
    }
    return NO_READS;
  }

  #foundPage2(page: Uint8Array | undefined): readonly Read[] {
    if (page === undefined || !isPlausible(page, COMMAND.page2)) {
      this.#fail("reader-setup-failed", "its configuration cannot be read");
      return NO_READS;
    }
    const before = this.#page2;
    const ours = before !== undefined && LAMPS.some((lamp) => equal(page, lit(before, lamp)));
    if (!ours) this.#page2 = page;
    if (this.#page0 === undefined) return NO_READS;
    this.#touched = true;
    // A lamp that was lit when the conversation broke would stay lit.
    const rest = atRest(this.#page2 ?? page);
    this.#queue = [
      ...(equal(page, rest) ? [] : [{ messages: [...put(COMMAND.page2, rest), FINISH] }]),
      { messages: [...put(COMMAND.page0, forUs(this.#page0)), FINISH] },
      this.#get(COMMAND.page0, (now) => this.#verified(now)),
      { messages: [FINISH] },
    ];
    return NO_READS;
  }

  /** A reader that strips bits unbeknown to us would give numbers that look right. */
  #verified(page: Uint8Array | undefined): readonly Read[] {
    if (page !== undefined && equal(page, forUs(page))) this.#online = true;
    else this.#fail("reader-setup-failed", "it does not halt its keystrokes, or strips bits of the card");
    return NO_READS;
  }

  #polled(data: Uint8Array | undefined, at: number): readonly Read[] {
    if (data === undefined) return NO_READS;
    if (isZero(data)) {
      this.#opening = false;
      this.#latest = undefined;
      this.#presence.missed(at);
      return NO_READS;
    }
    const card = Buffer.from(data).toString("hex");
    if (card === this.#latest) this.#presence.seen(card, at);
    else this.#queue = [this.#get(COMMAND.cardInfo, (info) => this.#measured(data, card, info, at))];
    return NO_READS;
  }

  #measured(data: Uint8Array, card: string, info: Uint8Array | undefined, at: number): readonly Read[] {
    const [bitLength = 0, again] = info ?? [];
    const known = info !== undefined && bitLength === again && bitLength >= MIN_BITS && bitLength <= MAX_BITS;
    if (!known) {
      if (info !== undefined) count(this.counters, "badLength");
      return NO_READS;
    }
    const bytes = leftAligned(data, bitLength);
    if (bytes === undefined) {
      count(this.counters, "garbled");
      return NO_READS;
    }
    this.#latest = card;
    const wasThere = this.#opening;
    this.#opening = false;
    if (!this.#presence.seen(card, at)) return NO_READS;
    // Laid there while nobody listened: nobody may stand there waiting for it.
    count(this.counters, wasThere ? "presentAtOpen" : "reads");
    if (wasThere) return NO_READS;
    return [{ kind: "bits", bytes, bitLength }];
  }

  #fail(code: "reader-deaf" | "reader-setup-failed", detail: string): void {
    this.#failure ??= new ReaderError(code, detail);
    this.#online = false;
    this.#queue = [];
    this.#said = 0;
    this.#replyBy = undefined;
  }
}

function put(code: number, page: Uint8Array | undefined): readonly Uint8Array[] {
  return page === undefined ? [] : [command(code), page];
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
