import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askCaptured, askStatus, ControlSocket, startCapture } from "../../../agent/health/control-socket.ts";

const requests = (status: () => object) => ({
  status,
  capture: () => false,
  captured: () => undefined,
  policy: () => undefined,
});

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
  socket = await ControlSocket.open(
    path,
    requests(() => ({ pid: 7 })),
  );
  expect(await askStatus(path)).toEqual({ pid: 7 });
  await socket.close();
  socket = undefined;
  expect(await askStatus(path)).toBeUndefined();
});

test("a second agent is refused", async () => {
  socket = await ControlSocket.open(
    path,
    requests(() => ({})),
  );
  await expect(
    ControlSocket.open(
      path,
      requests(() => ({})),
    ),
  ).rejects.toMatchObject({ code: "storage-in-use" });
});

test("of several agents that start at one instant, one runs and the others are told why not", async () => {
  const opened = await Promise.allSettled(
    [1, 2, 3].map((pid) =>
      ControlSocket.open(
        path,
        requests(() => ({ pid })),
      ),
    ),
  );
  const [first, ...more] = opened.filter((result) => result.status === "fulfilled");
  socket = first?.value;
  expect(more).toEqual([]);
  const refusals = opened.filter((result) => result.status === "rejected").map(({ reason }) => reason);
  expect(refusals).toMatchObject([{ code: "storage-in-use" }, { code: "storage-in-use" }]);
});

test("a status that cannot be told costs the question, not the agent", async () => {
  let broken = true;
  const told = () => {
    if (broken) throw new Error("EMFILE");
    return { pid: 7 };
  };
  socket = await ControlSocket.open(path, requests(told));
  await expect(askStatus(path)).rejects.toThrow("500");
  broken = false;
  expect(await askStatus(path)).toEqual({ pid: 7 });
});

test("other paths, other methods and garbage get no status", async () => {
  socket = await ControlSocket.open(
    path,
    requests(() => ({ pid: 7 })),
  );
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

test("a capture begins at the reader that is named, and what was captured is told", async () => {
  const begun: [string, number][] = [];
  const captured = { nowMs: 9, frames: [{ number: 1, at: 7, direction: "in", length: 3, shape: "dd CR" } as const] };
  socket = await ControlSocket.open(path, {
    status: () => ({}),
    capture: (name, forMs) => name === "front" && begun.push([name, forMs]) > 0,
    captured: (name) => (name === "front" ? captured : undefined),
    policy: () => undefined,
  });
  expect(await startCapture(path, "front", 60_000)).toEqual({});
  expect(await askCaptured(path, "front")).toEqual(captured);
  expect(begun).toEqual([["front", 60_000]]);
  await expect(startCapture(path, "side", 60_000)).rejects.toThrow("404");
  await expect(askCaptured(path, "side")).rejects.toThrow("404");
  // Not for ever, not for a time that is none, and at no name that a reader cannot have.
  for (const ms of [600_001, -1, Number.NaN, 1.5, 1e21])
    await expect(startCapture(path, "front", ms)).rejects.toThrow("404");
  for (const name of ["front/..", "%66ront", "Front", ""]) await expect(askCaptured(path, name)).rejects.toThrow("404");
  expect(begun).toHaveLength(1);
});
