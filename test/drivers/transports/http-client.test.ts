import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { HttpClient, type HttpExchange, type HttpRequest } from "../../../drivers/transports/http-client.ts";
import { openTcp } from "../../../drivers/transports/tls.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const GET: HttpRequest = { method: "GET", path: "/" };
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** A TCP server that hands each piece of a request to `said`, with the number of its connection. */
async function peer(
  said: (socket: Socket, connection: number) => void,
): Promise<{ server: Server; port: number; seen: string[] }> {
  const seen: string[] = [];
  let connections = 0;
  const server = createServer((socket) => {
    const connection = connections++;
    stops.push(() => socket.destroy());
    socket
      .on("error", () => {})
      .on("data", (bytes) => {
        seen.push(bytes.toString("latin1"));
        said(socket, connection);
      });
  }).listen(0, "127.0.0.1");
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  await once(server, "listening");
  const address = server.address();
  return { server, port: typeof address === "object" && address !== null ? address.port : 0, seen };
}

function clientTo(port: number) {
  const sockets: Socket[] = [];
  let losses = 0;
  const client = new HttpClient(`http://127.0.0.1:${port}`, {
    open: async (signal) => {
      const socket = await openTcp({ host: "127.0.0.1", port }, 5_000, signal);
      sockets.push(socket);
      return socket;
    },
    keepAliveMs: 60_000,
    closed: () => {
      losses += 1;
    },
  });
  stops.push(() => client.destroy());
  return { client, sockets, losses: () => losses };
}

/** Sends a request and gathers what its sink hears. */
function ask(client: HttpClient, onPiece: (exchange: HttpExchange, bytes: Buffer) => void = () => {}) {
  const heard: string[] = [];
  let status = 0;
  let headers: IncomingHttpHeaders = {};
  const body: Buffer[] = [];
  let done = (): void => {};
  const over = new Promise<void>((resolve) => {
    done = resolve;
  });
  const exchange: HttpExchange = client.exchange(GET, {
    started: () => heard.push("started"),
    head(code, fields) {
      heard.push("head");
      status = code;
      headers = fields;
    },
    piece(bytes) {
      body.push(bytes);
      onPiece(exchange, bytes);
    },
    end() {
      heard.push("end");
      done();
    },
    failed(error) {
      heard.push(`failed ${"code" in error ? error.code : error.name}`);
      done();
    },
  });
  return { exchange, heard, over, reply: () => ({ status, headers, body: Buffer.concat(body).toString() }) };
}

