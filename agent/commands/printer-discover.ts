import { type Clock, systemClock } from "../../drivers/clock.ts";
import { BrowseError, type BrowseOptions, browse } from "../../drivers/discovery/browse.ts";
import { PRINTER_SERVICES, type PrinterAdvert, printerAdverts } from "../../drivers/discovery/printer-advert.ts";
import { CommandError, EXIT, type Invocation, secondsOption } from "./command.ts";
import { answersSnmp, type Probe, probeIpp } from "./printer-probe.ts";

/** What a test puts in the place of the network. */
export interface DiscoverSurroundings {
  readonly clock: Clock;
  readonly network?: Pick<BrowseOptions, "interfaces" | "port">;
  readonly snmpPort?: number;
}

export const REAL_NETWORK: DiscoverSurroundings = { clock: systemClock };
/** Probed at a time; each probe ends by itself. */
const AT_ONCE = 8;
/** Probed at all: whoever fills the network with adverts keeps nobody waiting for ever. */
const MAX_PROBED = 64;

/** The printers that advertise themselves in the networks of this machine. */
export async function discovered(
  invocation: Invocation,
  { clock, network }: DiscoverSurroundings,
): Promise<readonly PrinterAdvert[]> {
  const forMs = secondsOption(invocation, "seconds", 3, 60) * 1000;
  invocation.terminal.note(`Listening for ${forMs / 1000} s ...`);
  try {
    const { signal } = invocation;
    return printerAdverts(await browse({ types: PRINTER_SERVICES, forMs, clock, signal, ...network }));
  } catch (error) {
    if (!(error instanceof BrowseError)) throw error;
    throw new CommandError("printer-network-unheard", error.code, { cause: error });
  }
}

interface Found extends PrinterAdvert {
  readonly probes: readonly Probe[];
  readonly snmp: boolean;
}

export async function discoverPrinters(invocation: Invocation, surroundings = REAL_NETWORK): Promise<number> {
  const { terminal, signal } = invocation;
  const { clock, snmpPort } = surroundings;
  const all = await discovered(invocation, surroundings);
  const adverts = all.slice(0, MAX_PROBED);
  if (all.length > adverts.length)
    terminal.note(`${all.length} printers advertise themselves; these are the first ${MAX_PROBED}.`);
  const found: Found[] = [];
  for (let at = 0; at < adverts.length && !signal.aborted; at += AT_ONCE) {
    const probed = adverts.slice(at, at + AT_ONCE).map(async (advert) => {
      const uris = [advert.ipps, advert.ipp].filter((uri) => uri !== undefined);
      const answering = answersSnmp(advert.address, clock, snmpPort);
      const probes: Probe[] = [];
      // One after the other: some printers serve one connection at a time.
      for (const uri of uris) probes.push(await probeIpp(uri, clock, signal));
      const snmp = await answering;
      return { ...advert, probes, snmp };
    });
    found.push(...(await Promise.all(probed)));
  }
  for (const printer of found) for (const line of describe(printer)) terminal.line(line);
  if (found.length === 0) {
    terminal.line(
      "No printer advertises itself here. One in another network, or with Bonjour (AirPrint) switched off,",
    );
    terminal.line("is added by its URI: printgate printer add ipps://HOST/ipp/print");
  }
  terminal.result({ printers: found.map((printer) => ({ ...printer, probes: printer.probes.map(plain) })) });
  return found.length === 0 ? EXIT.failed : EXIT.ok;
}

function describe({ name, model, location, address, host, uuid, formats, probes, snmp }: Found): string[] {
  return [
    `${name}${model === "" || model === name ? "" : ` (${model})`}${location === "" ? "" : `, ${location}`}`,
    `  address  ${address} ${host}`,
    `  uuid     ${uuid === "" ? "none: it cannot be told from another one that looks the same" : uuid}`,
    `  formats  ${formats.join(", ") || "it names none"}`,
    ...probes.flatMap(({ uri, key, state, error }) => [
      `  ipp      ${uri} ${state?.state ?? error?.message ?? ""}${key === undefined && state !== undefined ? " (not encrypted)" : ""}`,
      ...(key === undefined ? [] : [`  key      ${key.keyPin} (${key.keyType}, ${key.protocol})`]),
    ]),
    `  snmp     ${snmp ? "answers version 2c, community public" : "no answer to version 2c, community public"}`,
  ];
}

function plain({ uri, key, state, error }: Probe) {
  const told = error === undefined ? undefined : { code: error.code, detail: error.detail, ...error.row };
  return { uri, key, state, error: told };
}
