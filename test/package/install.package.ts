import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { STATE_FORMAT, VERSION } from "../../agent/version.ts";
import { buildDeb } from "../../build/deb.ts";
import { Chroot } from "./chroot.ts";

const run = promisify(execFile);
const NEWER = "9.9.9";

let folder: string;
let chroot: Chroot;
const debs = { own: "", newer: "", newerFormat: "", foreign: "" };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-package-"));
  const quick = { quick: true, outdir: folder } as const;
  debs.own = await buildDeb({ ...quick, quick: false, architecture: "amd64" });
  debs.foreign = await buildDeb({ ...quick, architecture: "arm64" });
  debs.newer = await buildDeb({ ...quick, architecture: "amd64", version: NEWER });
  const format = { version: "9.9.10", stateFormat: STATE_FORMAT + 1 };
  debs.newerFormat = await buildDeb({ ...quick, architecture: "amd64", ...format });
  chroot = await Chroot.create(folder);
});

afterAll(async () => {
  await chroot.remove();
  await rm(folder, { recursive: true, force: true });
});

const inside = (deb: string) => `/packages/${basename(deb)}`;
const install = (deb: string) => chroot.run(`dpkg -i ${inside(deb)}`);
/** Its output, when it must succeed. */
async function told(script: string, user?: string): Promise<string> {
  const { code, output } = await chroot.run(script, user);
  expect(code, output).toBe(0);
  return output.trim();
}
const version = () => told("dpkg -s printgate | sed -n 's/^Version: //p; s/^Status: install ok //p' | sort | xargs");

// The tests are one story: each begins with what the one before left.

test("a package of another architecture, half a package and a damaged one are refused, and nothing is installed", async () => {
  const half = join(folder, "half.deb");
  await copyFile(debs.own, half);
  await truncate(half, 20_000_000);
  const damaged = join(folder, "damaged.deb");
  const bytes = await readFile(debs.own);
  bytes.fill(0, 15_000_000, 15_000_064);
  await writeFile(damaged, bytes);
  for (const [deb, why] of [
    [debs.foreign, "does not match system"],
    [half, "unexpected end"],
    [damaged, "corrupt"],
  ] as const) {
    const { code, output } = await install(deb);
    expect(code, deb).not.toBe(0);
    expect(output).toContain(why);
    await told("! test -e /usr/lib/printgate/node; ! test -e /usr/bin/printgate");
  }
  await chroot.run("dpkg --purge --force-all printgate");
});

test("installs: users, folders, rights, units", async () => {
  const { code, output } = await install(debs.own);
  expect(code, output).toBe(0);
  expect(await version()).toBe(`${VERSION} installed`);
  expect(await told("id printgate")).toMatch(/\(printgate\) groups=\d+\(printgate\),20\(dialout\)/);
  expect(await told("stat -c '%a %U %G' /etc/printgate /var/lib/printgate /var/lib/printgate-central")).toBe(
    "750 root printgate\n700 printgate printgate\n700 printgate-central printgate-central",
  );
  expect(await told("find /usr/lib/printgate /usr/bin/printgate ! -user root -o ! -type l -perm /022")).toBe("");
  expect(await told("systemctl is-enabled printgate.service")).toBe("enabled");
  expect((await chroot.run("systemctl is-enabled printgate-central.service")).output.trim()).toBe("disabled");
  expect(await told("systemd-analyze verify --man=no printgate.service printgate-central.service")).toBe("");
  expect(await told("dpkg --verify printgate")).toBe("");
  expect(await told("find / -xdev -newer /etc/printgate -path '*npm*' ! -path '/proc/*'")).toBe("");
});

