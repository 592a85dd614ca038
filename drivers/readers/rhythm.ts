import type { Colour, Pattern } from "./feedback.ts";

export interface Beat {
  /** Lamp and beeper are to be switched on, or off. */
  readonly on: boolean;
  readonly colour: Colour;
  /** For how long they are on. */
  readonly onMs: number;
}

interface Play {
  readonly pattern: Pattern;
  /** Sounds that have not begun. */
  readonly left: number;
  readonly sounding: boolean;
  readonly at: number;
}

/**
 * Plays one pattern at a time for readers that only know on and off: says what is to be switched and when, and has no
 * timer. A beat that is late moves those after it, so that no sound is cut short. The newest pattern wins.
 */
export class Rhythm {
  #play: Play | undefined;

  /** When `beat` is to be called (monotonic ms), if a pattern plays. */
  get at(): number | undefined {
    return this.#play?.at;
  }

  get sounding(): boolean {
    return this.#play?.sounding ?? false;
  }

  /** What sounds is switched off first, by the next beat. */
  start(pattern: Pattern, now: number): void {
    this.#play = { pattern, left: pattern.count, sounding: this.sounding, at: now };
  }

  stop(): void {
    this.#play = undefined;
  }

  /** The beat that is due at `now`. */
  beat(now: number): Beat | undefined {
    const play = this.#play;
    if (play === undefined || now < play.at) return undefined;
    const { pattern, left, sounding } = play;
    const { colour, onMs, offMs } = pattern;
    if (!sounding) this.#play = { pattern, left: left - 1, sounding: true, at: now + onMs };
    else if (left === 0) this.#play = undefined;
    else this.#play = { pattern, left, sounding: false, at: now + offMs };
    return { on: !sounding, colour, onMs };
  }
}
