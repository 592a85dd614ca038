import type { Decoder, Keys } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";

/** HID 1.11 appendix B.1: modifiers, a reserved byte, six keys. */
const REPORT_LENGTH = 8;
const FIRST_KEY = 2;
const SHIFTS = 0x22;
/** Usages 1..3 report an error of the keyboard itself, such as too many keys at once; 0 is an empty place. */
const LAST_ERROR = 3;

// USB HID Usage Tables, page 0x07. Keys by their place, whatever layout they are labelled for.
const [DIGIT_1, DIGIT_3, DIGIT_8, DIGIT_0] = [0x1e, 0x20, 0x25, 0x27];
const [KEYPAD_1, KEYPAD_0] = [0x59, 0x62];
const [ENTER, ESCAPE, BACKSPACE, KEYPAD_TIMES, KEYPAD_ENTER] = [0x28, 0x29, 0x2a, 0x55, 0x58];
/** Caps Lock, Scroll Lock, Num Lock: some keypads send Num Lock around each key. */
const LOCK_KEYS: readonly number[] = [0x39, 0x47, 0x53];

/**
 * A numeric keypad, every key by itself: digits, `*` (Backspace and Escape, too) and `#` (Enter, where there is none).
 * Holds no key, and gives no read.
 */
export class KeypadDecoder implements Decoder {
  readonly deadline = undefined;
  readonly #counters = zeroed("keys", "modified", "unmapped", "rollover", "wrongSize");
  #held: readonly number[] = [];

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  push(report: Uint8Array): Keys[] {
    if (report.length !== REPORT_LENGTH) {
      count(this.#counters, "wrongSize");
      return [];
    }
    const down = [...new Set(report.subarray(FIRST_KEY))].filter((usage) => usage !== 0);
    if (down.some((usage) => usage <= LAST_ERROR)) {
      count(this.#counters, "rollover");
      return [];
    }
    const pressed = down.filter((usage) => !this.#held.includes(usage) && !LOCK_KEYS.includes(usage));
    this.#held = down;
    const modifiers = report[0] ?? 0;
    const keys = pressed.map((usage) => this.#keyOf(usage, modifiers)).join("");
    return keys === "" ? [] : [{ kind: "keys", keys }];
  }

  expire(): Keys[] {
    return [];
  }

  reset(): void {
    this.#held = [];
  }

  #keyOf(usage: number, modifiers: number): string {
    if ((modifiers & ~SHIFTS) !== 0) {
      count(this.#counters, "modified");
      return "";
    }
    const key = keyAt(usage, modifiers !== 0);
    count(this.#counters, key === "" ? "unmapped" : "keys");
    return key;
  }
}

function keyAt(usage: number, shift: boolean): string {
  // As a US keyboard types * and #, which keypads of readers imitate.
  if (shift) return usage === DIGIT_8 ? "*" : usage === DIGIT_3 ? "#" : "";
  if (usage >= DIGIT_1 && usage <= DIGIT_0) return `${(usage - DIGIT_1 + 1) % 10}`;
  if (usage >= KEYPAD_1 && usage <= KEYPAD_0) return `${(usage - KEYPAD_1 + 1) % 10}`;
  switch (usage) {
    case KEYPAD_TIMES:
    case BACKSPACE:
    case ESCAPE:
      return "*";
    case ENTER:
    case KEYPAD_ENTER:
      return "#";
    default:
      return "";
  }
}
