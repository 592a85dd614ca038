import { type ChildProcess, spawn } from "node:child_process";
import * as dgram from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SnmpAccess } from "../../drivers/printers/snmp/access.ts";

/** What the simulated printer says; `undefined` leaves the object out. */
export interface PrinterRows {
  readonly index?: number;
  /** False: the device table names no printer. */
  readonly listed?: boolean;
  readonly deviceStatus?: number | undefined;
  readonly printerStatus?: number | undefined;
  /** snmpd's own syntax: ["octet", "04 00"], ["integer", "4"], ["string", "0400"]. */
  readonly errorState?: readonly [type: string, value: string] | undefined;
  /** Of the Printer MIB, by what follows 1.3.6.1.2.1.43. */
  readonly mib?: Readonly<Record<string, readonly [type: string, value: string]>>;
}

export const READY: PrinterRows = { deviceStatus: 2, printerStatus: 3, errorState: ["octet", "00"] };
export const JAMMED: PrinterRows = { deviceStatus: 5, printerStatus: 1, errorState: ["octet", "04 00"] };

/** A colour printer that fills its Printer MIB as makers do: sentinels, a waste box, a Japanese panel, gaps and nonsense. */
export const OFFICE_MFD = {
  "5.1.1.1.1": ["counter", "7"],
  "5.1.1.2.1": ["integer", "1"],
  "5.1.1.10.1": ["integer", "2"],
  "5.1.1.16.1": ["string", "mfd-lobby"],
  "5.1.1.17.1": ["integer", "4711"],
  "5.1.1.18.1": ["counter", "0"],
  "6.1.1.2.1.1": ["string", "Front cover"],
  "6.1.1.3.1.1": ["integer", "4"],
  "6.1.1.2.1.2": ["string", "Duplexer"],
  "6.1.1.3.1.2": ["integer", "6"],
  "7.1.1.4.1.1": ["integer", "106"],
  "7.1.1.4.1.2": ["integer", "17"],
  "8.2.1.8.1.1": ["integer", "8"],
  "8.2.1.9.1.1": ["integer", "550"],
  "8.2.1.10.1.1": ["integer", "-3"],
  "8.2.1.11.1.1": ["integer", "0"],
  "8.2.1.12.1.1": ["string", "iso_a4_210x297mm"],
  "8.2.1.13.1.1": ["string", "Tray 1"],
  "8.2.1.8.1.2": ["integer", "8"],
  "8.2.1.9.1.2": ["integer", "100"],
  "8.2.1.10.1.2": ["integer", "0"],
  "8.2.1.11.1.2": ["integer", "9"],
  "8.2.1.13.1.2": ["octet", "42 79 70 61 73 73 1b 5b 32 4a"],
  "9.2.1.3.1.1": ["integer", "8"],
  "9.2.1.4.1.1": ["integer", "250"],
  "9.2.1.5.1.1": ["integer", "-2"],
  "9.2.1.6.1.1": ["integer", "0"],
  "10.2.1.3.1.1": ["integer", "7"],
  "10.2.1.4.1.1": ["counter", "123456"],
  "11.1.1.3.1.1": ["integer", "1"],
  "11.1.1.4.1.1": ["integer", "3"],
  "11.1.1.5.1.1": ["integer", "21"],
  "11.1.1.6.1.1": ["string", "Black Toner"],
  "11.1.1.7.1.1": ["integer", "19"],
  "11.1.1.8.1.1": ["integer", "100"],
  "11.1.1.9.1.1": ["integer", "4"],
  "11.1.1.3.1.2": ["integer", "0"],
  "11.1.1.4.1.2": ["integer", "4"],
  "11.1.1.5.1.2": ["integer", "4"],
  "11.1.1.6.1.2": ["string", "Waste Toner Box"],
  "11.1.1.7.1.2": ["integer", "7"],
  "11.1.1.8.1.2": ["integer", "-2"],
  "11.1.1.9.1.2": ["integer", "-3"],
  "12.1.1.4.1.1": ["string", "Black"],
  "16.5.1.2.1.1": ["octet", "8f 80 94 f5"],
  "16.5.1.2.1.2": ["string", "   "],
  "18.1.1.2.1.12": ["integer", "4"],
  "18.1.1.4.1.12": ["integer", "11"],
  "18.1.1.5.1.12": ["integer", "1"],
  "18.1.1.6.1.12": ["integer", "-2"],
  "18.1.1.7.1.12": ["integer", "1104"],
  "18.1.1.8.1.12": ["string", "Toner low"],
} as const satisfies PrinterRows["mib"];

export interface Snmpd {
  readonly port: number;
  readonly community: string;
  /** Changes what the printer says, from the next request on. */
  set(rows: PrinterRows): Promise<void>;
  /** Ends the agent without a word, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port. `engineBoots`: what it counts from then on (RFC 3414 2.2); a printer may not count. */
  restart(engineBoots: "raised" | "as before"): Promise<void>;
  stop(): Promise<void>;
}

