import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type CpioEntry, cpio } from "../../build/cpio.ts";
import { vmImage } from "../../build/vm-image.ts";
import { Guest } from "./guest.ts";
import { Qmp } from "./qmp.ts";

/** From power-on to the guest's control program; 9 s measured on two idle cores, four times that on busy ones. */
const BOOT_MS = 180_000;

export interface MachineOptions {
  /** A folder of the host and where the guest has it, read-only in spirit: the guest's file system is its memory. */
  readonly folders: Readonly<Record<string, string>>;
  /** Texts as files of the guest. Its /bin, /sbin and /lib are links into /usr, so that none of those may be a path here. */
  readonly files?: Readonly<Record<string, string>>;
  /** Character devices whose other end is ours, by name, for `chardev=` of a device. */
  readonly lines?: readonly string[];
}

/** A virtual PC that ends when it is told to, whatever its guest does, and with this process. */
export class Machine {
  readonly qmp: Qmp;
  readonly guest: Guest;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #lines: ReadonlyMap<string, Socket>;
  readonly #plugged = new Set<string>();

  static async boot(options: MachineOptions): Promise<Machine> {
    const image = await vmImage((line) => void process.stderr.write(`${line}\n`));
    const folder = await mkdtemp(join(tmpdir(), "printgate-vm-"));
    let qemu: ChildProcess | undefined;
    try {
      const initrd = join(folder, "initrd");
      await joined(initrd, image.base, await overlay(options));
      // We listen and QEMU connects: no socket of its own has to be waited for.
      const sockets = new Map<string, Promise<Socket>>();
      for (const name of ["qmp", "control", ...(options.lines ?? [])]) {
        sockets.set(name, (await listener(join(folder, name))).connection);
      }
      qemu = spawn("qemu-system-x86_64", qemuArguments(folder, image.kernel, initrd, options.lines ?? []), {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const failure = failed(qemu, folder);
      // Whatever becomes of the boot, and of this process, QEMU does not outlive it.
      endsWithUs(qemu);
      // Sockets close before it is known why.
      return await Promise.race([failure, Machine.#connect(qemu, folder, sockets).catch(() => failure)]);
    } catch (error) {
      qemu?.kill("SIGKILL");
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  static async #connect(qemu: ChildProcess, folder: string, sockets: Map<string, Promise<Socket>>): Promise<Machine> {
    const lines = new Map<string, Socket>();
    for (const [name, socket] of sockets) lines.set(name, await socket);
    const [qmp, control] = [lines.get("qmp"), lines.get("control")];
    if (qmp === undefined || control === undefined) throw new Error("no control sockets");
    return new Machine(qemu, folder, lines, await Qmp.over(qmp), await Guest.over(control));
  }

  private constructor(qemu: ChildProcess, folder: string, lines: ReadonlyMap<string, Socket>, qmp: Qmp, guest: Guest) {
    this.#process = qemu;
    this.#folder = folder;
    this.#lines = lines;
    this.qmp = qmp;
    this.guest = guest;
  }

  /** Our end of a character device. */
  line(name: string): Socket {
    const socket = this.#lines.get(name);
    if (socket === undefined) throw new Error(`the machine has no line ${name}`);
    return socket;
  }

  /** Resolves when QEMU has the device; the guest finds it later. */
  async plugIn(driver: string, id: string, properties: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.qmp.execute("device_add", { driver, id, ...properties });
    this.#plugged.add(id);
  }

  /** What was plugged in and not unplugged. */
  get plugged(): readonly string[] {
    return [...this.#plugged];
  }

  async unplug(id: string): Promise<void> {
    const gone = this.qmp.next(({ event, data }) => event === "DEVICE_DELETED" && data?.device === id);
    await this.qmp.execute("device_del", { id });
    await gone;
    this.#plugged.delete(id);
  }

  /** What the kernel printed. */
  kernelLog(): Promise<string> {
    return readFile(join(this.#folder, "kernel.log"), "utf8");
  }

  async stop(): Promise<void> {
    const runs = this.#process.exitCode === null && this.#process.signalCode === null;
    const over = runs ? once(this.#process, "exit") : undefined;
    this.#process.kill("SIGKILL");
    await over;
    for (const socket of this.#lines.values()) socket.destroy();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/**
 * `no_timer_check`: the kernel panics otherwise when a busy host is late with its first timer interrupts; `reboot=t`: a
 * panic ends QEMU. No KVM: it is not to be had in virtual machines, where most of these run. No PS/2 controller: keys would go to its
 * keyboard while ours is unplugged. Two USB controllers: `usb` (xHCI) is a Pi's; at
 * `fast` (EHCI) the kernel heeds `kbpoll=1` and asks a keyboard each millisecond, not each eighth, for when many keys are typed.
 */
function qemuArguments(folder: string, kernel: string, initrd: string, lines: readonly string[]): string[] {
  const socket = (name: string) => ["-chardev", `socket,id=${name},path=${join(folder, name)}`];
  return [
    ...["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024"],
    ...["-machine", "pc,i8042=off,hpet=off", "-nodefaults", "-no-user-config", "-no-reboot"],
    ...["-display", "none", "-vga", "std"],
    ...["-kernel", kernel, "-initrd", initrd],
    "-append",
    "console=ttyS0 quiet no_timer_check reboot=t panic=-1 mitigations=off nokaslr random.trust_cpu=on usbhid.kbpoll=1",
    ...["-serial", `file:${join(folder, "kernel.log")}`],
    ...socket("qmp"),
    ...["-mon", "chardev=qmp,mode=control"],
    ...["-device", "virtio-serial-pci"],
    ...socket("control"),
    ...["-device", "virtserialport,chardev=control,name=printgate.control"],
    ...["-device", "qemu-xhci,id=usb", "-device", "usb-ehci,id=fast"],
    ...lines.flatMap(socket),
  ];
}

function endsWithUs(qemu: ChildProcess): void {
  const kill = () => void qemu.kill("SIGKILL");
  process.once("exit", kill);
  qemu.once("exit", () => process.off("exit", kill));
}

/** Rejects with what QEMU and the kernel said when the machine ends, or is not up in time. */
async function failed(qemu: ChildProcess, folder: string): Promise<never> {
  let said = "";
  qemu.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const why = await new Promise<string>((resolve) => {
    const deadline = setTimeout(() => resolve(`not up within ${BOOT_MS} ms`), BOOT_MS);
    deadline.unref();
    qemu.once("error", (error) => resolve(`${error.message}: run build/setup --vm`));
    qemu.once("close", (code, signal) => resolve(`QEMU ended (${code ?? signal})`));
  });
  const log = await readFile(join(folder, "kernel.log"), "utf8").catch(() => "");
  throw new Error(`the virtual machine: ${why}\n${said}${log.slice(-4000)}`);
}

/** Listens on a path, for one connection; in an object, because awaiting a promise of a promise waits for both. */
async function listener(path: string): Promise<{ connection: Promise<Socket> }> {
  const server = createServer();
  const connection = new Promise<Socket>((resolve) => {
    server.once("connection", (socket) => {
      server.close();
      socket.on("error", () => {}); // QEMU is killed at the end
      resolve(socket);
    });
  });
  server.listen(path);
  await once(server, "listening");
  return { connection };
}

/** What differs from run to run, as an archive of its own behind the cached one. */
async function overlay({ folders, files = {} }: MachineOptions): Promise<CpioEntry[]> {
  const entries: CpioEntry[] = [];
  for (const [host, guest] of Object.entries(folders)) {
    for (const found of await readdir(host, { recursive: true, withFileTypes: true })) {
      const real = join(found.parentPath, found.name);
      if (!found.isFile()) continue;
      const path = join(guest, relative(host, real)).replace(/^\//, "");
      entries.push({ path, type: "file", mode: 0o755, content: await readFile(real) });
    }
  }
  for (const [path, text] of Object.entries(files)) {
    entries.push({ path: path.replace(/^\//, ""), type: "file", mode: 0o644, content: Buffer.from(text) });
  }
  return entries;
}

async function joined(target: string, base: string, entries: readonly CpioEntry[]): Promise<void> {
  await pipeline(createReadStream(base), createWriteStream(target));
  await pipeline(Readable.from(cpio(entries)), createWriteStream(target, { flags: "a" }));
}
