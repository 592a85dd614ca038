import type { CommonSettings } from "../session.ts";
import type { Sentinels } from "../tracks.ts";

/**
 * How a line of characters ends.
 * `cr`, `lf`: at that byte; the other one of the two is ignored beside it.
 * `crlf`: at CR, at LF, or at both. `stx-etx`: from STX (02) to ETX (03); CR LF before the ETX are ignored.
 * `idle-gap`: at a silence of `idleGapMs`, or at CR or LF if the reader sends them after all.
 */
export const FRAMINGS = ["cr", "lf", "crlf", "stx-etx", "idle-gap"] as const;
export type Framing = (typeof FRAMINGS)[number];

/**
 * What is at the end of a frame, is checked, and is not delivered. All but `lrc-track` are two hex digits.
 * `xor8`: XOR of the characters before it. `sum8`: the low eight bits of their sum. `lrc`: the two's complement of that, as in
 * Modbus ASCII; many manuals call a XOR "LRC", which is `xor8` here.
 * `xor8-hex`, `sum8-hex`, `lrc-hex`: the same over the bytes that the characters, pairs of hex digits, stand for.
 * `id12`: ID-12, RDM6300: `xor8-hex` after exactly ten digits.
 * `lrc-track`: one character after the `?` of each magnetic stripe track (ISO/IEC 7811-2).
 * A checksum of one raw byte is not supported: it may be CR or ETX.
 */
export const CHECKSUM_NAMES = [
  "none",
  "id12",
  "xor8",
  "xor8-hex",
  "sum8",
  "sum8-hex",
  "lrc",
  "lrc-hex",
  "lrc-track",
] as const;
export type ChecksumName = (typeof CHECKSUM_NAMES)[number];

/** A preset is a table of the settings below (`presets.ts`). */
export const PRESET_NAMES = ["generic", "stx-etx", "id12", "fat820w", "magstripe"] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

/** Lengths are in characters between the framing, checksum, sentinels and status letter included. */
export interface LineSettings {
  readonly framing: Framing;
  /** Only with framing `idle-gap`: the silence that ends a line. */
  readonly idleGapMs: number;
  /** Longer lines are dropped. At most `MAX_LINE_LENGTH`. */
  readonly maxLength: number;
  /** Shorter lines are dropped. */
  readonly minLength: number;
  readonly checksum: ChecksumName;
  /** Each frame begins with a letter: S a read, which is delivered without it, E a read error, O a time-out. */
  readonly statusLetter: boolean;
  readonly sentinels: Sentinels;
}

export interface SerialSettings {
  readonly baudRate: number;
  readonly dataBits: 7 | 8;
  readonly parity: "none" | "even" | "odd";
  readonly stopBits: 1 | 2;
}

/** What is left out is as the preset says. */
type Choices<T> = { readonly [K in keyof T]?: T[K] | undefined } & {
  /** Default `generic`. */
  readonly preset?: PresetName | undefined;
};
export type LineChoices = Choices<LineSettings>;
export type SerialChoices = Choices<LineSettings & SerialSettings>;

export const MAX_LINE_LENGTH = 4096;

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** Exactly one of `listen` and `connect`; where both are given, `connect` is used. */
export interface TcpLineSettings extends CommonSettings, LineChoices {
  readonly family: "tcp-line";
  /** The reader connects to us. Port 0 takes any free port. */
  readonly listen?: HostAndPort | undefined;
  /** We connect to the reader. */
  readonly connect?: HostAndPort | undefined;
  /** With `listen`: IP addresses and CIDR ranges that may connect; empty: only this machine. Default empty. */
  readonly allow: readonly string[];
}

export interface SerialLineSettings extends CommonSettings, SerialChoices {
  readonly family: "serial-line";
  /** Such as `/dev/serial/by-id/usb-...`, which stays the same when other devices are plugged in. */
  readonly path: string;
}
