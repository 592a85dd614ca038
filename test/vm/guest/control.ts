/**
 * The first program of the guest that is ours: runs what the host asks for. It knows nothing of the tests, so that it
 * serves any machine that has the port, busybox's init or systemd.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createReadStream, openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type { FromGuest, ToGuest } from "./messages.ts";

const PORT = "/dev/virtio-ports/printgate.control";

// One descriptor: the port may be opened once.
const port = openSync(PORT, "r+");
const running = new Map<string, ChildProcess>();

function say(message: FromGuest): void {
  writeSync(port, `${JSON.stringify(message)}\n`);
}

function shell(id: number, command: string): void {
  execFile("/bin/sh", ["-c", command], { encoding: "utf8" }, (error, stdout, stderr) => {
    const code = typeof error?.code === "number" ? error.code : error === null ? 0 : 255;
    say({ is: "ended", id, code, output: stdout + stderr });
  });
}

function start(name: string, command: string): void {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "pipe"] });
  running.set(name, child);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => say({ is: "output", name, text }));
  }
  // What has ended takes no input; its exit tells.
  child.stdin.on("error", () => {});
  child.once("close", (code) => {
    running.delete(name);
    say({ is: "exit", name, code: code ?? 255 });
  });
}

function obey(message: ToGuest): void {
  switch (message.do) {
    case "shell":
      shell(message.id, message.command);
      return;
    case "start":
      start(message.name, message.command);
      return;
    case "input":
      running.get(message.name)?.stdin?.write(message.text);
      return;
    case "kill":
      running.get(message.name)?.kill(message.signal);
      return;
  }
}

createInterface({ input: createReadStream("", { fd: port, autoClose: false, highWaterMark: 4096 }) }).on(
  "line",
  (line) => obey(JSON.parse(line) as ToGuest),
);
say({ is: "ready" });
