import { chmod, stat, unlink } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import { connect, createServer as createLock, type Server as Lock } from "node:net";
import { dirname } from "node:path";
import { codeOf } from "../../drivers/coded-error.ts";
import type { CapturedFrame } from "../../drivers/reader.ts";
import { StorageError } from "../storage/storage-error.ts";

/** What a reader's line carried lately, and the agent's clock beside it: frames tell their time by that clock. */
export interface CapturedFrames {
  readonly nowMs: number;
  readonly frames: readonly CapturedFrame[];
}

/** What the agent answers over the socket. */
export interface ControlRequests {
  /** `GET /status` */
  status(): object;
  /** `POST /readers/NAME/capture?ms=N`; false where there is no such reader. */
  capture(reader: string, forMs: number): boolean;
  /** `GET /readers/NAME/capture` */
  captured(reader: string): CapturedFrames | undefined;
  /** `GET /policy`; undefined where no policy is taken. */
  policy(): object | undefined;
}

export const MAX_CAPTURE_MS = 600_000;

/**
 * The agent's local socket: HTTP, for the command line. Being a socket in the state folder it is also
 * what keeps a second agent away: a dead agent's socket refuses connections, a living one's accepts them.
 */
export class ControlSocket {
  readonly #server: Server;
  readonly #lock: Lock;

  private constructor(server: Server, lock: Lock) {
    this.#server = server;
    this.#lock = lock;
  }

  static async open(path: string, requests: ControlRequests): Promise<ControlSocket> {
    const lock = await locked(path);
    if (await answers(path)) {
      lock.close();
      throw new StorageError("storage-in-use", path);
    }
    const server = createServer((incoming, reply) => {
      incoming.resume();
      const [code, body] = told(requests, `${incoming.method} ${incoming.url}`);
      reply.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
    server.headersTimeout = server.requestTimeout = 5000;
    server.maxConnections = 16;
    try {
      await unlink(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      await listening(server, path);
      server.on("error", () => {}); // one connection that could not be accepted; whoever asked notices
      await chmod(path, 0o600);
    } catch (error) {
      server.close();
      lock.close();
      throw StorageError.from(error, `listen on ${path}`);
    }
    return new ControlSocket(server, lock);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve()); // also removes the socket file
      this.#server.closeAllConnections();
    });
    await new Promise<void>((resolve) => this.#lock.close(() => resolve()));
  }
}

/**
 * Held until the process ends, however it ends. Of two agents that start at one instant over a dead one's socket file,
 * each could remove the other's; taking a name of the abstract namespace (unix(7)) is atomic and leaves nothing behind.
 */
async function locked(path: string): Promise<Lock> {
  const lock = createLock((socket) => socket.destroy());
  try {
    const { dev, ino } = await stat(dirname(path), { bigint: true });
    await listening(lock, `\0printgate-${dev}-${ino}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") throw new StorageError("storage-in-use", path);
    throw StorageError.from(error, `lock ${dirname(path)}`);
  }
  lock.on("error", () => {}); // a connection that could not be accepted, and would have been refused
  return lock;
}

function listening(server: Lock, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

type Answer = readonly [code: number, body: object];
const NOT_FOUND: Answer = [404, { code: "not-found" }];

function told(requests: ControlRequests, line: string): Answer {
  try {
    return answer(requests, line);
  } catch (error) {
    // Without a free descriptor even asking for the memory in use throws; that must not end the agent.
    return [500, { code: codeOf(error) }];
  }
}

function answer(requests: ControlRequests, line: string): Answer {
  if (line === "GET /status") return [200, requests.status()];
  if (line === "GET /policy") {
    const policy = requests.policy();
    return policy === undefined ? NOT_FOUND : [200, policy];
  }
  const [, method, name = "", ms] =
    /^(GET|POST) \/readers\/([a-z0-9._-]{1,63})\/capture(?:\?ms=([0-9]{1,9}))?$/.exec(line) ?? [];
  if (method === "GET" && ms === undefined) {
    const frames = requests.captured(name);
    return frames === undefined ? NOT_FOUND : [200, frames];
  }
  if (method === "POST" && ms !== undefined && Number(ms) <= MAX_CAPTURE_MS) {
    return requests.capture(name, Number(ms)) ? [200, {}] : NOT_FOUND;
  }
  return NOT_FOUND;
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false)); // not there, or nobody behind it; any other trouble shows at listen
  });
}

const MAX_ANSWER_BYTES = 4 * 2 ** 20;

/** What the running agent says of itself, or `undefined` if none runs behind this socket. */
export function askStatus(path: string, timeoutMs = 5000): Promise<unknown> {
  return ask(path, "GET", "/status", timeoutMs);
}

/** The policy that the agent obeys, or `undefined` if none runs; rejects where it takes no policy. */
export function askPolicy(path: string, timeoutMs = 5000): Promise<unknown> {
  return ask(path, "GET", "/policy", timeoutMs);
}

/** Begins a capture at one reader. `undefined` if no agent runs; rejects if it knows no such reader. */
export function startCapture(path: string, reader: string, forMs: number, timeoutMs = 5000): Promise<unknown> {
  return ask(path, "POST", `/readers/${reader}/capture?ms=${forMs}`, timeoutMs);
}

export function askCaptured(path: string, reader: string, timeoutMs = 5000): Promise<unknown> {
  return ask(path, "GET", `/readers/${reader}/capture`, timeoutMs);
}

function ask(socketPath: string, method: string, path: string, timeout: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, timeout, agent: false }, (reply) => {
      if (reply.statusCode !== 200) {
        asked.destroy(new Error(`the agent answers ${reply.statusCode}`));
        return;
      }
      let text = "";
      reply.setEncoding("utf8");
      reply.on("data", (piece: string) => {
        text += piece;
        if (text.length > MAX_ANSWER_BYTES) asked.destroy(new Error("the answer is too long"));
      });
      reply.once("end", () => {
        try {
          resolve(JSON.parse(text));
        } catch (error) {
          reject(error);
        }
      });
      reply.once("error", reject);
    });
    asked.once("timeout", () => asked.destroy(new Error("the agent does not answer")));
    asked.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(undefined);
      else reject(error);
    });
    asked.end();
  });
}
