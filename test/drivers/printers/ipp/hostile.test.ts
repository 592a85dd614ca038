import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../../../drivers/clock.ts";
import { silentLog } from "../../../../drivers/log.ts";
import { PrinterError } from "../../../../drivers/printer.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import { IppPrinter } from "../../../../drivers/printers/ipp/printer.ts";
import { Authority, type ServerIdentity } from "../../../sim/authority.ts";
import { HostileServer } from "../../../sim/tls-server.ts";
import { CAPABLE, IDLE, printerGroup } from "./scripted-printer.ts";

/** Every reply is hostile (what the codec itself refuses is in codec.test.ts, what HTTP brings in client.test.ts). */
const never = new AbortController().signal;
const DEADLINES = { connect: 300, poll: 300 };
const OK = "HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\n";
const request = { name: "rel-1", user: "ada", format: "application/pdf" };
const document = {
  size: 8,
  async *chunks() {
    yield Buffer.from("%PDF-1.7");
  },
};

const stops: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A server that does whatever `does` says to each connection. */
async function server(does: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const listening: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    does(socket);
  }).listen(0, "127.0.0.1");
  await once(listening, "listening");
  stops.push(() => {
    for (const socket of sockets) socket.destroy();
    listening.close();
  });
  const address = listening.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function printerAt(uri: string, keyPins: readonly string[] = []): IppPrinter {
  const printer = new IppPrinter({ name: "p", uri, keyPins, clock: systemClock, log: silentLog, deadlines: DEADLINES });
  stops.push(() => printer.stop());
  return printer;
}

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof PrinterError ? error.code : String(error)),
  );

/** A good answer to whatever was asked, as IPP. `asked` is the whole HTTP request, in chunks or not. */
function goodTo(asked: Buffer): Buffer {
  const head = asked.indexOf("\r\n\r\n") + 4;
  const body = isChunked(asked) ? asked.indexOf("\r\n", head) + 2 : head;
  const { requestId } = decode(asked.subarray(body));
  const groups = [printerGroup(...IDLE, ...CAPABLE)];
  return Buffer.from(encode({ version: 0x0200, code: 0, requestId, groups, data: new Uint8Array() }));
}
const isChunked = (asked: Buffer) => /^transfer-encoding: chunked/im.test(asked.toString("latin1"));
const whole = (head: string, body: Uint8Array) => Buffer.concat([Buffer.from(head, "latin1"), body]);
const plain = (body: Uint8Array) => whole(`${OK}Content-Length: ${body.length}\r\n\r\n`, body);

/** Sends `piece` as fast as it is taken, for ever. */
function pour(socket: Socket, piece: string | Uint8Array): void {
  const more = () => {
    while (!socket.destroyed && socket.write(piece)) {}
  };
  socket.on("drain", more);
  more();
}

const ZEROS = gzipSync(Buffer.alloc(64 * 2 ** 20));

const BAD: readonly (readonly [string, string, (socket: Socket, asked: Buffer) => void])[] = [
  [
    "a body that is compressed, which nobody asked for",
    "printer-bad-reply",
    (socket, asked) => {
      const body = gzipSync(goodTo(asked));
      socket.write(whole(`${OK}Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`, body));
    },
  ],
  [
    "a compressed bomb of 64 MiB",
    "printer-bad-reply",
    (socket) => socket.write(whole(`${OK}Content-Encoding: gzip\r\nContent-Length: ${ZEROS.length}\r\n\r\n`, ZEROS)),
  ],
  ["a negative length", "printer-bad-reply", (socket) => socket.write(`${OK}Content-Length: -1\r\n\r\n`)],
  [
    "a length that no number holds",
    "printer-bad-reply",
    (socket) => socket.write(`${OK}Content-Length: ${"9".repeat(40)}\r\n\r\n`),
  ],
  [
    "two lengths",
    "printer-bad-reply",
    (socket, asked) => {
      const body = goodTo(asked);
      socket.write(whole(`${OK}Content-Length: ${body.length}\r\nContent-Length: 5\r\n\r\n`, body));
    },
  ],
  [
    "a length and chunks",
    "printer-bad-reply",
    (socket) => socket.write(`${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
  ],
  [
    "a chunk of a negative length",
    "printer-bad-reply",
    (socket) => socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n`),
  ],
  [
    "chunks without end",
    "printer-bad-reply",
    (socket) => {
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n`);
      pour(socket, `4000\r\n${"\0".repeat(0x4000)}\r\n`);
    },
  ],
  [
    "a chunk header without end",
    "printer-bad-reply",
    (socket) => {
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n5;`);
      pour(socket, "x".repeat(4000));
    },
  ],
  [
    "trailers without end",
    "printer-bad-reply",
    (socket) => {
      socket.write(`${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n`);
      pour(socket, `X-Pad: ${"x".repeat(1000)}\r\n`);
    },
  ],
  ["a status line without end", "printer-bad-reply", (socket) => pour(socket, "H".repeat(4000))],
  [
    "a header without end",
    "printer-bad-reply",
    (socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      pour(socket, `X-Pad: ${"x".repeat(1000)}\r\n`);
    },
  ],
  [
    "HTML",
    "printer-bad-reply",
    (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
  ],
  ["an IPP attribute of a negative length", "printer-bad-reply", (socket) => socket.write(plain(SIGNED))],
  [
    "an IPP message of another request",
    "printer-bad-reply",
    (socket, asked) => {
      const body = goodTo(asked);
      body.writeUInt32BE(body.readUInt32BE(4) + 1, 4);
      socket.write(plain(body));
    },
  ],
  ["one octet, and silence", "printer-timeout", (socket) => socket.write("H")],
  ["a header, and silence", "printer-timeout", (socket) => socket.write(`${OK}Content-Length: 5\r\n\r\n`)],
  ["nothing", "printer-timeout", () => {}],
];
/** name-length 0xfff7: -9 for those who read it with a sign. */
const SIGNED = Uint8Array.fromHex("02000000000000010121fff7");

