import type { Reader } from "../../reader.ts";
import { SerialTransport } from "../../transports/serial.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { usbRemedies } from "../usb-remedy.ts";
import { LineDecoder } from "./decoder.ts";
import { withPreset } from "./presets.ts";
import type { SerialLineSettings } from "./settings.ts";

export function openSerialLine(settings: SerialLineSettings, context: ReaderContext): Reader {
  const log = context.log.child({ reader: settings.name });
  return new ReaderSession({
    settings,
    decoder: new LineDecoder(settings),
    transport:
      context.transport ?? new SerialTransport({ path: settings.path, ...withPreset(settings) }, context.clock, log),
    context,
    watch: watchDevices(context.log),
    mend: usbRemedies(settings, context),
  });
}
