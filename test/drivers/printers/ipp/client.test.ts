import { once } from "node:events";
import { createServer } from "node:net";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../drivers/clock.ts";
import type { DocumentBody } from "../../../../drivers/printer.ts";
import { PrinterError } from "../../../../drivers/printer.ts";
import { nameText, operationGroup, uri } from "../../../../drivers/printers/ipp/attributes.ts";
import { IppClient, type IppClientOptions } from "../../../../drivers/printers/ipp/client.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import { printerAddress } from "../../../../drivers/printers/ipp/connection.ts";
import { OPERATION, STATUS } from "../../../../drivers/printers/ipp/tags.ts";
import { ScriptedPrinter } from "./scripted-printer.ts";

const never = new AbortController().signal;
const groups = [operationGroup(uri("printer-uri", "ipp://127.0.0.1/ipp/print"), nameText("job-name", "rel-1"))];

let printer: ScriptedPrinter;
let client: IppClient;
let counts: Record<string, number>;

function newClient(options: Partial<IppClientOptions> = {}): IppClient {
  counts = { requests: 0, documents: 0, bytes: 0 };
  const count = (what: string, by: number) => {
    counts[what] = (counts[what] ?? 0) + by;
  };
  return new IppClient({ uri: printer.uri, keyPins: [], clock: systemClock, count, ...options });
}

beforeEach(async () => {
  printer = await ScriptedPrinter.start();
  client = newClient();
});

afterEach(async () => {
  await client.close();
  await printer[Symbol.asyncDispose]();
});

const ask = (repeatable = true, signal = never) =>
  client.call(OPERATION.getPrinterAttributes, groups, repeatable, signal);
const send = (document: DocumentBody, signal = never) => client.send(OPERATION.sendDocument, groups, document, signal);

/** A document that records how much of it was pulled and whether it was ended. */
class Source implements DocumentBody {
  pulled = 0;
  ended = false;
  readonly size: number;
  readonly #chunk: number;
  readonly #failAt: number;

  constructor(size: number, { chunk = 65_536, failAt = Number.POSITIVE_INFINITY } = {}) {
    this.size = size;
    this.#chunk = chunk;
    this.#failAt = failAt;
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      while (this.pulled < this.size) {
        if (this.pulled >= this.#failAt) throw new RangeError("the spool broke");
        const length = Math.min(this.#chunk, this.size - this.pulled);
        this.pulled += length;
        yield new Uint8Array(length).fill(0x41);
      }
    } finally {
      this.ended = true;
    }
  }
}

async function failureOf(work: Promise<unknown>): Promise<PrinterError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PrinterError)) throw new Error(`not a PrinterError: ${error}`);
  return error;
}

test.each([
  ["ipp://printer.example/ipp/print", false, "printer.example", 631, "/ipp/print", "http://printer.example:631"],
  ["ipps://10.0.0.5:8443/ipp", true, "10.0.0.5", 8443, "/ipp", "https://10.0.0.5:8443"],
  ["ipp://[::1]:8631", false, "::1", 8631, "/", "http://[::1]:8631"],
])("the address of %s", (text, secure, host, port, path, origin) => {
  expect(printerAddress(text)).toEqual({ secure, host, port, path, origin });
});

test.each(["http://printer/ipp", "ipp://", "ipp:///ipp", "ipp://user:secret@printer/ipp", "printer", ""])(
  "%j is no printer's address",
  (text) => {
    expect(printerAddress(text)).toBeUndefined();
    expect(() => newClient({ uri: text })).toThrow(TypeError);
  },
);

