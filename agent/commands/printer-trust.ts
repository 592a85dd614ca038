import { type PrinterAddress, printerAddress, unconnected } from "../../drivers/printers/ipp/connection.ts";
import { inspectTls, KEY_PIN, type SeenPeer, type TlsRelaxation } from "../../drivers/transports/tls.ts";
import { withKey } from "../config/edit.ts";
import { CommandError, EXIT, type Invocation, textOption } from "./command.ts";
import { ConfigFile } from "./config-file.ts";
import { question } from "./reader-device.ts";

const CONNECT_MS = 10_000;

/** Trust on first use, by a technician: the key is shown, accepted once, and pinned. */
export async function trustPrinter(invocation: Invocation, name: string): Promise<number> {
  const { terminal, options } = invocation;
  const expected = expectedKey(invocation);
  const configured = await ConfigFile.of(invocation);
  const index = configured.config.printers.findIndex((printer) => printer.name === name);
  const printer = configured.config.printers[index];
  if (printer === undefined) throw new CommandError("printer-not-configured", name);
  const { uri, keyPins: pinned, tlsAllow } = printer;
  const address = printerAddress(uri);
  if (address === undefined || !address.secure) throw new CommandError("printer-not-encrypted", uri);

  const key = await seenKey(address, tlsAllow, invocation.signal);
  const done = (written: boolean) => terminal.result({ written, file: configured.file, name, uri, key, pinned });
  terminal.line(`printer      ${name} ${uri}`);
  for (const line of describeKey(key)) terminal.line(line);
  if (pinned.includes(key.keyPin)) {
    terminal.line("This key is trusted already; nothing is to be done.");
    if (expected !== undefined && expected !== key.keyPin) throw new CommandError("printer-key-unexpected", key.keyPin);
    done(false);
    return EXIT.ok;
  }
  if (pinned.length > 0) {
    terminal.line("THE KEY HAS CHANGED.");
    for (const pin of pinned) terminal.line(`  was        ${pin}`);
    terminal.line(`  is now     ${key.keyPin}`);
    if (options.replace !== true) throw new CommandError("printer-key-changed", `${name} shows ${key.keyPin}`);
  }
  await acceptKey(invocation, key, expected);
  const entry = { key: "key_pins", toml: JSON.stringify([key.keyPin]) };
  const changed = withKey(configured.text, ["printer", index], "uri", entry);
  if (changed === undefined) {
    throw configured.problem("config-not-writable", `write the [[printer]] table of ${name} with a line for each key`);
  }
  if (options["dry-run"] === true) {
    await configured.check(changed);
    terminal.line(`Would write ${entry.key} = ${entry.toml}`);
    done(false);
    return EXIT.ok;
  }
  await configured.replace(changed);
  terminal.note(`Written to ${configured.file}. Restart the agent to use it: systemctl restart printgate`);
  done(true);
  return EXIT.ok;
}

/** What --expect says. Without a person to compare there must be something to compare with. */
export function expectedKey(invocation: Invocation): string | undefined {
  const expected = textOption(invocation, "expect");
  if (expected !== undefined && !KEY_PIN.test(expected)) {
    throw new CommandError("usage", "--expect takes sha256/ and 44 characters of base64");
  }
  return expected;
}

/** The key that a printer shows now. Rejects with a `PrinterError`. */
export async function seenKey(
  address: PrinterAddress,
  allow: readonly TlsRelaxation[],
  signal: AbortSignal,
): Promise<SeenPeer> {
  try {
    return await inspectTls(address, allow, CONNECT_MS, signal);
  } catch (cause) {
    throw unconnected(cause, address);
  }
}

export function describeKey(key: SeenPeer): string[] {
  return [
    `key          ${key.keyPin} (${key.keyType})`,
    `certificate  ${key.subject}`,
    `  issued by  ${key.issuer === key.subject ? "itself" : key.issuer}`,
    `  valid      ${key.validFrom.slice(0, 10)} to ${key.validTo.slice(0, 10)}; only the key counts`,
    `  sha-256    ${key.fingerprint}`,
    `connection   ${key.protocol}, ${key.cipher}`,
  ];
}

/** Resolves when the key may be pinned. @throws CommandError */
export async function acceptKey(invocation: Invocation, key: SeenPeer, expected: string | undefined): Promise<void> {
  if (expected !== undefined && expected !== key.keyPin) throw new CommandError("printer-key-unexpected", key.keyPin);
  if (invocation.options.yes === true) {
    if (expected === undefined) throw new CommandError("usage", "--yes needs --expect: nobody else compares the key");
    return;
  }
  const text =
    "Is this the key of this printer (its panel or web page shows the certificate's sha-256)? Trust it? (yes/no)";
  const answer = await question(invocation, text, "--yes --expect HASH");
  if (answer.toLowerCase() !== "yes") throw new CommandError("printer-key-declined", key.keyPin);
}
