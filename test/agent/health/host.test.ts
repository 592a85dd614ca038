import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkHost, type HostNeeds } from "../../../agent/health/host.ts";

const TWN4 = { name: "front", vendorId: 0x09d8, productId: 0x0410 };
const NEEDS: HostNeeds = { stateDir: "/var/lib/printgate", keyboards: [], serial: false, listens: [], agentRuns: true };
const RULES = "/usr/lib/udev/rules.d/60-printgate-readers.rules";
const RULE = 'SUBSYSTEM=="hidraw", KERNELS=="0003:09D8:0410.*", ENV{PRINTGATE_READER}="reports"';
const SWAPS = "Filename\tType\tSize\tUsed\tPriority";
const LISTENING = `  sl  local_address rem_address   st tx_queue
   0: 0100007F:1E62 00000000:0000 0A 00000000:00000000
   1: 0100007F:1E63 0100007F:9999 01 00000000:00000000`;
const power = (bits: string) => ({ "/sys/devices/platform/soc/soc:firmware/get_throttled": bits });
const mounts = (options: string, type = "ext4") => ({ "/proc/self/mounts": `/dev/mmcblk0p2 / ${type} ${options} 0 0` });
const input = (inhibited: string) => ({
  "/sys/class/input/input3/id/vendor": "09d8",
  "/sys/class/input/input3/id/product": "0410",
  "/sys/class/input/input3/inhibited": inhibited,
});
const journal = (files: Readonly<Record<string, string>>) => ({ "/usr/lib/systemd/systemd": "", ...files });
const storage = (value: string) => `[Journal]\n# Storage=none\nStorage=${value}\n`;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "printgate-host-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

type Case = readonly [
  check: string,
  result: "pass" | "warn" | "fail" | "skip",
  evidence: string,
  files: Readonly<Record<string, string>>,
  needs?: Partial<HostNeeds>,
];

