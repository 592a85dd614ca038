import { knownReaders, type RuleReader, udevRules } from "../../drivers/discovery/udev-rules.ts";
import type { ReaderConfig } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { EXIT, type Invocation } from "./command.ts";
import { configOf } from "./configured-agent.ts";

/** The rules for the readers of the table and for the configured ones, for people to install. */
export async function printRules(invocation: Invocation): Promise<number> {
  const { terminal } = invocation;
  const config = await configOf(invocation).catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    terminal.note(`Of the table of known readers only; what is configured is not known: ${error.message}`);
    return undefined;
  });
  const configured = (config?.readers ?? []).flatMap(ruleOf);
  const rules = udevRules([...knownReaders(), ...configured]);
  terminal.line(rules.trimEnd());
  terminal.result({ rules, configured: configured.map(({ about }) => about) });
  return EXIT.ok;
}

/** Serial readers need no rule of their own: their ports belong to group dialout. */
function ruleOf(reader: ReaderConfig): RuleReader[] {
  if (!("vendorId" in reader)) return [];
  const { name, vendorId, productId } = reader;
  // Whatever the family reads it by: what types is kept from the console.
  return [{ vendorId, productId, about: `[[reader]] ${name}`, keyboard: true }];
}
