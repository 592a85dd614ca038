import type { Keys, Read, Signal } from "../../reader.ts";
import { type Colour, durationMs, PATTERNS } from "../feedback.ts";
import type { SecurityBlock } from "./packet.ts";

/** Commands and replies that we know (SIA OSDP 2.2, clauses 6 and 7). */
export const COMMAND = {
  POLL: 0x60,
  ID: 0x61,
  CAP: 0x62,
  LED: 0x69,
  BUZ: 0x6a,
  KEYSET: 0x75,
  CHLNG: 0x76,
  SCRYPT: 0x77,
} as const;

export const REPLY_CODE = {
  ACK: 0x40,
  NAK: 0x41,
  PDID: 0x45,
  PDCAP: 0x46,
  LSTATR: 0x48,
  RSTATR: 0x4b,
  RAW: 0x50,
  KEYPAD: 0x53,
  CCRYPT: 0x76,
  RMAC_I: 0x78,
  BUSY: 0x79,
} as const;

/** Why a reader refused a command. */
export const NAK = {
  check: 1,
  length: 2,
  unknownCommand: 3,
  sequence: 4,
  noSecureChannel: 5,
  needsSecureChannel: 6,
  biometricType: 7,
  biometricFormat: 8,
  cannot: 9,
} as const;

export interface Command {
  readonly code: number;
  readonly data?: Uint8Array;
  /** Of the handshake; in a channel, the channel's own. */
  readonly security?: SecurityBlock;
}

/** What a reader says of itself; no secrets. */
export interface Identity {
  readonly vendor: string;
  readonly model: number;
  readonly version: number;
  readonly serial: string;
  readonly firmware: string;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

export function parseIdentity(data: Uint8Array): Identity | undefined {
  const [, , , model, version] = data;
  if (data.length !== 12 || model === undefined || version === undefined) return undefined;
  const serial = hex(data.slice(5, 9).reverse());
  return { vendor: hex(data.subarray(0, 3)), model, version, serial, firmware: [...data.subarray(9)].join(".") };
}

/** What of our interest a reader can do. */
export interface Abilities {
  readonly lamp: boolean;
  readonly beeper: boolean;
}

/** Of a reader that cannot tell: it may refuse what it cannot do. */
export const UNKNOWN_ABILITIES: Abilities = { lamp: true, beeper: true };
const LAMP = 4;
const BEEPER = 5;

/** Triples of function, compliance level and number of items. */
export function parseAbilities(data: Uint8Array): Abilities | undefined {
  if (data.length % 3 !== 0) return undefined;
  const can = new Set<number>();
  for (let at = 0; at < data.length; at += 3) if ((data[at + 1] ?? 0) > 0) can.add(data[at] ?? 0);
  return { lamp: can.has(LAMP), beeper: can.has(BEEPER) };
}

/** Longer cards than any that exist; a UID has ten bytes, a PIV number 200 bits. */
export const MAX_CARD_BITS = 512;
/** Not specified, and Wiegand with its parity bits. */
const RAW_FORMATS = [0, 1];
/** `*` and `#` are Delete and Return, in the standard's words; some readers send the characters themselves. */
const KEYS = new Map([
  ...Array.from("0123456789*#", (key) => [key.charCodeAt(0), key] as const),
  [0x7f, "*"],
  [0x0d, "#"],
]);

/** Reader, format, number of bits (2, LE), bits from the most significant one on. */
export function parseCard(data: Uint8Array): Read | "oversize" | undefined {
  const [, format, low = 0, high = 0] = data;
  const bitLength = low | (high << 8);
  const bytes = data.slice(4);
  if (format === undefined || !RAW_FORMATS.includes(format)) return undefined;
  if (bitLength === 0 || bytes.length !== Math.ceil(bitLength / 8)) return undefined;
  if (bitLength > MAX_CARD_BITS) return "oversize";
  // What lies beyond the card's bits may be anything, and must not make two cards of one.
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) & (0xff << (bytes.length * 8 - bitLength));
  return { kind: "bits", bytes, bitLength };
}

