import type { CommonSettings } from "../session.ts";

export interface PcscProtocolSettings {
  /** Phones and passports make up a UID for each presentation; such a UID is refused unless this is set. Default false. */
  readonly allowRandomUid: boolean;
  /** A card that was taken away is gone after this time, as for the de-bounce. */
  readonly repeatHoldMs: number;
}

export interface PcscSettings extends CommonSettings, PcscProtocolSettings {
  readonly family: "pcsc";
  /** The reader's name as the PC/SC service has it, or how it begins: `ACS ACR122U`. */
  readonly readerName: string;
}
