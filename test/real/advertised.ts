import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`;
const AVAHI = `[server]
host-name=acme
use-ipv6=no
allow-interfaces=pg0
`;
const ADDRESS = "10.99.0.1";
const PORT = 8631;

/**
 * In the room: a cable that leads nowhere, names that need no server, a D-Bus, Debian's avahi-daemon, and an ippeveprinter that
 * advertises itself there. The shell is the first process of the room, so that all others end with it, and it ends with its input.
 */
const SCRIPT = `set -e
ip link set lo up
ip link add pg0 type veth peer name pg1
ip addr add ${ADDRESS}/24 dev pg0
ip link set pg0 multicast on up
ip link set pg1 up
: > "$1/resolv"
mount --bind "$1/resolv" /etc/resolv.conf || true
printf '127.0.0.1 localhost\\n${ADDRESS} acme.local\\n' > "$1/hosts"
mount --bind "$1/hosts" /etc/hosts
mount -t tmpfs none /run
mkdir "$1/keys" "$1/spool" /run/avahi-daemon
dbus-daemon --config-file="$1/bus.conf" --nofork --nopidfile --nosyslog &
until [ -S /run/bus ]; do sleep 0.05; done
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
avahi-daemon -f "$1/avahi.conf" --no-rlimits --no-drop-root --no-chroot --no-proc-title &
until [ -S /run/avahi-daemon/socket ]; do sleep 0.05; done
ippeveprinter -p ${PORT} -K "$1/keys" -k -d "$1/spool" -f application/pdf,image/urf -c /bin/true "Lobby Laser" &
echo ready
exec cat
`;

/** Namespaces are root's, of the machine or of a user namespace. */
const AS_ROOT = process.getuid?.() === 0 ? [] : ["--map-root-user"];

/** A network of its own in which a real printer advertises itself by a real avahi-daemon. */
export class AdvertisedPrinter implements AsyncDisposable {
  readonly address = ADDRESS;
  readonly port = PORT;
  readonly #folder: string;
  readonly #room: ChildProcessWithoutNullStreams;

  private constructor(folder: string, room: ChildProcessWithoutNullStreams) {
    this.#folder = folder;
    this.#room = room;
  }

  static async start(): Promise<AdvertisedPrinter> {
    const folder = await mkdtemp(join(tmpdir(), "printgate-avahi-"));
    await writeFile(join(folder, "bus.conf"), BUS);
    await writeFile(join(folder, "avahi.conf"), AVAHI);
    const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child=KILL"];
    const room = spawn("unshare", [...AS_ROOT, ...namespaces, "sh", "-c", SCRIPT, "sh", folder]);
    let said = "";
    room.stderr.on("data", (text: Buffer) => {
      said = `${said}${text}`.slice(-4000);
    });
    const printer = new AdvertisedPrinter(folder, room);
    const failed = once(room, "exit").then(() => Promise.reject(new Error(`no room for avahi-daemon: ${said}`)));
    try {
      await Promise.race([once(room.stdout, "data"), failed]);
    } catch (error) {
      await rm(folder, { recursive: true });
      throw error;
    }
    failed.catch(() => {
      // It ends when the test does.
    });
    return printer;
  }

  /** The command line in this network; resolves with its exit code and what it wrote on stdout. */
  printgate(...words: readonly string[]): Promise<{ code: number; out: string }> {
    const enter = [
      "--target",
      String(this.#room.pid),
      ...(AS_ROOT.length > 0 ? ["--user", "--preserve-credentials"] : []),
    ];
    const main = new URL("../../agent/main.ts", import.meta.url).pathname;
    return new Promise((resolve) => {
      execFile("nsenter", [...enter, "--net", "--mount", process.execPath, main, ...words], (error, out) => {
        resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, out });
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#room, "exit");
    this.#room.stdin.end();
    await gone;
    await rm(this.#folder, { recursive: true, maxRetries: 3 });
  }
}
