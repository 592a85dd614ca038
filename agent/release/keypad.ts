import type { Clock } from "../../drivers/clock.ts";
import type { Read } from "../../drivers/reader.ts";
import type { Credential } from "../protocol/schema.ts";
import {
  type Digits,
  deadlineOf,
  type EntryEffect,
  type EntryEvent,
  type EntryInput,
  type EntryRules,
  type EntryState,
  IDLE,
  type Presented,
  stepEntry,
} from "./pin-entry.ts";

export interface KeypadContext {
  readonly rules: EntryRules;
  readonly clock: Clock;
  /** `credential` makes its text where it is needed, and only until `present` returns; `at` is the last key's time. */
  readonly present: (credential: () => Credential, at: number) => void;
  readonly signal: (signal: "enter-pin" | "denied") => void;
  readonly count: (event: EntryEvent) => void;
}

/** The keypad of one reader: runs the effects of `pin-entry.ts`. Holds digits no longer than the entry lasts. */
export class Keypad {
  readonly #context: KeypadContext;
  #state: EntryState = IDLE;
  #cancelTimer = () => {};
  #stopped = false;

  constructor(context: KeypadContext) {
    this.#context = context;
  }

  /** A card that is tapped alone may have to be followed by a PIN. */
  get asksForPin(): boolean {
    return this.#context.rules.credentials.includes("card-pin");
  }

  /**
   * Some keypads keep what is typed and send it as a line. Where all PINs have one length, a read of so many digits is
   * taken for one while a PIN is awaited; anywhere else it is a card.
   */
  takesAsPin(read: Read): read is Read & { kind: "text" } {
    const { pinLength } = this.#context.rules;
    return (
      this.#state.phase === "pin" &&
      read.kind === "text" &&
      read.text.length === pinLength &&
      /^[0-9]+$/.test(read.text)
    );
  }

  card(token: string, at: number): void {
    this.#take({ type: "card", token }, at);
  }

  keys(keys: string, at: number): void {
    for (const key of keys) this.#take({ type: "key", key }, at);
  }

  pinNeeded(token: string): void {
    this.#take({ type: "pin-needed", token }, this.#context.clock.monotonic());
  }

  stop(): void {
    this.#take({ type: "stop" }, this.#context.clock.monotonic());
    // The central server may still answer a tap.
    this.#stopped = true;
  }

  #take(input: EntryInput, now: number): void {
    if (this.#stopped) return;
    const { rules, clock } = this.#context;
    const { state, effects } = stepEntry(this.#state, input, rules, now);
    this.#state = state;
    this.#cancelTimer();
    const deadline = deadlineOf(state, rules);
    if (deadline !== undefined) {
      const ms = Math.max(0, deadline - clock.monotonic());
      // A timer may fire a fraction of a millisecond early; it stands for the deadline.
      this.#cancelTimer = clock.after(ms, () => this.#take({ type: "time" }, Math.max(deadline, clock.monotonic())));
    }
    for (const effect of effects) this.#run(effect, now);
  }

  #run(effect: EntryEffect, at: number): void {
    switch (effect.type) {
      case "present": {
        const { credential } = effect;
        this.#context.present(() => credentialOf(credential), at);
        if ("pin" in credential) credential.pin.fill(0);
        if ("id" in credential) credential.id.fill(0);
        break;
      }
      case "signal":
        this.#context.signal(effect.signal);
        break;
      case "wipe":
        effect.digits.fill(0);
        break;
      case "count":
        this.#context.count(effect.event);
        break;
    }
  }
}

/** JSON takes strings, which cannot be overwritten: they are made at the last moment and kept nowhere. */
function credentialOf(presented: Presented): Credential {
  switch (presented.kind) {
    case "card":
      return presented;
    case "card-pin":
      return { kind: "card-pin", token: presented.token, pin: textOf(presented.pin) };
    case "id-pin":
      return { kind: "id-pin", id: textOf(presented.id), pin: textOf(presented.pin) };
  }
}

const textOf = (digits: Digits): string => String.fromCharCode(...digits);
