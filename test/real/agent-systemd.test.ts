import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";
import { CARD, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

let site: Site;
let mfd: VirtualMfd;
let socket: NotifySocket;
beforeAll(async () => {
  site = await Site.start();
  mfd = await VirtualMfd.start({ clock: systemClock, printMs: 5 });
  socket = await NotifySocket.open(join(site.folder, "notify"));
});
afterAll(async () => {
  await socket.close();
  await site.stop();
  await mfd.stop();
});

/** What systemd would hear: socat, because Node has no datagram sockets of the Unix kind. */
class NotifySocket {
  readonly path: string;
  readonly #child: ChildProcess;
  heard = "";

  static async open(path: string): Promise<NotifySocket> {
    const socket = new NotifySocket(path);
    await until("socat listens", async () => readFileSync("/proc/net/unix", "utf8").includes(path));
    return socket;
  }

  private constructor(path: string) {
    this.path = path;
    this.#child = spawn("socat", ["-u", `UNIX-RECV:${path}`, "STDOUT"], { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      this.heard += bytes;
    });
  }

  get feeds(): number {
    return this.heard.split("WATCHDOG=1").length - 1;
  }

  async close(): Promise<void> {
    this.#child.kill();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
  }
}

/** Ticks of 10 ms that the process has computed. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ");
  return Number(fields[13]);
}

const BLOCK = "data:text/javascript,process.on('SIGUSR2',()=>{for(;;);})";

test("systemd is told that it is ready, how it does, that it stops; a blocked event loop feeds no watchdog", async () => {
  const installed = await site.install({ name: "systemd", printer: `uri = "${mfd.uri}"` });
  const watched = ["env", `NOTIFY_SOCKET=${socket.path}`, "WATCHDOG_USEC=300000"];

  const agent = await installed.start(watched);
  await until("the watchdog is fed", async () => socket.feeds >= 3 && socket.heard.includes("STATUS=Ready"));
  expect(socket.heard.startsWith("READY=1")).toBe(true);
  expect(await agent.stop()).toMatchObject({ code: 0 });
  await until("its end is told", async () => socket.heard.endsWith("STOPPING=1\nSTATUS=Stopping"));

  socket.heard = "";
  const blocked = await installed.start([...watched, `NODE_OPTIONS=--import=${BLOCK}`]);
  await until("the watchdog is fed", async () => socket.feeds >= 3);
  process.kill(blocked.pid, "SIGUSR2");
  const begin = ticks(blocked.pid);
  // Two of the watchdog's times with nothing but the loop, which leaves the first beat behind that was under way.
  await until("the loop is blocked", async () => ticks(blocked.pid) - begin >= 30);
  const { feeds } = socket;
  await until("two of the watchdog's times have passed", async () => ticks(blocked.pid) - begin >= 90);
  expect(socket.feeds).toBe(feeds);
  await blocked.kill();
});

test("the status shows what was written to the disk: at most 8 KiB for a release, and nothing by an idle agent", async () => {
  const installed = await site.install({ name: "disk", printer: `uri = "${mfd.uri}"` });
  const agent = await installed.start();
  const written = async () => (await agent.status()).disk ?? { writtenBytes: Number.NaN, releases: Number.NaN };
  // The first policy is written when it comes, once.
  await until("the policy is here", async () => (await agent.status()).policy?.version !== undefined);
  const before = await agent.atRest();
  expect(before.disk).toMatchObject({ releases: 0 });
  for (let n = 0; n < 10; n++) {
    await site.submit(pdf(`disk ${n}`, 5000));
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
  }
  await agent.atRest();
  const after = await written();
  expect(after.releases).toBe(10);
  // A file system without a disk behind it (tmpfs) counts nothing.
  const used = after.writtenBytes - (before.disk?.writtenBytes ?? 0);
  expect(used).toBeLessThanOrEqual(10 * 8192);
  await until("two seconds have passed", async () => (await agent.status()).uptimeMs >= before.uptimeMs + 2000);
  const settled = await written();
  await until("idle for three seconds", async () => (await agent.status()).uptimeMs >= before.uptimeMs + 5000);
  expect(await written()).toEqual(settled);
});
