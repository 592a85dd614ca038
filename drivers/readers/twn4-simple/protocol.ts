import { type Protocol, type Read, ReaderError, type Signal } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";
import { PATTERNS } from "../feedback.ts";
import { Presence } from "../presence.ts";
import { Rhythm } from "../rhythm.ts";
import { isRandomUid } from "../uid.ts";
import { encode, FLAWS, FrameDecoder } from "./codec.ts";
import {
  answers,
  BEEP_OFF,
  beep,
  beepOn,
  type Command,
  foundTag,
  type Lamps,
  LED_INIT,
  LED_INIT_OLD,
  ledOn,
  ledsOff,
  SEARCH,
  STATUSES,
  type StatusError,
  setTagTypes,
  statusError,
  VERSION,
} from "./commands.ts";
import type { SimpleSettings } from "./settings.ts";
import { ISO14443A, masksOf } from "./tag-types.ts";

/** A search over every kind of transponder takes some hundred ms. */
export const REPLY_MS = 1000;
/** After something that is no reply, the reply itself is here within this time or was it. */
export const FLAW_MS = 300;
/** Replies have no number: after a missed one, what comes late is let pass before the next question. */
export const QUIET_MS = 300;
export const MAX_UNANSWERED = 3;
/** A card that is there at the first polls was laid there while nobody listened: nobody stands here waiting for it. */
const OPENING_POLLS = 2;

/**
 * The host's side of the Simple Protocol: question and answer, one at a time. First version, kinds of transponders, lamps
 * and beeper; from then on a search every `pollMs`, with lights and sounds between.
 */
