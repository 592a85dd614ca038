import type { Reader } from "../../reader.ts";
import { SerialTransport } from "../../transports/serial.ts";
import { TcpConnect } from "../../transports/tcp.ts";
import type { Transport } from "../../transports/transport.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { usbRemedies } from "../usb-remedy.ts";
import { AcpProtocol } from "./protocol.ts";
import type { RfIdeasAcpSettings } from "./settings.ts";

export function openRfIdeasAcp(settings: RfIdeasAcpSettings, context: ReaderContext): Reader {
  const { path } = settings;
  const parts = { settings, decoder: new AcpProtocol(settings), transport: transport(settings, context), context };
  return new ReaderSession(
    path === undefined ? parts : { ...parts, watch: watchDevices(context.log), mend: usbRemedies({ path }, context) },
  );
}

function transport({ name, path, baudRate, connect }: RfIdeasAcpSettings, context: ReaderContext): Transport {
  if (context.transport !== undefined) return context.transport;
  const log = context.log.child({ reader: name });
  if (path !== undefined) {
    return new SerialTransport({ path, baudRate, dataBits: 8, parity: "none", stopBits: 1 }, context.clock, log);
  }
  // Without an address an open fails, which is a state to be seen, not a crash.
  return new TcpConnect(connect ?? { host: "", port: -1 }, { ...context, log });
}