const CASES: readonly Case[] = [
  ["kernel", "pass", "6.1.0-rpi8", { "/proc/sys/kernel/osrelease": "6.1.0-rpi8\n" }],
  ["kernel", "warn", "5.10.0", { "/proc/sys/kernel/osrelease": "5.10.0" }],
  ["kernel", "fail", "5.10.0", { "/proc/sys/kernel/osrelease": "5.10.0" }, { keyboards: [TWN4] }],
  ["kernel", "skip", "no Linux", {}],
  ["user", "skip", "not installed", { "/etc/passwd": "root:x:0:0" }],
  ["user", "pass", "dialout", { "/etc/passwd": "printgate:x:9:9", "/etc/group": "dialout:x:20:pi,printgate" }],
  [
    "user",
    "fail",
    "not in the group",
    { "/etc/passwd": "printgate:x:9:9", "/etc/group": "dialout:x:20:pi" },
    { serial: true },
  ],
  ["user", "pass", "printgate", { "/etc/passwd": "printgate:x:9:9", "/etc/group": "dialout:x:20:pi" }],
  ["udev rules", "skip", "no reader needs", {}],
  ["udev rules", "warn", "there are none", {}, { keyboards: [TWN4] }],
  ["udev rules", "pass", RULES, { [RULES]: RULE, "/run/udev/control": "" }, { keyboards: [TWN4] }],
  ["udev rules", "warn", "udevd does not run", { [RULES]: RULE }, { keyboards: [TWN4] }],
  [
    "udev rules",
    "warn",
    "does not know desk",
    { [RULES]: RULE },
    { keyboards: [{ ...TWN4, name: "desk", productId: 0x0411 }] },
  ],
  // A file in /etc takes the place of ours.
  [
    "udev rules",
    "warn",
    "/etc/udev/rules.d",
    { [RULES]: RULE, "/etc/udev/rules.d/60-printgate-readers.rules": "# none" },
    { keyboards: [TWN4] },
  ],
  ["keys of readers", "skip", "no reader types", input("0")],
  ["keys of readers", "skip", "none is plugged in", {}, { keyboards: [TWN4] }],
  ["keys of readers", "pass", "1 input node", input("1"), { keyboards: [TWN4] }],
  ["keys of readers", "fail", "input3 of front", input("0"), { keyboards: [TWN4] }],
  ["time server", "skip", "timesyncd", {}],
  ["time server", "warn", "no time server", { "/run/systemd/timesync/clock": "" }],
  ["time server", "pass", "was set", { "/run/systemd/timesync/synchronized": "" }],
  ["swap", "skip", "not told", {}],
  ["swap", "pass", "none", { "/proc/swaps": `${SWAPS}\n` }],
  ["swap", "pass", "in memory", { "/proc/swaps": `${SWAPS}\n/dev/zram0 partition 1 0 100\n` }],
  ["swap", "warn", "/var/swap", { "/proc/swaps": `${SWAPS}\n/dev/zram0 partition 1 0 100\n/var/swap file 1 0 -2\n` }],
  ["file system", "skip", "not told", {}],
  ["file system", "pass", "ext4", mounts("rw,noatime")],
  ["file system", "pass", "ext4", mounts("rw,relatime")],
  ["file system", "warn", "each read is written", mounts("rw,errors=remount-ro")],
  ["file system", "fail", "ro", mounts("ro,noatime")],
  ["file system", "warn", "may not survive", mounts("rw,noatime", "overlay")],
  [
    "file system",
    "pass",
    "/var/lib",
    {
      "/proc/self/mounts": "/dev/a / ext4 ro 0 0\n/dev/b /var/lib ext4 rw,noatime 0 0\n/dev/c /var/lib/pr ext4 ro 0 0",
    },
  ],
  ["power", "skip", "does not tell", {}],
  ["power", "pass", "well", power("0")],
  ["power", "warn", "voltage too low now", power("50005")],
  ["power", "warn", "too hot since the start", power("80000")],
  [
    "power",
    "warn",
    "voltage too low now",
    { "/sys/class/hwmon/hwmon1/name": "rpi_volt", "/sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1" },
  ],
  ["power", "skip", "does not tell", { "/sys/class/hwmon/hwmon0/name": "cpu_thermal" }],
  ["ports", "skip", "no reader", {}],
  ["ports", "pass", "7778 of net", { "/proc/net/tcp": LISTENING }, { listens: [{ name: "net", port: 7778 }] }],
  [
    "ports",
    "fail",
    "nobody listens at 7779 of net",
    { "/proc/net/tcp": LISTENING },
    { listens: [{ name: "net", port: 7779 }] },
  ],
  [
    "ports",
    "fail",
    "taken",
    { "/proc/net/tcp6": LISTENING },
    { listens: [{ name: "net", port: 7778 }], agentRuns: false },
  ],
  ["ports", "pass", "free", {}, { listens: [{ name: "net", port: 7778 }], agentRuns: false }],
  ["hardware watchdog", "skip", "none", {}],
  ["hardware watchdog", "pass", "active", { "/sys/class/watchdog/watchdog0/state": "active" }],
  [
    "hardware watchdog",
    "warn",
    "Broadcom: inactive",
    { "/sys/class/watchdog/watchdog0/state": "inactive", "/sys/class/watchdog/watchdog0/identity": "Broadcom" },
  ],
  ["journal", "skip", "no systemd", {}],
  ["journal", "pass", "auto", journal({})],
  ["journal", "warn", "auto", journal({ "/var/log/journal/abc/system.journal": "" })],
  ["journal", "warn", "persistent", journal({ "/etc/systemd/journald.conf": storage("persistent") })],
  [
    "journal",
    "pass",
    "volatile",
    journal({
      "/etc/systemd/journald.conf": storage("persistent"),
      "/etc/systemd/journald.conf.d/printgate.conf": storage("volatile"),
    }),
  ],
  [
    "journal",
    "warn",
    "persistent",
    journal({
      "/etc/systemd/journald.conf.d/printgate.conf": storage("volatile"),
      "/run/systemd/journald.conf.d/zz.conf": storage("persistent"),
    }),
  ],
];

for (const [name, result, evidence, files, needs = {}] of CASES) {
  test(`${name}, ${result}: ${evidence} (${Object.keys(files).join(", ")})`, async () => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    const row = (await checkHost({ ...NEEDS, ...needs }, root)).find((one) => one.name === name);
    expect(row).toMatchObject({ result, evidence: expect.stringContaining(evidence) });
    // What is not well has a next step, and what is well has none.
    expect(row?.next !== undefined).toBe(result === "warn" || result === "fail");
  });
}

test("this very machine is looked at without a fault", async () => {
  const rows = await checkHost(NEEDS);
  expect(rows.length).toBeGreaterThan(10);
  for (const { evidence } of rows) expect(evidence).not.toBe("");
});
