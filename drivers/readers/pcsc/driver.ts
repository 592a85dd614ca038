import type { Reader } from "../../reader.ts";
import { PcscTransport } from "../../transports/pcsc.ts";
import { binaryShape } from "../capture.ts";
import type { ReaderContext } from "../context.ts";
import { ReaderSession } from "../session.ts";
import { PcscProtocol } from "./protocol.ts";
import type { PcscSettings } from "./settings.ts";

export function openPcsc(settings: PcscSettings, context: ReaderContext): Reader {
  const log = context.log.child({ reader: settings.name });
  const real = new PcscTransport(settings.readerName, { clock: context.clock, log });
  return new ReaderSession({
    settings,
    decoder: new PcscProtocol(settings),
    shapeOf: binaryShape,
    transport: context.transport ?? real,
    context,
    ...(context.transport === undefined ? { watch: real.watch } : {}),
  });
}
