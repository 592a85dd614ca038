import { createPublicKey } from "node:crypto";
import { rawFromPublicKey } from "../protocol/envelope.ts";
import type { SiteKeys } from "./keys.ts";

/** A TOML basic string; JSON's escapes are among TOML's. */
const quoted = (text: string): string => JSON.stringify(text);

/** All that an agent's configuration must say about the central server, and samples of the rest. Holds keys. */
export function agentConfiguration(agent: {
  name: string;
  url: string;
  bearerKey: string;
  /** Absent in a site that is older than policies. */
  policyRoot: string | undefined;
  keys: SiteKeys;
}): string {
  const { name, url, bearerKey, policyRoot, keys } = agent;
  return `# Printgate agent ${name}. This file holds keys: keep it with mode 0600.

[agent]
name = ${quoted(name)}

[central]
url = ${quoted(url)}
ca = """
${keys.authority.trim()}
"""
key_pins = [
  ${quoted(keys.keyPins[0])}, # the server's key
  ${quoted(keys.keyPins[1])}, # its backup
]
bearer_key = ${quoted(bearerKey)}
card_key = ${quoted(keys.cardKey)}
manifest_key = ${quoted(rawFromPublicKey(createPublicKey(keys.manifestKey)))}
${policyRoot === undefined ? "" : `policy_root = ${quoted(policyRoot)}\n`}
# What is plugged in where; \`printgate config example\` shows every key.

# [[printer]]
# name = "mfd-1"
# uri = "ipp://192.0.2.20/ipp/print"

# [[reader]]
# name = "front"
# family = "hid-keyboard"
# printer = "mfd-1"
# vendor_id = 0x09d8
# product_id = 0x0410
`;
}
