import type { Colour } from "../feedback.ts";

/** Commands for the ACR122U itself (ACS, API of the ACR122U, 6.2 and 6.7), as pseudo-APDUs or escape commands. */

/** By the name that libccid gives it. Its siblings have other commands. */
export function isAcr122(readerName: string): boolean {
  return /^ACS ACR122/.test(readerName);
}

/** No beep for each card that it sees: what the beeper says is ours to say. */
export const QUIET = Uint8Array.of(0xff, 0x00, 0x52, 0x00, 0x00);

const INITIALLY_ON_AND_BLINKING: Readonly<Record<Colour, number>> = { red: 0x50, green: 0xa0, amber: 0xf0 };
const UNIT_MS = 100;
const ONCE = 1;
const BEEP_WHILE_ON = 1;

/**
 * One flash and beep; the lamps are then what they were before. One at a time, because the reader sees no card until it has
 * done what it was told.
 */
export function flash(colour: Colour, onMs: number): Uint8Array {
  const units = Math.max(1, Math.min(255, Math.round(onMs / UNIT_MS)));
  return Uint8Array.of(0xff, 0x00, 0x40, INITIALLY_ON_AND_BLINKING[colour], 4, units, 0, ONCE, BEEP_WHILE_ON);
}
