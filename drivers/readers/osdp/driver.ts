import { randomBytes } from "node:crypto";
import type { Log } from "../../log.ts";
import type { Reader } from "../../reader.ts";
import { SerialTransport } from "../../transports/serial.ts";
import { TcpConnect } from "../../transports/tcp.ts";
import type { Transport } from "../../transports/transport.ts";
import type { ReaderContext } from "../context.ts";
import { watchDevices } from "../device-watch.ts";
import { ReaderSession } from "../session.ts";
import { usbRemedies } from "../usb-remedy.ts";
import { type Notice, Panel } from "./panel.ts";
import type { OsdpSettings } from "./settings.ts";
import { packetShape } from "./shape.ts";

export interface OsdpContext extends ReaderContext {
  /** Unpredictable bytes, in place of the system's, for tests. */
  readonly randomBytes?: (length: number) => Uint8Array;
}

export function openOsdp(settings: OsdpSettings, context: OsdpContext): Reader {
  const log = context.log.child({ reader: settings.name });
  if (!settings.secure) {
    log.warn({}, "OSDP without a secure channel: whoever is on the reader's line can read along and invent cards");
  }
  return osdpSession(settings, context, false);
}

/** `install`: the reader is given its own key first; see `keyset.ts`. */
export function osdpSession(settings: OsdpSettings, context: OsdpContext, install: boolean): ReaderSession {
  const log = context.log.child({ reader: settings.name });
  let lastStatus = "";
  const panel = new Panel({
    settings,
    install,
    random: context.randomBytes ?? ((length) => randomBytes(length)),
    report: (notice) => {
      // Some readers say how they are at every poll, and a log must not fill.
      const isNews = notice.type !== "status" || JSON.stringify(notice) !== lastStatus;
      if (notice.type === "status") lastStatus = JSON.stringify(notice);
      if (isNews) tell(notice, log);
    },
  });
  const { connect, path } = settings;
  return new ReaderSession({
    settings,
    decoder: panel,
    shapeOf: packetShape(settings.check),
    transport: context.transport ?? transportOf(settings, context, log),
    context,
    ...(connect === undefined ? { watch: watchDevices(context.log) } : {}),
    ...(connect === undefined && path !== undefined ? { mend: usbRemedies({ path }, context) } : {}),
  });
}

function transportOf({ connect, path, baudRate }: OsdpSettings, context: OsdpContext, log: Log): Transport {
  if (connect !== undefined) return new TcpConnect(connect, { clock: context.clock, log });
  // Without a path an open fails, which is a state to be seen, not a crash.
  return new SerialTransport(
    { path: path ?? "", baudRate, dataBits: 8, parity: "none", stopBits: 1 },
    context.clock,
    log,
  );
}

function tell(notice: Notice, log: Log): void {
  switch (notice.type) {
    case "identified":
      log.info({ ...notice.identity }, "OSDP reader");
      break;
    case "online":
      log.info({ secured: notice.secured }, "OSDP reader is online");
      break;
    case "restarted":
      log.warn({ why: notice.why }, "the conversation with the OSDP reader begins anew");
      break;
    case "status": {
      const { tampered, powerFailed } = notice;
      if (tampered || powerFailed === true) log.warn({ tampered, powerFailed }, "the OSDP reader reports trouble");
      else log.info({ tampered, powerFailed }, "the OSDP reader reports no trouble");
      break;
    }
  }
}