describe("an exchange", () => {
  it("hears the reply in order, and knows whether its connection was used before", async () => {
    const { port } = await peer((socket) => socket.write(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`));
    const { client, sockets } = clientTo(port);
    for (const reused of [false, true]) {
      const asked = ask(client);
      await asked.over;
      expect(asked.heard).toEqual(["started", "head", "end"]);
      expect(asked.reply()).toMatchObject({ status: 200, headers: { "content-length": "2" }, body: "ok" });
      expect(asked.exchange).toMatchObject({ reused, answered: true });
    }
    expect(sockets).toHaveLength(1);
  });

  it("knows whether an answer had begun when the connection ended", async () => {
    for (const [said, answered] of [
      ["", false],
      ["H", true],
      ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", true],
    ] as const) {
      const { port } = await peer((socket) => socket.end(said));
      const { client, losses } = clientTo(port);
      const asked = ask(client);
      await asked.over;
      expect(asked.heard.at(-1)).toBe("failed ECONNRESET");
      expect(asked.exchange.answered).toBe(answered);
      while (losses() === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(losses()).toBe(1);
    }
  });

  it("does not take octets that came before it for its answer", async () => {
    const { port, seen } = await peer((socket) => {
      socket.write(OK);
      if (seen.length === 1) setImmediate(() => socket.write(OK.replace("ok", "no")));
    });
    const { client, sockets, losses } = clientTo(port);
    await ask(client).over;
    while (losses() === 0) await new Promise((resolve) => setImmediate(resolve));
    const asked = ask(client);
    await asked.over;
    expect(asked.reply().body).toBe("ok");
    expect(asked.exchange.reused).toBe(false);
    expect(sockets).toHaveLength(2);
  });

  it("fails when the server changes the protocol, which nobody asked for", async () => {
    const { port } = await peer((socket) =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"),
    );
    const asked = ask(clientTo(port).client);
    await asked.over;
    expect(asked.heard).toEqual(["started", "failed ECONNRESET"]);
  });

  it("gets what the connection could not be made for", async () => {
    const { server, port } = await peer(() => {});
    server.close();
    const asked = ask(clientTo(port).client);
    await asked.over;
    expect(asked.heard).toEqual(["failed ECONNREFUSED"]);
  });

  it("hears nothing more once it is aborted, and takes its connection along", async () => {
    const { port } = await peer((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"));
    const { client, sockets } = clientTo(port);
    let abort = (): void => {};
    const aborted = new Promise<void>((resolve) => {
      abort = resolve;
    });
    const asked = ask(client, (exchange) => {
      exchange.abort();
      abort();
    });
    await aborted;
    if (sockets[0]?.closed === false) await once(sockets[0], "close");
    expect(asked.heard).toEqual(["started", "head"]);
  });

  it("that waits its turn can be aborted without a loss for the others", async () => {
    let answer = (): void => {};
    const { port, seen } = await peer((socket) => {
      answer = () => socket.write(OK);
      if (seen.length > 1) answer();
    });
    const { client, sockets } = clientTo(port);
    const [first, second, third] = [ask(client), ask(client), ask(client)];
    second.exchange.abort();
    while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
    answer();
    await Promise.all([first.over, third.over]);
    expect(second.heard).toEqual([]);
    expect(seen).toHaveLength(2);
    expect(sockets).toHaveLength(1);
  });

  it("stops reading while it is paused", async () => {
    const total = 8_000_000;
    const { port } = await peer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
      socket.write(Buffer.alloc(total));
    });
    const { client, sockets } = clientTo(port);
    let got = 0;
    const asked = ask(client, (exchange, bytes) => {
      got += bytes.length;
      if (got < 1_000_000) exchange.pause();
    });
    while (got === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sockets[0]?.bytesRead).toBeLessThan(1_000_000);
    while (got < total) {
      asked.exchange.resume();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await asked.over;
    expect(got).toBe(total);
  });

  it("fails when its request cannot be sent", async () => {
    const { client } = clientTo(1);
    const heard: string[] = [];
    const note = (word: string) => () => void heard.push(word);
    const sink = { started: note("started"), head: note("head"), piece: note("piece"), end: note("end") };
    client.exchange({ method: "GET", path: "no slash" }, { ...sink, failed: note("failed") });
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard).toEqual(["failed"]);
  });
});

describe("destroy", () => {
  it("ends what is under way, what waits, and the connection", async () => {
    const { port, seen } = await peer(() => {});
    const { client, sockets, losses } = clientTo(port);
    const asked = [ask(client), ask(client)];
    while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await client.destroy();
    expect(asked.map(({ heard }) => heard.at(-1))).toEqual([
      "failed HttpClientDestroyed",
      "failed HttpClientDestroyed",
    ]);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true]);
    // Nobody needs to hear of a loss that was meant.
    expect(losses()).toBe(0);
  });

  it("gives up a connection that is being made", async () => {
    let aborted = false;
    const client = new HttpClient("http://127.0.0.1:1", {
      open: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            aborted = true;
            reject(new Error("given up"));
          });
        }),
      keepAliveMs: 1_000,
    });
    const asked = ask(client);
    await client.destroy();
    await asked.over;
    expect(aborted).toBe(true);
    expect(asked.heard).toEqual(["failed HttpClientDestroyed"]);
  });
});
