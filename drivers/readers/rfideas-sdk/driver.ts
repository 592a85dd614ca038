import type { Reader } from "../../reader.ts";
import { HidTransport } from "../../transports/hid.ts";
import { HidFeatureTransport } from "../../transports/hid-feature.ts";
import { binaryShape } from "../capture.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { usbRemedies } from "../usb-remedy.ts";
import { RfIdeasSdk } from "./protocol.ts";
import type { RfIdeasSdkSettings } from "./settings.ts";

export function openRfIdeasSdk(settings: RfIdeasSdkSettings, context: ReaderContext): Reader {
  const log = context.log.child({ reader: settings.name });
  return new ReaderSession({
    settings,
    decoder: new RfIdeasSdk(settings),
    shapeOf: binaryShape,
    transport: context.transport ?? new HidFeatureTransport(new HidTransport(settings, { clock: context.clock, log })),
    context,
    watch: watchDevices(context.log),
    mend: usbRemedies(settings, context),
  });
}
