import type { Colour } from "../feedback.ts";

/** Commands and replies of Elatec's TWN4 Simple Protocol, DocRev25. Numbers go out with the lowest byte first. */
export type CommandName =
  | "version"
  | "set-tag-types"
  | "led-init"
  | "led-init-old"
  | "led"
  | "beep"
  | "beep-on"
  | "beep-off"
  | "search";

export interface Command {
  readonly name: CommandName;
  readonly bytes: Uint8Array;
  /** How long the reader does nothing but this. */
  readonly busyMs: number;
}

const ALL_LEDS = 0x07;
/** TWN4 API reference DocRev28, 6.3.1: the lamps of a desktop reader. */
const LEDS: Readonly<Record<Colour, number>> = { red: 0x01, green: 0x02, amber: 0x04 };
/** The vendor's example; the beeper is loudest there. */
const BEEP_HZ = 2400;
const MAX_ID_BYTES = 32;

const command = (name: CommandName, bytes: readonly number[], busyMs = 0): Command => ({
  name,
  bytes: Uint8Array.from(bytes),
  busyMs,
});

const low = (value: number, bytes: number) => Array.from({ length: bytes }, (_, at) => (value >>> (8 * at)) & 0xff);

/** Up to 255 characters. */
export const VERSION = command("version", [0x00, 0x04, 0xff]);
/** Turns the field on by itself. */
export const SEARCH = command("search", [0x05, 0x00, MAX_ID_BYTES]);
/** The sound goes on until it is turned off, and the reader answers meanwhile. */
export const beepOn = (volume: number) => command("beep-on", [0x04, 0x16, volume, ...low(BEEP_HZ, 2)]);
export const BEEP_OFF = command("beep-off", [0x04, 0x17]);
/** Firmware before BeepOn: the reader answers when the sound is over. */
export const beep = (volume: number, ms: number) =>
  command("beep", [0x04, 0x07, volume, ...low(BEEP_HZ, 2), ...low(ms, 2), 0, 0], ms);

export const setTagTypes = (masks: { readonly low: number; readonly high: number }) =>
  command("set-tag-types", [0x05, 0x02, ...low(masks.low, 4), ...low(masks.high, 4)]);

/** The lamps of newer firmware, and those of older firmware, which are outputs as any: no pull-up, push-pull. */
export const LED_INIT = command("led-init", [0x04, 0x10, ALL_LEDS]);
export const LED_INIT_OLD = command("led-init-old", [0x04, 0x00, ALL_LEDS, 0, 0]);
export type Lamps = "new" | "old" | "none";
export const ledOn = (colour: Colour, lamps: Lamps) => led(lamps === "new" ? 0x11 : 0x02, LEDS[colour]);
export const ledsOff = (lamps: Lamps) => led(lamps === "new" ? 0x12 : 0x03, ALL_LEDS);
const led = (func: number, mask: number) => command("led", [0x04, func, mask]);

/** The first byte of each reply; 0 is none of these. */
export const STATUSES = [
  "unknownFunction",
  "missingParameter",
  "unusedParameters",
  "invalidFunction",
  "parserError",
] as const;
export type StatusError = (typeof STATUSES)[number];

export function statusError(reply: Uint8Array): StatusError | undefined {
  return reply.length === 1 ? STATUSES[(reply[0] ?? 0) - 1] : undefined;
}

/** Whether a reply has the form of a good answer to a command of this name. */
export function answers(name: CommandName, reply: Uint8Array): boolean {
  if (reply[0] !== 0) return false;
  switch (name) {
    case "version":
      return reply.length >= 2 && reply.length === 2 + (reply[1] ?? 0);
    case "search":
      return reply.length === 2 ? reply[1] === 0 : reply.length >= 5 && reply[1] === 1;
    case "set-tag-types":
    case "led-init":
    case "led-init-old":
    case "led":
    case "beep":
    case "beep-on":
    case "beep-off":
      return reply.length === 1;
  }
}

export interface Tag {
  readonly type: number;
  readonly bitLength: number;
  /** Left-aligned; bits beyond `bitLength` are 0. */
  readonly id: Uint8Array;
}

/** What a good answer to `SEARCH` found; "malformed" where count of bits and bytes do not go together. */
export function foundTag(reply: Uint8Array): Tag | "none" | "malformed" {
  if (reply.length === 2) return "none";
  const [, , type = 0, bitLength = 0, length = 0] = reply;
  const id = Uint8Array.from(reply.subarray(5));
  if (id.length !== length || length !== Math.ceil(bitLength / 8)) return "malformed";
  const spare = 8 * length - bitLength;
  const last = id.at(-1);
  if (last !== undefined) id[length - 1] = last & (0xff << spare);
  return { type, bitLength, id };
}
