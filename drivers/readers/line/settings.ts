import type { CommonSettings } from "../session.ts";

/**
 * How a line of characters ends.
 * `cr`, `lf`: at that byte; the other one of the two is ignored beside it.
 * `crlf`: at CR, at LF, or at both. `stx-etx`: from STX (02) to ETX (03); CR LF before the ETX are ignored.
 * `idle-gap`: at a silence of `idleGapMs`, or at CR or LF if the reader sends them after all.
 */
export const FRAMINGS = ["cr", "lf", "crlf", "stx-etx", "idle-gap"] as const;
export type Framing = (typeof FRAMINGS)[number];

/** `id12`: ID-12, RDM6300: ten hex digits and two of their bytes' XOR; the ten are delivered. */
export const CHECKSUM_NAMES = ["none", "id12"] as const;
export type ChecksumName = (typeof CHECKSUM_NAMES)[number];

/** Lengths are in characters between the framing, checksum included. */
export interface LineSettings {
  /** Default `crlf`. */
  readonly framing: Framing;
  /** Only with framing `idle-gap`: the silence that ends a line. Default 100. */
  readonly idleGapMs: number;
  /** Longer lines are dropped. Default 128, at most `MAX_LINE_LENGTH`. */
  readonly maxLength: number;
  /** Shorter lines are dropped. Default 4. */
  readonly minLength: number;
  /** Default `none`. */
  readonly checksum: ChecksumName;
}

export const MAX_LINE_LENGTH = 4096;

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** Exactly one of `listen` and `connect`; where both are given, `connect` is used. */
export interface TcpLineSettings extends CommonSettings, LineSettings {
  readonly family: "tcp-line";
  /** The reader connects to us. Port 0 takes any free port. */
  readonly listen?: HostAndPort | undefined;
  /** We connect to the reader. */
  readonly connect?: HostAndPort | undefined;
  /** With `listen`: IP addresses and CIDR ranges that may connect; empty: only this machine. Default empty. */
  readonly allow: readonly string[];
}

export interface SerialLineSettings extends CommonSettings, LineSettings {
  readonly family: "serial-line";
  /** Such as `/dev/serial/by-id/usb-...`, which stays the same when other devices are plugged in. */
  readonly path: string;
  /** Default 9600. */
  readonly baudRate: number;
  /** Default 8. */
  readonly dataBits: 7 | 8;
  /** Default `none`. */
  readonly parity: "none" | "even" | "odd";
  /** Default 1. */
  readonly stopBits: 1 | 2;
}
