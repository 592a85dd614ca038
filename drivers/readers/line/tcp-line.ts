import type { Reader } from "../../reader.ts";
import { TcpConnect, type TcpContext, TcpListen } from "../../transports/tcp.ts";
import type { Transport } from "../../transports/transport.ts";
import type { ReaderContext } from "../context.ts";
import { ReaderSession } from "../session.ts";
import { LineDecoder } from "./decoder.ts";
import type { TcpLineSettings } from "./settings.ts";

export function openTcpLine(settings: TcpLineSettings, context: ReaderContext): Reader {
  const transport =
    context.transport ?? tcp(settings, { ...context, log: context.log.child({ reader: settings.name }) });
  return new ReaderSession({ settings, decoder: new LineDecoder(settings), transport, context });
}

function tcp({ listen, connect, allow }: TcpLineSettings, context: TcpContext): Transport {
  if (connect !== undefined) return new TcpConnect(connect, context);
  // Without an address an open fails, which is a state to be seen, not a crash.
  return new TcpListen(listen ?? { host: "", port: -1 }, allow, context);
}