describe("replies", () => {
  test("may come one octet per packet", async () => {
    printer.script = async ({ socket, message }) => {
      const reply = printer.replyTo(await message());
      const head = `HTTP/1.1 200 OK\r\nContent-Type: Application/IPP; x=y\r\nContent-Length: ${reply.length}\r\n\r\n`;
      for (const octet of Buffer.concat([Buffer.from(head), reply])) {
        await new Promise((resolve) => socket.write(Buffer.of(octet), resolve));
      }
    };
    expect((await ask()).code).toBe(0);
  });

  test.each<[string, number, string]>([
    ["401", 401, "printer-auth-required"],
    ["403", 403, "printer-http-error"],
    ["404", 404, "printer-http-error"],
    ["426", 426, "printer-http-error"],
    ["500", 500, "printer-http-error"],
    ["503", 503, "printer-unavailable"],
  ])("HTTP %s is an error of its own", async (_name, status, code) => {
    printer.script = ({ res }) => res.writeHead(status, { "content-type": "application/ipp" }).end("no");
    expect(await failureOf(ask())).toMatchObject({ code, detail: `HTTP ${status}`, nothingSent: false });
  });

  test("a redirect is not followed", async () => {
    printer.script = ({ res }) => res.writeHead(302, { location: "/ipp/print" }).end();
    expect(await failureOf(ask())).toMatchObject({ code: "printer-http-error" });
    expect(printer.headers).toHaveLength(1);
  });

  test("HTML with HTTP 200 is a bad reply", async () => {
    printer.script = ({ res }) => res.writeHead(200, { "content-type": "text/html" }).end("<html>Welcome</html>");
    expect(await failureOf(ask())).toMatchObject({ code: "printer-bad-reply", detail: "content-type text/html" });
  });

  test("HTML that claims to be IPP is a bad reply", async () => {
    printer.script = ({ res }) => res.writeHead(200, { "content-type": "application/ipp" }).end("<html>Welcome</html>");
    expect((await failureOf(ask())).code).toBe("printer-bad-reply");
  });

  test("a server that is not HTTP is a bad reply", async () => {
    printer.script = ({ socket }) => socket.end("220 ftp ready\r\n");
    expect(await failureOf(ask())).toMatchObject({ code: "printer-bad-reply" });
  });

  test("an endless header is cut", async () => {
    printer.script = ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const more = () => {
        while (!socket.destroyed && socket.write(`X-Pad: ${"x".repeat(1000)}\r\n`)) {}
      };
      socket.on("drain", more);
      more();
    };
    expect((await failureOf(ask())).code).toBe("printer-bad-reply");
    await printer.quiet();
  });

  test("an endless body is cut at 2 MiB", async () => {
    printer.script = ({ res }) => {
      res.writeHead(200, { "content-type": "application/ipp" });
      const more = () => {
        while (!res.destroyed && res.write(Buffer.alloc(65_536))) {}
      };
      res.on("drain", more);
      more();
    };
    expect((await failureOf(ask())).code).toBe("printer-bad-reply");
    await printer.quiet();
  });

  test("the id of another request is a bad reply", async () => {
    printer.script = async ({ res, message }) => {
      const request = await message();
      const reply = printer.replyTo({ ...request, requestId: request.requestId + 1 });
      res.writeHead(200, { "content-type": "application/ipp" }).end(reply);
    };
    expect((await failureOf(ask())).code).toBe("printer-bad-reply");
  });

  test("half an IPP message is a bad reply", async () => {
    printer.script = async ({ res, message }) => {
      const reply = printer.replyTo(await message());
      res.writeHead(200, { "content-type": "application/ipp" }).end(reply.subarray(0, -3));
    };
    expect((await failureOf(ask())).code).toBe("printer-bad-reply");
  });

  test("half an HTTP body is a broken connection", async () => {
    printer.script = async ({ res, socket, message }) => {
      const reply = printer.replyTo(await message());
      res.writeHead(200, { "content-type": "application/ipp", "content-length": reply.length });
      res.write(reply.subarray(0, 10), () => socket.destroy());
    };
    expect((await failureOf(ask())).code).toBe("printer-broken-connection");
  });

  test("whatever octets come back, it is a reply or a PrinterError", async () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\nConnection: close\r\n\r\n";
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([Buffer.from(head), bytes])),
    );
    await fc.assert(
      fc.asyncProperty(garbage, async (bytes) => {
        printer.script = ({ socket }) => socket.end(bytes);
        await ask().then(undefined, (error: unknown) => expect(error).toBeInstanceOf(PrinterError));
      }),
      { numRuns: 40 },
    );
  });
});

