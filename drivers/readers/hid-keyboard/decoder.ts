import type { Decoder, Keys, Read } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";
import { type Sentinels, takeTrack } from "../tracks.ts";
import { characterOf, hasAltGr, isSymbolHeavy, type Level, LOCK_KEYS, layoutsThatFit } from "./layouts.ts";
import type { KeyboardDecoderSettings, LayoutName, Terminator } from "./settings.ts";

/** HID 1.11 appendix B.1: modifiers, a reserved byte, six keys. */
const REPORT_LENGTH = 8;
const FIRST_KEY = 2;
const SHIFTS = 0x22;
const LEFT_ALT = 0x04;
const ALT_GR = 0x40;
/** Usages 1..3 report an error of the keyboard itself, such as too many keys at once; 0 is an empty place. */
const LAST_ERROR = 3;
/** ErrorUndefined: keys were pressed, and it cannot be told which in which order (transports/hid-report.ts). */
const UNKNOWN_KEYS = 3;
const KEYPAD_1 = 0x59;
const KEYPAD_0 = 0x62;

const MAX_FRAME_LENGTH = 4096;

const TERMINATOR_USAGES: Readonly<Record<Terminator, number>> = { enter: 0x28, "keypad-enter": 0x58, tab: 0x2b };

type Flaw = "oversize" | "modified" | "unmapped" | "ambiguous" | "tooSlow";

/**
 * An Alt code is one character: its decimal code typed on the keypad while the left Alt is held, as some readers are set to
 * do because it works in any layout. With and without a leading 0 the printable ASCII characters are the same. `spoilt`: what
 * was typed before a time-out is gone, so the rest is no code.
 */
const ALT_CODE = /^0?[0-9]{2,3}$/;
const SPOILT = "spoilt";

/**
 * No person presses more keys than this within a time-out between keys that cards keep. A longer piece without an end is the
 * half of a card, and none of it may pass for keys.
 */
