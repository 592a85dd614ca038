import { type Counters, count, zeroed } from "../counters.ts";
import { checksum8, crc16 } from "./check.ts";
import type { CheckName } from "./settings.ts";

/**
 * OSDP packets (IEC 60839-11-5, SIA OSDP 2.2 clause 5):
 * `[FF] 53 address length(2, LE) control [security block] code data check`. The length counts from 53 through the
 * check; the FF before it is outside of both. Control: bits 0-1 sequence number, bit 2 CRC instead of a checksum, bit 3 a
 * security block is there, the others zero. A reply has bit 7 of the address set.
 */
export interface Packet {
  readonly address: number;
  readonly isReply: boolean;
  /** 0 begins a conversation; then 1, 2, 3, 1 and so on. */
  readonly sequence: number;
  readonly security: SecurityBlock | undefined;
  /** Of the command or reply. */
  readonly code: number;
  /** What follows the code, a MAC included. */
  readonly data: Uint8Array;
  /** From 53 up to the check: what a MAC covers, and the MAC. */
  readonly covered: Uint8Array;
}

export interface SecurityBlock {
  readonly type: number;
  readonly data: Uint8Array;
}

/** A packet to be written; `security`, `data` and `sign` as far as there are any. */
export interface Draft {
  readonly address: number;
  readonly isReply?: boolean;
  readonly sequence: number;
  readonly check: CheckName;
  readonly security?: SecurityBlock | undefined;
  readonly code: number;
  readonly data?: Uint8Array | undefined;
  /** Gives the four bytes that follow the data. */
  readonly sign?: (covered: Uint8Array) => Uint8Array;
}

export const MARK = 0xff;
export const START = 0x53;
export const REPLY = 0x80;
const HEADER_BYTES = 5;
const HAS_CRC = 0x04;
const HAS_SECURITY = 0x08;
const RESERVED = 0xf0;
/** SIA OSDP 2.2, 5.7: no packet is longer. */
export const MAX_PACKET = 1440;
export const MAC_BYTES = 4;

export function encodePacket({ address, isReply, sequence, check, security, code, data, sign }: Draft): Uint8Array {
  const block = security === undefined ? [] : [security.data.length + 2, security.type, ...security.data];
  const body = [...block, code, ...(data ?? [])];
  const end = HEADER_BYTES + body.length + (sign === undefined ? 0 : MAC_BYTES);
  const length = end + checkBytes(check);
  const control = sequence | (check === "crc16" ? HAS_CRC : 0) | (security === undefined ? 0 : HAS_SECURITY);
  const bytes = new Uint8Array(1 + length);
  bytes.set([MARK, START, address | (isReply ? REPLY : 0), length & 0xff, length >> 8, control, ...body]);
  const packet = bytes.subarray(1);
  if (sign !== undefined) packet.set(sign(packet.subarray(0, end - MAC_BYTES)), end - MAC_BYTES);
  const sum = checkOf(check, packet.subarray(0, end));
  packet[end] = sum & 0xff;
  if (check === "crc16") packet[end + 1] = sum >> 8;
  return bytes;
}

function checkBytes(check: CheckName): number {
  return check === "crc16" ? 2 : 1;
}

function checkOf(check: CheckName, bytes: Uint8Array): number {
  return check === "crc16" ? crc16(bytes) : checksum8(bytes);
}

/**
 * Finds packets in a stream. A packet with anything wrong in it is dropped whole, up to its stated end; the stream is in
 * step again at the latest after `reset`, which is called when the line has been silent and before anything is asked.
 */
export class PacketReader {
  readonly counters: Counters<"strayBytes" | "badCheck" | "malformed" | "unfinished"> = zeroed(
    "strayBytes",
    "badCheck",
    "malformed",
    "unfinished",
  );
  readonly #check: CheckName;
  readonly #buffer = new Uint8Array(MAX_PACKET);
  #length = 0;
  /** Of the whole packet; 0 until its header is there. */
  #expected = 0;

  /** Only packets with this kind of check are good: one that is weaker than agreed on would let noise through. */
  constructor(check: CheckName) {
    this.#check = check;
  }

  /** A packet has begun and is not there yet. */
  get midPacket(): boolean {
    return this.#length > 0;
  }

  push(bytes: Uint8Array): Packet[] {
    const packets: Packet[] = [];
    for (const byte of bytes) {
      const packet = this.#accept(byte);
      if (packet !== undefined) packets.push(packet);
    }
    return packets;
  }

  reset(): void {
    if (this.#length > 0) count(this.counters, "unfinished");
    this.#clear();
  }

  #accept(byte: number): Packet | undefined {
    if (this.#length === 0 && byte !== START) {
      // A line that wakes up often begins with all ones.
      if (byte !== MARK) count(this.counters, "strayBytes");
      return undefined;
    }
    this.#buffer[this.#length] = byte;
    this.#length += 1;
    if (this.#length === HEADER_BYTES) this.#startPacket();
    if (this.#expected === 0 || this.#length < this.#expected) return undefined;
    const packet = this.#finished(this.#buffer.slice(0, this.#length));
    this.#clear();
    return packet;
  }

  /** Takes the length from the header; what is no header at all was a 53 in noise. */
  #startPacket(): void {
    const [, , low = 0, high = 0, control = 0] = this.#buffer;
    const length = low | (high << 8);
    const least = HEADER_BYTES + 1 + checkBytes(control & HAS_CRC ? "crc16" : "checksum");
    if ((control & RESERVED) === 0 && length >= least && length <= MAX_PACKET) {
      this.#expected = length;
      return;
    }
    const rest = this.#buffer.slice(1, HEADER_BYTES);
    this.#clear();
    count(this.counters, "strayBytes");
    // At most four bytes, so that no second header can be complete among them.
    for (const byte of rest) this.#accept(byte);
  }

  #finished(packet: Uint8Array): Packet | undefined {
    const [, address = 0, , , control = 0] = packet;
    const check = control & HAS_CRC ? "crc16" : "checksum";
    const end = packet.length - checkBytes(check);
    const sum = check === "crc16" ? (packet[end] ?? 0) | ((packet[end + 1] ?? 0) << 8) : (packet[end] ?? 0);
    if (check !== this.#check || sum !== checkOf(check, packet.subarray(0, end))) {
      count(this.counters, "badCheck");
      return undefined;
    }
    let at = HEADER_BYTES;
    let security: SecurityBlock | undefined;
    if (control & HAS_SECURITY) {
      const [length = 0, type = 0] = packet.subarray(at, end);
      security = { type, data: packet.subarray(at + 2, at + length) };
      at += length;
      if (length < 2 || at >= end) {
        count(this.counters, "malformed");
        return undefined;
      }
    }
    return {
      address: address & ~REPLY,
      isReply: (address & REPLY) !== 0,
      sequence: control & 0x03,
      security,
      code: packet[at] ?? 0,
      data: packet.subarray(at + 1, end),
      covered: packet.subarray(0, end),
    };
  }

  #clear(): void {
    this.#length = 0;
    this.#expected = 0;
  }
}
