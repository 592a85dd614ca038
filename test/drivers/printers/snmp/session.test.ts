import * as dgram from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../../drivers/clock.ts";
import { silentLog } from "../../../../drivers/log.ts";
import { openSnmp } from "../../../../drivers/printers/snmp/connection.ts";
import { SnmpHealth } from "../../../../drivers/printers/snmp/session.ts";
import { FakeClock } from "../../../sim/clock.ts";

// A UDP socket that answers whatever `answer` returns: the hostile agents that no real one plays.
let socket: dgram.Socket;
let answer: (request: Buffer) => Buffer | undefined;
let requests = 0;
const port = () => socket.address().port;

beforeEach(async () => {
  requests = 0;
  answer = () => undefined;
  socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("message", (request, { port: from }) => {
    requests++;
    const reply = answer(request);
    if (reply) socket.send(reply, from, "127.0.0.1");
  });
});

afterEach(async () => {
  socket.close();
  await once(socket, "close");
});

const open = (malformed: () => void, timeoutMs = 500) =>
  openSnmp(
    { host: "127.0.0.1", port: port(), access: { version: "2c", community: "s3cret" }, timeoutMs },
    systemClock,
    malformed,
  );

const tlv = (tag: number, ...parts: Uint8Array[]) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([body.length < 128 ? Buffer.of(tag, body.length) : Buffer.of(tag, 0x81, body.length), body]);
};

/** The request-id of a v2c request: the first INTEGER inside the PDU. */
function requestId(request: Buffer): Buffer {
  const community = 5;
  const pdu = community + 2 + (request[community + 1] ?? 0);
  const id = pdu + 2;
  return request.subarray(id, id + 2 + (request[id + 1] ?? 0));
}

describe("hostile answers", () => {
  test("an authenticated SNMPv3 message with the right id ends the request, not the process", async () => {
    answer = (request) => {
      const engine = tlv(4, Buffer.from("80001f8804", "hex"));
      const zero = Buffer.of(2, 1, 0);
      const security = tlv(0x30, engine, zero, zero, tlv(4, Buffer.from("x")), tlv(4, Buffer.alloc(12)), tlv(4));
      const pdu = tlv(0xa2, requestId(request), zero, zero, tlv(0x30));
      return tlv(
        0x30,
        Buffer.of(2, 1, 3),
        tlv(0x30, requestId(request), Buffer.of(2, 2, 5, 0xdc), Buffer.of(4, 1, 1), Buffer.of(2, 1, 3)),
        tlv(4, security),
        tlv(0x30, engine, tlv(4), pdu),
      );
    };
    let malformed = 0;
    const connection = await open(() => malformed++);
    await expect(connection.get(["1.3.6.1.2.1.1.3.0"])).rejects.toMatchObject({ code: "snmp-bad-answer" });
    expect(malformed).toBe(1);
    connection.close();
  });

  test("another community in the answer is refused, and neither is in the error", async () => {
    answer = (request) => {
      const other = Buffer.from(request);
      other.write("S3CRET", 7);
      other[13] = 0xa2;
      return other;
    };
    const connection = await open(() => {});
    const error: unknown = await connection.get(["1.3.6.1.2.1.1.3.0"]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "snmp-bad-answer" });
    expect(String(error)).not.toMatch(/s3cret/i);
    connection.close();
  });

  test.each(["", "30", "3003020101", "302902010104", "a2".repeat(40), "30840fffffff0201"])(
    "garbage %j is counted and the request still ends",
    async (hex) => {
      answer = () => Buffer.from(hex, "hex");
      let malformed = 0;
      const connection = await open(() => malformed++, 40);
      await expect(connection.get(["1.3.6.1.2.1.1.3.0"])).rejects.toMatchObject({ code: /snmp-(no|bad)-answer/ });
      expect(malformed).toBeGreaterThan(0);
      connection.close();
    },
  );

  test("an agent that lists devices for ever is left after 64 rows, and asked again only after a minute", async () => {
    answer = (request) => {
      const row = tlv(6, Buffer.from("2b06010201190302010200", "hex").fill(requests, 10));
      const network = tlv(6, Buffer.from("2b060102011903010400", "hex").fill(4, 9));
      const zero = Buffer.of(2, 1, 0);
      const pdu = tlv(0xa2, requestId(request), zero, zero, tlv(0x30, tlv(0x30, row, network)));
      return tlv(0x30, Buffer.of(2, 1, 1), tlv(4, Buffer.from("public")), pdu);
    };
    const clock = new FakeClock();
    const health = new SnmpHealth({
      host: "127.0.0.1",
      port: port(),
      access: { version: "2c", community: "public" },
      clock,
      log: silentLog,
    });
    health.start();
    clock.advance(0);
    await vi.waitFor(() => expect(health.counters.failures).toBe(1), { interval: 5 });
    expect(health.problem?.code).toBe("snmp-no-printer");
    expect(health.verdict()).toEqual({ verdict: "unknown", conditions: [], at: undefined });
    expect(requests).toBe(64);
    clock.advance(5_000);
    await vi.waitFor(() => expect(health.counters.failures).toBe(2), { interval: 5 });
    expect(requests).toBe(64);
    await health.stop();
  });
});

test("a printer that moved is asked at its new address, by the next poll", async () => {
  const elsewhere = dgram.createSocket("udp4").bind(port(), "127.0.0.2");
  await once(elsewhere, "listening");
  let there = 0;
  elsewhere.on("message", () => there++);
  const clock = new FakeClock();
  const health = new SnmpHealth({
    host: "127.0.0.1",
    port: port(),
    access: { version: "2c", community: "public" },
    clock,
    log: silentLog,
  });
  health.start();
  clock.advance(0);
  await vi.waitFor(() => expect(requests).toBe(1), { interval: 5 });
  health.moveTo("127.0.0.2");
  await vi.waitFor(() => expect(health.counters.failures).toBe(1), { interval: 5 });
  clock.advance(5000);
  await vi.waitFor(() => expect(there).toBe(1), { interval: 5 });
  expect(requests).toBe(1);
  await health.stop();
  elsewhere.close();
});

describe("ending", () => {
  test("close rejects what waits", async () => {
    const connection = await open(() => {});
    const pending = expect(connection.next(["1.3.6"])).rejects.toMatchObject({ code: "snmp-closed" });
    connection.close();
    await pending;
  });

  test("stop in the middle of a poll leaves no timer, no socket and no failure behind", async () => {
    const clock = new FakeClock();
    const health = new SnmpHealth({
      host: "127.0.0.1",
      port: port(),
      access: { version: "2c", community: "public" },
      clock,
      log: silentLog,
    });
    health.start();
    clock.advance(0);
    await vi.waitFor(() => expect(requests).toBe(1), { interval: 5 });
    await health.stop();
    expect(clock.pending).toBe(0);
    expect(health.counters).toMatchObject({ polls: 1, answers: 0, failures: 0 });
    await health.stop();
  });

  test("stop right after start, before net-snmp is loaded", async () => {
    const clock = new FakeClock();
    const health = new SnmpHealth({
      host: "127.0.0.1",
      port: port(),
      access: { version: "2c", community: "public" },
      clock,
      log: silentLog,
    });
    health.start();
    clock.advance(0);
    await health.stop();
    expect(clock.pending).toBe(0);
    expect(requests).toBe(0);
  });
});
