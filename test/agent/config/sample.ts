import { rootCertificates } from "node:tls";
import { SCBK_PLACEHOLDER } from "../../../agent/config/reader-keys.ts";
import { PLACEHOLDER } from "../../../agent/config/schema.ts";

/** Values in TOML as a central server would print them; the certificate is any, the keys are nobody's. */
export const CENTRAL = {
  url: '"https://print.example:8443"',
  ca: `"""\n${rootCertificates[0]}\n"""`,
  key_pins: `["sha256/${"A".repeat(43)}=", "sha256/${"B".repeat(43)}="]`,
  bearer_key: `"bearer-${"k".repeat(32)}"`,
  card_key: `"${Buffer.alloc(32, 0xc5).toString("base64url")}"`,
  manifest_key: `"${Buffer.alloc(32, 0x3a).toString("base64url")}"`,
  policy_root: `"1.${Buffer.alloc(32, 0x99).toString("base64url")}"`,
} as const;

export const SAMPLE = `[agent]
name = "lobby"

[central]
url = ${CENTRAL.url}
key_pins = ${CENTRAL.key_pins}
bearer_key = ${CENTRAL.bearer_key}
card_key = ${CENTRAL.card_key}
manifest_key = ${CENTRAL.manifest_key}
ca = ${CENTRAL.ca}

[[printer]]
name = "mfd-1"
uri = "ipp://10.0.0.20/ipp/print"

[[reader]]
name = "front"
family = "tcp-line"
printer = "mfd-1"
listen = "127.0.0.1:7778"

[[reader]]
name = "side"
family = "serial-line"
printer = "mfd-1"
path = "/dev/ttyUSB0"
pipeline = 'trim | hexDecode | toDec(10)'

[[reader]]
name = "usb"
family = "hid-keyboard"
printer = "mfd-1"
vendor_id = 0x09d8
product_id = 0x0410
`;

/** The example with its placeholders replaced, as its reader is told to do. */
export function filledIn(example: string): string {
  return example
    .replace(SCBK_PLACEHOLDER, "5c".repeat(16))
    .split("\n")
    .map((line) => {
      const name = line.split(" ", 1)[0] ?? "";
      return line.includes(PLACEHOLDER) && name in CENTRAL
        ? `${name} = ${CENTRAL[name as keyof typeof CENTRAL]}`
        : line;
    })
    .join("\n");
}
