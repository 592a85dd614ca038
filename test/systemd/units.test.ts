import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const FOLDER = new URL("../../systemd/", import.meta.url).pathname;
const unit = (name: string) => readFile(join(FOLDER, `${name}.service`), "utf8");

describe.each(["printgate", "printgate-central"])("%s.service", (name) => {
  test("is exposed to at most 1.5 of 10, by systemd's own count", async () => {
    const path = join(FOLDER, `${name}.service`);
    const { stdout } = await run("systemd-analyze", ["security", "--offline=true", "--threshold=15", path]);
    expect(stdout).toContain("OK");
  });

  test("is understood by systemd, every line of it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "printgate-units-"));
    try {
      // The program is not installed here, and neither is its manual.
      const text = (await unit(name)).replace("/usr/bin/printgate ", "/bin/true ").replace(/^Documentation=.*$/m, "");
      await writeFile(join(folder, `${name}.service`), text);
      const { stdout, stderr } = await run("systemd-analyze", ["verify", join(folder, `${name}.service`)]);
      expect(stdout + stderr).toBe("");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("explains itself: no setting of the sandbox without a comment above its block", async () => {
    const blocks = (await unit(name)).split(/\n(?=#)/).slice(1);
    // A comment speaks for the settings below it, and not for a page of them.
    for (const block of blocks) {
      const settings = block.split("\n").filter((line) => /^[A-Z]\w*=/.test(line));
      expect(settings.length, block).toBeLessThanOrEqual(9);
    }
  });
});

test("the agent's devices are named: no block device, no keyboard (char-input), nothing of /dev/bus/usb", async () => {
  const allowed = [...(await unit("printgate")).matchAll(/^DeviceAllow=(\S+)/gm)].map(([, device]) => device);
  expect(allowed).toEqual(["char-hidraw", "char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS"]);
});

test("sysusers and tmpfiles are understood by systemd", async () => {
  const root = await mkdtemp(join(tmpdir(), "printgate-units-"));
  try {
    await mkdir(join(root, "etc"));
    const users = await run("systemd-sysusers", [`--root=${root}`, join(FOLDER, "printgate.sysusers")]);
    const passwd = await readFile(join(root, "etc/passwd"), "utf8");
    expect(passwd, users.stderr).toMatch(
      /^printgate:x:\d+:\d+:Printgate agent:\/var\/lib\/printgate:\/usr\/sbin\/nologin$/m,
    );
    expect(await readFile(join(root, "etc/group"), "utf8")).toMatch(/^dialout:x:\d+:printgate$/m);
    const files = await run("systemd-tmpfiles", ["--create", `--root=${root}`, join(FOLDER, "printgate.tmpfiles")]);
    expect(files.stderr).toBe("");
    expect(
      (await run("stat", ["-c", "%a %U", join(root, "etc/printgate"), join(root, "var/lib/printgate")])).stdout,
    ).toMatch(/^750 root\n700 /);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