const MAX_TOGETHER = 3;
const KEYPAD_KEYS = /^[0-9*#]+$/;

/**
 * What a keyboard-emulating reader types, from its boot-keyboard input reports, one report per `push`.
 * A frame with a flaw is dropped whole, up to its terminator or a silence, so that its tail is no read of its own.
 */
export class KeyboardDecoder implements Decoder {
  readonly #layout: LayoutName;
  readonly #sentinels: Sentinels;
  readonly #wrongLayout: (fits: readonly LayoutName[]) => void;
  readonly #terminators: ReadonlySet<number>;
  readonly #silenceEnds: boolean;
  readonly #hasKeypad: boolean;
  readonly #interKeyMs: number;
  readonly #maxFrameMs: number;
  readonly #minLength: number;
  readonly #maxLength: number;
  readonly #counters = zeroed(
    "reads",
    "keys",
    "readError",
    "symbolHeavy",
    "tooShort",
    "noTrack",
    "oversize",
    "modified",
    "unmapped",
    "ambiguous",
    "tooSlow",
    "unfinished",
    "rollover",
    "wrongSize",
  );

  #held: readonly number[] = [];
  /** The digits of an Alt code since the left Alt went down; undefined while it is up. */
  #altCode: string | undefined;
  #text = "";
  #flaw: Flaw | undefined;
  /** When the first and the latest key of the frame under way were pressed. */
  #frame: { readonly firstAt: number; readonly lastAt: number } | undefined;

  /** `wrongLayout` is told of each frame of mostly symbols: the layouts in which it would be letters and digits. */
  constructor(settings: KeyboardDecoderSettings, wrongLayout: (fits: readonly LayoutName[]) => void = () => {}) {
    this.#layout = settings.layout ?? "us";
    this.#sentinels = settings.sentinels ?? "keep";
    this.#wrongLayout = wrongLayout;
    this.#terminators = new Set(settings.terminators.map((name) => TERMINATOR_USAGES[name]));
    this.#silenceEnds = settings.terminators.length === 0;
    this.#hasKeypad = settings.keypad === "shared";
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

  push(report: Uint8Array, nowMs: number): (Read | Keys)[] {
    const reads = this.expire(nowMs);
    if (report.length !== REPORT_LENGTH) {
      count(this.#counters, "wrongSize");
      return reads;
    }
    const keys = [...new Set(report.subarray(FIRST_KEY))].filter((usage) => usage !== 0);
    if (keys.some((usage) => usage <= LAST_ERROR)) {
      count(this.#counters, "rollover");
      if (keys.includes(UNKNOWN_KEYS)) this.#begin(nowMs);
      // Keys may have come and gone behind it.
      if (this.#frame !== undefined) this.#spoil("ambiguous");
      return reads;
    }
    const modifiers = report[0] ?? 0;
    this.#holdAlt((modifiers & LEFT_ALT) !== 0, nowMs);
    const pressed = keys.filter((usage) => !this.#held.includes(usage));
    this.#held = keys;
    for (const usage of pressed) {
      const read = this.#press(usage, modifiers, nowMs);
      if (read !== undefined) reads.push(read);
    }
    return reads;
  }

  expire(nowMs: number): (Read | Keys)[] {
    if (this.deadline === undefined || nowMs < this.deadline) return [];
    const isCode = this.#altCode !== undefined;
    if (this.#hasKeypad && !isCode && this.#flaw === undefined && this.#text.length <= MAX_TOGETHER) {
      const keys = this.#keys(this.#text);
      if (keys !== undefined) return [keys];
    }
    if (!this.#silenceEnds || isCode) {
      this.#abandon();
      return [];
    }
    const read = this.#end();
    return read === undefined ? [] : [read];
  }

  reset(): void {
    this.#held = [];
    this.#altCode = undefined;
    if (this.#frame !== undefined) this.#abandon();
  }

  #holdAlt(held: boolean, nowMs: number): void {
    const code = this.#altCode;
    if (held) {
      this.#altCode ??= "";
      return;
    }
    this.#altCode = undefined;
    // The key alone types nothing.
    if (code === undefined || code === "") return;
    this.#begin(nowMs);
    const value = Number(code);
    this.#add(ALT_CODE.test(code) && value >= 0x20 && value <= 0x7e ? String.fromCharCode(value) : undefined);
  }

  /** What this key ends, if it ends something good. */
  #press(usage: number, modifiers: number, nowMs: number): Read | Keys | undefined {
    if (LOCK_KEYS.has(usage)) return undefined;
    this.#begin(nowMs);
    if (modifiers === LEFT_ALT && usage >= KEYPAD_1 && usage <= KEYPAD_0) {
      const code = `${this.#altCode ?? ""}${(usage - KEYPAD_1 + 1) % 10}`;
      // One digit too many is no code whatever follows.
      this.#altCode = code.length > 4 ? SPOILT : code;
      return undefined;
    }
    // Control, Alt and GUI make commands, not card numbers: somebody is typing.
    const level = this.#levelOf(modifiers);
    if (level === undefined) this.#spoil("modified");
    if (this.#terminators.has(usage)) return this.#end();
    this.#add(characterOf(this.#layout, usage, level ?? "plain"));
    return undefined;
  }

  #levelOf(modifiers: number): Level | undefined {
    if (modifiers === ALT_GR && hasAltGr(this.#layout)) return "altGr";
    if ((modifiers & ~SHIFTS) !== 0) return undefined;
    return modifiers === 0 ? "plain" : "shift";
  }

  #begin(nowMs: number): void {
    this.#frame = { firstAt: this.#frame?.firstAt ?? nowMs, lastAt: nowMs };
    if (nowMs - this.#frame.firstAt > this.#maxFrameMs) this.#spoil("tooSlow");
  }

  #add(character: string | undefined): void {
    if (character === undefined) this.#spoil("unmapped");
    else if (this.#text.length >= this.#maxLength) this.#spoil("oversize");
    else if (this.#flaw === undefined) this.#text += character;
  }

  #spoil(flaw: Flaw): void {
    if (this.#flaw !== undefined) return;
    this.#flaw = flaw;
    count(this.#counters, flaw);
  }

  #end(): Read | Keys | undefined {
    // Enter is the keypad's #, but the end of a card when it comes with one.
    if (this.#hasKeypad && !this.#silenceEnds && this.#flaw === undefined && this.#text.length < this.#minLength) {
      const keys = this.#keys(`${this.#text}#`);
      if (keys !== undefined) return keys;
    }
    const text = this.#flaw === undefined ? this.#text : "";
    this.#clear();
    // A flaw is counted already, and a terminator alone is not a read that was lost.
    if (text === "") return undefined;
    const taken = this.#take(text);
    if (taken !== "readError" && taken !== "tooShort" && isSymbolHeavy(text)) {
      count(this.#counters, "symbolHeavy");
      this.#wrongLayout(layoutsThatFit(this.#layout, text));
    }
    if (typeof taken === "string") {
      count(this.#counters, taken);
      return undefined;
    }
    count(this.#counters, "reads");
    return { kind: "text", text: taken.text };
  }

  /** What was typed, if it can be keys of a keypad. */
  #keys(keys: string): Keys | undefined {
    if (!KEYPAD_KEYS.test(keys)) return undefined;
    this.#clear();
    count(this.#counters, "keys");
    return { kind: "keys", keys };
  }

  #take(text: string): { readonly text: string } | "readError" | "tooShort" | "noTrack" {
    const taken = takeTrack(this.#sentinels, text);
    // Before the length: `%E?` is short.
    return taken !== "readError" && text.length < this.#minLength ? "tooShort" : taken;
  }

  #abandon(): void {
    if (this.#flaw === undefined) count(this.#counters, "unfinished");
    if (this.#altCode !== undefined && this.#altCode !== "") this.#altCode = SPOILT;
    this.#clear();
  }

  #clear(): void {
    this.#text = "";
    this.#flaw = undefined;
    this.#frame = undefined;
  }
}
