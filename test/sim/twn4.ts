import type { Clock } from "../../drivers/clock.ts";

export interface Tag {
  readonly type: number;
  readonly bitLength: number;
  /** Hexadecimal, left-aligned. */
  readonly id: string;
}

export interface Twn4Options {
  readonly mode?: "ascii" | "binary";
  readonly crc?: boolean;
  /** Firmware before LEDInit and BeepOn. */
  readonly old?: boolean;
  readonly searchMs?: number;
}

const VERSION = "TWN4/B1.03/CCF1.57/PRS1.03/PI";
/** Bytes of parameters of each function, and whether firmware of 2018 has it. */
const FUNCTIONS: Readonly<Record<string, { readonly parameters: number; readonly old: boolean }>> = {
  "0004": { parameters: 1, old: true },
  "0005": { parameters: 0, old: true },
  "0006": { parameters: 0, old: true },
  "0400": { parameters: 3, old: true },
  "0402": { parameters: 1, old: true },
  "0403": { parameters: 1, old: true },
  "0407": { parameters: 7, old: true },
  "0410": { parameters: 1, old: false },
  "0411": { parameters: 1, old: false },
  "0412": { parameters: 1, old: false },
  "0416": { parameters: 3, old: false },
  "0417": { parameters: 0, old: false },
  "0500": { parameters: 1, old: true },
  "0501": { parameters: 0, old: true },
  "0502": { parameters: 8, old: true },
  "0503": { parameters: 0, old: true },
};

/**
 * A TWN4 with the Simple Protocol as its manual describes it: it says nothing unasked, does one thing at a time, beeps
 * for as long as `Beep` says before it answers, and forgets lamps, sound and kinds of transponders when it loses power.
 */
export class SimulatedTwn4 {
  /** Each command that was executed, in hexadecimal. */
  readonly heard: string[] = [];
  /** When a sound began and ended, ms of the clock. */
  readonly sounds: { readonly from: number; to: number | undefined }[] = [];
  readonly lampsSeen: { readonly at: number; readonly lamps: number }[] = [];
  tagTypes = "2FFE0700F7000000";
  isFieldOn = false;
  /** Faults: what it does to the next replies. */
  silent = false;
  echo = false;
  corrupt: ((reply: Buffer) => Buffer) | undefined;
  /** Answers every command with this status. */
  status: number | undefined;

  readonly #clock: Clock;
  readonly #say: (bytes: Buffer) => void;
  readonly #options: Required<Twn4Options>;
  #tags: Tag[] = [];
  #turn = 0;
  #input = Buffer.alloc(0);
  #busy = false;
  #outputs = 0;
  #lamps = 0;
  /** Numbers the power-ups: what was begun before the last one never ends. */
  #life = 0;

  constructor(clock: Clock, say: (bytes: Buffer) => void, options: Twn4Options = {}) {
    this.#clock = clock;
    this.#say = say;
    this.#options = { mode: "ascii", crc: false, old: false, searchMs: 0, ...options };
  }

  get isSounding(): boolean {
    const last = this.sounds.at(-1);
    return last !== undefined && last.to === undefined;
  }

  /** A search is under way. */
  get isSearching(): boolean {
    return this.#busy && this.heard.at(-1)?.startsWith("0500") === true;
  }

  get lamps(): number {
    return this.#lamps;
  }

  /** The cards on the reader; of several it finds one after the other. */
  lay(...tags: Tag[]): void {
    this.#tags = tags;
  }

  powerCycle(): void {
    this.#life += 1;
    this.#input = Buffer.alloc(0);
    this.#busy = false;
    this.#outputs = 0;
    this.#light(0);
    this.#hush();
    this.tagTypes = "2FFE0700F7000000";
    this.isFieldOn = false;
  }

  hear(bytes: Uint8Array): void {
    if (this.echo) this.#say(Buffer.from(bytes));
    this.#input = Buffer.concat([this.#input, bytes]);
    this.#work();
  }

