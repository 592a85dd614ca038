import { type Keys, type Protocol, type Read, ReaderError, type Signal } from "../../reader.ts";
import { ASK, TOLD } from "../../transports/pcsc.ts";
import { count, zeroed } from "../counters.ts";
import { PATTERNS } from "../feedback.ts";
import { Rhythm } from "../rhythm.ts";
import { isRandomUid } from "../uid.ts";
import { flash, isAcr122, QUIET } from "./acr122.ts";
import type { PcscProtocolSettings } from "./settings.ts";

/** PC/SC part 3, 3.2.2.1.3: the UID of a contactless card. */
const GET_UID = Uint8Array.of(0xff, 0xca, 0x00, 0x00, 0x00);
/** ISO 14443A single, double and triple size; 8 for ISO 15693, iCLASS and FeliCa. */
const UID_BYTES: readonly number[] = [4, 7, 8, 10];
const BEGIN_MS = 2000;
const REPLY_MS = 5000;
/** A card that was torn off in the middle and is there again may not be told anew. */
const RETRY_MS = 300;
const RETRIES = 3;

type Errand = "begin" | "uid" | "quiet" | "flash";

/**
 * A contactless card's UID by PC/SC, and the lamp and beeper of an ACR122U.
 *
 *   begin ─ready─► online;  card ─► FF CA ─reply─► read;  then the card is let go, or kept where it is the way to the lamp
 *   a flash goes through the card while there is one, otherwise by an escape command, which the driver may forbid
 */
export class PcscProtocol implements Protocol {
  readonly counters = zeroed(
    "reads",
    "randomUid",
    "badLength",
    "contactCards",
    "sw6a81",
    "sw6300",
    "swOther",
    "mute",
    "torn",
    "unasked",
    "feedbackFailed",
    "escapeRefused",
  );
  readonly #settings: PcscProtocolSettings;
  readonly #rhythm = new Rhythm();
  #open = false;
  #online = false;
  #failure: ReaderError | undefined;
  /** What is under way: one thing at a time. */
  #busy: { readonly errand: Errand; readonly escaped: boolean; readonly by: number } | undefined;
  #begun = false;
  #card: { readonly atr: Uint8Array; asked: boolean; released: boolean } | undefined;
  /** The UID that was read last, and when its card was taken away. */
  #last: { readonly uid: string; readonly goneAt?: number } | undefined;
  /** How often the card that is there was torn off, and when it is tried again. */
  #torn = 0;
  #retryAt: number | undefined;
  #hasLamp = false;
  #quiet = false;
  #escapes = true;

  constructor(settings: PcscProtocolSettings) {
    this.#settings = settings;
  }

  get online(): boolean {
    return this.#online;
  }

  get failure(): ReaderError | undefined {
    return this.#failure;
  }

