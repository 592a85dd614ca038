import type { CapturedFrame } from "../reader.ts";

const MAX_FRAMES = 64;
const MAX_SHAPE = 80;
const NAMED = new Map([
  [0x00, "NUL"],
  [0x02, "STX"],
  [0x03, "ETX"],
  [0x09, "TAB"],
  [0x0a, "LF"],
  [0x0d, "CR"],
]);

/**
 * What kinds of characters stand in a row, and no more: framing, lengths and whether a number is decimal or hexadecimal can
 * be seen, its digits cannot, nor where in it the letters are.
 */
export function textShape(bytes: Uint8Array): string {
  const words: string[] = [];
  const text = Buffer.from(bytes.subarray(0, MAX_SHAPE)).toString("latin1");
  for (let at = 0; at < text.length; ) {
    const named = NAMED.get(text.charCodeAt(at));
    const run = named === undefined ? runAt(text, at) : text.charAt(at);
    words.push(named ?? kindOf(run).repeat(run.length));
    at += run.length;
  }
  if (bytes.length > MAX_SHAPE) words.push("...");
  return words.join(" ");
}

/** For binary protocols: every byte may be part of a number. */
export function binaryShape(bytes: Uint8Array): string {
  return "x".repeat(Math.min(bytes.length, MAX_SHAPE)) + (bytes.length > MAX_SHAPE ? " ..." : "");
}

/** Letters and digits, or other printable characters, or bytes that are neither. */
const RUNS = [/[0-9A-Za-z]+/y, /[!-/:-@[-`{-~ ]+/y];

function runAt(text: string, at: number): string {
  for (const run of RUNS) {
    run.lastIndex = at;
    const [found] = run.exec(text) ?? [];
    if (found !== undefined) return found;
  }
  return text.charAt(at);
}

function kindOf(run: string): string {
  if (/^[0-9]+$/.test(run)) return "d";
  if (/^[0-9A-Fa-f]+$/.test(run)) return "h";
  if (/^[0-9A-Za-z]+$/.test(run)) return "a";
  return /^[ -~]/.test(run) ? "p" : "x";
}

/** The newest frames of a reader's line while somebody looks; nothing is kept when nobody does. */
export class FrameCapture {
  readonly #shapeOf: (bytes: Uint8Array) => string;
  #until = Number.NEGATIVE_INFINITY;
  #frames: CapturedFrame[] = [];
  #taken = 0;

  constructor(shapeOf: (bytes: Uint8Array) => string) {
    this.#shapeOf = shapeOf;
  }

  /** Begins anew. */
  start(now: number, forMs: number): void {
    this.#frames = [];
    this.#taken = 0;
    this.#until = now + forMs;
  }

  take(direction: CapturedFrame["direction"], bytes: Uint8Array, now: number): void {
    if (now >= this.#until) return;
    this.#taken += 1;
    this.#frames.push({ number: this.#taken, at: now, direction, length: bytes.length, shape: this.#shapeOf(bytes) });
    if (this.#frames.length > MAX_FRAMES) this.#frames.shift();
  }

  get frames(): readonly CapturedFrame[] {
    return this.#frames;
  }
}