  #work(): void {
    while (!this.#busy) {
      const message = this.#options.mode === "ascii" ? this.#line() : this.#counted();
      if (message === undefined) return;
      if (message === "parser-error") this.#answer(Buffer.of(5));
      else this.#checked(message);
    }
  }

  #line(): Buffer | "parser-error" | undefined {
    const end = this.#input.indexOf(0x0d);
    if (end === -1) return undefined;
    const text = this.#input.toString("latin1", 0, end);
    this.#input = this.#input.subarray(end + 1);
    return /^(?:[0-9A-Fa-f]{2})+$/.test(text) ? Buffer.from(text, "hex") : "parser-error";
  }

  #counted(): Buffer | undefined {
    if (this.#input.length < 2) return undefined;
    const length = this.#input.readUInt16LE();
    if (this.#input.length < 2 + length) return undefined;
    const message = this.#input.subarray(2, 2 + length);
    this.#input = this.#input.subarray(2 + length);
    return message;
  }

  #checked(message: Buffer): void {
    if (!this.#options.crc) {
      this.#execute(message);
      return;
    }
    const body = message.subarray(0, -2);
    // What it would do with a wrong checksum is not written anywhere: the worst is nothing.
    if (body.length > 0 && crc(body) === message.readUInt16LE(body.length)) this.#execute(body);
  }

  #execute(message: Buffer): void {
    const reply = this.#replyTo(message);
    if (reply !== undefined) this.#answer(reply);
  }

  /** Undefined when the reply comes later. */
  #replyTo(message: Buffer): Buffer | undefined {
    const name = message.toString("hex", 0, 2).toUpperCase();
    const parameters = message.subarray(2);
    const known = FUNCTIONS[name];
    if (message.length < 2 || known === undefined || (this.#options.old && !known.old)) {
      return Buffer.of(1);
    }
    if (parameters.length < known.parameters) return Buffer.of(2);
    if (parameters.length > known.parameters) return Buffer.of(3);
    this.heard.push(message.toString("hex").toUpperCase());
    if (this.status !== undefined) return Buffer.of(this.status);
    const [first = 0] = parameters;
    switch (name) {
      case "0004":
        return Buffer.from(`\0${String.fromCharCode(VERSION.length)}${VERSION}`, "latin1");
      case "0005":
        return Buffer.of(0, 1);
      case "0006":
        return Buffer.of(0, 11);
      case "0400":
      case "0410":
        this.#outputs |= first;
        return Buffer.of(0);
      case "0402":
      case "0411":
        this.#light(this.#lamps | (first & this.#outputs));
        return Buffer.of(0);
      case "0403":
      case "0412":
        this.#light(this.#lamps & ~first);
        return Buffer.of(0);
      case "0407": {
        const onMs = parameters.readUInt16LE(3);
        this.#sound();
        this.#after(onMs, () => {
          this.#hush();
          this.#after(parameters.readUInt16LE(5), () => this.#answer(Buffer.of(0)));
        });
        return undefined;
      }
      case "0416":
        this.#sound();
        return Buffer.of(0);
      case "0417":
        this.#hush();
        return Buffer.of(0);
      case "0500":
        this.isFieldOn = true;
        this.#after(this.#options.searchMs, () => this.#answer(this.#search(first)));
        return undefined;
      case "0501":
        this.isFieldOn = false;
        return Buffer.of(0);
      case "0502":
        this.tagTypes = parameters.toString("hex").toUpperCase();
        return Buffer.of(0);
      default:
        return Buffer.from(`00${this.tagTypes}`, "hex");
    }
  }

  #search(maxBytes: number): Buffer {
    const masks = Buffer.from(this.tagTypes, "hex");
    const sought = this.#tags.filter(({ type }) => {
      const mask = masks.readUInt32LE(type >= 0x80 ? 4 : 0);
      return ((mask >>> (type & 0x1f)) & 1) === 1;
    });
    const tag = sought[this.#turn++ % Math.max(1, sought.length)];
    if (tag === undefined) return Buffer.of(0, 0);
    const id = Buffer.from(tag.id, "hex").subarray(0, maxBytes);
    return Buffer.concat([Buffer.of(0, 1, tag.type, tag.bitLength, id.length), id]);
  }

  #answer(body: Buffer): void {
    if (this.silent) return;
    const { mode, crc: hasCrc } = this.#options;
    const check = Buffer.alloc(hasCrc ? 2 : 0);
    if (hasCrc) check.writeUInt16LE(crc(body));
    const whole = Buffer.concat([body, check]);
    const reply =
      mode === "ascii"
        ? Buffer.from(`${whole.toString("hex").toUpperCase()}\r`, "latin1")
        : Buffer.concat([Buffer.of(whole.length & 0xff, whole.length >> 8), whole]);
    this.#say(this.corrupt?.(reply) ?? reply);
  }

  /** Nothing else is done meanwhile. */
  #after(ms: number, run: () => void): void {
    if (ms === 0) {
      run();
      return;
    }
    const life = this.#life;
    this.#busy = true;
    this.#clock.after(ms, () => {
      if (life !== this.#life) return;
      this.#busy = false;
      run();
      this.#work();
    });
  }

  #sound(): void {
    if (!this.isSounding) this.sounds.push({ from: this.#clock.monotonic(), to: undefined });
  }

  #hush(): void {
    const last = this.sounds.at(-1);
    if (last !== undefined) last.to ??= this.#clock.monotonic();
  }

  #light(lamps: number): void {
    if (lamps === this.#lamps) return;
    this.#lamps = lamps;
    this.lampsSeen.push({ at: this.#clock.monotonic(), lamps });
  }
}

/** As the vendor's document writes it, byte by byte. */
function crc(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const next of bytes) {
    let byte = next ^ (crc & 0xff);
    byte = (byte ^ (byte << 4)) & 0xff;
    crc = (((byte << 8) | (crc >> 8)) ^ (byte >> 4) ^ (byte << 3)) & 0xffff;
  }
  return crc;
}
