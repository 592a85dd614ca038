import type { Reader } from "../../reader.ts";
import { HidTransport } from "../../transports/hid.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { KeyboardDecoder } from "./decoder.ts";
import type { HidKeyboardSettings } from "./settings.ts";

export function openHidKeyboard(settings: HidKeyboardSettings, context: ReaderContext): Reader {
  const log = context.log.child({ reader: settings.name });
  return new ReaderSession({
    settings,
    decoder: new KeyboardDecoder(settings),
    transport: context.transport ?? new HidTransport(settings, { clock: context.clock, log }),
    context,
    watch: watchDevices(context.log),
  });
}
