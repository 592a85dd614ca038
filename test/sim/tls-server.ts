import { once } from "node:events";
import { connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { ServerIdentity } from "./authority.ts";

/** One HTTP request, whole, as it came. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** Counted from 0: the connection that it came on, and its place among the requests of that connection. */
  readonly connection: number;
  readonly place: number;
  /** The connection, to answer with any bytes whatever. */
  readonly socket: TLSSocket | Socket;
}

/** What the server does with a request; the default answers nothing. */
export type Script = (request: SeenRequest) => void;

export interface SeenConnection {
  readonly socket: TLSSocket | Socket;
  readonly sessionReused: boolean;
  /** Octets of the application that came after the handshake. */
  received: number;
}

/** Answers a request; `content-length` is right unless `headers` says otherwise. */
export function answer(
  request: SeenRequest,
  status: number,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(body);
  const lines = Object.entries({ "content-length": String(bytes.length), ...headers }).map(
    ([k, v]) => `${k}: ${v}\r\n`,
  );
  request.socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`), bytes]));
}

export function answerJson(request: SeenRequest, status: number, value: unknown, headers = {}): void {
  answer(request, status, JSON.stringify(value), { "content-type": "application/json", ...headers });
}

/** Sends `total` octets of `piece` over and over, no faster than the peer takes them, then calls `done`. */
export function pour(socket: Socket, piece: Uint8Array, total: number, done: () => void = () => {}): void {
  let sent = 0;
  const more = () => {
    while (sent < total && !socket.destroyed) {
      const left = total - sent;
      const taken = socket.write(left < piece.length ? piece.subarray(0, left) : piece);
      sent += Math.min(left, piece.length);
      if (!taken) return void socket.once("drain", more);
    }
    if (!socket.destroyed) done();
  };
  more();
}

/** A server on loopback that does to each request what its script says, on TLS unless it has no identity. */
export class HostileServer {
  script: Script = () => {};
  /** Connections that got through the handshake. */
  readonly connections: SeenConnection[] = [];
  readonly requests: SeenRequest[] = [];
  /** TCP connections, whether or not they got through the handshake. */
  accepted = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watchers = new Set<() => void>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(identity: ServerIdentity | undefined, options: TlsOptions = {}, port = 0): Promise<HostileServer> {
    const plain = identity === undefined;
    const server = plain
      ? createTcpServer()
      : createServer({ ALPNProtocols: ["http/1.1"], ...options, cert: identity.cert, key: identity.key });
    const self = new HostileServer(server);
    server.on("connection", (socket: Socket) => {
      self.accepted += 1;
      socket.setNoDelay(true);
      self.#sockets.add(socket);
      self.#changed();
      socket
        .on("error", () => {})
        .on("close", () => {
          self.#sockets.delete(socket);
          self.#changed();
        });
    });
    server.on(plain ? "connection" : "secureConnection", (socket: TLSSocket | Socket) => self.#serve(socket));
    server.on("tlsClientError", () => {});
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return self;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Octets of the application over all connections. */
  get received(): number {
    return this.connections.reduce((sum, { received }) => sum + received, 0);
  }

  /** Resolves when `condition` holds; it is tried at each connection, request and close. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Ends every connection at once, as a server that restarts does. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.dropConnections();
    if (this.#server.listening || this.#sockets.size > 0) await once(this.#server, "close");
  }

  #changed(): void {
    for (const look of [...this.#watchers]) look();
  }

  #serve(socket: TLSSocket | Socket): void {
    const connection: SeenConnection = {
      socket,
      sessionReused: "isSessionReused" in socket && socket.isSessionReused(),
      received: 0,
    };
    const number = this.connections.push(connection) - 1;
    let waiting = Buffer.alloc(0);
    let place = 0;
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      connection.received += bytes.length;
      waiting = Buffer.concat([waiting, bytes]);
      for (let request = parse(waiting); request !== undefined; request = parse(waiting)) {
        waiting = waiting.subarray(request.length);
        const seen: SeenRequest = { ...request, connection: number, place, socket };
        place += 1;
        this.requests.push(seen);
        this.script(seen);
      }
      this.#changed();
    });
    this.#changed();
  }
}

/** The first request in `bytes`, when it is whole. Enough for what our own clients send, and for nothing else. */
function parse(bytes: Buffer) {
  const headerEnd = bytes.indexOf("\r\n\r\n");
  if (headerEnd === -1) return undefined;
  const [first = "", ...lines] = bytes.subarray(0, headerEnd).toString("latin1").split("\r\n");
  const [method = "", path = ""] = first.split(" ");
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  const length = headerEnd + 4 + Number(headers.get("content-length") ?? 0);
  if (bytes.length < length) return undefined;
  return { method, path, headers, body: bytes.subarray(headerEnd + 4, length), length };
}

/** A relay on loopback to `port` that may change what the server says on its way back. */
export async function relay(
  port: number,
  change: (fromServer: Buffer, flight: number) => Buffer,
): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
    }
    client.on("data", (bytes) => upstream.write(bytes));
    let flight = 0;
    upstream.on("data", (bytes: Buffer) => client.write(change(bytes, flight++)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      if (server.listening || sockets.size > 0) await once(server, "close");
    },
  };
}
