import type { PrinterAdvert } from "../../drivers/discovery/printer-advert.ts";
import { printerAddress } from "../../drivers/printers/ipp/connection.ts";
import { TLS_RELAXATIONS, type TlsRelaxation } from "../../drivers/transports/tls.ts";
import type { Config } from "../config/config.ts";
import { type TomlEntry, tableToml, tomlText, withTable } from "../config/edit.ts";
import { CommandError, EXIT, type Invocation, textOption, textOptions } from "./command.ts";
import { ConfigFile } from "./config-file.ts";
import { type DiscoverSurroundings, discovered, REAL_NETWORK } from "./printer-discover.ts";
import { answersSnmp, probeIpp, uuidOf } from "./printer-probe.ts";
import { acceptKey, describeKey, expectedKey } from "./printer-trust.ts";
import { question } from "./reader-device.ts";

/** The printer is there, and wants to be told more than this command knows. */
const LATER: ReadonlySet<string> = new Set(["printer-auth-required", "printer-auth-unsupported"]);

/** Takes a printer into the configuration: asks it first, trusts its key, and writes a [[printer]] table. */
export async function addPrinter(
  invocation: Invocation,
  word: string | undefined,
  surroundings: DiscoverSurroundings = REAL_NETWORK,
): Promise<number> {
  const { terminal, options, signal } = invocation;
  const expected = expectedKey(invocation);
  const configured = await ConfigFile.of(invocation);
  const { printers } = configured.config;
  const name = nameOf(invocation, configured.config);
  const tlsAllow = relaxations(invocation);
  const uri = await uriOf(invocation, word, surroundings);
  const address = printerAddress(uri);
  if (address === undefined) throw new CommandError("usage", "a printer's URI is ipps://HOST/PATH or ipp://HOST/PATH");
  const twin = printers.find((printer) => printer.uri === uri);
  if (twin !== undefined) throw new CommandError("printer-configured", twin.name);

  const { key, state, error } = await probeIpp(uri, surroundings.clock, signal, tlsAllow);
  if (error !== undefined && !LATER.has(error.code)) throw error;
  terminal.line(`printer      ${uri}${state === undefined ? "" : ` is ${[state.state, ...state.reasons].join(", ")}`}`);
  if (error !== undefined) terminal.note(`${error.message}: ${error.row.next}`);
  if (key !== undefined) {
    for (const line of describeKey(key)) terminal.line(line);
    await acceptKey(invocation, key, expected);
  } else {
    terminal.note("ipp is not encrypted: whoever is on the network between can read and change what is printed.");
    if (expected !== undefined) throw new CommandError("usage", "--expect goes with ipps only: ipp has no key");
  }

  const keyPins = key === undefined ? [] : [key.keyPin];
  const uuid = await uuidOf(uri, keyPins, tlsAllow, surroundings.clock, signal);
  const entries: readonly TomlEntry[] = [
    tomlText("name", name),
    tomlText("uri", uri),
    ...(uuid === undefined ? [] : [tomlText("uuid", uuid)]),
    ...(key === undefined ? [] : [{ key: "key_pins", toml: JSON.stringify(keyPins) }]),
    ...(tlsAllow.length === 0 ? [] : [{ key: "tls_allow", toml: JSON.stringify(tlsAllow) }]),
  ];
  const asksSnmp = options.snmp === true;
  if (!asksSnmp && (await answersSnmp(address.host, surroundings.clock, surroundings.snmpPort))) {
    terminal.note(
      "It answers SNMP (2c, public): with --snmp the agent knows of paper, jams and covers before anybody taps.",
    );
  }
  const toml = `${tableToml("printer", entries)}${asksSnmp ? "\n\n[printer.snmp]" : ""}`;
  const changed = withTable(configured.text, toml);
  const added = (await configured.check(changed)).printers.at(-1);
  if (added?.name !== name || added.uri !== uri) throw new TypeError("the table that was added is not there");
  terminal.line(toml);
  const written = options["dry-run"] !== true;
  if (written) {
    await configured.replace(changed);
    terminal.note(
      `Added to ${configured.file}. Give it to a reader, then restart the agent: systemctl restart printgate`,
    );
  }
  terminal.result({ written, file: configured.file, name, uri, ...(key === undefined ? {} : { key }), toml });
  return EXIT.ok;
}

function relaxations(invocation: Invocation): readonly TlsRelaxation[] {
  return textOptions(invocation, "tls-allow").map((word) => {
    const known = TLS_RELAXATIONS.find((one) => one === word);
    if (known === undefined) throw new CommandError("usage", `--tls-allow is one of ${TLS_RELAXATIONS.join(", ")}`);
    return known;
  });
}

function nameOf(invocation: Invocation, { printers }: Config): string {
  const taken = new Set(printers.map(({ name }) => name));
  const named = textOption(invocation, "name");
  if (named !== undefined && taken.has(named)) throw new CommandError("printer-configured", named);
  let free = 1;
  while (taken.has(`mfd-${free}`)) free += 1;
  return named ?? `mfd-${free}`;
}

/** A URI as it is; anything else names a printer that is discovered now. */
async function uriOf(
  invocation: Invocation,
  word: string | undefined,
  surroundings: DiscoverSurroundings,
): Promise<string> {
  if (word?.includes("://") === true) return word;
  const adverts = await discovered(invocation, surroundings);
  const fitting = word === undefined ? adverts : adverts.filter((advert) => isNamed(advert, word));
  const advert = fitting.length === 1 && word !== undefined ? fitting[0] : await picked(invocation, fitting, word);
  if (advert === undefined) throw new CommandError("printer-not-found", word ?? "nothing advertises itself here");
  if (invocation.options.plain === true) {
    if (advert.ipp !== undefined) return advert.ipp;
    throw new CommandError("usage", `${advert.name} advertises ipps only`);
  }
  if (advert.ipps !== undefined) return advert.ipps;
  // Least surprise: what is not encrypted is taken only by its own word.
  throw new CommandError("usage", `${advert.name} advertises ipp only, which is not encrypted; take it with --plain`);
}

function isNamed({ name, uuid, address, host }: PrinterAdvert, word: string): boolean {
  const wanted = word.toLowerCase().replace(/^urn:uuid:/, "");
  return [name, uuid, address, host, host.replace(/\.local$/i, "")].some((own) => own.toLowerCase() === wanted);
}

async function picked(
  invocation: Invocation,
  adverts: readonly PrinterAdvert[],
  word: string | undefined,
): Promise<PrinterAdvert | undefined> {
  if (adverts.length === 0) return undefined;
  for (const [index, { name, model, address, uuid }] of adverts.entries()) {
    invocation.terminal.note(
      `  ${index + 1}  ${[name, model, address, uuid].filter((part) => part !== "").join(", ")}`,
    );
  }
  if (invocation.options.yes === true) {
    throw new CommandError(
      "usage",
      `--yes needs one printer by its uuid${word === undefined ? "" : `; ${word} fits several`}`,
    );
  }
  const answer = await question(invocation, `Which one? (1-${adverts.length})`, "its name or uuid");
  const chosen = /^[0-9]{1,3}$/.test(answer) ? adverts[Number(answer) - 1] : undefined;
  if (chosen === undefined) throw new CommandError("usage", `the answer is a number from 1 to ${adverts.length}`);
  return chosen;
}
