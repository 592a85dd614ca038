import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export type Direction = "toServer" | "toClient";

/** `total`: octets of this connection in this direction, `bytes` included. */
type When = (bytes: Buffer, total: number) => boolean;

interface Hold {
  readonly direction: Direction;
  readonly when: When;
  readonly holds: () => void;
}

/** A relay in front of a server that can stop the bytes at a chosen point: the process under test is then known to stand there. */
export class Gate {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #releases = new Set<() => void>();
  #hold: Hold | undefined;

  static async start(targetPort: number): Promise<Gate> {
    const server = createServer({ noDelay: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Gate(server, targetPort);
  }

  private constructor(server: Server, targetPort: number) {
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
    this.#server = server;
    server.on("connection", (client) => {
      const target = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      this.#relay(client, target, "toServer");
      this.#relay(target, client, "toClient");
    });
  }

  /**
   * Nothing more passes in this direction on a connection from the first bytes on for which `when` says so.
   * Resolves when bytes are held.
   */
  hold(direction: Direction, when: When = () => true): Promise<void> {
    return new Promise((resolve) => {
      this.#hold = { direction, when, holds: resolve };
    });
  }

  /** Lets everything through again. */
  open(): void {
    this.#hold = undefined;
    for (const release of this.#releases) release();
    this.#releases.clear();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #relay(from: Socket, to: Socket, direction: Direction): void {
    this.#sockets.add(from);
    let total = 0;
    let held: Hold | undefined;
    from.on("data", (bytes: Buffer) => {
      total += bytes.length;
      const hold = this.#hold;
      if (held === undefined && hold?.direction === direction && hold.when(bytes, total)) held = hold;
      if (held === undefined) {
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
        return;
      }
      held.holds();
      from.pause();
      this.#releases.add(() => {
        held = undefined;
        to.write(bytes);
        from.resume();
      });
    });
    from.on("error", () => {}); // both ends may be killed at any time
    from.once("close", () => {
      this.#sockets.delete(from);
      to.destroySoon();
    });
  }
}
