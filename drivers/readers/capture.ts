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

/** What kind of character each byte is, and no more: framing and lengths can be seen, a number cannot. */
export function textShape(bytes: Uint8Array): string {
  const words: string[] = [];
  let run = "";
  for (const byte of bytes.subarray(0, MAX_SHAPE)) {
    const kind = kindOf(byte);
    if (kind.length === 1) run += kind;
    else {
      if (run !== "") words.push(run);
      run = "";
      words.push(kind);
    }
  }
  if (run !== "") words.push(run);
  if (bytes.length > MAX_SHAPE) words.push("...");
  return words.join(" ");
}

/** For binary protocols: every byte may be part of a number. */
export function binaryShape(bytes: Uint8Array): string {
  return "x".repeat(Math.min(bytes.length, MAX_SHAPE)) + (bytes.length > MAX_SHAPE ? " ..." : "");
}

function kindOf(byte: number): string {
  const named = NAMED.get(byte);
  if (named !== undefined) return named;
  const character = String.fromCharCode(byte);
  if (/[0-9]/.test(character)) return "d";
  if (/[A-Fa-f]/.test(character)) return "h";
  if (/[A-Za-z]/.test(character)) return "a";
  if (/[ -~]/.test(character)) return "p";
  return "x";
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
