import type { Decoder, Read } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";
import type { KeyboardDecoderSettings, Terminator } from "./settings.ts";
import { characterOf, LOCK_KEYS } from "./us-layout.ts";

/** HID 1.11 appendix B.1: modifiers, a reserved byte, six keys. */
const REPORT_LENGTH = 8;
const FIRST_KEY = 2;
const SHIFTS = 0x22;
/** Usages 1..3 report an error of the keyboard itself, such as too many keys at once; 0 is an empty place. */
const LAST_ERROR = 3;

const MAX_FRAME_LENGTH = 4096;

const TERMINATOR_USAGES: Readonly<Record<Terminator, number>> = { enter: 0x28, "keypad-enter": 0x58, tab: 0x2b };

type Flaw = "oversize" | "modified" | "unmapped" | "tooSlow";

/**
 * What a keyboard-emulating reader types, from its boot-keyboard input reports, one report per `push`.
 * A frame with a flaw is dropped whole, up to its terminator or a silence, so that its tail is no read of its own.
 */
export class KeyboardDecoder implements Decoder {
  readonly #terminators: ReadonlySet<number>;
  readonly #silenceEnds: boolean;
  readonly #interKeyMs: number;
  readonly #maxFrameMs: number;
  readonly #minLength: number;
  readonly #maxLength: number;
  readonly #counters = zeroed(
    "reads",
    "tooShort",
    "oversize",
    "modified",
    "unmapped",
    "tooSlow",
    "unfinished",
    "rollover",
    "wrongSize",
  );

  #held: readonly number[] = [];
  #text = "";
  #flaw: Flaw | undefined;
  /** When the first and the latest key of the frame under way were pressed. */
  #frame: { readonly firstAt: number; readonly lastAt: number } | undefined;

  constructor(settings: KeyboardDecoderSettings) {
    this.#terminators = new Set(settings.terminators.map((name) => TERMINATOR_USAGES[name]));
    this.#silenceEnds = settings.terminators.length === 0;
    this.#interKeyMs = settings.interKeyTimeoutMs;
    this.#maxFrameMs = settings.maxFrameMs;
    this.#minLength = Math.max(1, settings.minLength);
    this.#maxLength = Math.min(settings.maxLength, MAX_FRAME_LENGTH);
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get deadline(): number | undefined {
    return this.#frame === undefined ? undefined : this.#frame.lastAt + this.#interKeyMs;
  }

  push(report: Uint8Array, nowMs: number): Read[] {
    const reads = this.expire(nowMs);
    if (report.length !== REPORT_LENGTH) {
      count(this.#counters, "wrongSize");
      return reads;
    }
    const keys = [...new Set(report.subarray(FIRST_KEY))].filter((usage) => usage !== 0);
    if (keys.some((usage) => usage <= LAST_ERROR)) {
      count(this.#counters, "rollover");
      return reads;
    }
    const pressed = keys.filter((usage) => !this.#held.includes(usage));
    this.#held = keys;
    for (const usage of pressed) {
      const text = this.#press(usage, report[0] ?? 0, nowMs);
      if (text !== undefined) reads.push({ kind: "text", text });
    }
    return reads;
  }

  expire(nowMs: number): Read[] {
    if (this.deadline === undefined || nowMs < this.deadline) return [];
    if (!this.#silenceEnds) {
      this.#abandon();
      return [];
    }
    const text = this.#end();
    return text === undefined ? [] : [{ kind: "text", text }];
  }

  reset(): void {
    this.#held = [];
    if (this.#frame !== undefined) this.#abandon();
  }

  /** The text of the frame that this key ends, if it ends a good one. */
  #press(usage: number, modifiers: number, nowMs: number): string | undefined {
    if (LOCK_KEYS.has(usage)) return undefined;
    this.#frame = { firstAt: this.#frame?.firstAt ?? nowMs, lastAt: nowMs };
    // Control, Alt and GUI make commands, not card numbers: somebody is typing, or the reader sends Alt codes.
    if ((modifiers & ~SHIFTS) !== 0) this.#spoil("modified");
    if (nowMs - this.#frame.firstAt > this.#maxFrameMs) this.#spoil("tooSlow");
    if (this.#terminators.has(usage)) return this.#end();
    const character = characterOf(usage, (modifiers & SHIFTS) !== 0);
    if (character === undefined) this.#spoil("unmapped");
    else if (this.#text.length >= this.#maxLength) this.#spoil("oversize");
    else if (this.#flaw === undefined) this.#text += character;
    return undefined;
  }

  #spoil(flaw: Flaw): void {
    if (this.#flaw !== undefined) return;
    this.#flaw = flaw;
    count(this.#counters, flaw);
  }

  #end(): string | undefined {
    const text = this.#flaw === undefined ? this.#text : "";
    this.#clear();
    // A flaw is counted already, and a terminator alone is not a read that was lost.
    if (text === "") return undefined;
    if (text.length < this.#minLength) {
      count(this.#counters, "tooShort");
      return undefined;
    }
    count(this.#counters, "reads");
    return text;
  }

  #abandon(): void {
    if (this.#flaw === undefined) count(this.#counters, "unfinished");
    this.#clear();
  }

  #clear(): void {
    this.#text = "";
    this.#flaw = undefined;
    this.#frame = undefined;
  }
}
