import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

/** The ATR of a MIFARE 1K card on a contactless reader. */
export const MIFARE_1K = "3b8f8001804f0ca000000306030001000000006a";

/** vpcd listens for the card of its first reader here, of the second one at the next port, on every address. */
const VPCD_PORT = 0x8c7b;

/**
 * Debian's pcscd with the virtual reader "Virtual PCD" of vsmartcard, in a network of its own that has nothing but
 * loopback: vpcd listens on 0.0.0.0. Its socket is below `folder`, for this process alone; a pcscd of the machine is left
 * alone, and so are the machine's readers.
 */
export class Pcscd {
  readonly #folder: string;
  readonly #room: ChildProcessWithoutNullStreams;
  #daemon: ChildProcess | undefined;
  readonly #cards: VirtualCard[] = [];

  private constructor(folder: string, room: ChildProcessWithoutNullStreams) {
    this.#folder = folder;
    this.#room = room;
  }

  static async prepare(): Promise<Pcscd> {
    const folder = await mkdtemp(join(tmpdir(), "printgate-pcscd-"));
    await mkdir(join(folder, "run"));
    await mkdir(join(folder, "no-drivers"));
    await writeFile(
      join(folder, "reader.conf"),
      [
        'FRIENDLYNAME "Virtual PCD"',
        `DEVICENAME /dev/null:${VPCD_PORT}`,
        "LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so",
        `CHANNELID ${VPCD_PORT}`,
        "",
      ].join("\n"),
    );
    // /run/pcscd is compiled in. The room is left with `cat`, when its input ends: with this process at the latest.
    const script =
      'ip link set lo up && mkdir -p /run/pcscd && mount --bind "$1/run" /run/pcscd && echo ready && exec cat';
    const room = spawn("unshare", [...AS_ROOT, "--net", "--mount", "sh", "-c", script, "sh", folder]);
    let said = "";
    room.stderr.on("data", (text: Buffer) => {
      said += text.toString();
    });
    const ready = once(room.stdout, "data");
    const failed = once(room, "exit").then(() => {
      throw new Error(`no room for pcscd: ${said}`);
    });
    await Promise.race([ready, failed]);
    failed.catch(() => {
      // It ends when the test does.
    });
    return new Pcscd(folder, room);
  }

  /** For the environment variable PCSCLITE_CSOCK_NAME of who is to use it. */
  get socket(): string {
    return join(this.#folder, "run", "pcscd.comm");
  }

  async start(): Promise<void> {
    const daemon = this.#spawn(["pcscd", "--foreground", "--config", join(this.#folder, "reader.conf")], "ignore");
    this.#daemon = daemon;
    await until("pcscd listens for its cards", async () => {
      if (daemon.exitCode !== null) throw new Error("pcscd has ended");
      const probe = this.#spawn(["ss", "-Hltn", `sport = ${VPCD_PORT + 1}`], "pipe");
      const [out] = await Promise.all([probe.stdout?.toArray(), once(probe, "exit")]);
      return Buffer.concat(out ?? []).length > 0;
    });
  }

  /** Without a word, as a crash. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined) return;
    const gone = once(daemon, "exit");
    daemon.kill(signal);
    // Whatever holds it up, the test does not wait longer.
    const hung = setTimeout(() => daemon.kill("SIGKILL"), 5000);
    await gone;
    clearTimeout(hung);
  }

  /** A card on the first or second reader, which answers `FF CA 00 00 00` with `answer` and refuses everything else. */
  insert(answer: string, { slot = 0, atr = MIFARE_1K } = {}): VirtualCard {
    const cable = this.#spawn(["socat", "STDIO", `TCP:127.0.0.1:${VPCD_PORT + slot},retry=50,interval=0.1`], "pipe");
    const card = new VirtualCard(cable, Buffer.from(atr, "hex"), Buffer.from(answer, "hex"));
    this.#cards.push(card);
    return card;
  }

  async stop(): Promise<void> {
    for (const card of this.#cards) await card.remove();
    await this.kill("SIGTERM");
    const gone = once(this.#room, "exit");
    this.#room.stdin.end();
    await gone;
    await rm(this.#folder, { recursive: true });
  }

  #spawn(command: readonly string[], stdio: "ignore" | "pipe"): ChildProcess {
    const room = [
      "--target",
      String(this.#room.pid),
      ...(AS_ROOT.length > 0 ? ["--user", "--preserve-credentials"] : []),
    ];
    return spawn("nsenter", [...room, "--net", "--mount", "setpriv", "--pdeathsig", "KILL", ...command], {
      stdio: [stdio, stdio, "ignore"],
      env: { PATH: `/usr/sbin:/sbin:${process.env.PATH ?? ""}`, PCSCLITE_HP_DROPDIR: join(this.#folder, "no-drivers") },
    });
  }
}

/** Namespaces are root's, of the machine or of a user namespace. */
const AS_ROOT = process.getuid?.() === 0 ? [] : ["--map-root-user"];

/** Speaks vpcd's protocol: a length of two bytes, then a control byte or an APDU. */
export class VirtualCard {
  /** The APDUs that it got. */
  readonly apdus: string[] = [];
  readonly #cable: ChildProcess;

  constructor(cable: ChildProcess, atr: Buffer, answer: Buffer) {
    this.#cable = cable;
    let buffer = Buffer.alloc(0);
    const say = (bytes: Buffer) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      cable.stdin?.write(Buffer.concat([length, bytes]));
    };
    // Taken away in the middle of an answer.
    cable.stdin?.on("error", () => {});
    cable.stdout?.on("data", (bytes: Buffer) => {
      buffer = Buffer.concat([buffer, bytes]);
      while (buffer.length >= 2 && buffer.length >= 2 + buffer.readUInt16BE(0)) {
        const message = buffer.subarray(2, 2 + buffer.readUInt16BE(0));
        buffer = buffer.subarray(2 + message.length);
        // Of the control bytes (power off, on, reset, ATR) the last one alone is answered; it is the poll for presence, too.
        if (message.length === 1) {
          if (message[0] === 4) say(atr);
          continue;
        }
        const apdu = message.toString("hex");
        this.apdus.push(apdu);
        say(apdu === "ffca000000" ? answer : Buffer.from("6d00", "hex"));
      }
    });
  }

  async remove(): Promise<void> {
    if (this.#cable.exitCode !== null || this.#cable.signalCode !== null) return;
    const gone = once(this.#cable, "exit");
    this.#cable.kill();
    await gone;
  }
}
