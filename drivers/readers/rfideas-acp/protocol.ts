import { type Protocol, type Read, ReaderError, type Signal } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";
import { type Colour, PATTERNS, type Pattern } from "../feedback.ts";
import { Presence } from "../presence.ts";
import { Rhythm } from "../rhythm.ts";
import { parseAnswer, type Queued } from "./answer.ts";
import { AnswerLines, LINE_FLAWS } from "./lines.ts";
import type { AcpSettings } from "./settings.ts";

/** A reader that beeps may answer when it has done. */
export const ANSWER_MS = 1500;
/** After a line that is no answer, the answer itself is here within this time or was it. */
export const FLAW_MS = 300;
export const MAX_UNANSWERED = 3;
/** An assignment is not answered; 17 characters take 18 ms at 9600 baud. */
export const REST_MS = 30;
/**
 * Between characters, for a reader whose input overruns. The manual asks for several ms when whole configurations are sent;
 * a poll is 12 characters, so nothing waits until the reader has complained, twice, because what a cable picks up while it
 * is plugged in is a complaint too.
 */
export const PACE_MS = 5;
const PACED_FROM_OVERRUNS = 2;
/** A person who tapped this long ago has gone. */
export const MAX_AGE_MS = 5000;
/**
 * The reader takes a card that is held for the same one for its hold time and reads none in its lock-out: 20 and 24 ticks
 * of 48 ms when it comes out of the box. A held card may be queued anew after both, so it is not gone before.
 */
const HELD_MS = 2600;

/** `rfid:out.led`. 255 gives the lamp back to the reader. */
const LEDS: Readonly<Record<Colour, number>> = { red: 1, green: 2, amber: 3 };
const OWN_LED = "out.led=255";
const MAX_SHORT_BEEPS = 5;
/** `rfid:beep.now` sounds 1 to 5 short beeps, or with 101 a long one, whose length the manuals do not give. */
const LONG_BEEP = 101;
const LONG_MS = 300;
const LONG_BEAT = { onMs: 600, offMs: 400 };

const ERRORS = ["error1", "error2", "error3", "error4"] as const;

/**
 * The host's side: `rfid:qid.id` every `pollMs`, which reads the reader's queue of one card and empties it; lights and
 * sounds between. Only this poll is answered for certain, so it alone tells whether the reader lives. Nothing is written to
 * the reader's flash. Lines that the reader types by itself are counted and are no cards: they say nothing of the bits.
 */
