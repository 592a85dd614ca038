import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import { KeyPinMismatch, openTls } from "../../drivers/transports/tls.ts";
import { freePort } from "./agent-process.ts";
import { PamRoom, type PrinterLogin } from "./pam.ts";

const CUPSD = "/usr/sbin/cupsd";
const SERVER_BIN = "/usr/lib/cups";
const READY_MS = 15_000;
const STOP_MS = 5_000;

/** The one queue that it has. */
export const CUPS_PATH = "/printers/office";

export type CupsdOptions = {
  /** It speaks TLS only, with a key that it makes for itself. */
  readonly secure?: boolean;
  /** It asks for this login, by Basic. */
  readonly login?: PrinterLogin;
} & (
  | { readonly deviceUri: string }
  /** Text of a shell script that is the queue's backend; the document is `$6`. */
  | { readonly backend: string }
);

/** A private cupsd with a raw queue: without a PPD the document goes to the backend as it is, no filter takes part. */
export class Cupsd {
  readonly port: number;
  readonly uri: string;
  /** Of its key; undefined where it speaks no TLS. */
  readonly keyPin: string | undefined;
  readonly #folder: string;
  readonly #child: ChildProcess;

  static isThere(): Promise<boolean> {
    return access(CUPSD).then(
      () => true,
      () => false,
    );
  }

  static async start(options: CupsdOptions): Promise<Cupsd> {
    const folder = await mkdtemp(join(tmpdir(), "printgate-cups-"));
    let child: ChildProcess | undefined;
    try {
      const port = await freePort();
      await configure(folder, port, options);
      const room = options.login === undefined ? undefined : await PamRoom.make(folder, options.login);
      const args = ["-f", "-c", join(folder, "cupsd.conf"), "-s", join(folder, "cups-files.conf")];
      const [file = "", ...rest] = [...(room?.words ?? []), CUPSD, ...args];
      child = spawn(file, rest, { stdio: "ignore" });
      const keyPin = await answering(child, port, options.secure === true);
      return new Cupsd(folder, child, port, keyPin);
    } catch (error) {
      const said = await readFile(join(folder, "error_log"), "utf8").catch(() => "");
      if (child !== undefined) await end(child);
      await rm(folder, { recursive: true, force: true });
      throw new Error(`cupsd did not start: ${said.slice(-2000)}`, { cause: error });
    }
  }

  private constructor(folder: string, child: ChildProcess, port: number, keyPin: string | undefined) {
    this.#folder = folder;
    this.#child = child;
    this.port = port;
    this.keyPin = keyPin;
    this.uri = `${keyPin === undefined ? "ipp" : "ipps"}://127.0.0.1:${port}${CUPS_PATH}`;
    process.once("exit", this.#kill);
  }

  readonly #kill = () => void this.#child.kill("SIGKILL");

  /** What it says went wrong. */
  errors(): Promise<string> {
    return readFile(join(this.#folder, "error_log"), "utf8");
  }

  /** Ends the process, and with it its backends, and removes its files. */
  async stop(): Promise<void> {
    process.off("exit", this.#kill);
    await end(this.#child);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function configure(folder: string, port: number, options: CupsdOptions): Promise<void> {
  const at = (name: string) => join(folder, name);
  const { username, uid } = userInfo();
  // Its backends run as another user.
  for (const name of [".", "etc", "run", "spool", "cache", "tmp"]) await mkdir(at(name), { recursive: true });
  await chmod(folder, 0o755);
  let device = "deviceUri" in options ? options.deviceUri : "";
  let serverBin = SERVER_BIN;
  if ("backend" in options) {
    device = "paper:/out";
    serverBin = at("bin");
    await mkdir(join(serverBin, "backend"), { recursive: true });
    for (const name of ["daemon", "filter", "monitor", "notifier"])
      await symlink(join(SERVER_BIN, name), join(serverBin, name));
    await writeFile(join(serverBin, "backend/paper"), `#!/bin/sh\n[ $# -gt 0 ] || exit 0\n${options.backend}\n`, {
      mode: 0o755,
    });
  }
  const keys = `ServerKeychain ${at("etc")}\nCreateSelfSignedCerts yes\n`;
  await writeFile(
    at("cups-files.conf"),
    `SystemGroup ${uid === 0 ? "root" : "lp"}
User ${uid === 0 ? "lp" : username}
Group lp
ServerRoot ${at("etc")}
StateDir ${at("run")}
RequestRoot ${at("spool")}
CacheDir ${at("cache")}
TempDir ${at("tmp")}
DataDir /usr/share/cups
ServerBin ${serverBin}
ErrorLog ${at("error_log")}
AccessLog ${at("access_log")}
PageLog ${at("page_log")}
${options.secure === true ? keys : ""}`,
  );
  const guard = options.login === undefined ? "" : "\n  AuthType Basic\n  Require valid-user";
  await writeFile(
    at("cupsd.conf"),
    `${options.secure === true ? "SSLListen" : "Listen"} 127.0.0.1:${port}
LogLevel warn
Browsing Off
WebInterface No
DefaultAuthType None
<Location />
  Order allow,deny
  Allow from 127.0.0.1${guard}
</Location>
<Policy default>
  <Limit All>
    Order allow,deny
    Allow from 127.0.0.1
  </Limit>
</Policy>
`,
  );
  await writeFile(
    at("etc/printers.conf"),
    `<DefaultPrinter office>
DeviceURI ${device}
State Idle
Accepting Yes
Shared No
JobSheets none none
OpPolicy default
ErrorPolicy stop-printer
</DefaultPrinter>
`,
    { mode: 0o600 },
  );
}

/** Resolves with its key pin, if it has one. */
async function answering(child: ChildProcess, port: number, secure: boolean): Promise<string | undefined> {
  let gone = false;
  const isGone = () => {
    gone = true;
  };
  child.once("exit", isGone);
  child.once("error", isGone);
  const deadline = performance.now() + READY_MS;
  while (performance.now() < deadline && !gone) {
    try {
      if (!secure) return await asked(port);
      (await openTls({ host: "127.0.0.1", port }, { keyPins: [] }, READY_MS)).destroy();
    } catch (error) {
      if (error instanceof KeyPinMismatch) return error.seen;
      await rest(10); // not yet
    }
  }
  throw new Error(gone ? "it ended" : "it does not answer");
}

/** Resolves when an HTTP reply came, whatever it says. */
function asked(port: number): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const posted = request({ host: "127.0.0.1", port, path: CUPS_PATH }, (reply) => {
      reply.resume().once("end", () => resolve(undefined));
    });
    posted.on("error", reject).end();
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const kill = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await gone;
  clearTimeout(kill);
}
