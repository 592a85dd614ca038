import type { Reader } from "../../reader.ts";
import { SerialTransport } from "../../transports/serial.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { LineDecoder } from "./decoder.ts";
import type { SerialLineSettings } from "./settings.ts";

export function openSerialLine(settings: SerialLineSettings, context: ReaderContext): Reader {
  return new ReaderSession({
    settings,
    decoder: new LineDecoder(settings),
    transport: context.transport ?? new SerialTransport(settings, context.clock),
    context,
    watch: watchDevices(context.log),
  });
}