describe.each(BAD)("%s", (_, code, does) => {
  test("is refused with its code, and the next question is answered", async () => {
    let asked = 0;
    const port = await server((socket) => {
      socket.on("data", (bytes: Buffer) => {
        asked += 1;
        if (asked === 1) does(socket, bytes);
        else socket.write(plain(goodTo(bytes)));
      });
    });
    const printer = printerAt(`ipp://127.0.0.1:${port}/ipp/print`);
    const before = process.memoryUsage.rss();
    expect(await codeOf(printer.state(never))).toBe(code);
    expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(48);
    expect(await printer.state(never)).toMatchObject({ state: "idle" });
  });

  test("in answer to a document leaves it open whether that was taken", async () => {
    let documents = 0;
    const port = await server((socket) => {
      let asked = Buffer.alloc(0);
      socket.on("data", (bytes: Buffer) => {
        asked = Buffer.concat([asked, bytes]);
        // The document's request is the one that is sent in chunks.
        if (isChunked(asked) ? !asked.includes("%PDF") : !asked.includes("\r\n\r\n")) return;
        documents += isChunked(asked) ? 1 : 0;
        if (isChunked(asked)) does(socket, asked);
        else socket.write(plain(goodTo(asked)));
        asked = Buffer.alloc(0);
      });
    });
    const deadlines = { ...DEADLINES, reply: 300 };
    const uri = `ipp://127.0.0.1:${port}/ipp/print`;
    const printer = new IppPrinter({ name: "p", uri, keyPins: [], clock: systemClock, log: silentLog, deadlines });
    stops.push(() => printer.stop());
    const error: unknown = await printer.send({ id: 7, name: "rel-1" }, request, document, never).catch((e) => e);
    expect(error).toBeInstanceOf(PrinterError);
    expect(error).toMatchObject({ nothingSent: false });
    expect(documents).toBe(1);
  });
});

describe("TLS that stalls", () => {
  let identity: ServerIdentity;
  beforeAll(() => {
    identity = new Authority().issue();
  });

  test.each<[string, (socket: Socket) => void]>([
    ["before its first octet", () => {}],
    ["after a first octet", (socket) => void socket.write(Uint8Array.of(0x16))],
    // A ServerHello that says it has 64 KiB, and does not come.
    ["in its first record", (socket) => void socket.write(Uint8Array.fromHex("160303400002ffffff0303"))],
  ])("%s costs one deadline, and nothing was sent", async (_, does) => {
    const port = await server((socket) => {
      socket.on("data", () => {});
      does(socket);
    });
    const printer = printerAt(`ipps://127.0.0.1:${port}/ipp/print`, [identity.pin]);
    const began = performance.now();
    expect(["printer-unreachable", "printer-timeout"]).toContain(await codeOf(printer.state(never)));
    expect(performance.now() - began).toBeLessThan(2000);
    const error: unknown = await printer.send({ id: 7, name: "rel-1" }, request, document, never).catch((e) => e);
    expect(error).toMatchObject({ nothingSent: true });
  });

  test("that speaks something else is refused, and nothing was sent", async () => {
    const port = await server((socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const printer = printerAt(`ipps://127.0.0.1:${port}/ipp/print`, [identity.pin]);
    const error: unknown = await printer.send({ id: 7, name: "rel-1" }, request, document, never).catch((e) => e);
    expect(error).toMatchObject({ code: "printer-tls-refused", nothingSent: true });
  });

  test("after the handshake costs one deadline, and the next question is answered", async () => {
    const secure = await HostileServer.start(identity);
    stops.push(() => secure.stop());
    const printer = printerAt(`ipps://127.0.0.1:${secure.port}/ipp/print`, [identity.pin]);
    expect(await codeOf(printer.state(never))).toBe("printer-timeout");
    secure.script = ({ body, socket }) =>
      void socket.write(plain(goodTo(Buffer.concat([Buffer.from("\r\n\r\n"), body]))));
    expect(await printer.state(never)).toMatchObject({ state: "idle" });
  });
});
