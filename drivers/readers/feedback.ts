import type { Signal } from "../reader.ts";

export type Colour = "green" | "amber" | "red";

/**
 * One signal as light and sound: the lamp flashes and the beeper sounds `count` times, for `onMs` each with `offMs` between.
 * Good news is short and bad news is long, and no two signals share count and length: nobody needs to see a colour.
 */
export interface Pattern {
  readonly colour: Colour;
  readonly count: number;
  readonly onMs: number;
  readonly offMs: number;
}

const short = (count: number, colour: Colour): Pattern => ({ colour, count, onMs: 100, offMs: 100 });
const long = (count: number, colour: Colour): Pattern => ({ colour, count, onMs: 400, offMs: 200 });

/** The one table of signals, for every family. A family without a lamp, a colour or a beeper leaves that out. */
export const PATTERNS: Readonly<Record<Signal, Pattern>> = {
  accepted: short(1, "green"),
  "offline-accepted": short(2, "green"),
  printed: short(3, "green"),
  "enter-pin": short(4, "amber"),
  "printing-later": short(5, "amber"),
  "see-panel": short(6, "amber"),
  "no-jobs": long(1, "amber"),
  "unknown-card": long(2, "red"),
  denied: long(3, "red"),
  "printer-blocked": long(4, "amber"),
  fault: long(5, "red"),
};

/** Until the last sound or flash is over. */
export function durationMs({ count, onMs, offMs }: Pattern): number {
  return count * onMs + (count - 1) * offMs;
}
