import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askStatus, ControlSocket } from "../../../agent/health/control-socket.ts";

let folder: string;
let path: string;
let socket: ControlSocket | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "printgate-control-"));
  path = join(folder, "control.sock");
});
afterEach(async () => {
  await socket?.close();
  socket = undefined;
  await rm(folder, { recursive: true });
});

test("answers the status, and nothing to whoever finds it closed", async () => {
  socket = await ControlSocket.open(path, () => ({ pid: 7 }));
  expect(await askStatus(path)).toEqual({ pid: 7 });
  await socket.close();
  socket = undefined;
  expect(await askStatus(path)).toBeUndefined();
});

test("a second agent is refused", async () => {
  socket = await ControlSocket.open(path, () => ({}));
  await expect(ControlSocket.open(path, () => ({}))).rejects.toMatchObject({ code: "storage-in-use" });
});

test("of several agents that start at one instant, one runs and the others are told why not", async () => {
  const opened = await Promise.allSettled([1, 2, 3].map((pid) => ControlSocket.open(path, () => ({ pid }))));
  const [first, ...more] = opened.filter((result) => result.status === "fulfilled");
  socket = first?.value;
  expect(more).toEqual([]);
  const refusals = opened.filter((result) => result.status === "rejected").map(({ reason }) => reason);
  expect(refusals).toMatchObject([{ code: "storage-in-use" }, { code: "storage-in-use" }]);
});

test("a status that cannot be told costs the question, not the agent", async () => {
  let broken = true;
  socket = await ControlSocket.open(path, () => {
    if (broken) throw new Error("EMFILE");
    return { pid: 7 };
  });
  await expect(askStatus(path)).rejects.toThrow("500");
  broken = false;
  expect(await askStatus(path)).toEqual({ pid: 7 });
});

test("other paths, other methods and garbage get no status", async () => {
  socket = await ControlSocket.open(path, () => ({ pid: 7 }));
  const statusOf = (method: string, where: string) =>
    new Promise((resolve, reject) => {
      request({ socketPath: path, method, path: where }, (reply) => resolve(reply.resume().statusCode))
        .once("error", reject)
        .end();
    });
  expect(await statusOf("GET", "/")).toBe(404);
  expect(await statusOf("POST", "/status")).toBe(404);
  const garbage = connect(path).end("\0\0\0 garbage\r\n\r\n").resume();
  await new Promise((resolve) => garbage.once("close", resolve));
  expect(await askStatus(path)).toEqual({ pid: 7 });
});
