import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Check } from "./doctor.ts";

/** What of the configuration the machine has to be fit for. */
export interface HostNeeds {
  readonly stateDir: string;
  /** Readers that type, by name: their keys must not reach the console. */
  readonly keyboards: readonly { readonly name: string; readonly vendorId: number; readonly productId: number }[];
  /** Whether a reader is on a serial port. */
  readonly serial: boolean;
  /** TCP ports that readers connect to, by reader. */
  readonly listens: readonly { readonly name: string; readonly port: number }[];
  /** Whether the agent runs, and so has its ports. */
  readonly agentRuns: boolean;
}

type Finding = Omit<Check, "name">;
type Look = (host: Host, needs: HostNeeds) => Promise<Finding>;

/** The machine's files; in tests a folder in its place. */
class Host {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Trimmed; undefined where there is none, or none for us. */
  async read(path: string): Promise<string | undefined> {
    return (await readFile(join(this.#root, path), "utf8").catch(() => undefined))?.trim();
  }

  async has(path: string): Promise<boolean> {
    return (await this.read(path)) !== undefined || (await this.list(path)).length > 0;
  }

  /** Names in a folder, sorted; none where it is not. */
  async list(path: string): Promise<string[]> {
    return (await readdir(join(this.#root, path)).catch(() => [])).sort();
  }
}

const pass = (evidence: string): Finding => ({ result: "pass", evidence });
const warn = (evidence: string, next: string): Finding => ({ result: "warn", evidence, next });
const fail = (evidence: string, next: string): Finding => ({ result: "fail", evidence, next });
const skip = (evidence: string): Finding => ({ result: "skip", evidence });

const LOOKS: Readonly<Record<string, Look>> = {
  kernel: async (host, { keyboards }) => {
    const release = await host.read("/proc/sys/kernel/osrelease");
    const [, major, minor] = /^(\d+)\.(\d+)/.exec(release ?? "") ?? [];
    if (release === undefined || major === undefined) return skip("no Linux is told of");
    const evidence = `Linux ${release}`;
    // `inhibited` of input devices came with it.
    if (Number(major) * 1000 + Number(minor) >= 5011) return pass(evidence);
    const next = "Update the system: before Linux 5.11 the keys of a reader cannot be kept from the console.";
    return keyboards.length > 0 ? fail(evidence, next) : warn(evidence, next);
  },

  user: async (host, { serial }) => {
    const passwd = (await host.read("/etc/passwd")) ?? "";
    if (!/^printgate:/m.test(passwd)) return skip("there is no user printgate: not installed from the package");
    const [, members = ""] = /^dialout:[^:]*:\d*:(.*)$/m.exec((await host.read("/etc/group")) ?? "") ?? [];
    const isMember = members.split(",").includes("printgate");
    if (isMember || !serial) return pass(`printgate${isMember ? ", in the group dialout" : ""}`);
    return fail(
      "printgate is not in the group dialout, to which serial ports belong",
      "adduser printgate dialout, then systemctl restart printgate",
    );
  },

  "udev rules": async (host, { keyboards }) => {
    // One in /etc takes the place of one of its name in the others.
    const places = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];
    const paths = places.map((place) => `${place}/udev/rules.d/60-printgate-readers.rules`);
    const texts = await Promise.all(paths.map((path) => host.read(path)));
    const at = texts.findIndex((text) => text !== undefined);
    const [path, text] = [paths[at], texts[at]];
    const next =
      "printgate reader udev-rules >/etc/udev/rules.d/60-printgate-readers.rules, then udevadm control --reload && udevadm trigger";
    if (path === undefined || text === undefined) {
      return keyboards.length > 0 ? warn("there are none", next) : skip("there are none, and no reader needs any");
    }
    const missing = keyboards.filter(({ vendorId, productId }) => {
      const id = [vendorId, productId].map((part) => part.toString(16).padStart(4, "0").toUpperCase()).join(":");
      return !text.includes(`0003:${id}.`);
    });
    if (missing.length > 0) return warn(`${path} does not know ${missing.map(({ name }) => name).join(", ")}`, next);
    if (!(await host.list("/run/udev")).includes("control")) {
      return warn(
        `${path}, but udevd does not run`,
        "Start systemd-udevd; without it readers keep the rights of root alone.",
      );
    }
    return pass(path);
  },

  "keys of readers": async (host, { keyboards }) => {
    if (keyboards.length === 0) return skip("no reader types");
    const open: string[] = [];
    let inhibited = 0;
    for (const node of await host.list("/sys/class/input")) {
      if (!/^input\d+$/.test(node)) continue;
      const [vendor, product, state] = await Promise.all(
        ["id/vendor", "id/product", "inhibited"].map((file) => host.read(`/sys/class/input/${node}/${file}`)),
      );
      const reader = keyboards.find(
        ({ vendorId, productId }) =>
          Number.parseInt(vendor ?? "", 16) === vendorId && Number.parseInt(product ?? "", 16) === productId,
      );
      if (reader === undefined) continue;
      if (state === "1") inhibited += 1;
      else open.push(`${node} of ${reader.name}`);
    }
    if (open.length > 0) {
      return fail(
        `${open.join(", ")}: what it reads is typed into the console`,
        "udevadm control --reload && udevadm trigger; see the udev rules. The agent refuses the reader until then.",
      );
    }
    return inhibited === 0 ? skip("none is plugged in") : pass(`${inhibited} input node(s) inhibited`);
  },

  "time server": async (host) => {
    if (!(await host.list("/run/systemd")).includes("timesync")) return skip("systemd-timesyncd does not run");
    return (await host.read("/run/systemd/timesync/synchronized")) !== undefined
      ? pass("the clock was set by a time server since the start")
      : warn(
          "no time server has answered since the start",
          "Let the Pi reach a time server: see timedatectl timesync-status.",
        );
  },

  swap: async (host) => {
    const swaps = await host.read("/proc/swaps");
    if (swaps === undefined) return skip("not told");
    const used = swaps
      .split("\n")
      .slice(1)
      .map((line) => line.split(/\s/)[0] ?? "");
    const onDisk = used.filter((path) => !path.startsWith("/dev/zram"));
    if (onDisk.length === 0) return pass(used.length === 0 ? "none" : `${used.join(", ")}, in memory`);
    return warn(
      `${onDisk.join(", ")}: card numbers in memory may be written to the disk, and an SD card wears out`,
      "Turn it off: swapoff -a, and dphys-swapfile (or its line in /etc/fstab) removed.",
    );
  },

  "file system": async (host, { stateDir }) => {
    const mounts = ((await host.read("/proc/self/mounts")) ?? "").split("\n").flatMap((line) => {
      const [, at = "", type = "", options = ""] = line.split(" ");
      return at === "" ? [] : [{ at: at.replaceAll("\\040", " "), type, options: options.split(",") }];
    });
    const holds = (at: string) => at === "/" || stateDir === at || stateDir.startsWith(`${at}/`);
    // The last of those that are mounted over one another is the one that is seen.
    const mount = mounts
      .filter(({ at }) => holds(at))
      .reduce<(typeof mounts)[number] | undefined>(
        (best, one) => (best === undefined || one.at.length >= best.at.length ? one : best),
        undefined,
      );
    if (mount === undefined) return skip("not told");
    const { at, type, options } = mount;
    const evidence = `${stateDir} is on ${at} (${type}, ${options.slice(0, 3).join(",")})`;
    if (options.includes("ro")) {
      return fail(evidence, "mount -o remount,rw; a failing SD card turns read-only: look at dmesg, and replace it.");
    }
    if (["tmpfs", "ramfs", "overlay"].includes(type)) {
      return warn(
        `${evidence}: the ledger may not survive a power cut`,
        "Mount a disk at the state folder; with the overlay file system of raspi-config nothing is kept.",
      );
    }
    if (!options.some((option) => ["noatime", "relatime"].includes(option))) {
      return warn(`${evidence}: each read is written`, "Add noatime to its options in /etc/fstab.");
    }
    return pass(evidence);
  },

  power: async (host) => {
    const throttled = await host.read("/sys/devices/platform/soc/soc:firmware/get_throttled");
    const alarms: (string | undefined)[] = [];
    for (const sensor of await host.list("/sys/class/hwmon")) {
      const folder = `/sys/class/hwmon/${sensor}`;
      if ((await host.read(`${folder}/name`)) === "rpi_volt") alarms.push(await host.read(`${folder}/in0_lcrit_alarm`));
    }
    if (throttled === undefined && alarms.length === 0) return skip("this machine does not tell");
    // raspberrypi.com, vcgencmd get_throttled: now in the low bits, since the start 16 bits above.
    const bits = Number.parseInt(throttled ?? "0", 16);
    const told = [
      { bit: 0, what: "voltage too low" },
      { bit: 1, what: "processor slowed down" },
      { bit: 2, what: "throttled" },
      { bit: 3, what: "too hot" },
    ].flatMap(({ bit, what }) => {
      if ((bits & (1 << bit)) !== 0) return [`${what} now`];
      return (bits & (1 << (bit + 16))) !== 0 ? [`${what} since the start`] : [];
    });
    if (alarms.includes("1") && (bits & 1) === 0) told.unshift("voltage too low now");
    if (told.length === 0) return pass("voltage and temperature are well");
    return warn(
      told.join(", "),
      "Use the Pi's own power supply and a short cable; low voltage damages the SD card's content.",
    );
  },

  ports: async (host, { listens, agentRuns }) => {
    if (listens.length === 0) return skip("no reader connects to us");
    const open = new Set<number>();
    for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
      // proc(5): the local address in hexadecimal, and 0A for a socket that listens.
      const lines = ((await host.read(file)) ?? "").matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F:]+ 0A /gm);
      for (const [, port = ""] of lines) open.add(Number.parseInt(port, 16));
    }
    const wrong = listens.filter(({ port }) => open.has(port) !== agentRuns);
    const named = (some: HostNeeds["listens"]) => some.map(({ name, port }) => `${port} of ${name}`).join(", ");
    if (wrong.length === 0) return pass(`${named(listens)} ${agentRuns ? "listened at by the agent" : "free"}`);
    return agentRuns
      ? fail(`nobody listens at ${named(wrong)}`, "See the reader's row; another reader may have the same port.")
      : fail(
          `taken by another program: ${named(wrong)}`,
          "See who listens: ss -ltnp; give the reader another port, or end that program.",
        );
  },

  "hardware watchdog": async (host) => {
    const folder = "/sys/class/watchdog/watchdog0";
    const [identity, state, timeout] = await Promise.all(
      ["identity", "state", "timeout"].map((file) => host.read(`${folder}/${file}`)),
    );
    if (state === undefined) return skip("this machine has none that tells");
    const evidence = `${identity ?? "watchdog0"}: ${state}${timeout === undefined ? "" : `, ${timeout} s`}`;
    return state === "active"
      ? pass(evidence)
      : warn(evidence, "A hung system starts again by itself with RuntimeWatchdogSec=15s in /etc/systemd/system.conf.");
  },

  journal: async (host) => {
    const storage = await journalStorage(host);
    if (storage === undefined) return skip("there is no systemd");
    const isKept = storage === "persistent" || (storage === "auto" && (await host.has("/var/log/journal")));
    return isKept
      ? warn(
          `Storage=${storage}: each line of the log is written to the disk`,
          "An SD card lasts longer with Storage=volatile in /etc/systemd/journald.conf.d/printgate.conf, then systemctl restart systemd-journald.",
        )
      : pass(`Storage=${storage}: in memory`);
  },
};

/** journald.conf(5): the main file first, then drop-ins by their name, wherever they are; the last word counts. */
async function journalStorage(host: Host): Promise<string | undefined> {
  const places = ["/usr/lib", "/run", "/etc"];
  const dropIns = new Map<string, string>();
  let isThere = false;
  for (const place of places) {
    const folder = `${place}/systemd/journald.conf.d`;
    for (const name of await host.list(folder)) if (name.endsWith(".conf")) dropIns.set(name, `${folder}/${name}`);
    isThere ||= await host.has(`${place}/systemd`);
  }
  const named = [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
  let storage = "auto";
  for (const path of ["/etc/systemd/journald.conf", ...named]) {
    for (const [, value = ""] of ((await host.read(path)) ?? "").matchAll(/^\s*Storage\s*=\s*(\w*)\s*$/gm)) {
      storage = value === "" ? "auto" : value;
    }
  }
  return isThere ? storage : undefined;
}

/** Looks at the machine, reading files only. One row each; what cannot be told here is skipped and says why. */
export async function checkHost(needs: HostNeeds, root = "/"): Promise<Check[]> {
  const host = new Host(root);
  return Promise.all(Object.entries(LOOKS).map(async ([name, look]) => ({ name, ...(await look(host, needs)) })));
}
