import { isIPv4 } from "node:net";
import type { Clock } from "../clock.ts";
import { printerAddress } from "../printers/ipp/connection.ts";
import { KeyPinMismatch, openTls, type TlsRelaxation } from "../transports/tls.ts";
import type { BrowseOptions } from "./browse.ts";
import type { Sighting } from "./follow-machine.ts";
import type { PrinterAdvert } from "./printer-advert.ts";

export interface Wanted {
  /** As configured. */
  readonly uri: string;
  readonly uuid: string;
  readonly keyPins: readonly string[];
  readonly tlsAllow: readonly TlsRelaxation[];
}

/** What a test puts in the place of the network. */
export interface LocateSurroundings {
  readonly network?: Pick<BrowseOptions, "interfaces" | "port">;
  readonly isNear?: (address: string) => boolean;
}

const BROWSE_MS = 3_000;
const CONNECT_MS = 5_000;
/** Whoever claims the uuid more often than this is not asked for a key. */
const MAX_ASKED = 8;

/** Who in this network has the printer's uuid, and which of them proves it. Nothing but a TLS handshake is sent. */
export async function locate(
  wanted: Wanted,
  clock: Clock,
  signal: AbortSignal,
  { network, isNear = isNearAddress }: LocateSurroundings = {},
): Promise<readonly Sighting[]> {
  // Only where a printer is lost: the agent's usual day has no use for it.
  const { browse } = await import("./browse.ts");
  const { PRINTER_SERVICES, printerAdverts } = await import("./printer-advert.ts");
  const services = await browse({ types: PRINTER_SERVICES, forMs: BROWSE_MS, clock, signal, ...network });
  const claims = printerAdverts(services).filter(({ uuid }) => uuid === wanted.uuid.toLowerCase());
  const own = printerAddress(wanted.uri)?.host;
  const sightings = claims
    .filter(({ address }) => address !== own)
    .slice(0, MAX_ASKED)
    .map((claim) => sightingOf(wanted, claim, isNear, signal));
  return (await Promise.all(sightings)).filter((sighting) => sighting !== undefined);
}

async function sightingOf(
  { uri, keyPins, tlsAllow }: Wanted,
  claim: PrinterAdvert,
  isNear: (address: string) => boolean,
  signal: AbortSignal,
): Promise<Sighting | undefined> {
  const own = printerAddress(uri);
  // An ipps printer is never looked for among those that do not encrypt.
  const claimed = own?.secure === true ? claim.ipps : (claim.ipp ?? claim.ipps);
  const address = claimed === undefined ? undefined : printerAddress(claimed);
  if (own === undefined || claimed === undefined || address === undefined) return undefined;
  const { host, port } = address;
  const seen = (proof: Sighting["proof"]) => ({ uri: claimed, host, proof });
  if (!isNear(host)) return seen("far");
  if (!own.secure || keyPins.length === 0) return seen("unproven");
  if (port !== own.port || address.path !== own.path) return seen("other-way");
  try {
    (await openTls({ host, port }, { keyPins, allow: tlsAllow }, CONNECT_MS, signal)).destroy();
    return seen("pinned");
  } catch (error) {
    return seen(error instanceof KeyPinMismatch ? "other-key" : "silent");
  }
}

/** Whether the configured address is the printer's again. */
export async function isAtHome({ uri, keyPins, tlsAllow }: Wanted, signal: AbortSignal): Promise<boolean> {
  const address = printerAddress(uri);
  if (address === undefined) return false;
  try {
    (await openTls(address, { keyPins, allow: tlsAllow }, CONNECT_MS, signal)).destroy();
    return true;
  } catch {
    return false;
  }
}

/** Pure: an address of a local network (RFC 1918, RFC 3927), which is where multicast DNS is heard. */
export function isNearAddress(address: string): boolean {
  if (!isIPv4(address)) return false;
  const [a = 0, b = 0] = address.split(".").map(Number);
  return a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 169 && b === 254);
}
