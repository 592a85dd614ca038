import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KeyPinMismatch, openTls } from "../../drivers/transports/tls.ts";
import { PamRoom, type PrinterLogin } from "./pam.ts";

export interface EvePrinterOptions {
  readonly name?: string;
  /** document-format-supported. */
  readonly formats?: readonly string[];
  /** Run for each document with the file's path as its argument; the job ends when it exits. `/bin/true` by default. */
  readonly command?: string;
  /** Text of a shell script in place of `command`; the document is `$1`. `exec sleep 1000` keeps the printer busy. */
  readonly script?: string;
  /** It asks for this login, by Basic over TLS. */
  readonly login?: PrinterLogin;
  /** More arguments, such as `-2`. */
  readonly args?: readonly string[];
  /** More environment for the printer and for its command. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running ippeveprinter: one port that speaks both http and https, on the loopback interfaces only. */
export interface EvePrinter {
  readonly port: number;
  /** `ipp://localhost:PORT/ipp/print` */
  readonly uri: string;
  /** The same over TLS. */
  readonly secureUri: string;
  /** Of the self-signed key that it made for itself. */
  readonly keyPin: string;
  /** Every document that it took stays here as a file. */
  readonly spool: string;
  /** Ends the process and removes its files. */
  stop(): Promise<void>;
}

const READY_MS = 15_000;

export async function startEvePrinter(options: EvePrinterOptions = {}): Promise<EvePrinter> {
  const directory = await mkdtemp(join(tmpdir(), "ippeveprinter-"));
  const children: ChildProcess[] = [];
  const kill = () => children.forEach(killGroup);
  process.once("exit", kill);
  const stop = async () => {
    process.off("exit", kill);
    for (const child of children.reverse()) await end(child);
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    const spool = join(directory, "spool");
    await mkdir(spool);
    const script = join(directory, "command");
    if (options.script !== undefined) await writeFile(script, `#!/bin/sh\n${options.script}\n`, { mode: 0o755 });
    const command = options.script === undefined ? (options.command ?? "/bin/true") : script;
    const bus = await startBus(directory, children);
    const room = options.login === undefined ? undefined : await PamRoom.make(directory, options.login);
    // A port that was free a moment ago may be taken by now: then the printer exits at once and the next one is tried.
    for (let attempt = 0; attempt < 5; attempt++) {
      const port = await freePort();
      const printer = startPrinter(directory, bus, port, { ...options, command }, room);
      children.push(printer.child);
      const keyPin = await answering(printer, port);
      if (keyPin === undefined) continue;
      const path = `localhost:${port}/ipp/print`;
      return { port, uri: `ipp://${path}`, secureUri: `ipps://${path}`, keyPin, spool, stop };
    }
    throw new Error("ippeveprinter found no free port");
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
}

function startPrinter(
  directory: string,
  bus: string,
  port: number,
  options: EvePrinterOptions,
  room: PamRoom | undefined,
): Started {
  const args = ["-n", "localhost", "-p", String(port), "-r", "off", "-K", directory, "-k"];
  args.push("-d", join(directory, "spool"));
  args.push("-f", (options.formats ?? ["application/pdf", "application/octet-stream"]).join(","));
  args.push("-c", options.command ?? "/bin/true", ...(options.args ?? []), options.name ?? "Test Printer");
  if (room !== undefined) args.unshift("-A");
  const [file = "", ...words] = [...(room?.words ?? []), "ippeveprinter", ...args];
  const child = spawn(file, words, {
    stdio: ["ignore", "ignore", "pipe"],
    // A process group of its own, so that the commands of its jobs end with it.
    detached: true,
    env: { ...process.env, ...options.env, DBUS_SYSTEM_BUS_ADDRESS: bus },
  });
  let output = "";
  child.stderr.on("data", (bytes: Buffer) => {
    output = `${output}${bytes}`.slice(-4000);
  });
  return { child, output: () => output };
}

/** The key pin once it answers over TLS, or undefined if its port was taken. */
async function answering({ child, output }: Started, port: number): Promise<string | undefined> {
  let exited = false;
  child.once("exit", () => {
    exited = true;
  });
  child.once("error", () => {
    exited = true;
  });
  const deadline = performance.now() + READY_MS;
  while (performance.now() < deadline && !exited) {
    try {
      // It makes its key at the first TLS connection, so that one may take a while.
      const socket = await openTls({ host: "localhost", port }, { keyPins: [] }, READY_MS);
      socket.destroy();
    } catch (error) {
      if (error instanceof KeyPinMismatch) return error.seen;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  if (exited && /in use|listener/i.test(output())) return undefined;
  throw new Error(`ippeveprinter does not answer: ${output()}`);
}

/** ippeveprinter needs a D-Bus to ask for Avahi on, and is content if no Avahi is there: so nothing is ever advertised. */
async function startBus(directory: string, children: ChildProcess[]): Promise<string> {
  const child = spawn(
    "dbus-daemon",
    ["--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1", `--address=unix:path=${directory}/bus`],
    { stdio: ["ignore", "pipe", "ignore"], detached: true },
  );
  children.push(child);
  const [address] = await Promise.race([
    once(child.stdout, "data"),
    once(child, "exit").then(() => Promise.reject(new Error("dbus-daemon ended"))),
  ]);
  return String(address).trim();
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "localhost");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, "exit");
  killGroup(child);
  await gone;
}

function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, "SIGKILL");
}
