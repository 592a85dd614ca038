import type { Reader } from "../../reader.ts";
import { SerialTransport } from "../../transports/serial.ts";
import { binaryShape, textShape } from "../capture.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { usbRemedies } from "../usb-remedy.ts";
import { SimpleProtocol } from "./protocol.ts";
import type { Twn4SimpleSettings } from "./settings.ts";

export function openTwn4Simple(settings: Twn4SimpleSettings, context: ReaderContext): Reader {
  const { path, baudRate } = settings;
  const line = { path, baudRate, dataBits: 8, parity: "none", stopBits: 1 } as const;
  return new ReaderSession({
    settings,
    decoder: new SimpleProtocol(settings),
    shapeOf: settings.mode === "ascii" ? textShape : binaryShape,
    transport:
      context.transport ?? new SerialTransport(line, context.clock, context.log.child({ reader: settings.name })),
    context,
    watch: watchDevices(context.log),
    mend: usbRemedies({ path }, context),
  });
}