export class SimpleProtocol implements Protocol {
  readonly #settings: SimpleSettings;
  readonly #frames: FrameDecoder;
  readonly #presence: Presence;
  readonly #rhythm = new Rhythm();
  readonly #counters = zeroed(
    "reads",
    "presentAtOpen",
    "randomUid",
    "noId",
    "malformed",
    "noReply",
    "unexpected",
    "echoed",
    "strayBytes",
    "unfinished",
    ...FLAWS,
    ...STATUSES,
  );

  #isOpen = false;
  #failure: ReaderError | undefined;
  #polling = false;
  /** Said before the next search, in this order. */
  #todo: Command[] = [];
  #asked: { readonly command: Command; readonly answerBy: number } | undefined;
  #unanswered = 0;
  #polls = 0;
  #pollAt = 0;
  #quietUntil = 0;
  #lamps: Lamps = "none";
  #sound: "on-off" | "timed" | "none" = "none";

  constructor(settings: SimpleSettings) {
    this.#settings = settings;
    this.#frames = new FrameDecoder(settings);
    this.#presence = new Presence(settings.repeatHoldMs);
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get online(): boolean {
    return this.#polling;
  }

  get failure(): ReaderError | undefined {
    return this.#failure;
  }

  get deadline(): number | undefined {
    if (!this.#isOpen || this.#failure !== undefined) return undefined;
    if (this.#asked !== undefined) return this.#asked.answerBy;
    if (this.#todo.length > 0) return this.#quietUntil;
    const next = Math.max(this.#quietUntil, Math.min(this.#beatAt, this.#searchAt));
    return Number.isFinite(next) ? next : undefined;
  }

  open(nowMs: number): void {
    this.reset();
    this.#isOpen = true;
    this.#failure = undefined;
    this.#unanswered = 0;
    this.#polls = 0;
    this.#pollAt = nowMs;
    this.#quietUntil = nowMs;
    this.#presence.clear();
    this.#begin();
  }

  reset(): void {
    this.#dropHalfFrame();
    this.#isOpen = false;
    this.#polling = false;
    this.#asked = undefined;
    this.#todo = [];
    this.#rhythm.stop();
  }

  signal(signal: Signal, nowMs: number): void {
    const canTell = !this.#polling || this.#lamps !== "none" || this.#sound !== "none";
    if (this.#isOpen && canTell) this.#rhythm.start(PATTERNS[signal], nowMs);
  }

  /** A sound that is on would go on for ever. */
  farewell(): readonly Uint8Array[] {
    if (!this.#polling || (this.#rhythm.at === undefined && this.#todo.length === 0)) return [];
    const dark = this.#lamps === "none" ? [] : [ledsOff(this.#lamps)];
    const silent = this.#sound === "on-off" ? [BEEP_OFF] : [];
    return [...dark, ...silent].map(({ bytes }) => encode(bytes, this.#settings));
  }

  output(nowMs: number): Uint8Array | undefined {
    if (!this.#isOpen || this.#failure !== undefined || this.#asked !== undefined || nowMs < this.#quietUntil) {
      return undefined;
    }
    if (this.#todo.length === 0 && this.#polling) this.#beat(nowMs);
    const command = this.#todo.shift() ?? (nowMs >= this.#searchAt ? SEARCH : undefined);
    if (command === undefined) return undefined;
    this.#dropHalfFrame();
    this.#asked = { command, answerBy: nowMs + REPLY_MS + command.busyMs };
    return encode(command.bytes, this.#settings);
  }

  push(bytes: Uint8Array, nowMs: number): Read[] {
    const reads: Read[] = [];
    for (const byte of bytes) {
      if (this.#asked === undefined) {
        if (!isLineEnd(byte)) count(this.#counters, "strayBytes");
        continue;
      }
      const frame = this.#frames.next(byte);
      if (frame === undefined) continue;
      if (typeof frame === "string") {
        count(this.#counters, frame);
        this.#hurry(nowMs);
      } else {
        const read = this.#reply(frame, nowMs);
        if (read !== undefined) reads.push(read);
      }
    }
    return reads;
  }

  expire(nowMs: number): Read[] {
    if (this.#asked === undefined || nowMs < this.#asked.answerBy) return [];
    const { command } = this.#asked;
    count(this.#counters, "noReply");
    this.#dropHalfFrame();
    this.#missed(command, nowMs);
    return [];
  }

  /** When the next light or sound is due; nothing sounds before the reader has been got ready. */
  get #beatAt(): number {
    return this.#polling ? (this.#rhythm.at ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  }

  /** No search begins while a sound is on: it would draw it out. */
  get #searchAt(): number {
    return this.#polling && !this.#rhythm.sounding ? this.#pollAt : Number.POSITIVE_INFINITY;
  }

  /** Also after a missed reply: a reader on a serial line that lost its power has forgotten what it was set to. */
  #begin(): void {
    this.#polling = false;
    this.#todo = [VERSION];
  }

  #dropHalfFrame(): void {
    if (this.#frames.inFrame) count(this.#counters, "unfinished");
    this.#frames.reset();
  }

  #hurry(now: number): void {
    if (this.#asked === undefined) return;
    const { command, answerBy } = this.#asked;
    this.#asked = { command, answerBy: Math.min(answerBy, now + FLAW_MS + command.busyMs) };
  }

  #beat(now: number): void {
    const beat = this.#rhythm.beat(now);
    if (beat === undefined) return;
    const lamps = this.#lamps;
    if (lamps !== "none") this.#todo.push(beat.on ? ledOn(beat.colour, lamps) : ledsOff(lamps));
    const { beepVolume } = this.#settings;
    if (this.#sound === "on-off") this.#todo.push(beat.on ? beepOn(beepVolume) : BEEP_OFF);
    if (this.#sound === "timed" && beat.on) this.#todo.push(beep(beepVolume, beat.onMs));
  }

  #reply(reply: Uint8Array, now: number): Read | undefined {
    const asked = this.#asked;
    if (asked === undefined) return undefined;
    const { command } = asked;
    const error = statusError(reply);
    if (error !== undefined) {
      count(this.#counters, error);
      this.#refused(command, error, now);
      return undefined;
    }
    if (!answers(command.name, reply)) {
      // A line that sends back what it is sent, or an answer that came late: the right one may follow.
      count(this.#counters, Buffer.compare(reply, command.bytes) === 0 ? "echoed" : "unexpected");
      this.#hurry(now);
      return undefined;
    }
    this.#unanswered = 0;
    this.#asked = undefined;
    return this.#answered(command, reply, now);
  }

  #answered(command: Command, reply: Uint8Array, now: number): Read | undefined {
    switch (command.name) {
      case "version": {
        const { tagTypes } = this.#settings;
        if (tagTypes.length > 0) this.#todo.push(setTagTypes(masksOf(tagTypes)));
        this.#todo.push(LED_INIT);
        return undefined;
      }
      case "led-init":
        this.#lampsFound("new");
        return undefined;
      case "led-init-old":
        this.#lampsFound("old");
        return undefined;
      case "beep-off":
        if (!this.#polling) this.#soundFound("on-off");
        return undefined;
      case "search":
        this.#pollAt = now + this.#settings.pollMs;
        return this.#found(reply, now);
      case "set-tag-types":
      case "led":
      case "beep":
      case "beep-on":
        return undefined;
    }
  }

  #refused(command: Command, error: StatusError, now: number): void {
    this.#asked = undefined;
    const unknown = error === "unknownFunction" || error === "invalidFunction";
    switch (command.name) {
      // Without these two the reader is of no use.
      case "version":
      case "search":
        this.#missed(command, now);
        return;
      case "led-init":
        if (unknown) this.#todo.push(LED_INIT_OLD);
        else this.#lampsFound("none");
        return;
      case "led-init-old":
        this.#lampsFound("none");
        return;
      case "beep-off":
        if (!this.#polling) this.#soundFound(unknown ? "timed" : "none");
        return;
      case "set-tag-types":
      case "led":
      case "beep":
      case "beep-on":
        return;
    }
  }

  #lampsFound(lamps: Lamps): void {
    this.#lamps = lamps;
    if (lamps !== "none") this.#todo.push(ledsOff(lamps));
    if (this.#settings.beepVolume > 0) {
      // Ends the sound of an agent that was stopped in the middle of one, and tells whether this firmware has BeepOn.
      this.#todo.push(BEEP_OFF);
    } else this.#soundFound("none");
  }

  #soundFound(sound: "on-off" | "timed" | "none"): void {
    this.#sound = sound;
    this.#polling = true;
  }

  #missed(command: Command, now: number): void {
    this.#asked = undefined;
    this.#unanswered += 1;
    if (this.#unanswered >= MAX_UNANSWERED) {
      const { mode, crc } = this.#settings;
      this.#polling = false;
      this.#failure = new ReaderError(
        "reader-deaf",
        `no good answer to ${MAX_UNANSWERED} commands in mode ${mode}, crc ${crc}`,
      );
      return;
    }
    this.#quietUntil = now + QUIET_MS;
    if (command.name === "search") this.#begin();
    // A sound may have been heard; all else is said again.
    else if (command.name !== "beep") this.#todo.unshift(command);
  }

  #found(reply: Uint8Array, now: number): Read | undefined {
    this.#polls += 1;
    const tag = foundTag(reply);
    if (tag === "none") {
      this.#presence.missed(now);
      return undefined;
    }
    if (tag === "malformed") {
      count(this.#counters, "malformed");
      return undefined;
    }
    const { id, bitLength, type } = tag;
    const random = type === ISO14443A && isRandomUid(id);
    // A phone may make up another UID for each search, and is still one phone.
    const card = random ? "random" : `${type}:${bitLength}:${Buffer.from(id).toString("hex")}`;
    if (!this.#presence.seen(card, now)) return undefined;
    if (this.#polls <= OPENING_POLLS) count(this.#counters, "presentAtOpen");
    else if (bitLength === 0) count(this.#counters, "noId");
    else if (random && !this.#settings.allowRandomUid) count(this.#counters, "randomUid");
    else {
      count(this.#counters, "reads");
      return { kind: "bits", bytes: id, bitLength };
    }
    return undefined;
  }
}

function isLineEnd(byte: number): boolean {
  return byte === 0x0a || byte === 0x0d;
}
