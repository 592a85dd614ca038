import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { V3 } from "./snmpd.ts";

export const BY_V2C = ["-v2c", "-c", "public"];
export const BY_V3 = [
  ...["-v3", "-e", "0x80001f8880a1b2c3d4e5f60718", "-u", V3.user, "-l", "authPriv"],
  ...["-a", "SHA-256", "-A", V3.authPassword ?? "", "-x", "AES", "-X", V3.privPassword ?? ""],
];
const PRINTER_V2_ALERT = "1.3.6.1.2.1.43.18.2.0.1";

/** Debian's own sender. */
export async function snmptrap(how: readonly string[], port: number | undefined): Promise<void> {
  const alertCode = ["1.3.6.1.2.1.43.18.1.1.7.1.1", "i", "8"];
  await promisify(execFile)("snmptrap", [...how, `127.0.0.1:${port}`, "", PRINTER_V2_ALERT, ...alertCode], {
    env: { PATH: process.env.PATH ?? "", MIBS: "", SNMP_PERSISTENT_DIR: "/nonexistent" },
  });
}
