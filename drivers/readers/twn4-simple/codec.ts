import type { SimpleFormat } from "./settings.ts";

const LF = 0x0a;
const CR = 0x0d;
const CRC_BYTES = 2;
/** The longest reply that we ask for is a version of 255 characters with its length and status. */
const MAX_REPLY = 257;

/** CCITT, reflected polynomial 0x8408, from 0xFFFF (DocRev25, 1.3.3). */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0x8408 : crc >> 1;
  }
  return crc;
}

/** A command as it goes over the line. */
export function encode(command: Uint8Array, { mode, crc }: SimpleFormat): Uint8Array {
  const body = Buffer.alloc(command.length + (crc ? CRC_BYTES : 0));
  body.set(command);
  if (crc) body.writeUInt16LE(crc16(command), command.length);
  switch (mode) {
    case "ascii":
      return Buffer.from(`${body.toString("hex").toUpperCase()}\r`, "latin1");
    case "binary": {
      const length = Buffer.alloc(2);
      length.writeUInt16LE(body.length);
      return Buffer.concat([length, body]);
    }
  }
}

export const FLAWS = ["garbled", "oversize", "badChecksum"] as const;
export type Flaw = (typeof FLAWS)[number];
/** A message of the reader without its framing, or why it is none. */
export type Frame = Uint8Array | Flaw;

/**
 * Finds the end of a reply, byte by byte. A flaw is told once; in ASCII the next line is good again, in binary nothing is
 * until `reset`, because a wrong length says nothing of where the next message begins.
 */
export class FrameDecoder {
  readonly #format: SimpleFormat;
  readonly #body = new Uint8Array(MAX_REPLY + CRC_BYTES);
  #length = 0;
  /** ASCII: the first digit of a pair. */
  #digit: number | undefined;
  /** Binary: bytes to come, when both length bytes are there. */
  #announced: number | undefined;
  #lengthBytes: number[] = [];
  #spoilt = false;

  constructor(format: SimpleFormat) {
    this.#format = format;
  }

  /** Part of a frame is here, be it a spoilt one. */
  get inFrame(): boolean {
    return this.#length > 0 || this.#digit !== undefined || this.#lengthBytes.length > 0 || this.#spoilt;
  }

  next(byte: number): Frame | undefined {
    return this.#format.mode === "ascii" ? this.#ascii(byte) : this.#binary(byte);
  }

  reset(): void {
    this.#length = 0;
    this.#digit = undefined;
    this.#announced = undefined;
    this.#lengthBytes = [];
    this.#spoilt = false;
  }

  #ascii(byte: number): Frame | undefined {
    if (byte === CR || byte === LF) return this.#end();
    if (this.#spoilt) return undefined;
    const digit = hexDigit(byte);
    if (digit === undefined) return this.#spoil("garbled");
    if (this.#digit === undefined) {
      this.#digit = digit;
      return undefined;
    }
    if (this.#length === this.#body.length) return this.#spoil("oversize");
    this.#body[this.#length] = (this.#digit << 4) | digit;
    this.#length += 1;
    this.#digit = undefined;
    return undefined;
  }

  /** A line feed after the carriage return ends nothing; the reader sends none, but a terminal server may. */
  #end(): Frame | undefined {
    if (this.#spoilt || !this.inFrame) {
      this.reset();
      return undefined;
    }
    if (this.#digit === undefined) return this.#checked();
    this.reset();
    return "garbled";
  }

  #binary(byte: number): Frame | undefined {
    if (this.#spoilt) return undefined;
    if (this.#announced === undefined) {
      this.#lengthBytes.push(byte);
      const [low, high] = this.#lengthBytes;
      if (low === undefined || high === undefined) return undefined;
      const length = low | (high << 8);
      if (length > this.#body.length) return this.#spoil("oversize");
      if (length <= (this.#format.crc ? CRC_BYTES : 0)) return this.#spoil("garbled");
      this.#announced = length;
      return undefined;
    }
    this.#body[this.#length] = byte;
    this.#length += 1;
    return this.#length === this.#announced ? this.#checked() : undefined;
  }

  #checked(): Frame {
    const body = this.#body.slice(0, this.#length);
    this.reset();
    if (!this.#format.crc) return body;
    const payload = body.subarray(0, Math.max(0, body.length - CRC_BYTES));
    const [low, high] = body.subarray(payload.length);
    const good = payload.length > 0 && crc16(payload) === ((low ?? 0) | ((high ?? 0) << 8));
    return good ? payload : "badChecksum";
  }

  #spoil(flaw: Flaw): Flaw {
    this.reset();
    this.#spoilt = true;
    return flaw;
  }
}

function hexDigit(byte: number): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : undefined;
}
