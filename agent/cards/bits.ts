import type { Read } from "../../drivers/reader.ts";
import { CardError } from "./card-error.ts";

/** Bits of a card, the first one transmitted in the top bit of `bytes[0]`. */
export type Bits = Extract<Read, { kind: "bits" }>;

/** Longer than any card; it bounds the work of every step. */
export const MAX_BITS = 1024;

/** One `0` or `1` per bit. Bits of `bytes` beyond `bitLength` do not count. */
export function toBinary(bits: Bits): string {
  const { bytes, bitLength } = bits;
  if (bitLength > MAX_BITS) throw new CardError("card-too-long", `${bitLength} bits, at most ${MAX_BITS}`);
  if (bytes.length * 8 < bitLength) throw new CardError("card-too-short", "fewer bytes than bits");
  let binary = "";
  for (const byte of bytes.subarray(0, Math.ceil(bitLength / 8))) binary += byte.toString(2).padStart(8, "0");
  return binary.slice(0, bitLength);
}

export function fromBinary(binary: string): Bits {
  if (binary.length > MAX_BITS) throw new CardError("card-too-long", `${binary.length} bits, at most ${MAX_BITS}`);
  const bytes = new Uint8Array(Math.ceil(binary.length / 8));
  for (let at = 0; at < bytes.length; at += 1) {
    bytes[at] = Number.parseInt(binary.slice(at * 8, at * 8 + 8).padEnd(8, "0"), 2);
  }
  return { kind: "bits", bytes, bitLength: binary.length };
}

/** The bits as one unsigned number: a 7-byte UID does not fit a double. */
export function toInteger(bits: Bits): bigint {
  return BigInt(`0b0${toBinary(bits)}`);
}

export function fromInteger(value: bigint, bitLength: number): Bits {
  const binary = value.toString(2);
  if (value !== 0n && binary.length > bitLength) {
    throw new CardError("card-too-long", `the number needs more than ${bitLength} bits`);
  }
  return fromBinary(value === 0n ? "0".repeat(bitLength) : binary.padStart(bitLength, "0"));
}

/** Whole bytes, or `card-not-bytes`. */
export function wholeBytes(bits: Bits): Uint8Array {
  if (bits.bitLength % 8 !== 0) throw new CardError("card-not-bytes", `${bits.bitLength} bits`);
  return fromBinary(toBinary(bits)).bytes;
}

export function ofBytes(bytes: Uint8Array): Bits {
  return { kind: "bits", bytes, bitLength: bytes.length * 8 };
}