test("runs as its user with nothing but the package: version, example, addons, demo", async () => {
  const user = "printgate";
  expect(await told("printgate --version", user)).toBe(VERSION);
  expect(await told("printgate config example", user)).toBe(
    await told("cat /usr/share/doc/printgate/examples/printgate.toml"),
  );
  for (const addon of ["hid", "serialport", "pcsc"]) {
    await told(`/usr/lib/printgate/node -e 'require("/usr/lib/printgate/addons/${addon}.node")'`, user);
  }
  // Which every system has, but for this one.
  await told("echo 127.0.0.1 localhost >/etc/hosts");
  const demo = await told("printgate demo --once", user);
  expect(demo).toContain("Printed, byte for byte what was submitted.");
  expect(await told("find /usr/lib/printgate -newer /usr/share/doc/printgate/copyright ! -newer /etc/hostname")).toBe(
    "",
  );
});

test("finds its configuration where the units and the man page say, and heals its owner and mode", async () => {
  await told("printgate central init --data /var/lib/printgate-central", "printgate-central");
  await told(
    `printf '[[printer]]\\nname = "mfd-1"\\nuri = "ipp://127.0.0.1/ipp/print"\\n' >/etc/printgate/printgate.toml`,
  );
  await told("systemd-tmpfiles --create printgate.conf");
  expect(await told("stat -c '%a %U' /etc/printgate/printgate.toml")).toBe("600 printgate");
  expect(await told("printgate config check", "printgate")).toContain("/etc/printgate/printgate.toml");
});

test("an upgrade keeps configuration, state and a conffile that was changed", async () => {
  await told("echo kept >/var/lib/printgate/ledger.log; echo '# ours' >>/etc/systemd/journald.conf.d/printgate.conf");
  const { code, output } = await install(debs.newer);
  expect(code, output).toBe(0);
  expect(await version()).toBe(`${NEWER} installed`);
  expect(await told("cat /var/lib/printgate/ledger.log; tail -n 1 /etc/systemd/journald.conf.d/printgate.conf")).toBe(
    "kept\n# ours",
  );
  await told("printgate config check", "printgate");
});

test("a downgrade is taken where the state's format is the same, and refused with the reason where it is not", async () => {
  expect((await install(debs.own)).code).toBe(0);
  expect(await version()).toBe(`${VERSION} installed`);
  expect((await install(debs.newerFormat)).code).toBe(0);
  const { code, output } = await install(debs.own);
  expect(code).not.toBe(0);
  expect(output).toContain(`version ${VERSION} is older than 9.9.10`);
  expect(output).toContain(`reads up to format ${STATE_FORMAT} only`);
  expect(output).toContain("Nothing was changed");
  expect(await version()).toBe("9.9.10 installed");
  expect(await told("printgate config check && dpkg --verify printgate | grep -v journald || true")).toContain("good");
});

test("remove leaves configuration and state, purge leaves the central server's data alone", async () => {
  await told("dpkg -r printgate");
  await told(
    "test -e /etc/printgate/printgate.toml; test -e /var/lib/printgate/ledger.log; ! test -e /usr/lib/printgate",
  );
  expect((await chroot.run("systemctl is-enabled printgate.service")).output).toContain("masked");
  const said = await told("dpkg --purge printgate");
  expect(said).toContain("/var/lib/printgate-central");
  await told("! test -e /etc/printgate; ! test -e /var/lib/printgate; test -d /var/lib/printgate-central/keys");
  expect(await told("find /etc /lib/systemd /usr/lib -name '*printgate*' ! -path '*/sysusers*'")).toBe("");
});

test("is at most 45 MiB large, and 160 MiB when it is installed", async () => {
  const { stdout } = await run("dpkg-deb", ["-f", debs.own, "Installed-Size"]);
  const [packed, unpacked] = [(await stat(debs.own)).size / 2 ** 20, Number(stdout) / 1024];
  process.stdout.write(`package: ${packed.toFixed(1)} MiB, installed ${unpacked.toFixed(1)} MiB\n`);
  expect(packed).toBeLessThanOrEqual(45);
  expect(unpacked).toBeLessThanOrEqual(160);
});

test("lintian finds no error", async () => {
  const { stdout } = await run("lintian", ["--fail-on", "none", "--allow-root", debs.own]);
  expect(stdout.split("\n").filter((line) => line.startsWith("E:"))).toEqual([]);
});
