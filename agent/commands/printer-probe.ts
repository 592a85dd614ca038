import type { Clock } from "../../drivers/clock.ts";
import { CodedError } from "../../drivers/coded-error.ts";
import { silentLog } from "../../drivers/log.ts";
import type { PrinterState } from "../../drivers/printer.ts";
import {
  groupsOf,
  keyword,
  operationGroup,
  stringsOf,
  uri as uriValue,
} from "../../drivers/printers/ipp/attributes.ts";
import { IppClient } from "../../drivers/printers/ipp/client.ts";
import { printerAddress } from "../../drivers/printers/ipp/connection.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { GROUP, OPERATION } from "../../drivers/printers/ipp/tags.ts";
import type { SeenPeer, TlsRelaxation } from "../../drivers/transports/tls.ts";
import { seenKey } from "./printer-trust.ts";

/** What a printer answers before it is configured. Nothing is changed at it, and no login is given. */
export interface Probe {
  readonly uri: string;
  /** Of ipps. It is trusted for this look only. */
  readonly key?: SeenPeer;
  readonly state?: PrinterState;
  readonly error?: CodedError;
}

const DEADLINES = { connect: 5_000, poll: 10_000 };

export async function probeIpp(
  uri: string,
  clock: Clock,
  signal: AbortSignal,
  tlsAllow: readonly TlsRelaxation[] = [],
): Promise<Probe> {
  const address = printerAddress(uri);
  if (address === undefined) throw new TypeError("a printer's URI was not checked");
  let key: SeenPeer | undefined;
  const printer = (keyPins: readonly string[]) =>
    new IppPrinter({ name: "probe", uri, keyPins, tlsAllow, clock, log: silentLog, deadlines: DEADLINES });
  try {
    if (address.secure) key = await seenKey(address, tlsAllow, signal);
    const asked = printer(key === undefined ? [] : [key.keyPin]);
    try {
      return { uri, ...(key === undefined ? {} : { key }), state: await asked.state(signal) };
    } finally {
      await asked.stop();
    }
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { uri, ...(key === undefined ? {} : { key }), error };
  }
}

/** printer-uuid, by which it is found again when its address changes; undefined where it does not tell. Without a login. */
export async function uuidOf(
  uri: string,
  keyPins: readonly string[],
  tlsAllow: readonly TlsRelaxation[],
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const client = new IppClient({ uri, keyPins, tlsAllow, clock, deadlines: DEADLINES, count: () => {} });
  const group = operationGroup(uriValue("printer-uri", uri), keyword("requested-attributes", "printer-uuid"));
  try {
    const reply = await client.call(OPERATION.getPrinterAttributes, [group], true, signal);
    const [uuid = ""] = stringsOf(groupsOf(reply, GROUP.printer)[0], "printer-uuid");
    return /^(?:urn:uuid:)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i.exec(uuid)?.[1]?.toLowerCase();
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  } finally {
    await client.close();
  }
}

/** Of two tries. */
const SNMP_TRY_MS = 1000;
const SYS_DESCR = "1.3.6.1.2.1.1.1.0";

/** Whether its SNMP agent answers version 2c with the community that printers come with. */
export async function answersSnmp(host: string, clock: Clock, port = 161): Promise<boolean> {
  const { openSnmp } = await import("../../drivers/printers/snmp/connection.ts");
  const access = { version: "2c", community: "public" } as const;
  try {
    const session = await openSnmp({ host, port, access, timeoutMs: SNMP_TRY_MS }, clock, () => {});
    try {
      return (await session.get([SYS_DESCR]))[0] !== undefined;
    } finally {
      session.close();
    }
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}
