import type { HostAndPort } from "../line/settings.ts";
import type { CommonSettings } from "../session.ts";

/** How noise is found. Readers that know no CRC are old; 8 bits let one frame of noise in 256 through. */
export const CHECK_NAMES = ["crc16", "checksum"] as const;
export type CheckName = (typeof CHECK_NAMES)[number];

/** Exactly one of `path` and `connect`; where both are given, `connect` is used. */
export interface OsdpSettings extends CommonSettings {
  readonly family: "osdp";
  /** The serial device of an RS-485 adapter that turns the line around by itself. */
  readonly path?: string | undefined;
  /** Of the line, also of one behind `connect`. Default 9600. */
  readonly baudRate: number;
  /** A serial device server that passes bytes on as they are. */
  readonly connect?: HostAndPort | undefined;
  /** 0 to 126. Default 0. One reader per line. */
  readonly address: number;
  /** Default true: nothing that the reader sends is accepted outside a secure channel with `scbk`. */
  readonly secure: boolean;
  /** The reader's own secure channel base key, 16 bytes. */
  readonly scbk?: Uint8Array | undefined;
  /** Default `crc16`. */
  readonly check: CheckName;
  /** How often the reader is asked whether it has read something; `agenda.ts` tells when faster and slower. Default 200. */
  readonly pollMs: number;
  /** Default 200. */
  readonly replyTimeoutMs: number;
}

/** SCBK-D, which stands in the standard: whoever uses it hides nothing. */
export const DEFAULT_KEY: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => 0x30 + i);
