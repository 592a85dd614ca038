import type { Clock } from "../drivers/clock.ts";
import { Follower } from "../drivers/discovery/follower.ts";
import type { Log } from "../drivers/log.ts";
import type { Printer } from "../drivers/printer.ts";
import { printerAddress } from "../drivers/printers/ipp/connection.ts";
import { IppPrinter } from "../drivers/printers/ipp/printer.ts";
import type { SnmpAccess } from "../drivers/printers/snmp/access.ts";
import { SnmpHealth } from "../drivers/printers/snmp/session.ts";
import type { Config, SnmpConfig } from "./config/config.ts";

/** The driver for one configured printer. */
export function printerOf(settings: Config["printers"][number], clock: Clock, log: Log): Printer {
  const { snmp, user, password, uuid, ...rest } = settings;
  const context = { clock, log: log.child({ part: `printer ${settings.name}` }) };
  const health = snmp && new SnmpHealth({ host: snmp.host, port: snmp.port, access: snmpAccess(snmp), ...context });
  // An SNMP agent at another address than the printer's is not the printer's own, and stays where it is.
  const follows = snmp?.host === printerAddress(rest.uri)?.host;
  const moved = (host = snmp?.host) => (follows && host !== undefined ? health?.moveTo(host) : undefined);
  return new IppPrinter({
    ...rest,
    ...context,
    ...(user === undefined || password === undefined ? {} : { login: { user, password } }),
    ...(health && { health }),
    ...(uuid === undefined ? {} : { follow: new Follower({ ...rest, ...context, uuid, moved }) }),
  });
}

export function snmpAccess({ version, community, user = "", ...v3 }: SnmpConfig): SnmpAccess {
  return version === "3" ? { version, user, ...v3 } : { version, community };
}