const HOST_RESOURCES = "1.3.6.1.2.1.25.3";
const PRINTER_MIB = "1.3.6.1.2.1.43";

function table({ index = 1, listed = true, deviceStatus, printerStatus, errorState, mib = {} }: PrinterRows): string {
  const rows: Record<string, readonly [string, string]> = {
    // A network interface comes first, as on many printers, so that the index has to be found.
    [`${HOST_RESOURCES}.2.1.2.${index - 1}`]: ["objectid", `.${HOST_RESOURCES}.1.4`],
  };
  if (listed) rows[`${HOST_RESOURCES}.2.1.2.${index}`] = ["objectid", `.${HOST_RESOURCES}.1.5`];
  if (deviceStatus !== undefined) rows[`${HOST_RESOURCES}.2.1.5.${index}`] = ["integer", String(deviceStatus)];
  if (printerStatus !== undefined) rows[`${HOST_RESOURCES}.5.1.1.${index}`] = ["integer", String(printerStatus)];
  if (errorState !== undefined) rows[`${HOST_RESOURCES}.5.1.2.${index}`] = errorState;
  for (const [object, row] of Object.entries(mib)) rows[`${PRINTER_MIB}.${object}`] = row;
  return JSON.stringify(rows);
}

export async function freeUdpPort(): Promise<number> {
  const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** The agent's SNMPv3 user, in all its settings. */
export const V3: Extract<SnmpAccess, { version: "3" }> = {
  version: "3",
  user: "monitor",
  authProtocol: "sha256",
  authPassword: "authpass12345",
  privProtocol: "aes",
  privPassword: "privpass12345",
  context: "",
};
const AUTH_NAMES = {
  sha256: "SHA-256",
  sha512: "SHA-512",
  sha384: "SHA-384",
  sha224: "SHA-224",
  sha: "SHA",
  md5: "MD5",
};

/** Debian's snmpd on loopback, with a printer's part of the Host Resources MIB served by `pass-persist.ts`. */
export async function startSnmpd(rows: PrinterRows, community = "public", v3 = V3): Promise<Snmpd> {
  const folder = await mkdtemp(join(tmpdir(), "printgate-snmpd-"));
  const tableFile = join(folder, "table.json");
  const port = await freeUdpPort();
  const script = fileURLToPath(new URL("pass-persist.ts", import.meta.url));
  const set = async (next: PrinterRows) => {
    await writeFile(`${tableFile}.new`, table(next));
    await rename(`${tableFile}.new`, tableFile);
  };
  await set(rows);
  await writeFile(
    join(folder, "snmpd.conf"),
    [
      `agentAddress udp:127.0.0.1:${port}`,
      `rocommunity ${community} 127.0.0.1`,
      `createUser ${v3.user} ${AUTH_NAMES[v3.authProtocol]} "${v3.authPassword}" AES "${v3.privPassword}"`,
      `rouser ${v3.user} ${v3.privPassword === undefined ? "auth" : "priv"}`,
      "sysDescr ACME LaserFlow 5000",
      `pass_persist .${HOST_RESOURCES} ${process.execPath} ${script} ${tableFile}`,
      `pass_persist .${PRINTER_MIB} ${process.execPath} ${script} ${tableFile}`,
      "",
    ].join("\n"),
  );
  const persist = join(folder, "persist");
  const boots = async (): Promise<string> => /^engineBoots (\d+)$/m.exec(await stateOf(persist))?.[1] ?? "0";
  let child = await spawnSnmpd(folder, persist);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return {
    port,
    community,
    set,
    kill,
    async restart(engineBoots) {
      const before = await boots();
      await kill();
      // snmpd counts each start by itself: one less to start from is a count that stays.
      const from = engineBoots === "raised" ? before : String(Number(before) - 1);
      const state = await stateOf(persist);
      await writeFile(join(persist, "snmpd.conf"), state.replace(/^engineBoots .*$/m, `engineBoots ${from}`));
      child = await spawnSnmpd(folder, persist);
    },
    async stop() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function stateOf(persist: string): Promise<string> {
  return readFile(join(persist, "snmpd.conf"), "latin1");
}

/** Resolves when it answers. */
async function spawnSnmpd(folder: string, persist: string): Promise<ChildProcess> {
  const child = spawn(
    "snmpd",
    [
      "-f",
      "-Lo",
      "-C",
      "-c",
      join(folder, "snmpd.conf"),
      "-I",
      "-smux,hr_device,hr_print,hr_proc,hr_network,hr_disk,hr_partition",
    ],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: `/usr/sbin:${process.env.PATH ?? ""}`, MIBS: "", SNMP_PERSISTENT_DIR: persist },
    },
  );
  child.stderr.resume();
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (!line.startsWith("NET-SNMP version")) continue;
    child.stdout.resume();
    return child;
  }
  throw new Error(`snmpd did not start: ${said.join("; ")}`);
}
