import { isIPv4, isIPv6 } from "node:net";
import { printerAddress } from "../printers/ipp/connection.ts";
import type { Service } from "./dns-sd.ts";

export const PRINTER_SERVICES = ["_ipps._tcp", "_ipp._tcp"] as const;

/** One printer as it advertises itself (Bonjour Printing Specification 1.2.1 9.2); all of it is what the printer claims. */
export interface PrinterAdvert {
  readonly name: string;
  readonly model: string;
  /** Where it stands, if somebody wrote that into it. */
  readonly location: string;
  /** In lower case, or empty. */
  readonly uuid: string;
  /** MIME types. */
  readonly formats: readonly string[];
  readonly host: string;
  readonly address: string;
  /** At its address, encrypted and not; at least one of them. */
  readonly ipps?: string;
  readonly ipp?: string;
}

/** Pure: services to printers. What has no address or path that can be used is left out. */
export function printerAdverts(services: readonly Service[]): readonly PrinterAdvert[] {
  const printers = new Map<string, PrinterAdvert>();
  for (const { type, name, host, port, addresses, txt } of services) {
    // A link-local IPv6 address is of no use without the interface that it is on.
    const address =
      addresses.find((one) => isIPv4(one)) ?? addresses.find((one) => isIPv6(one) && !/^fe[89ab]/i.test(one));
    if (address === undefined) continue;
    const scheme = type === "_ipps._tcp" ? "ipps" : "ipp";
    const path = txt.get("rp") ?? "";
    if (!/^[A-Za-z0-9._~/%-]{0,200}$/.test(path)) continue;
    const uri = `${scheme}://${isIPv6(address) ? `[${address}]` : address}:${port}/${path.replace(/^\/+/, "")}`;
    if (printerAddress(uri) === undefined) continue;
    const uuid = /^(?:urn:uuid:)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i.exec(txt.get("uuid") ?? "")?.[1];
    // Two queues of one server share an address, never a path; two that only look alike are two.
    const key = JSON.stringify([address, uuid?.toLowerCase() ?? name.toLowerCase(), path]);
    const advert: PrinterAdvert = {
      name: printable(name),
      model: printable(txt.get("ty") ?? ""),
      location: printable(txt.get("note") ?? ""),
      uuid: uuid?.toLowerCase() ?? "",
      formats: (txt.get("pdl") ?? "")
        .split(",")
        .map((format) => format.trim())
        .filter((format) => /^[a-z0-9]+\/[a-z0-9.+-]{1,60}$/i.test(format)),
      host: printable(host),
      address,
      [scheme]: uri,
    };
    printers.set(key, { ...advert, ...printers.get(key), [scheme]: uri });
  }
  return [...printers.values()].sort((a, b) => a.name.localeCompare(b.name) || a.address.localeCompare(b.address));
}

/** A stranger's text, for a terminal. */
function printable(text: string): string {
  const clean = text
    .toWellFormed()
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?")
    .trim();
  return clean.length > 80 ? `${clean.slice(0, 79)}…` : clean;
}
