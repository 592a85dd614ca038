import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { askStatus } from "../../agent/health/control-socket.ts";
import type { AgentStatus } from "../../agent/health/status.ts";
import type { Architecture } from "../../build/addons.ts";
import { buildDeb } from "../../build/deb.ts";
import { debianRoot } from "../../build/debian-root.ts";
import { Site } from "../real/site.ts";
import { until } from "../real/until.ts";

/** Generous: an emulated processor on a busy machine. */
const LONG_MS = 120_000;
const run = promisify(execFile);

let folder: string;
let site: Site;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-arm64-"));
  site = await Site.start();
});
afterAll(async () => {
  await site.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A package, unpacked; its programs run here, those of the other architecture by qemu-user on Debian's libraries. */
interface Unpacked {
  readonly lib: string;
  readonly node: string;
  readonly env: NodeJS.ProcessEnv;
}

async function unpacked(architecture: Architecture): Promise<Unpacked> {
  const tree = join(folder, architecture);
  await mkdir(tree);
  const deb = await buildDeb({ architecture, outdir: tree, quick: true });
  await run("dpkg-deb", ["-x", deb, tree]);
  const lib = join(tree, "usr/lib/printgate");
  let node = join(lib, "node");
  if (architecture === "arm64") {
    const root = await debianRoot({
      architecture,
      variant: "extract",
      packages: ["libc6", "libstdc++6", "libgcc-s1", "libatomic1", "libudev1", "libusb-1.0-0", "libsystemd0"],
    });
    const emulated = join(tree, "node");
    await writeFile(emulated, `#!/bin/sh\nexec qemu-aarch64-static -L '${root}' '${node}' "$@"\n`);
    await chmod(emulated, 0o755);
    node = emulated;
  }
  return { lib, node, env: { ...process.env, PRINTGATE_NODE: node } };
}

/** How long the agent takes until it says that it is ready, and what it then says of itself. */
async function started({ lib, env }: Unpacked, name: string): Promise<{ ms: number; status: AgentStatus }> {
  const readers = ["hid-keyboard", "serial-line"].map((family) => {
    const device =
      family === "serial-line" ? 'path = "/dev/serial/by-id/none"' : "vendor_id = 0x09d8\nproduct_id = 0x0410";
    return `[[reader]]\nname = "${family}"\nfamily = "${family}"\nprinter = "mfd"\n${device}`;
  });
  const printer = 'uri = "ipp://127.0.0.1:9/ipp/print"';
  const installed = await site.install({ name, printer, readerLines: readers.join("\n") });
  const begin = performance.now();
  const child = spawn(join(lib, "printgate"), ["run", "--config", installed.configPath], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const lines = createInterface({ input: child.stdout });
    await new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => line.includes('"msg":"ready"') && resolve());
      lines.once("close", () => reject(new Error("the agent ended")));
    });
    const ms = performance.now() - begin;
    const asked = async () => (await askStatus(installed.controlSocket, LONG_MS)) as AgentStatus;
    const status = await until(
      "the readers have tried to open",
      async () => {
        const now = await asked();
        return now.readers.every(({ error, status }) => status === "ready" || error !== undefined) ? now : undefined;
      },
      LONG_MS,
    );
    return { ms, status };
  } finally {
    await ended(child);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

describe.each(["amd64", "arm64"] as const)("the package for %s", (architecture) => {
  let it: Unpacked;
  beforeAll(async () => {
    it = await unpacked(architecture);
  });

  test("has a Node and native addons of that architecture, and they load", async () => {
    const { stdout } = await run(it.node, ["-p", "process.arch"]);
    expect(stdout.trim()).toBe({ amd64: "x64", arm64: "arm64" }[architecture]);
    const addons = await readdir(join(it.lib, "addons"));
    expect(addons).toEqual(expect.arrayContaining(["hid.node", "serialport.node"]));
    for (const addon of ["hid.node", "serialport.node"]) {
      await run(it.node, ["-e", `require(${JSON.stringify(join(it.lib, "addons", addon))})`]);
    }
  });

  test("tells systemd by its library", async () => {
    const call = `const { functions } = require("node:ffi").dlopen("libsystemd.so.0", { sd_notify: { arguments: ["i32", "string"], return: "i32" } });
      process.exitCode = functions.sd_notify(0, "READY=1");`;
    const flags = ["--experimental-ffi", "--disable-warning=ExperimentalWarning"];
    await run(it.node, [...flags, "-e", call], { env: { ...it.env, NOTIFY_SOCKET: undefined } });
  });

  test("prints the demo's document, byte for byte", async () => {
    const { stdout } = await run(join(it.lib, "printgate"), ["demo", "--once"], { env: it.env, timeout: LONG_MS });
    expect(stdout).toContain("Printed, byte for byte what was submitted.");
  });

  test("starts, and its readers' libraries work: only the devices are missing", async () => {
    const bare: number[] = [];
    const ready: number[] = [];
    for (let n = 0; n < 3; n++) {
      const begin = performance.now();
      await run(it.node, ["-e", "0"]);
      bare.push(performance.now() - begin);
      const { ms, status } = await started(it, `${architecture}-${n}`);
      ready.push(ms);
      expect(status.readers.map(({ error }) => error?.code)).toEqual([undefined, "reader-absent", "reader-absent"]);
    }
    const [floor, time] = [bare, ready].map((all) => all.sort((a, b) => a - b)[1] ?? 0) as [number, number];
    process.stdout.write(
      `${architecture}: ready ${time.toFixed(0)} ms after its start, ${(time / floor).toFixed(1)} times node -e 0 (${floor.toFixed(0)} ms)\n`,
    );
  });
});
