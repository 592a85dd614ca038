import { SCBK_PLACEHOLDER } from "../../../agent/config/reader-keys.ts";

/** In TOML: a secret of the sample. */
export const PASSWORD = '"between us and the printer"';

export const SAMPLE = `[agent]
log_level = "info"

[central]
url = "https://print.example:8443"

[[printer]]
name = "mfd-1"
uri = "ipp://10.0.0.20/ipp/print"
user = "printgate"
password = ${PASSWORD}

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

/** The example with its placeholder replaced, as its reader is told to do. */
export function filledIn(example: string): string {
  return example.replace(SCBK_PLACEHOLDER, "5c".repeat(16));
}
