import type { Clock } from "../../drivers/clock.ts";

export interface RfideasOptions {
  readonly holdTicks?: number;
  readonly lockoutTicks?: number;
  /** Characters that its input buffer takes without CR or LF. */
  readonly inputSize?: number;
}

const TICK_MS = 48;

/**
 * An rf IDEAS reader with the ASCII Command Protocol as its manuals describe it: echo and prompt on when it gets power,
 * a queue of one card with age and overrun, a lock-out after each card. A held card is queued anew when hold and lock-out
 * are over, which no manual says; it is the harder case.
 */
export class SimulatedRfideas {
  /** Each command, without its prefix. */
  readonly heard: string[] = [];
  readonly beeps: { readonly at: number; readonly kind: number }[] = [];
  led = 255;
  echo = true;
  prompt = true;
  /** Faults. */
  silent = false;
  corrupt: ((line: string) => string) | undefined;
  /** Answers this instead of whatever it would. */
  error: number | undefined;

  readonly #clock: Clock;
  readonly #say: (bytes: Buffer) => void;
  readonly #options: Required<RfideasOptions>;
  #line = "";
  #held: { readonly id: string; readonly bitLength: number } | undefined;
  #queued: { readonly id: string; readonly bitLength: number; readonly at: number } | undefined;
  /** What the digits still show after the queue was emptied. */
  #lastId = "";
  #overrun = 0;
  #lockedUntil = 0;
  #cancelRead = () => {};

  constructor(clock: Clock, say: (bytes: Buffer) => void, options: RfideasOptions = {}) {
    this.#clock = clock;
    this.#say = say;
    this.#options = { holdTicks: 20, lockoutTicks: 24, inputSize: 64, ...options };
  }

  powerCycle(): void {
    this.#line = "";
    this.echo = true;
    this.prompt = true;
    this.led = 255;
    this.#queued = undefined;
    this.#lastId = "";
    this.#overrun = 0;
    this.#lockedUntil = 0;
    if (this.#held !== undefined) this.hold(this.#held.id, this.#held.bitLength);
  }

  /** `id` in hexadecimal, as the reader writes it. */
  hold(id: string, bitLength: number): void {
    this.#held = { id, bitLength };
    this.#readSoon(Math.max(0, this.#lockedUntil - this.#clock.monotonic()));
  }

  lift(): void {
    this.#held = undefined;
    this.#cancelRead();
  }

  tap(id: string, bitLength: number): void {
    this.hold(id, bitLength);
    this.lift();
  }

  /** Types a line by itself, as a reader in automatic mode does. */
  type(text: string): void {
    this.#out(text);
  }

  hear(bytes: Uint8Array): void {
    for (const byte of bytes) {
      const character = String.fromCharCode(byte);
      if (this.echo) this.#out(character);
      if (character === "\r" || character === "\n") {
        const line = this.#line;
        this.#line = "";
        if (line !== "") this.#reply(this.#execute(line));
      } else if (this.#line.length === this.#options.inputSize) {
        this.#line = "";
        this.#reply("Error#2");
      } else this.#line += character;
    }
  }

  #readSoon(ms: number): void {
    this.#cancelRead();
    if (ms > 0) this.#cancelRead = this.#clock.after(ms, () => this.#read());
    else this.#read();
  }

  #read(): void {
    if (this.#held === undefined) return;
    const now = this.#clock.monotonic();
    const { holdTicks, lockoutTicks } = this.#options;
    if (this.#queued !== undefined) this.#overrun = Math.min(255, this.#overrun + 1);
    this.#queued = { ...this.#held, at: now };
    this.#lastId = this.#held.id;
    this.#lockedUntil = now + lockoutTicks * TICK_MS;
    this.#readSoon(Math.max(1, holdTicks + lockoutTicks) * TICK_MS);
  }

  #execute(line: string): string {
    const command = line.toLowerCase();
    if (this.error !== undefined) return `Error#${this.error}`;
    if (!command.startsWith("rfid:")) return "Error#1";
    const rest = command.slice("rfid:".length);
    this.heard.push(rest);
    const [name = "", value] = rest.split("=");
    switch (name) {
      case "qid":
      case "qid.id":
      case "qid.hold":
      case "qid.id.hold":
        if (value !== undefined) return "Error#3";
        return this.#queue(name.includes(".id"), name.endsWith(".hold"));
      case "cmd.echo":
      case "cmd.prompt": {
        const on = boolean(value);
        if (on === undefined) return value === undefined ? "Error#3" : "Error#4";
        if (name === "cmd.echo") this.echo = on;
        else this.prompt = on;
        return "";
      }
      case "out.led":
        if (!["0", "1", "2", "3", "255"].includes(value ?? "")) return "Error#4";
        this.led = Number(value);
        return "";
      case "beep.now":
        if (!["1", "2", "3", "4", "5", "101", "102"].includes(value ?? "")) return "Error#4";
        this.beeps.push({ at: this.#clock.monotonic(), kind: Number(value) });
        return "";
      case "out.led?":
        return `{${this.led}}`;
      default:
        return "Error#1";
    }
  }

  #queue(empties: boolean, rearms: boolean): string {
    const now = this.#clock.monotonic();
    const word = (ms: number) =>
      Math.min(0xffff, Math.floor(ms / TICK_MS))
        .toString(16)
        .toUpperCase()
        .padStart(4, "0");
    const queued = this.#queued;
    const age = queued === undefined ? 0 : now - queued.at;
    const lockout = Math.max(0, this.#lockedUntil - now);
    const answer = `{0x${word(age)},${this.#overrun},0x${word(lockout)},${queued?.bitLength ?? 0};0x${this.#lastId || "00"}}`;
    if (empties) {
      this.#queued = undefined;
      this.#overrun = 0;
    }
    if (rearms) this.#lockedUntil = 0;
    return answer;
  }

  #reply(text: string): void {
    if (this.silent) return;
    const line = text === "" ? "" : `${this.echo || this.prompt ? "\r\n" : ""}${text}\r\n`;
    const said = line === "" ? "" : (this.corrupt?.(line) ?? line);
    const prompt = this.prompt ? "\r\nRF IDeas>" : "";
    if (said + prompt !== "") this.#out(said + prompt);
  }

  #out(text: string): void {
    if (!this.silent) this.#say(Buffer.from(text, "latin1"));
  }
}

function boolean(value: string | undefined): boolean | undefined {
  if (["1", "t", "true"].includes(value ?? "")) return true;
  return ["0", "f", "false"].includes(value ?? "") ? false : undefined;
}
