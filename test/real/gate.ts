import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export type Direction = "toServer" | "toClient";

/** What went in one direction of a connection so far, the bytes that just came included. */
export interface Flow {
  readonly total: number;
  readonly last: Buffer;
}

type When = (flow: Flow, opposite: Flow) => boolean;

interface Hold {
  readonly direction: Direction;
  readonly when: When;
  readonly holds: () => void;
}

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  readonly flows: Record<Direction, Flow>;
}

/** A relay in front of a server that can stop the bytes at a chosen point: the process under test is then known to stand there. */
export class Gate {
  readonly port: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #resets: boolean;
  #hold: Hold | undefined;
  /** What lets go of the bytes that are held. */
  #held: (() => void)[] = [];

  /**
   * `resets`: the server is told of a break by a reset, as by a machine that went away. What ends inside a TLS record without one
   * makes libcups 2.4.2 read for ever (`_httpTLSRead` in `httpRead2`): a thread of ippeveprinter, and the whole of cupsd.
   */
  static async start(targetPort: number, { resets = false } = {}): Promise<Gate> {
    const server = createServer({ noDelay: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Gate(server, targetPort, resets);
  }

  private constructor(server: Server, targetPort: number, resets: boolean) {
    this.#resets = resets;
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
    this.#server = server;
    server.on("connection", (client) => {
      const target = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      const nothing = { total: 0, last: Buffer.alloc(0) };
      const connection = { client, server: target, flows: { toServer: nothing, toClient: nothing } };
      this.#connections.add(connection);
      this.#relay(connection, "toServer");
      this.#relay(connection, "toClient");
    });
  }

  /**
   * Nothing more passes in this direction on a connection from the first bytes on for which `when` says so, until `cut` or
   * `release`.
   * Resolves when bytes are held.
   */
  hold(direction: Direction, when: When = () => true): Promise<void> {
    return new Promise((resolve) => {
      this.#hold = { direction, when, holds: resolve };
    });
  }

  /** Breaks every connection; what is held never arrives. New connections pass everything. */
  cut(): void {
    this.#hold = undefined;
    this.#held = [];
    for (const { client, server } of this.#connections) {
      client.destroy();
      if (this.#resets) server.resetAndDestroy();
      else server.destroy();
    }
  }

  /** What is held goes on, and everything passes. */
  release(): void {
    this.#hold = undefined;
    for (const go of this.#held.splice(0)) go();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }

  #relay(connection: Connection, direction: Direction): void {
    const { client, server, flows } = connection;
    const [from, to] = direction === "toServer" ? [client, server] : [server, client];
    let held = false;
    from.on("data", (bytes: Buffer) => {
      const flow = { total: flows[direction].total + bytes.length, last: bytes };
      flows[direction] = flow;
      const hold = this.#hold;
      if (!held && hold?.direction === direction) {
        held = hold.when(flow, flows[direction === "toServer" ? "toClient" : "toServer"]);
        if (held) hold.holds();
      }
      if (held) {
        from.pause();
        this.#held.push(() => {
          held = false;
          if (!to.destroyed) to.write(bytes);
          from.resume();
        });
      } else if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("error", () => {}); // both ends may be killed at any time
    from.once("close", () => {
      this.#connections.delete(connection);
      if (held && to === server && this.#resets) to.resetAndDestroy();
      else to.destroySoon();
    });
  }
}
