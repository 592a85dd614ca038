import type { Decoder, Read } from "../../reader.ts";
import { count, zeroed } from "../counters.ts";
import { type Sentinels, takeTrack } from "../tracks.ts";
import { CHECKSUMS } from "./checksum.ts";
import { withPreset } from "./presets.ts";
import { type Framing, type LineChoices, MAX_LINE_LENGTH } from "./settings.ts";

const STX = 0x02;
const ETX = 0x03;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
// RFC 854: IAC, then WILL..DONT with one option byte.
const IAC = 0xff;
const WILL = 0xfb;
const DONT = 0xfe;

interface FramingRule {
  /** Without one, a frame begins at its first character. */
  readonly start?: number;
  readonly ends: readonly number[];
  /** Ignored around the characters of a frame. */
  readonly skips: readonly number[];
}

const RULES: Readonly<Record<Framing, FramingRule>> = {
  cr: { ends: [CR], skips: [LF] },
  lf: { ends: [LF], skips: [CR] },
  crlf: { ends: [CR, LF], skips: [] },
  "stx-etx": { start: STX, ends: [ETX], skips: [CR, LF] },
  "idle-gap": { ends: [CR, LF], skips: [] },
};

/** Half a frame that stands still for this long is dropped: the next card's number must not be glued to it. */
export const STALL_MS = 1000;

type Flaw = "garbled" | "oversize";

/**
 * Lines of ASCII from a serial or network reader. NUL, and the telnet negotiation that terminal servers send, are
 * ignored around the characters of a frame. Within them they, as any byte that is not printable, spoil the whole
 * frame: a frame with one byte left out could be another card's number.
 */
export class LineDecoder implements Decoder {
  readonly #rule: FramingRule;
  readonly #check: (frame: string) => string | undefined;
  readonly #statusLetter: boolean;
  readonly #sentinels: Sentinels;
  readonly #silenceEnds: boolean;
  readonly #silenceMs: number;
  readonly #minLength: number;
  readonly #frame: Buffer;
  readonly #counters = zeroed(
    "reads",
    "readError",
    "readTimeout",
    "tooShort",
    "badChecksum",
    "noStatus",
    "noTrack",
    "garbled",
    "oversize",
    "unfinished",
    "strayBytes",
  );

  #length = 0;
  /** A frame is under way, even if all of it so far is to be dropped. */
  #inFrame = false;
  #flaw: Flaw | undefined;
  /** Something to be ignored came after the last character; only the end may follow. */
  #skipped = false;
  #telnet: "none" | "command" | "option" = "none";
  #lastByteAt = 0;

  constructor(choices: LineChoices) {
    const settings = withPreset(choices);
    this.#rule = RULES[settings.framing];
    this.#check = CHECKSUMS[settings.checksum];
    this.#statusLetter = settings.statusLetter;
    this.#sentinels = settings.sentinels;
    this.#silenceEnds = settings.framing === "idle-gap";
    this.#silenceMs = this.#silenceEnds ? settings.idleGapMs : STALL_MS;
    this.#minLength = Math.max(1, settings.minLength);
    this.#frame = Buffer.alloc(Math.max(1, Math.min(settings.maxLength, MAX_LINE_LENGTH)));
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get deadline(): number | undefined {
    return this.#inFrame || this.#telnet !== "none" ? this.#lastByteAt + this.#silenceMs : undefined;
  }

  push(bytes: Uint8Array, nowMs: number): Read[] {
    const reads = this.expire(nowMs);
    for (const byte of bytes) {
      // An endless stream of NULs must not keep half a frame alive.
      if (byte !== 0) this.#lastByteAt = nowMs;
      const text = this.#accept(byte);
      if (text !== undefined) reads.push({ kind: "text", text });
    }
    return reads;
  }

  expire(nowMs: number): Read[] {
    if (this.deadline === undefined || nowMs < this.deadline) return [];
    this.#telnet = "none";
    if (!this.#inFrame) return [];
    if (this.#silenceEnds) {
      const text = this.#end();
      return text === undefined ? [] : [{ kind: "text", text }];
    }
    this.#abandon();
    return [];
  }

  reset(): void {
    this.#telnet = "none";
    if (this.#inFrame) this.#abandon();
  }

  /** The payload of the frame that this byte ends, if it ends a good one. */
  #accept(byte: number): string | undefined {
    if (this.#isTelnet(byte) || byte === 0) return this.#skip();
    if (byte === this.#rule.start) {
      if (this.#inFrame) this.#abandon();
      this.#inFrame = true;
      return undefined;
    }
    if (!this.#inFrame) {
      if (this.#rule.ends.includes(byte) || this.#rule.skips.includes(byte)) return undefined;
      if (this.#rule.start !== undefined) {
        count(this.#counters, "strayBytes");
        return undefined;
      }
      this.#inFrame = true;
    }
    if (this.#rule.ends.includes(byte)) return this.#end();
    if (this.#rule.skips.includes(byte)) return this.#skip();
    if (!isText(byte) || this.#skipped) this.#spoil("garbled");
    else if (this.#length === this.#frame.length) this.#spoil("oversize");
    else if (this.#flaw === undefined) {
      this.#frame[this.#length] = byte;
      this.#length += 1;
    }
    return undefined;
  }

  #skip(): undefined {
    if (this.#length > 0) this.#skipped = true;
  }

  #isTelnet(byte: number): boolean {
    const before = this.#telnet;
    if (before === "option") this.#telnet = "none";
    else if (before === "command" && byte >= WILL && byte <= DONT) this.#telnet = "option";
    else this.#telnet = byte === IAC ? "command" : "none";
    return before === "option" || this.#telnet !== "none";
  }

  #spoil(flaw: Flaw): void {
    if (this.#flaw !== undefined) return;
    this.#flaw = flaw;
    count(this.#counters, flaw);
  }

  #end(): string | undefined {
    const frame = this.#flaw === undefined ? this.#frame.toString("latin1", 0, this.#length) : "";
    this.#clear();
    // A flaw is counted already, and nothing at all is not a read that was lost.
    if (frame === "") return undefined;
    const taken = this.#take(frame);
    if (typeof taken === "string") {
      count(this.#counters, taken);
      return undefined;
    }
    count(this.#counters, "reads");
    return taken.text;
  }

  /** What a whole frame delivers, or why it delivers nothing. */
  #take(
    frame: string,
  ): { text: string } | "readError" | "readTimeout" | "noStatus" | "tooShort" | "badChecksum" | "noTrack" {
    if (this.#statusLetter && frame === "E") return "readError";
    if (this.#statusLetter && frame === "O") return "readTimeout";
    if (this.#statusLetter && !frame.startsWith("S")) return "noStatus";
    const body = this.#statusLetter ? frame.slice(1) : frame;
    // Before the lengths: `%E?` is short.
    if (takeTrack("keep", body) === "readError") return "readError";
    if (frame.length < this.#minLength) return "tooShort";
    const payload = this.#check(body);
    return payload === undefined ? "badChecksum" : takeTrack(this.#sentinels, payload);
  }

  #abandon(): void {
    if (this.#flaw === undefined) count(this.#counters, "unfinished");
    this.#clear();
  }

  #clear(): void {
    this.#length = 0;
    this.#inFrame = false;
    this.#flaw = undefined;
    this.#skipped = false;
  }
}

function isText(byte: number): boolean {
  return (byte >= 0x20 && byte <= 0x7e) || byte === TAB;
}
