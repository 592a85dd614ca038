import { spawn } from "node:child_process";
import * as dgram from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What the simulated printer says; `undefined` leaves the object out. */
export interface PrinterRows {
  readonly index?: number;
  readonly deviceStatus?: number | undefined;
  readonly printerStatus?: number | undefined;
  /** snmpd's own syntax: ["octet", "04 00"], ["integer", "4"], ["string", "0400"]. */
  readonly errorState?: readonly [type: string, value: string] | undefined;
}

export const READY: PrinterRows = { deviceStatus: 2, printerStatus: 3, errorState: ["octet", "00"] };
export const JAMMED: PrinterRows = { deviceStatus: 5, printerStatus: 1, errorState: ["octet", "04 00"] };

export interface Snmpd {
  readonly port: number;
  readonly community: string;
  /** Changes what the printer says, from the next request on. */
  set(rows: PrinterRows): Promise<void>;
  /** Ends the agent without a word, and waits until it is gone. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

const HOST_RESOURCES = "1.3.6.1.2.1.25.3";

function table({ index = 1, deviceStatus, printerStatus, errorState }: PrinterRows): string {
  const rows: Record<string, readonly [string, string]> = {
    // A network interface comes first, as on many printers, so that the index has to be found.
    [`${HOST_RESOURCES}.2.1.2.${index - 1}`]: ["objectid", `.${HOST_RESOURCES}.1.4`],
    [`${HOST_RESOURCES}.2.1.2.${index}`]: ["objectid", `.${HOST_RESOURCES}.1.5`],
  };
  if (deviceStatus !== undefined) rows[`${HOST_RESOURCES}.2.1.5.${index}`] = ["integer", String(deviceStatus)];
  if (printerStatus !== undefined) rows[`${HOST_RESOURCES}.5.1.1.${index}`] = ["integer", String(printerStatus)];
  if (errorState !== undefined) rows[`${HOST_RESOURCES}.5.1.2.${index}`] = errorState;
  return JSON.stringify(rows);
}

async function freeUdpPort(): Promise<number> {
  const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Debian's snmpd on loopback, with a printer's part of the Host Resources MIB served by `pass-persist.ts`. */
export async function startSnmpd(rows: PrinterRows, community = "public"): Promise<Snmpd> {
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
      "sysDescr ACME LaserFlow 5000",
      `pass_persist .${HOST_RESOURCES} ${process.execPath} ${script} ${tableFile}`,
      "",
    ].join("\n"),
  );
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
      env: { PATH: `/usr/sbin:${process.env.PATH ?? ""}`, MIBS: "", SNMP_PERSISTENT_DIR: join(folder, "persist") },
    },
  );
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  const stop = async () => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };

  child.stderr.resume();
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (!line.startsWith("NET-SNMP version")) continue;
    child.stdout.resume();
    return { port, community, set, kill, stop };
  }
  await stop();
  throw new Error(`snmpd did not start: ${said.join("; ")}`);
}