export class AcpProtocol implements Protocol {
  readonly #settings: AcpSettings;
  readonly #lines = new AnswerLines();
  readonly #presence: Presence;
  readonly #rhythm = new Rhythm();
  readonly #counters = zeroed(
    "reads",
    "stale",
    "overrun",
    "malformed",
    "noReply",
    "unexpected",
    "echoed",
    "unfinished",
    ...LINE_FLAWS,
    ...ERRORS,
    "errorOther",
  );

  #isOpen = false;
  #failure: ReaderError | undefined;
  #online = false;
  #openedAt = 0;
  /** Assignments to be sent before the next poll, without their prefix. */
  #todo: string[] = [];
  /** What is left of a message that goes out character by character. */
  #sending: Uint8Array = new Uint8Array();
  #isPoll = false;
  #answerBy: number | undefined;
  /** Polls whose answer may still come. One that comes late may hold a card that the reader has forgotten. */
  #owed = 0;
  #unanswered = 0;
  #overruns = 0;
  #pollAt = 0;
  #restUntil = 0;
  /** The sounds that a pattern has left: one command for all short ones, one for each long one. */
  #beeps: readonly number[] = [];

  constructor(settings: AcpSettings) {
    this.#settings = settings;
    this.#presence = new Presence(Math.max(settings.repeatHoldMs, HELD_MS));
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get online(): boolean {
    return this.#online;
  }

  get failure(): ReaderError | undefined {
    return this.#failure;
  }

  get deadline(): number | undefined {
    if (!this.#isOpen || this.#failure !== undefined) return undefined;
    if (this.#answerBy !== undefined) return this.#answerBy;
    if (this.#sending.length > 0 || this.#todo.length > 0) return this.#restUntil;
    // Before the first answer no beat is told, so that none is waited for.
    const beatAt = this.#online ? this.#rhythm.at : undefined;
    return Math.max(this.#restUntil, Math.min(this.#pollAt, beatAt ?? Number.POSITIVE_INFINITY));
  }

  open(nowMs: number): void {
    this.reset();
    this.#isOpen = true;
    this.#failure = undefined;
    this.#openedAt = nowMs;
    this.#unanswered = 0;
    this.#overruns = 0;
    this.#owed = 0;
    this.#pollAt = nowMs;
    this.#restUntil = nowMs;
    this.#presence.clear();
    this.#todo = ["cmd.echo=0", "cmd.prompt=0", OWN_LED];
  }

  reset(): void {
    this.#dropHalfLine();
    this.#isOpen = false;
    this.#online = false;
    this.#answerBy = undefined;
    this.#todo = [];
    this.#sending = new Uint8Array();
    this.#rhythm.stop();
  }

  signal(signal: Signal, nowMs: number): void {
    if (!this.#isOpen) return;
    const pattern = PATTERNS[signal];
    this.#rhythm.start(isLong(pattern) ? { ...pattern, ...LONG_BEAT } : pattern, nowMs);
    this.#beeps = this.#settings.beep ? beepsOf(pattern) : [];
  }

  /** Gives the lamp back. */
  farewell(): readonly Uint8Array[] {
    if (!this.#online) return [];
    const half = this.#sending.length > 0 ? [this.#sending] : [];
    const isLampOurs = this.#rhythm.at !== undefined || this.#todo.length > 0;
    return isLampOurs ? [...half, message(OWN_LED)] : half;
  }

  output(nowMs: number): Uint8Array | undefined {
    if (!this.#isOpen || this.#failure !== undefined || this.#answerBy !== undefined || nowMs < this.#restUntil) {
      return undefined;
    }
    if (this.#sending.length === 0) this.#choose(nowMs);
    const paced = this.#overruns >= PACED_FROM_OVERRUNS;
    const piece = this.#sending.subarray(0, paced ? 1 : undefined);
    if (piece.length === 0) return undefined;
    this.#sending = this.#sending.subarray(piece.length);
    if (this.#sending.length > 0) this.#restUntil = nowMs + PACE_MS;
    else if (this.#isPoll) {
      this.#answerBy = nowMs + ANSWER_MS;
      this.#owed += 1;
    } else this.#restUntil = nowMs + REST_MS;
    return piece;
  }

  push(bytes: Uint8Array, nowMs: number): Read[] {
    const reads: Read[] = [];
    for (const byte of bytes) {
      const next = this.#lines.next(byte);
      if (next === undefined) continue;
      if ("flaw" in next) {
        count(this.#counters, next.flaw);
        this.#hurry(nowMs);
      } else {
        const read = this.#heard(next.line, nowMs);
        if (read !== undefined) reads.push(read);
      }
    }
    return reads;
  }

  expire(nowMs: number): Read[] {
    if (this.#answerBy === undefined || nowMs < this.#answerBy) return [];
    count(this.#counters, "noReply");
    this.#dropHalfLine();
    this.#answerBy = undefined;
    this.#unanswered += 1;
    this.#pollAt = nowMs + this.#settings.pollMs;
    if (this.#unanswered >= MAX_UNANSWERED) {
      this.#online = false;
      this.#failure = new ReaderError("reader-deaf", `no answer to ${MAX_UNANSWERED} polls`);
    }
    return [];
  }

  #choose(now: number): void {
    // The lamp is the reader's own until we know that somebody is there.
    if (this.#todo.length === 0 && this.#online) this.#beat(now);
    const assignment = this.#todo.shift();
    this.#isPoll = assignment === undefined;
    if (assignment !== undefined) this.#sending = message(assignment);
    else if (now >= this.#pollAt) this.#sending = message("qid.id");
  }

  #beat(now: number): void {
    const beat = this.#rhythm.beat(now);
    if (beat === undefined) return;
    if (!beat.on) {
      this.#todo.push(this.#rhythm.at === undefined ? OWN_LED : "out.led=0");
      return;
    }
    this.#todo.push(`out.led=${LEDS[beat.colour]}`);
    const [beep, ...rest] = this.#beeps;
    if (beep !== undefined) this.#todo.push(`beep.now=${beep}`);
    this.#beeps = rest;
  }

  #dropHalfLine(): void {
    if (this.#lines.inLine) count(this.#counters, "unfinished");
    this.#lines.reset();
  }

  #hurry(now: number): void {
    if (this.#answerBy !== undefined) this.#answerBy = Math.min(this.#answerBy, now + FLAW_MS);
  }

  #heard(line: string, now: number): Read | undefined {
    const answer = parseAnswer(line);
    switch (answer.kind) {
      case "nothing":
        return undefined;
      case "echo":
        count(this.#counters, "echoed");
        return undefined;
      case "unexpected":
        count(this.#counters, "unexpected");
        return undefined;
      case "malformed":
        count(this.#counters, "malformed");
        this.#hurry(now);
        return undefined;
      case "error":
        count(this.#counters, ERRORS[answer.number - 1] ?? "errorOther");
        if (answer.number === 2) this.#overruns += 1;
        this.#hurry(now);
        return undefined;
      case "queued":
        return this.#answered(answer, now);
    }
  }

  #answered(answer: Queued, now: number): Read | undefined {
    if (!this.#isOpen || this.#failure !== undefined || this.#owed === 0) {
      count(this.#counters, "unexpected");
      return undefined;
    }
    this.#owed -= 1;
    this.#unanswered = 0;
    this.#online = true;
    if (this.#answerBy !== undefined) {
      this.#answerBy = undefined;
      this.#pollAt = now + this.#settings.pollMs;
    }
    const { card, ageMs, overrun, lockoutMs } = answer;
    if (card === undefined) {
      // In its lock-out the reader would not have seen a card that is there.
      if (lockoutMs === 0) this.#presence.missed(now);
      return undefined;
    }
    count(this.#counters, "overrun", overrun);
    const readAt = now - ageMs;
    const key = `${card.bitLength}:${Buffer.from(card.bytes).toString("hex")}`;
    const isNew = this.#presence.seen(key, readAt);
    if (readAt < this.#openedAt || ageMs > MAX_AGE_MS) {
      count(this.#counters, "stale");
      return undefined;
    }
    if (!isNew) return undefined;
    count(this.#counters, "reads");
    return { kind: "bits", ...card };
  }
}

function message(command: string): Uint8Array {
  return Buffer.from(`rfid:${command}\r`, "latin1");
}

function isLong({ onMs }: Pattern): boolean {
  return onMs >= LONG_MS;
}

function beepsOf(pattern: Pattern): readonly number[] {
  const { count } = pattern;
  if (isLong(pattern)) return Array.from({ length: count }, () => LONG_BEEP);
  return count <= MAX_SHORT_BEEPS ? [count] : [MAX_SHORT_BEEPS, count - MAX_SHORT_BEEPS];
}