describe("the connection of the polls", () => {
  test("serves one request after another, each with its own id", async () => {
    await ask();
    await Promise.all([ask(), ask()]);
    expect(printer.connections).toBe(1);
    expect(printer.requests.map((request) => request.requestId)).toEqual([1, 2, 3]);
  });

  test("closed by the printer in the meantime, it is made anew", async () => {
    await ask();
    for (const socket of printer.sockets) socket.destroy();
    await ask();
    expect(printer.connections).toBe(2);
  });

  test("closed at the moment of a question, the question is asked once more", async () => {
    printer.script = ({ socket, nth, answer }) => (nth === 2 ? socket.destroy() : answer());
    await ask();
    expect((await ask()).code).toBe(0);
    expect(counts.requests).toBe(3);
  });

  test("closed at the moment of a request that makes something, it is not repeated", async () => {
    printer.script = ({ socket, nth, answer }) => (nth === 2 ? socket.destroy() : answer());
    await ask();
    expect(await failureOf(ask(false))).toMatchObject({ code: "printer-broken-connection", nothingSent: false });
    expect(counts.requests).toBe(2);
  });

  test("broken at every request, it gives up after the second", async () => {
    printer.script = ({ socket }) => socket.destroy();
    expect((await failureOf(ask())).code).toBe("printer-broken-connection");
    expect(counts.requests).toBe(2);
  });

  test("a printer that hangs costs one deadline, and the next question goes through", async () => {
    client = newClient({ deadlines: { poll: 300 } });
    let hang = true;
    printer.script = ({ answer }) => (hang ? undefined : answer());
    expect(await failureOf(ask())).toMatchObject({ code: "printer-timeout", nothingSent: false });
    hang = false;
    expect((await ask()).code).toBe(0);
  });

  test("the caller may give up", async () => {
    const caller = new AbortController();
    printer.script = () => caller.abort();
    expect((await failureOf(ask(true, caller.signal))).code).toBe("printer-broken-connection");
    expect((await failureOf(ask(true, caller.signal))).code).toBe("printer-broken-connection");
  });
});

test("a printer that does not speak 2.0 is asked in 1.1 from then on", async () => {
  printer.answers[OPERATION.getPrinterAttributes] = ({ version }) =>
    version === 0x0101 ? {} : { code: STATUS.versionNotSupported };
  expect((await ask()).code).toBe(0);
  expect((await ask()).code).toBe(0);
  expect(printer.requests.map((request) => request.version)).toEqual([0x0200, 0x0101, 0x0101]);
});

test("nobody at the address: nothing was sent", async () => {
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const address = gone.address();
  const port = typeof address === "object" ? address?.port : 0;
  gone.close();
  await once(gone, "close");
  client = newClient({ uri: `ipp://127.0.0.1:${port}/ipp/print` });
  expect(await failureOf(ask())).toMatchObject({ code: "printer-unreachable", nothingSent: true });
  expect(await failureOf(send(new Source(10)))).toMatchObject({ code: "printer-unreachable", nothingSent: true });
});

