import type { Answer } from "dns-packet";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { VirtualMfd } from "../../../agent/demo/mfd.ts";
import { systemClock } from "../../../drivers/clock.ts";
import { Follower } from "../../../drivers/discovery/follower.ts";
import { isNearAddress } from "../../../drivers/discovery/locate.ts";
import { silentLog } from "../../../drivers/log.ts";
import { IppPrinter } from "../../../drivers/printers/ipp/printer.ts";
import { Authority, type ServerIdentity } from "../../sim/authority.ts";
import { FakeClock } from "../../sim/clock.ts";
import { MdnsPrinter, serviceRecords } from "../../sim/mdns-printer.ts";

const UUID = "be8b703d-fc7e-352d-62d6-b6324359fe8f";
const TXT = ["rp=ipp/print", `UUID=${UUID}`];
const never = new AbortController().signal;

let own: ServerIdentity;
let other: ServerIdentity;
const stops: (() => Promise<unknown>)[] = [];
beforeAll(() => {
  own = new Authority().issue();
  other = new Authority("Another").issue();
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function mfdAt(host: string, tls: ServerIdentity | undefined, port = 0): Promise<VirtualMfd> {
  const mfd = await VirtualMfd.start({ clock: systemClock, host, port, ...(tls && { tls }) });
  stops.push(() => mfd.stop());
  return mfd;
}
const portOf = (mfd: VirtualMfd) => Number(new URL(mfd.uri).port);

/** A printer that is configured at 127.0.0.2, where nobody answers, in a network that answers `records`. */
async function lost(scheme: "ipp" | "ipps", port: number, records: readonly Answer[], isNear = (_: string) => true) {
  const network = await MdnsPrinter.start((question) => (question.endsWith("._tcp.local") ? records : []));
  stops.push(() => network.stop());
  const clock = new FakeClock();
  const uri = `${scheme}://127.0.0.2:${port}/ipp/print`;
  const keyPins = scheme === "ipps" ? [own.pin] : [];
  const moves: (string | undefined)[] = [];
  const follower = new Follower({
    ...{ uri, uuid: UUID, keyPins, tlsAllow: [], clock, log: silentLog },
    moved: (host) => moves.push(host),
    surroundings: { network: network.network, isNear },
  });
  const printer = new IppPrinter({ name: "lost", uri, keyPins, clock: systemClock, log: silentLog, follow: follower });
  stops.push(() => printer.stop());
  const ask = () =>
    printer.state(never).then(
      ({ state }) => state,
      (error) => error.code,
    );
  /** As a person would who taps, and taps again. */
  const search = async () => {
    expect(await ask()).toBe("printer-unreachable");
    clock.advance(3000);
    expect(await ask()).toBe("printer-unreachable");
    await vi.waitFor(() => expect(network.questions.length).toBeGreaterThan(0), { interval: 5 });
    // What is heard is heard by now; the browse ends.
    clock.advance(250);
    await vi.waitFor(() => expect(network.questions.length).toBeGreaterThan(3), { interval: 5 });
    clock.advance(3000);
  };
  return { printer, follower, clock, moves, ask, search };
}
const ended = (follower: Follower) =>
  vi.waitFor(() => expect(follower.whereabouts).not.toEqual({}), { interval: 5, timeout: 5000 });

describe("a printer that is at another address", () => {
  test("is found by its uuid, followed by its pinned key, prints there, and is left when it is back", async () => {
    const mfd = await mfdAt("127.0.0.1", own);
    const port = portOf(mfd);
    const { printer, follower, clock, moves, ask, search } = await lost(
      "ipps",
      port,
      serviceRecords("_ipps._tcp", port, TXT),
    );
    await search();
    await ended(follower);
    expect(follower.whereabouts).toEqual({ follows: { uri: `ipps://127.0.0.1:${port}/ipp/print` } });
    expect(await ask()).toBe("idle");
    const request = { name: "rel-1", user: "ada", format: "application/pdf" };
    const job = await printer.createJob(request, never);
    const chunks = async function* () {
      yield Buffer.from("%PDF-1.7");
    };
    await printer.send(job, request, { size: 8, chunks }, never);
    await vi.waitFor(() => expect(mfd.prints).toHaveLength(1), { interval: 5 });
    expect(moves).toEqual(["127.0.0.1"]);

    await mfdAt("127.0.0.2", own, port);
    for (let time = 1; time <= 2; time++) {
      clock.advance(30_000);
      await vi.waitFor(() => expect(clock.pending + moves.length).toBeGreaterThan(1), { interval: 5 });
    }
    await vi.waitFor(() => expect(moves).toEqual(["127.0.0.1", undefined]), { interval: 5 });
    expect(printer.whereabouts).toEqual({});
    expect(await ask()).toBe("idle");
    expect(printer.counters).toMatchObject({ followLooks: 1, followMoves: 1, followReturns: 1 });
  });

  test("behind another key is not followed: it gets a handshake and no request", async () => {
    const mfd = await mfdAt("127.0.0.1", other);
    const port = portOf(mfd);
    const { follower, ask, search } = await lost("ipps", port, serviceRecords("_ipps._tcp", port, TXT));
    await search();
    await ended(follower);
    expect(follower.whereabouts.seen?.why).toBe("other-key");
    expect(await ask()).toBe("printer-unreachable");
    expect([...mfd.requests]).toEqual([]);
  });

  test("that two claim and prove is not followed", async () => {
    const port = portOf(await mfdAt("127.0.0.1", own));
    await mfdAt("127.0.0.3", own, port);
    const second = serviceRecords("_ipps._tcp", port, TXT, "Second").map((record) =>
      JSON.parse(
        JSON.stringify(record).replaceAll("acme.local", "second.local").replaceAll('"127.0.0.1"', '"127.0.0.3"'),
      ),
    );
    const { follower, search } = await lost("ipps", port, [...serviceRecords("_ipps._tcp", port, TXT), ...second]);
    await search();
    await ended(follower);
    expect(follower.whereabouts).toMatchObject({ seen: { why: "several" } });
    expect(follower.host).toBeUndefined();
  });

  test("of which only an unencrypted service is told is not even looked at", async () => {
    const mfd = await mfdAt("127.0.0.1", undefined);
    const port = portOf(mfd);
    const { follower, search, ask } = await lost("ipps", port, serviceRecords("_ipp._tcp", port, TXT));
    await search();
    await follower.stop();
    expect(follower.whereabouts).toEqual({});
    expect(await ask()).toBe("printer-unreachable");
    expect([...mfd.requests]).toEqual([]);
  });

  test("over plain ipp is told of, and gets nothing", async () => {
    const mfd = await mfdAt("127.0.0.1", undefined);
    const port = portOf(mfd);
    const { follower, search, ask } = await lost("ipp", port, serviceRecords("_ipp._tcp", port, TXT));
    await search();
    await ended(follower);
    expect(follower.whereabouts).toEqual({ seen: { uri: `ipp://127.0.0.1:${port}/ipp/print`, why: "unproven" } });
    expect(await ask()).toBe("printer-unreachable");
    expect([...mfd.requests]).toEqual([]);
  });

  test.each([
    [
      "at another port",
      (port: number) => serviceRecords("_ipps._tcp", port === 65_535 ? 1 : port + 1, TXT),
      "other-way",
    ],
    [
      "at another path",
      (port: number) => serviceRecords("_ipps._tcp", port, ["rp=other", `UUID=${UUID}`]),
      "other-way",
    ],
  ])("%s is told of, and gets nothing", async (_, records, why) => {
    const mfd = await mfdAt("127.0.0.1", own);
    const port = portOf(mfd);
    const { follower, search } = await lost("ipps", port, records(port));
    await search();
    await ended(follower);
    expect(follower.whereabouts.seen?.why).toBe(why);
    expect(mfd.requests.size).toBe(0);
  });

  test("on the loopback interface, or any that no printer here has, is not connected to", async () => {
    const mfd = await mfdAt("127.0.0.1", own);
    const port = portOf(mfd);
    const { follower, search } = await lost("ipps", port, serviceRecords("_ipps._tcp", port, TXT), isNearAddress);
    await search();
    await ended(follower);
    expect(follower.whereabouts.seen?.why).toBe("far");
    expect(follower.host).toBeUndefined();
  });
});

test.each([
  ["10.1.2.3", true],
  ["172.16.0.1", true],
  ["172.31.255.1", true],
  ["192.168.7.7", true],
  ["169.254.10.1", true],
  ["127.0.0.1", false],
  ["0.0.0.0", false],
  ["8.8.8.8", false],
  ["172.32.0.1", false],
  ["224.0.0.251", false],
  ["255.255.255.255", false],
  ["::1", false],
  ["fd00::1", false],
])("%s is an address of a printer here: %s", (address, near) => expect(isNearAddress(address)).toBe(near));
