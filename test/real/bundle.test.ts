import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundle } from "../../build/bundle.ts";

const running = new Set<ChildProcess>();
let folder: string;

beforeAll(async () => {
  // Far from any node_modules: what the bundle needs is in it.
  folder = await mkdtemp(join(tmpdir(), "printgate-bundle-"));
  await bundle(join(folder, "bundle"));
}, 60_000);

afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

/** The launcher, as it is shipped. */
function printgate(...args: string[]): ChildProcess {
  const child = spawn(join(folder, "bundle", "printgate"), args, {
    env: { ...process.env, PRINTGATE_NODE: process.execPath, PRINTGATE_CENTRAL_DATA: join(folder, "central") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** What it prints, whatever it thinks of it: status exits 1 when something is wrong. */
async function printed(...args: string[]): Promise<{ code: number; text: string; errors: string }> {
  const child = printgate(...args);
  let [text, errors] = ["", ""];
  child.stdout?.on("data", (piece) => {
    text += piece;
  });
  child.stderr?.on("data", (piece) => {
    errors += piece;
  });
  const [code] = await once(child, "close");
  return { code, text, errors };
}

async function output(...args: string[]): Promise<string> {
  const { code, text, errors } = await printed(...args);
  expect(code, errors).toBe(0);
  return text;
}

/** The first line with `text`, on either stream; fails with all lines when the process ends before. */
function line(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (found) => {
        seen.push(found);
        if (found.includes(text)) resolve(found);
      });
    }
    child.once("close", () => reject(new Error(seen.join("\n"))));
  });
}

async function stopped(child: ChildProcess): Promise<unknown> {
  child.kill("SIGTERM");
  const [code] = await once(child, "exit");
  return code;
}

test("central server and agent run from the bundle, with every lazy part of theirs", async () => {
  expect(await output("--version")).toMatch(/^\d+\.\d+\.\d+\n$/);
  await output("central", "init");
  await output("central", "user", "add", "ada");
  await output("central", "card", "add", "--user", "ada", "04A2B3C4D5");
  const server = printgate("central", "serve", "--listen", "127.0.0.1:0");
  const port = /:(\d+)/.exec((await line(server, "listening on")).replace(/.*127\.0\.0\.1/, ""))?.[1];
  const state = join(folder, "state");
  await mkdir(state, { mode: 0o700 });
  const enrolling = printgate("enrol", "--server", `https://localhost:${port}`, "--state", state, "--json");
  const [enrolled, shown] = [line(enrolling, '"enrolled"'), await line(enrolling, '"waiting"')];
  const { claimCode, fingerprint } = JSON.parse(shown) as { claimCode: string; fingerprint: string };
  await output("central", "agent", "approve", claimCode, "--name", "lobby", "--fingerprint", fingerprint);
  expect(JSON.parse(await enrolled)).toMatchObject({ name: "lobby" });
  const config = join(folder, "lobby.toml");
  const here = `[agent]
state_dir = ${JSON.stringify(state)}

[[printer]]
name = "mfd"
uri = "ipp://127.0.0.1:9/ipp/print"
[printer.snmp]
port = 9
[[reader]]
name = "net"
family = "tcp-line"
printer = "mfd"
connect = "127.0.0.1:9"
[[reader]]
name = "serial"
family = "serial-line"
printer = "mfd"
path = "/dev/serial/by-id/none"
[[reader]]
name = "usb"
family = "hid-keyboard"
printer = "mfd"
vendor_id = 0x09d8
product_id = 0x0410
`;
  await writeFile(config, here, { mode: 0o600 });
  const agent = printgate("run", "--config", config);
  await line(agent, "connected to the central server");
  // Each reader's library was loaded: its device is what is missing.
  const ask = async () => JSON.parse((await printed("status", "--config", config, "--json")).text);
  await expect
    .poll(async () => (await ask()).readers.map((reader: { error?: { code: string } }) => reader.error?.code))
    .toEqual(["reader-unreachable", "reader-absent", "reader-absent"]);
  expect(await stopped(agent)).toBe(0);
  expect(await stopped(server)).toBe(0);
}, 60_000);

test("the licence of each package is in it, with its text, and no source map lies beside the code", async () => {
  const licences = await readFile(join(folder, "bundle", "LICENCES.txt"), "utf8");
  for (const name of ["smol-toml", "zod", "pino", "node-hid", "hidapi", "serialport", "@peculiar/x509", "net-snmp"])
    expect(licences).toMatch(new RegExp(`^${name} \\d[^ ]* \\(.*\\)$`, "m"));
  expect(licences).toContain("Permission is hereby granted");
  const names = await readdir(join(folder, "bundle"));
  expect(names.filter((name) => name.endsWith(".map"))).toEqual([]);
  expect(await readdir(join(folder, "bundle", "maps"))).toContain("printgate.mjs.map");
});