describe("documents", () => {
  test("go octet by octet as they are, in chunks, on a connection of their own", async () => {
    await ask();
    expect((await send(new Source(200_000, { chunk: 150_000 }))).code).toBe(0);
    await ask();
    expect(printer.connections).toBe(2);
    expect(printer.requests[1]?.data).toHaveLength(200_000);
    expect(printer.headers[1]).toMatchObject({ "transfer-encoding": "chunked", "content-type": "application/ipp" });
    expect(counts).toEqual({ requests: 3, documents: 1, bytes: 200_000 });
  });

  test("go with Content-Length where that is set", async () => {
    client = newClient({ contentLength: true });
    await send(new Source(1000));
    const header = encode({ version: 0x0200, code: 6, requestId: 1, groups, data: new Uint8Array(0) });
    expect(printer.headers[0]?.["content-length"]).toBe(String(header.length + 1000));
    expect(printer.requests[0]?.data).toHaveLength(1000);
  });

  test("of no octets at all are sent too", async () => {
    expect((await send(new Source(0))).code).toBe(0);
  });

  test("an error of the source cuts the transfer and comes back as it is", async () => {
    const aborted = Promise.withResolvers<void>();
    printer.script = ({ req }) => req.resume().on("error", () => aborted.resolve());
    await expect(send(new Source(10_000_000, { failAt: 200_000 }))).rejects.toThrow(new RangeError("the spool broke"));
    await aborted.promise;
  });

  test.each([
    ["shorter", 99],
    ["longer", 101],
  ])("a document that is %s than it says is cut, not ended", async (_word, real) => {
    const aborted = Promise.withResolvers<void>();
    printer.script = ({ req }) => req.resume().on("error", () => aborted.resolve());
    async function* slowly(): AsyncGenerator<Uint8Array> {
      yield* new Source(real - 1).chunks();
      await setImmediate();
      yield* new Source(1).chunks();
      await setImmediate();
    }
    await expect(send({ size: 100, chunks: slowly })).rejects.toThrow(RangeError);
    await aborted.promise;
  });

  test("an early 401 ends the transfer", async () => {
    printer.script = ({ req, res }) => req.once("data", () => res.writeHead(401).end());
    const source = new Source(2 ** 30);
    expect(await failureOf(send(source))).toMatchObject({ code: "printer-auth-required", nothingSent: false });
    expect(source.pulled).toBeLessThan(2 ** 26);
    expect(source.ended).toBe(true);
    await printer.quiet();
  });

  test("taken before it was there in full, it may be cut: the outcome is open", async () => {
    printer.script = async ({ req, res }) => {
      await once(req, "readable");
      const { requestId } = decode(req.read() as Buffer);
      const taken = { version: 0x0200, code: 0, requestId, groups: [operationGroup()], data: new Uint8Array(0) };
      res.writeHead(200, { "content-type": "application/ipp" }).end(encode(taken));
    };
    const source = new Source(2 ** 26);
    expect(await failureOf(send(source))).toMatchObject({ code: "printer-broken-connection", nothingSent: false });
    expect(source.pulled).toBeLessThan(2 ** 26);
    expect(counts.documents).toBe(0);
  });

  test.each([
    ["in chunks, without the last one: it may be cut", false, "printer-broken-connection"],
    ["with Content-Length: it is there", true, undefined],
  ])("taken when all octets are there, but the source has not ended, %s", async (_word, contentLength, code) => {
    client = newClient({ contentLength });
    const ended = Promise.withResolvers<void>();
    printer.script = async ({ req, res }) => {
      let octets = Buffer.alloc(0);
      for await (const piece of req as AsyncIterable<Buffer>) {
        octets = Buffer.concat([octets, piece]);
        if (octets.length >= 1000 && octets.subarray(-1000).every((octet) => octet === 0x41)) break;
      }
      const { requestId } = decode(octets);
      const taken = { version: 0x0200, code: 0, requestId, groups: [operationGroup()], data: new Uint8Array(0) };
      res.writeHead(200, { "content-type": "application/ipp" }).end(encode(taken));
    };
    async function* late(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(1000).fill(0x41);
      await ended.promise;
    }
    const sent = send({ size: 1000, chunks: late });
    if (code === undefined) expect((await sent).code).toBe(0);
    else expect(await failureOf(sent)).toMatchObject({ code, nothingSent: false });
    ended.resolve();
  });

  test("a reset in the middle leaves the outcome open", async () => {
    printer.script = ({ req, socket }) => req.once("data", () => socket.resetAndDestroy());
    const source = new Source(2 ** 30);
    expect(await failureOf(send(source))).toMatchObject({ code: "printer-broken-connection", nothingSent: false });
    await expect.poll(() => source.ended).toBe(true);
    expect(counts.requests).toBe(1);
  });

  test("a printer that takes nothing more: bounded memory, then the watchdog", async () => {
    client = newClient({ deadlines: { progress: 100 } });
    printer.script = ({ req }) => req.pause();
    const source = new Source(2 ** 30);
    expect(await failureOf(send(source))).toMatchObject({ code: "printer-timeout", nothingSent: false });
    expect(source.pulled).toBeLessThan(2 ** 25);
    await expect.poll(() => source.ended).toBe(true);
  });

  test("a slow source is not the printer's fault", async () => {
    client = newClient({ deadlines: { progress: 30 } });
    const source = new Source(10);
    async function* late(): AsyncGenerator<Uint8Array> {
      await new Promise((resolve) => setTimeout(resolve, 90));
      yield* source.chunks();
    }
    expect((await send({ size: 10, chunks: late })).code).toBe(0);
  });

  test("a printer that never answers costs the reply deadline", async () => {
    client = newClient({ deadlines: { reply: 300 } });
    printer.script = ({ message }) => message();
    const failure = await failureOf(send(new Source(1000)));
    expect(failure).toMatchObject({ code: "printer-timeout", nothingSent: false });
    expect(printer.requests[0]?.data).toHaveLength(1000);
  });

  test("given up before it began, nothing was sent", async () => {
    const source = new Source(10);
    expect(await failureOf(send(source, AbortSignal.abort()))).toMatchObject({ nothingSent: true });
    expect(source.pulled).toBe(0);
  });
});

