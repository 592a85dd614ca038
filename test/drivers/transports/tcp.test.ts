import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import { allowList, isListed, lossOf, TcpConnect, TcpListen } from "../../../drivers/transports/tcp.ts";
import { FakeClock } from "../../sim/clock.ts";

describe("the allow-list", () => {
  const listed = (entries: readonly string[], source: string) => isListed(allowList(entries), source);

  test.each([
    [[], "127.0.0.1", true],
    [[], "127.8.9.1", true],
    [[], "::1", true],
    [[], "::ffff:127.0.0.1", true],
    [[], "10.0.0.7", false],
    [[], "::ffff:10.0.0.7", false],
    [["10.0.0.7"], "10.0.0.7", true],
    [["10.0.0.7"], "10.0.0.8", false],
    [["10.0.0.7"], "127.0.0.1", false],
    [["10.0.0.7"], "::ffff:10.0.0.7", true],
    [["::ffff:10.0.0.7"], "10.0.0.7", true],
    [["::ffff:10.0.0.7"], "::ffff:10.0.0.7", true],
    [["10.0.0.0/24", "fd00::/8"], "10.0.0.255", true],
    [["10.0.0.0/24", "fd00::/8"], "::ffff:10.0.0.255", true],
    [["10.0.0.0/24", "fd00::/8"], "10.0.1.0", false],
    [["10.0.0.0/24", "fd00::/8"], "fd12::1", true],
    [["10.0.0.0/24", "fd00::/8"], "fe80::1", false],
    [["fe80::/10"], "fe80::1%eth0", true],
    [["0.0.0.0/0"], "203.0.113.9", true],
    [["0.0.0.0/0"], "2001:db8::1", false],
  ])("%j and %s: %s", (entries, source, expected) => {
    expect(listed(entries, source)).toBe(expected);
  });

  test.each([
    "",
    "reader.local",
    "10.0.0",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "fd00::/129",
    "::/1e1",
  ])("%j is neither an address nor a range", (entry) => {
    expect(() => allowList([entry])).toThrow(/reader-listen-failed.*neither/);
  });
});

test.each([
  [undefined, "reader-lost"],
  ["ECONNRESET", "reader-lost"],
  ["ETIMEDOUT", "reader-silent-peer"],
  ["EHOSTUNREACH", "reader-silent-peer"],
])("a connection that ends with %s is %s", (code, expected) => {
  const error = code === undefined ? undefined : Object.assign(new Error("read"), { code });
  expect(lossOf(error).code).toBe(expected);
});

describe("on a moved clock", () => {
  const open: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  async function serve(accept: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      accept(socket);
    });
    open.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  test("a flood is paused until its second is over", async () => {
    const clock = new FakeClock();
    const listen = new TcpListen(
      { host: "127.0.0.1", port: 0 },
      [],
      { clock, log: silentLog },
      { maxBytesPerSecond: 1000 },
    );
    open.push(() => listen.close());
    let received = 0;
    const progress = { wanted: 0, reached: () => {} };
    await listen.open({
      data: (bytes) => {
        received += bytes.length;
        if (received >= progress.wanted) progress.reached();
      },
      closed() {},
    });
    const until = (bytes: number) =>
      new Promise<void>((resolve) => {
        progress.wanted = bytes;
        progress.reached = resolve;
      });
    const flooding = connect(listen.port ?? 0, "127.0.0.1");
    open.push(() => flooding.destroy());
    flooding.on("error", () => {});
    const first = until(1);
    flooding.write(Buffer.alloc(4_000_000, "4"));
    await first;
    // One read of the socket at most, although megabytes wait.
    expect(received).toBeLessThanOrEqual(65_536);
    expect(listen.counters).toMatchObject({ throttled: 1, bytes: received });
    expect(clock.pending).toBe(1);
    const next = until(received + 1);
    clock.advance(received);
    await next;
    expect(listen.counters).toMatchObject({ throttled: 2 });
  });

  test("closing while connecting gives it up, and leaves nothing open", async () => {
    const port = await serve(() => {});
    const transport = new TcpConnect({ host: "127.0.0.1", port }, { clock: new FakeClock(), log: silentLog });
    const opening = transport.open({ data() {}, closed() {} });
    await transport.close();
    await expect(opening).rejects.toMatchObject({ code: "reader-unreachable" });
  });

  test("closing while beginning to listen leaves nothing listening", async () => {
    const transport = new TcpListen({ host: "127.0.0.1", port: 0 }, [], { clock: new FakeClock(), log: silentLog });
    const opening = transport.open({ data() {}, closed() {} });
    await transport.close();
    await expect(opening).rejects.toMatchObject({ code: "reader-listen-failed" });
    expect(transport.port).toBeUndefined();
  });

  test("a write that the reader never takes ends the connection as a silent peer", async () => {
    const clock = new FakeClock();
    const port = await serve((socket) => socket.pause());
    const transport = new TcpConnect({ host: "127.0.0.1", port }, { clock, log: silentLog });
    open.push(() => transport.close());
    const lost = Promise.withResolvers<string>();
    await transport.open({ data() {}, closed: (error) => lost.resolve(error.code) });
    const written = transport.write(Buffer.alloc(32_000_000));
    const refused = expect(written).rejects.toMatchObject({ code: "reader-silent-peer" });
    clock.advance(10_000);
    await refused;
    expect(await lost.promise).toBe("reader-silent-peer");
    await expect(transport.write(Buffer.of(1))).rejects.toMatchObject({ code: "reader-lost" });
  });

  test("an address that cannot be listened on is reader-listen-failed, with the reason", async () => {
    const port = await serve(() => {});
    for (const at of [
      { host: "127.0.0.1", port },
      { host: "203.0.113.1", port: 0 },
      { host: "", port: -1 },
    ]) {
      const transport = new TcpListen(at, [], { clock: new FakeClock(), log: silentLog });
      await expect(transport.open({ data() {}, closed() {} })).rejects.toMatchObject({ code: "reader-listen-failed" });
    }
  });
});
