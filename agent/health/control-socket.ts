import { chmod, unlink } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import { connect } from "node:net";
import { StorageError } from "../storage/storage-error.ts";

/**
 * The agent's local socket: `GET /status` over HTTP, for the command line. Being a socket in the state folder it is also
 * the lock that keeps a second agent away: a dead agent's socket refuses connections, a living one's accepts them.
 */
export class ControlSocket {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(path: string, status: () => object): Promise<ControlSocket> {
    if (await answers(path)) throw new StorageError("storage-in-use", path);
    const server = createServer((incoming, reply) => {
      incoming.resume();
      const found = incoming.method === "GET" && incoming.url === "/status";
      reply.writeHead(found ? 200 : 404, { "content-type": "application/json" });
      reply.end(JSON.stringify(found ? status() : { code: "not-found" }));
    });
    server.headersTimeout = server.requestTimeout = 5000;
    server.maxConnections = 16;
    try {
      await unlink(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(path, () => {
          server.off("error", reject);
          resolve();
        });
      });
      await chmod(path, 0o600);
    } catch (error) {
      server.close();
      throw StorageError.from(error, `listen on ${path}`);
    }
    return new ControlSocket(server);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve()); // also removes the socket file
      this.#server.closeAllConnections();
    });
  }
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

const MAX_STATUS_BYTES = 4 * 2 ** 20;

/** What the running agent answers, or `undefined` if none runs behind this socket. */
export function askStatus(path: string, timeoutMs = 5000): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: path, path: "/status", timeout: timeoutMs }, (reply) => {
      let text = "";
      reply.setEncoding("utf8");
      reply.on("data", (piece: string) => {
        text += piece;
        if (text.length > MAX_STATUS_BYTES) asked.destroy(new Error("the answer is too long"));
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
