import type { CommonSettings } from "../session.ts";
import type { TagType } from "./tag-types.ts";

export const MODES = ["ascii", "binary"] as const;

/** How the reader's app was built; it cannot be found out by asking (see README.md of the readers). */
export interface SimpleFormat {
  /** Default `ascii`: hex pairs and CR. `binary`: two bytes of length, then the bytes. */
  readonly mode: (typeof MODES)[number];
  /** Each message ends with a checksum. Default false. */
  readonly crc: boolean;
}

export interface SimpleSettings extends SimpleFormat {
  /** From an answer to the next question. Default 300. */
  readonly pollMs: number;
  /** What the reader is to look for; empty: what it is set to. Default empty. */
  readonly tagTypes: readonly TagType[];
  /** In percent; 0 for no sound. Default 100. */
  readonly beepVolume: number;
  /** Default false. */
  readonly allowRandomUid: boolean;
  /** A card that was taken away is gone after this time, as for the de-bounce. */
  readonly repeatHoldMs: number;
}

/** A TWN4 with firmware `TWN4_Cx..._PRS...`; the standard firmware only types or sends lines. */
export interface Twn4SimpleSettings extends CommonSettings, SimpleSettings {
  readonly family: "twn4-simple";
  /** Such as `/dev/serial/by-id/usb-...`, which stays the same when other devices are plugged in. */
  readonly path: string;
  /** Default 9600, which a true serial reader has and USB ignores. */
  readonly baudRate: number;
}