describe("the connection that is made ahead of time", () => {
  /** Resolves when the printer has seen `count` connections in all. */
  const connected = (count: number) => expect.poll(() => printer.connections).toBe(count);

  test("carries the next document, and only one", async () => {
    client.prepare();
    client.prepare();
    await connected(1);
    await send(new Source(10));
    expect(printer.connections).toBe(1);
    await send(new Source(10));
    expect(printer.connections).toBe(2);
  });

  test("may be taken while it is still being made", async () => {
    client.prepare();
    await send(new Source(10));
    expect(printer.connections).toBe(1);
  });

  test.each<[string, (socket: import("node:net").Socket) => unknown]>([
    ["ended", (socket) => socket.end()],
    ["reset", (socket) => socket.resetAndDestroy()],
    ["spoken to", (socket) => socket.write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")],
  ])("%s by the printer, it is not used", async (_word, spoil) => {
    client.prepare();
    await connected(1);
    for (const socket of printer.sockets) spoil(socket);
    // Wherever the news is by now, on its way or here: the document arrives.
    await setImmediate();
    expect((await send(new Source(10))).code).toBe(0);
    expect(printer.connections).toBe(2);
  });

  test("waits for its document only so long", async () => {
    client = newClient({ deadlines: { spare: 20 } });
    client.prepare();
    await connected(1);
    await printer.quiet();
    expect((await send(new Source(10))).code).toBe(0);
    expect(printer.connections).toBe(2);
  });

  test("that could not be made costs nothing but a second try", async () => {
    const uriOfNobody = "ipp://127.0.0.1:1/ipp/print";
    client = newClient({ uri: uriOfNobody });
    client.prepare();
    expect(await failureOf(send(new Source(10)))).toMatchObject({ code: "printer-unreachable", nothingSent: true });
  });
});

test("closing ends everything that is under way, and every connection", async () => {
  const reached = Promise.withResolvers<void>();
  let waiting = 2;
  printer.script = ({ req }) => {
    req.resume();
    waiting -= 1;
    if (waiting === 0) reached.resolve();
  };
  const pending = [failureOf(ask()), failureOf(send(new Source(2 ** 30)))];
  await reached.promise;
  client.prepare();
  await client.close();
  for (const failure of await Promise.all(pending)) expect(failure.code).toBe("printer-broken-connection");
  expect((await failureOf(ask())).code).toBe("printer-broken-connection");
  expect(await failureOf(send(new Source(1)))).toMatchObject({ nothingSent: true });
  await printer.quiet();
});
