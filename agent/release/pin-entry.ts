import type { Signal } from "../../drivers/reader.ts";
import { type CredentialKind, MAX_ID_LENGTH, PIN_LENGTH } from "../protocol/schema.ts";

/** What a reader with a keypad takes, and how long it waits. */
export interface EntryRules {
  /**
   * `card`: a card alone is a tap. `card-pin`: a card and then a PIN; where a card alone is taken too, only when the
   * central server asks for it. `id-pin`: a number, `#`, a PIN, and no card.
   */
  readonly credentials: readonly CredentialKind[];
  /** A PIN of this length needs no `#`. */
  readonly pinLength?: number | undefined;
  /** From the card or key before to the next key. */
  readonly keyTimeoutMs: number;
  /** From the first card or key to the last key. */
  readonly entryTimeoutMs: number;
}

/** ASCII digits, in memory of their own that can be overwritten; no two states share it. */
export type Digits = Uint8Array;

type Whose = { readonly token: string } | { readonly id: Digits };

interface Typing {
  readonly startedAt: number;
  readonly keyAt: number;
  readonly digits: Digits;
  /** More digits came than there can be: they are not kept, and the rest of them must not begin another entry. */
  readonly overlong: boolean;
}

export type EntryState =
  | { readonly phase: "idle" }
  | (Typing & { readonly phase: "id" })
  | (Typing & { readonly phase: "pin"; readonly whose: Whose });

export const IDLE: EntryState = { phase: "idle" };

/** A whole credential; its digits are the receiver's to wipe. */
export type Presented =
  | { readonly kind: "card"; readonly token: string }
  | { readonly kind: "card-pin"; readonly token: string; readonly pin: Digits }
  | { readonly kind: "id-pin"; readonly id: Digits; readonly pin: Digits };

export type EntryInput =
  | { readonly type: "card"; readonly token: string }
  /** The central server's answer to this card alone. */
  | { readonly type: "pin-needed"; readonly token: string }
  | { readonly type: "key"; readonly key: string }
  | { readonly type: "time" }
  | { readonly type: "stop" };

/** How an entry ended, or what was not taken: the names of counters. */
export const ENTRY_EVENTS = [
  "entry-canceled",
  "entry-timed-out",
  "entry-replaced",
  "entry-too-short",
  "entry-too-long",
  "entry-card-not-taken",
  "entry-key-ignored",
] as const;
export type EntryEvent = (typeof ENTRY_EVENTS)[number];

export type EntryEffect =
  | { readonly type: "present"; readonly credential: Presented }
  | { readonly type: "signal"; readonly signal: Extract<Signal, "enter-pin" | "denied"> }
  | { readonly type: "wipe"; readonly digits: Digits }
  | { readonly type: "count"; readonly event: EntryEvent };

interface Step {
  readonly state: EntryState;
  readonly effects: readonly EntryEffect[];
}

const ENTER_PIN: EntryEffect = { type: "signal", signal: "enter-pin" };
const DENIED: EntryEffect = { type: "signal", signal: "denied" };
const NO_DIGITS: Digits = new Uint8Array(0);

const counted = (event: EntryEvent): EntryEffect => ({ type: "count", event });

/** When the entry is over without another key; undefined while there is none. */
export function deadlineOf(state: EntryState, rules: EntryRules): number | undefined {
  if (state.phase === "idle") return undefined;
  return Math.min(state.keyAt + rules.keyTimeoutMs, state.startedAt + rules.entryTimeoutMs);
}

/**
 * Pure: what a card or a key at a reader with a keypad does. Digits that are no longer of use come out as `wipe`, each
 * exactly once, but those of a credential that was presented.
 */
export function stepEntry(state: EntryState, input: EntryInput, rules: EntryRules, now: number): Step {
  const deadline = deadlineOf(state, rules);
  if (deadline === undefined || now < deadline || input.type === "stop") return take(state, input, rules, now);
  // A timer may be late; what comes after the time belongs to no entry before it.
  const over = ended(state, "entry-timed-out", DENIED);
  const { state: next, effects } = take(over.state, input, rules, now);
  return { state: next, effects: [...over.effects, ...effects] };
}

