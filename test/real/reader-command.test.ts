import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AgentProcess, printgate } from "./agent-process.ts";
import { CARD, type Installed, Site } from "./site.ts";

const MAIN = fileURLToPath(new URL("../../agent/main.ts", import.meta.url));

let site: Site;
let installed: Installed;
let agent: AgentProcess;

beforeAll(async () => {
  site = await Site.start();
  // Nobody answers there: these tests are about the reader.
  installed = await site.install({ printer: 'uri = "ipp://127.0.0.1:9/ipp/print"' });
  agent = await installed.start();
});
afterAll(() => site.stop());

/** The command as people run it; `said` gives its lines on stderr one by one. */
function run(...args: readonly string[]) {
  const child: ChildProcess & Pick<ChildProcessWithoutNullStreams, "stdout" | "stderr"> = spawn(
    process.execPath,
    [MAIN, "reader", ...args, "--config", installed.configPath],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let stdout = "";
  child.stdout.on("data", (bytes: Buffer) => {
    stdout += bytes;
  });
  const said = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  const notes: string[] = [];
  const told = async (pattern: RegExp) => {
    for (;;) {
      const { value, done } = await said.next();
      if (done === true) throw new Error(`it ended before ${pattern}: ${notes.join("\n")}${stdout}`);
      notes.push(value);
      if (pattern.test(value)) return;
    }
  };
  const end = async () => {
    for (let next = await said.next(); next.done !== true; next = await said.next()) notes.push(next.value);
    const exit = child.exitCode ?? (await once(child, "close"))[0];
    return { exit, stdout, notes: notes.join("\n") };
  };
  return { child, told, end };
}

test("capture streams what goes over a reader's line while the agent runs, and no card number", async () => {
  const capture = run("capture", "front", "--seconds", "600", "--json");
  await capture.told(/what goes over the line of front/);
  await agent.send(CARD);
  const first = once(capture.child.stdout, "data");
  await first;
  capture.child.kill("SIGINT");
  const { exit, stdout } = await capture.end();
  expect(exit).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ number: 1, atMs: 0, direction: "in", length: 12, shape: "hhhhhhhhhh CR LF" });
  expect(stdout).not.toContain(CARD);
});

test("capture of a reader that is none, and a running agent's reader in the list", async () => {
  expect((await run("capture", "side").end()).exit).toBe(1);
  const { code, stdout } = await printgate(["reader", "list", "--json", "--config", installed.configPath], []);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ configured: [{ name: "front", status: "ready" }] });
});

test("add finds out what a network reader sends, and the configuration that it writes is good", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.resume().on("error", () => {})));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  try {
    const connected = () => (sockets.length > 0 ? Promise.resolve() : once(server, "connection"));
    const add = run("add", "--tcp", `127.0.0.1:${address.port}`, "--name", "lift", "--json");
    for (const prompt of [/Tap a card now/, /Tap the same card/]) {
      await add.told(prompt);
      await connected();
      sockets.at(-1)?.write("\x0204A2B3C4\x03");
    }
    const { exit, stdout } = await add.end();
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ written: true, name: "lift", family: "tcp-line" });
    expect(await readFile(installed.configPath, "utf8")).toMatch(/framing = "stx-etx"\n$/);
    const checked = await printgate(["config", "check", installed.configPath], []);
    expect(checked.code).toBe(0);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test("add listens to a real serial device that no table knows, and hears what it is", async () => {
  const path = join(site.folder, "pty");
  const device = spawn("socat", ["-d", "-d", `PTY,raw,echo=0,link=${path}`, "STDIO"]);
  const gone = once(device, "exit");
  try {
    for await (const line of createInterface({ input: device.stderr })) if (line.includes("data transfer loop")) break;
    device.stderr.resume();
    const written: Buffer[] = [];
    device.stdout.on("data", (bytes: Buffer) => void written.push(bytes));
    const add = run("add", "--device", path, "--dry-run", "--json");
    for (const prompt of [/Tap a card now/, /Tap the same card/]) {
      await add.told(prompt);
      device.stdin.write("\x0262E3086CED08\r\n\x03".repeat(3), "latin1");
    }
    const { exit, stdout, notes } = await add.end();
    expect([exit, JSON.parse(stdout)]).toMatchObject([0, { written: false, family: "serial-line" }]);
    expect(JSON.parse(stdout).toml).toContain(`path = "${path}"\npreset = "id12"`);
    expect(notes).not.toContain("62E3086CED");
    expect(written).toEqual([]);
  } finally {
    device.kill();
    await gone;
  }
});
