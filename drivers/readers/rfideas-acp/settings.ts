import type { PeerAddress } from "../../transports/tls.ts";
import type { CommonSettings } from "../session.ts";

export interface AcpSettings {
  /** From an answer to the next question. Default 300. */
  readonly pollMs: number;
  /** Whether signals are heard, too; the reader's own beep at a card is its own setting. Default true. */
  readonly beep: boolean;
  /** As for the de-bounce. */
  readonly repeatHoldMs: number;
}

/** A pcProx Plus or its like that answers commands. Exactly one of `path` and `connect`; where both are given, `path` is used. */
export interface RfIdeasAcpSettings extends CommonSettings, AcpSettings {
  readonly family: "rfideas-acp";
  /** Such as `/dev/serial/by-id/usb-...`, which stays the same when other devices are plugged in. */
  readonly path?: string | undefined;
  /** Default 9600, which an RS-232 reader has and USB ignores. */
  readonly baudRate: number;
  /** An Ethernet reader; we connect to it. */
  readonly connect?: PeerAddress | undefined;
}