/** Reader, number of keys, keys. Function keys (A to H) and others are left out, and told in `unknown`. */
export function parseKeys(data: Uint8Array): { readonly keys: Keys; readonly unknown: number } | undefined {
  if (data.length < 3 || data[1] !== data.length - 2) return undefined;
  const known = [...data.subarray(2)].flatMap((byte) => KEYS.get(byte) ?? []);
  return { keys: { kind: "keys", keys: known.join("") }, unknown: data.length - 2 - known.length };
}

export interface StatusEvent {
  readonly type: "status";
  readonly tampered: boolean;
  /** Undefined: not told. */
  readonly powerFailed: boolean | undefined;
}

/** What a reply tells that is no part of the conversation itself. */
export type ReaderEvent =
  | { readonly type: "nothing" }
  | { readonly type: "card"; readonly read: Read }
  | { readonly type: "keys"; readonly keys: Keys; readonly unknown: number }
  | StatusEvent
  | { readonly type: "dropped"; readonly why: "malformedEvents" | "oversize" | "unknownReplies" };

const READER_TAMPERED = 2;

export function parseEvent(code: number, data: Uint8Array): ReaderEvent {
  switch (code) {
    case REPLY_CODE.ACK:
      return { type: "nothing" };
    case REPLY_CODE.RAW: {
      const read = parseCard(data);
      if (read === "oversize") return { type: "dropped", why: read };
      return read === undefined ? MALFORMED : { type: "card", read };
    }
    case REPLY_CODE.KEYPAD: {
      const pressed = parseKeys(data);
      return pressed === undefined ? MALFORMED : { type: "keys", ...pressed };
    }
    case REPLY_CODE.LSTATR: {
      const [tamper, power] = data;
      if (tamper === undefined || power === undefined) return MALFORMED;
      return { type: "status", tampered: tamper !== 0, powerFailed: power !== 0 };
    }
    case REPLY_CODE.RSTATR:
      return { type: "status", tampered: data[0] === READER_TAMPERED, powerFailed: undefined };
    default:
      return { type: "dropped", why: "unknownReplies" };
  }
}

const MALFORMED: ReaderEvent = { type: "dropped", why: "malformedEvents" };

/** Lamp and beeper count in tenths of a second. */
const UNIT_MS = 100;
const COLOURS: Readonly<Record<Colour, number>> = { red: 1, green: 2, amber: 3 };
const FIRST_READER = 0;
const FIRST_LAMP = 0;
const SET_TEMPORARY = 2;
const KEEP_PERMANENT = 0;
const DEFAULT_TONE = 2;

/** A temporary state with its time: at its end the reader shows again what it showed before. */
export function ledOf(signal: Signal): Command {
  const pattern = PATTERNS[signal];
  const timer = Math.ceil(durationMs(pattern) / UNIT_MS);
  const temporary = [SET_TEMPORARY, pattern.onMs / UNIT_MS, pattern.offMs / UNIT_MS, COLOURS[pattern.colour], 0];
  const permanent = [KEEP_PERMANENT, 0, 0, 0, 0];
  const data = [FIRST_READER, FIRST_LAMP, ...temporary, timer & 0xff, timer >> 8, ...permanent];
  return { code: COMMAND.LED, data: Uint8Array.from(data) };
}

export function buzzerOf(signal: Signal): Command {
  const { onMs, offMs, count } = PATTERNS[signal];
  return {
    code: COMMAND.BUZ,
    data: Uint8Array.from([FIRST_READER, DEFAULT_TONE, onMs / UNIT_MS, offMs / UNIT_MS, count]),
  };
}

/** Key type 1, the base key; its length; the key. */
export function keysetOf(key: Uint8Array): Command {
  return { code: COMMAND.KEYSET, data: Uint8Array.from([0x01, key.length, ...key]) };
}