function take(state: EntryState, input: EntryInput, rules: EntryRules, now: number): Step {
  switch (input.type) {
    case "card":
      return takeCard(state, input.token, rules, now);
    case "pin-needed":
      // Who types a PIN already has gone on to something else; who types a number may have begun with the PIN.
      if (state.phase === "pin" || !rules.credentials.includes("card-pin")) return { state, effects: [] };
      return {
        state: awaitPin({ token: input.token }, now),
        effects: state.phase === "idle" ? [] : ended(state, "entry-replaced").effects,
      };
    case "key":
      return takeKey(state, input.key, rules, now);
    case "time":
      return { state, effects: [] };
    case "stop":
      return state.phase === "idle" ? { state, effects: [] } : ended(state, "entry-canceled");
  }
}

function takeCard(state: EntryState, token: string, rules: EntryRules, now: number): Step {
  const before = state.phase === "idle" ? [] : ended(state, "entry-replaced").effects;
  if (rules.credentials.includes("card")) {
    return { state: IDLE, effects: [...before, { type: "present", credential: { kind: "card", token } }] };
  }
  if (rules.credentials.includes("card-pin")) {
    return { state: awaitPin({ token }, now), effects: [...before, ENTER_PIN] };
  }
  return { state: IDLE, effects: [...before, counted("entry-card-not-taken"), DENIED] };
}

function takeKey(state: EntryState, key: string, rules: EntryRules, now: number): Step {
  const isDigit = /^[0-9]$/.test(key);
  if (state.phase === "idle") {
    if (!isDigit || !rules.credentials.includes("id-pin")) return { state, effects: [counted("entry-key-ignored")] };
    return { state: { phase: "id", ...nothingTyped(now), digits: with1(NO_DIGITS, key) }, effects: [] };
  }
  const { digits, overlong } = state;
  const wiped: EntryEffect[] = digits.length === 0 ? [] : [{ type: "wipe", digits }];
  if (isDigit) {
    if (overlong || digits.length >= (state.phase === "pin" ? PIN_LENGTH.max : MAX_ID_LENGTH)) {
      return { state: { ...state, digits: NO_DIGITS, overlong: true, keyAt: now }, effects: wiped };
    }
    const longer = { ...state, digits: with1(digits, key), keyAt: now };
    if (longer.phase === "id" || longer.digits.length !== rules.pinLength) return { state: longer, effects: wiped };
    return { state: IDLE, effects: [...wiped, present(longer.whose, longer.digits)] };
  }
  switch (key) {
    case "*":
      if (digits.length === 0 && !overlong) return ended(state, "entry-canceled");
      return { state: { ...state, digits: NO_DIGITS, overlong: false, keyAt: now }, effects: wiped };
    case "#":
      if (overlong) return ended(state, "entry-too-long", DENIED);
      if (digits.length === 0) return { state: { ...state, keyAt: now }, effects: [] };
      if (state.phase === "id") {
        const { startedAt } = state;
        return { state: { ...awaitPin({ id: digits }, now), startedAt }, effects: [ENTER_PIN] };
      }
      // The central server has no PIN this short, and is not asked.
      if (digits.length < PIN_LENGTH.min) return ended(state, "entry-too-short", DENIED);
      return { state: IDLE, effects: [present(state.whose, digits)] };
    default:
      return { state, effects: [counted("entry-key-ignored")] };
  }
}

function awaitPin(whose: Whose, now: number): Extract<EntryState, { phase: "pin" }> {
  return { phase: "pin", whose, ...nothingTyped(now) };
}

function nothingTyped(now: number): Typing {
  return { startedAt: now, keyAt: now, digits: NO_DIGITS, overlong: false };
}

function present(whose: Whose, pin: Digits): EntryEffect {
  const credential: Presented =
    "id" in whose ? { kind: "id-pin", id: whose.id, pin } : { kind: "card-pin", token: whose.token, pin };
  return { type: "present", credential };
}

/** The person's own cancel is told by nothing. */
function ended(state: EntryState, event: EntryEvent, ...signal: readonly EntryEffect[]): Step {
  const held: Digits[] = [];
  if (state.phase !== "idle") held.push(state.digits);
  if (state.phase === "pin" && "id" in state.whose) held.push(state.whose.id);
  const wipes = held.filter(({ length }) => length > 0).map((digits): EntryEffect => ({ type: "wipe", digits }));
  return { state: IDLE, effects: [...wipes, counted(event), ...signal] };
}

function with1(digits: Digits, key: string): Digits {
  const longer = new Uint8Array(digits.length + 1);
  longer.set(digits);
  longer[digits.length] = key.charCodeAt(0);
  return longer;
}
