import type { Reader } from "../reader.ts";
import type { ReaderContext } from "./context.ts";
import type { HidKeyboardSettings } from "./hid-keyboard/settings.ts";
import type { SerialLineSettings, TcpLineSettings } from "./line/settings.ts";
import type { OsdpSettings } from "./osdp/settings.ts";
import type { PcscSettings } from "./pcsc/settings.ts";
import type { RfIdeasAcpSettings } from "./rfideas-acp/settings.ts";
import type { RfIdeasSdkSettings } from "./rfideas-sdk/settings.ts";
import type { Twn4SimpleSettings } from "./twn4-simple/settings.ts";

/** What the configuration says of one reader; plain data. */
export type ReaderSettings =
  | TcpLineSettings
  | SerialLineSettings
  | HidKeyboardSettings
  | OsdpSettings
  | RfIdeasSdkSettings
  | PcscSettings
  | Twn4SimpleSettings
  | RfIdeasAcpSettings;

/** Loads the family's driver, and only that one; opens nothing until `start`. */
export async function openReader(settings: ReaderSettings, context: ReaderContext): Promise<Reader> {
  switch (settings.family) {
    case "tcp-line":
      return (await import("./line/tcp-line.ts")).openTcpLine(settings, context);
    case "serial-line":
      return (await import("./line/serial-line.ts")).openSerialLine(settings, context);
    case "hid-keyboard":
      return (await import("./hid-keyboard/driver.ts")).openHidKeyboard(settings, context);
    case "osdp":
      return (await import("./osdp/driver.ts")).openOsdp(settings, context);
    case "rfideas-sdk":
      return (await import("./rfideas-sdk/driver.ts")).openRfIdeasSdk(settings, context);
    case "pcsc":
      return (await import("./pcsc/driver.ts")).openPcsc(settings, context);
    case "twn4-simple":
      return (await import("./twn4-simple/driver.ts")).openTwn4Simple(settings, context);
    case "rfideas-acp":
      return (await import("./rfideas-acp/driver.ts")).openRfIdeasAcp(settings, context);
  }
}