  get deadline(): number | undefined {
    if (!this.#open || this.#failure !== undefined) return undefined;
    if (this.#busy !== undefined) return this.#busy.by;
    const { at } = this.#rhythm;
    return at === undefined ? this.#retryAt : Math.min(at, this.#retryAt ?? at);
  }

  open(): void {
    this.reset();
    this.#open = true;
  }

  reset(): void {
    this.#open = false;
    this.#online = false;
    this.#failure = undefined;
    this.#busy = undefined;
    this.#begun = false;
    this.#card = undefined;
    this.#last = undefined;
    this.#torn = 0;
    this.#retryAt = undefined;
    this.#hasLamp = false;
    this.#quiet = false;
    this.#escapes = true;
    this.#rhythm.stop();
  }

  signal(signal: Signal, nowMs: number): void {
    if (this.#online && this.#hasLamp) this.#rhythm.start(PATTERNS[signal], nowMs);
  }

  output(nowMs: number): Uint8Array | undefined {
    if (!this.#open || this.#failure !== undefined || this.#busy !== undefined) return undefined;
    if (!this.#begun) {
      this.#begun = true;
      this.#busy = { errand: "begin", escaped: false, by: nowMs + BEGIN_MS };
      return Uint8Array.of(ASK.begin);
    }
    if (this.#retryAt !== undefined && nowMs >= this.#retryAt) {
      this.#retryAt = undefined;
      return Uint8Array.of(ASK.connect);
    }
    const card = this.#card;
    if (card !== undefined && !card.asked) {
      card.asked = true;
      this.#busy = { errand: "uid", escaped: false, by: nowMs + REPLY_MS };
      return asking(ASK.transmit, GET_UID);
    }
    if (card !== undefined && !card.released && !this.#hasLamp) {
      card.released = true;
      return Uint8Array.of(ASK.release);
    }
    if (this.#hasLamp && !this.#quiet && (this.#escapes || card !== undefined))
      return this.#tellReader("quiet", QUIET, nowMs);
    return this.#flash(nowMs);
  }

  /** The reader ends a flash by itself, so that only the beats that begin one are told. */
  #flash(now: number): Uint8Array | undefined {
    for (let beat = this.#rhythm.beat(now); beat !== undefined; beat = this.#rhythm.beat(now)) {
      if (beat.on) return this.#tellReader("flash", flash(beat.colour, beat.onMs), now);
    }
    return undefined;
  }

  #tellReader(errand: "quiet" | "flash", command: Uint8Array, now: number): Uint8Array | undefined {
    const escaped = this.#card === undefined;
    if (escaped && !this.#escapes) {
      count(this.counters, "feedbackFailed");
      this.#rhythm.stop();
      return undefined;
    }
    this.#busy = { errand, escaped, by: now + REPLY_MS };
    return asking(escaped ? ASK.control : ASK.transmit, command);
  }

  push(message: Uint8Array, nowMs: number): (Read | Keys)[] {
    const body = message.subarray(1);
    switch (message[0]) {
      case TOLD.ready:
        if (this.#busy?.errand !== "begin") break;
        this.#busy = undefined;
        this.#online = true;
        this.#hasLamp = isAcr122(Buffer.from(body).toString("utf8"));
        return [];
      case TOLD.card:
        this.#card = { atr: Uint8Array.from(body), asked: false, released: false };
        return [];
      case TOLD.mute:
        count(this.counters, "mute");
        return [];
      case TOLD.gone:
        if (this.#last !== undefined) this.#last = { goneAt: nowMs, ...this.#last };
        this.#card = undefined;
        this.#torn = 0;
        this.#retryAt = undefined;
        return [];
      case TOLD.unreachable:
        this.#tornOff(nowMs);
        return [];
      case TOLD.reply:
      case TOLD.failed:
        if (this.#busy === undefined || this.#busy.errand === "begin") break;
        return this.#answered(message[0] === TOLD.reply ? Uint8Array.from(body) : undefined, nowMs);
    }
    count(this.counters, "unasked");
    return [];
  }

  #tornOff(now: number): void {
    count(this.counters, "torn");
    this.#card = undefined;
    this.#torn += 1;
    if (this.#torn <= RETRIES) this.#retryAt = now + RETRY_MS;
  }

  #answered(reply: Uint8Array | undefined, now: number): (Read | Keys)[] {
    const busy = this.#busy;
    this.#busy = undefined;
    if (busy?.errand === "uid") return this.#identified(reply, now);
    // ISO 7816-4 answers 9000; the lamps' state is in the second byte of theirs.
    const done = reply !== undefined && reply.at(-2) === 0x90;
    if (busy?.errand === "quiet") this.#quiet = done || !busy.escaped;
    if (done) return [];
    if (busy?.escaped) {
      this.#escapes = false;
      count(this.counters, "escapeRefused");
    } else count(this.counters, "feedbackFailed");
    return [];
  }

  #identified(reply: Uint8Array | undefined, now: number): Read[] {
    if (reply === undefined || reply.length < 2) {
      // When it is gone for good that is told; when it comes back it is a card like any other.
      if (this.#card !== undefined) this.#tornOff(now);
      else count(this.counters, "torn");
      return [];
    }
    const status = ((reply.at(-2) ?? 0) << 8) | (reply.at(-1) ?? 0);
    if (status !== 0x9000) {
      if (this.#card !== undefined && !isContactless(this.#card.atr)) count(this.counters, "contactCards");
      else count(this.counters, status === 0x6a81 ? "sw6a81" : status === 0x6300 ? "sw6300" : "swOther");
      return [];
    }
    const uid = reply.subarray(0, -2);
    if (!UID_BYTES.includes(uid.length)) {
      count(this.counters, "badLength");
      return [];
    }
    if (isRandomUid(uid) && !this.#settings.allowRandomUid) {
      count(this.counters, "randomUid");
      return [];
    }
    // At the edge of the field a card comes and goes; the de-bounce knows only when it was read, not how long it lay there.
    const before = this.#last;
    const id = Buffer.from(uid).toString("hex");
    this.#last = this.#card === undefined ? { uid: id, goneAt: now } : { uid: id };
    const isBack = before?.uid === id && now - (before.goneAt ?? now) < this.#settings.repeatHoldMs;
    if (isBack) return [];
    count(this.counters, "reads");
    return [{ kind: "bits", bytes: uid, bitLength: 8 * uid.length }];
  }

  expire(nowMs: number): (Read | Keys)[] {
    if (this.#busy !== undefined && nowMs >= this.#busy.by) {
      this.#failure = new ReaderError("reader-deaf", `no answer: ${this.#busy.errand}`);
      this.#online = false;
    }
    return [];
  }
}

/** PC/SC part 3, 3.1.3.2.3: TS, T0, TD1 and TD2 of every contactless card's ATR. */
export function isContactless(atr: Uint8Array): boolean {
  const [ts, t0 = 0, td1, td2] = atr;
  return ts === 0x3b && (t0 & 0xf0) === 0x80 && td1 === 0x80 && td2 === 0x01;
}

function asking(ask: number, command: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(ask), command]);
}
