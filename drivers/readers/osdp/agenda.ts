import type { Signal } from "../../reader.ts";
import { type Abilities, buzzerOf, COMMAND, type Command, ledOf, UNKNOWN_ABILITIES } from "./messages.ts";

/** While somebody stands there: the keys of a PIN must not lag behind. */
const ACTIVE_POLL_MS = 50;
const ACTIVE_MS = 10_000;
/** When nobody came for this long, polls are slower: each costs a Pi some time, day and night. */
const REST_AFTER_MS = 600_000;
const REST_POLL_MS = 500;
/** Both sides need a moment to turn the line around. */
const TURN_MS = 5;
/** A signal is two commands; more are waiting only if the reader does not answer. */
const MAX_QUEUED = 8;
/** A timer may fire this early; waiting for the rest would wake the process once more. */
export const EARLY_MS = 1;

/** What is said next, and when: what the conversation needs, then signals, then polls. */
export class Agenda {
  readonly #pollMs: number;
  #asked: Command | undefined;
  #queue: Command[] = [];
  #notBefore = 0;
  #pollAt = 0;
  #newsAt = 0;

  abilities: Abilities = UNKNOWN_ABILITIES;

  constructor(pollMs: number) {
    this.#pollMs = pollMs;
  }

  /** Nothing is to be said; the line is free from `now` on. */
  clear(now: number): void {
    this.#asked = undefined;
    this.#queue = [];
    this.#notBefore = now;
    this.#newsAt = now - ACTIVE_MS;
  }

  deadline(online: boolean): number | undefined {
    if (this.#asked !== undefined) return this.#notBefore;
    if (!online) return undefined;
    return this.#queue.length > 0 ? this.#notBefore : Math.max(this.#notBefore, this.#pollAt);
  }

  next(now: number, online: boolean): Command | undefined {
    if (now + EARLY_MS < this.#notBefore) return undefined;
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked !== undefined || !online) return asked;
    return this.#queue.shift() ?? (now + EARLY_MS >= this.#pollAt ? { code: COMMAND.POLL } : undefined);
  }

  ask(command: Command | undefined): void {
    this.#asked = command;
  }

  submit(command: Command): void {
    if (this.#queue.length < MAX_QUEUED) this.#queue.push(command);
  }

  /** The newest signal replaces one that was not told yet. */
  signal(signal: Signal, now: number): void {
    this.#queue = [];
    if (this.abilities.lamp) this.submit(ledOf(signal));
    if (this.abilities.beeper) this.submit(buzzerOf(signal));
    this.#newsAt = now;
  }

  /** The reader does not know this command. */
  cannot(code: number | undefined): void {
    if (code === COMMAND.LED) this.abilities = { ...this.abilities, lamp: false };
    if (code === COMMAND.BUZ) this.abilities = { ...this.abilities, beeper: false };
  }

  /** A command is done; `isNews`: somebody stands there, as its reply tells. */
  settled(now: number, isNews: boolean): void {
    if (isNews) this.#newsAt = now;
    this.#notBefore = now + TURN_MS;
    this.#pollAt = now + this.#pause(now - this.#newsAt);
  }

  /** The reader has no time for it yet. */
  postpone(command: Command | undefined, now: number, online: boolean): void {
    if (!online) this.#asked = command;
    else if (command !== undefined && command.code !== COMMAND.POLL) this.#queue.unshift(command);
    this.#notBefore = now + ACTIVE_POLL_MS;
  }

  pollNow(now: number): void {
    this.#pollAt = now;
  }

  #pause(quietMs: number): number {
    if (quietMs < ACTIVE_MS) return Math.min(ACTIVE_POLL_MS, this.#pollMs);
    return quietMs < REST_AFTER_MS ? this.#pollMs : Math.max(REST_POLL_MS, this.#pollMs);
  }
}
