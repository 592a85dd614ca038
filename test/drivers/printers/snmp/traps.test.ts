import * as dgram from "node:dgram";
import { once } from "node:events";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { silentLog } from "../../../../drivers/log.ts";
import type { SnmpAccess } from "../../../../drivers/printers/snmp/access.ts";
import { decodeTrapHeader } from "../../../../drivers/printers/snmp/trap-header.ts";
import { TrapReceiver } from "../../../../drivers/printers/snmp/traps.ts";
import { FakeClock } from "../../../sim/clock.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const tlv = (tag: number, ...parts: Uint8Array[]) => {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), body]);
};
const text = (value: string) => tlv(4, Buffer.from(value));
const v2c = (community: string, pdu = 0xa7) =>
  tlv(0x30, Buffer.of(2, 1, 1), text(community), tlv(pdu, Buffer.alloc(200)));
const v3 = (user: string) => {
  const zero = Buffer.of(2, 1, 0);
  const security = tlv(0x30, text("engine"), zero, zero, text(user), text("digest"), text("salt"));
  return tlv(0x30, Buffer.of(2, 1, 3), tlv(0x30, zero), tlv(4, security), text("encrypted"));
};

describe("the head of a notification", () => {
  test.each([
    ["an SNMPv2-Trap", v2c("public"), { version: "2c", community: "public" }],
    ["an inform", v2c("public", 0xa6), { version: "2c", community: "public" }],
    ["SNMPv3", v3("monitor"), { version: "3", user: "monitor" }],
    ["a request, which is none", v2c("public", 0xa0), undefined],
    ["nothing", Buffer.alloc(0), undefined],
    ["a version that is not", tlv(0x30, Buffer.of(2, 1, 2), text("public"), tlv(0xa7)), undefined],
    ["an endless length", Buffer.of(0x30, 0x80, 2, 1, 1), undefined],
    ["a length beyond the datagram", Buffer.of(0x30, 0x83, 0xff, 0xff, 0xff, 2), undefined],
  ])("%s", (_name, datagram, head) => expect(decodeTrapHeader(datagram)).toEqual(head));

  test("no cut one is taken for a whole one, and nothing throws", () => {
    for (const whole of [v2c("public"), v3("monitor")]) {
      for (let length = 0; length < whole.length; length++) {
        expect(decodeTrapHeader(whole.subarray(0, length))).toBeUndefined();
      }
    }
    const flipped = fc.tuple(fc.constantFrom(v2c("public"), v3("monitor")), fc.nat(40), fc.nat(255));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), flipped), (input) => {
        const datagram = input instanceof Uint8Array ? input : Buffer.from(input[0]);
        if (!(input instanceof Uint8Array)) datagram[input[1] % datagram.length] = input[2];
        const head = decodeTrapHeader(datagram);
        const word = head === undefined ? "" : head.version === "3" ? head.user : head.community;
        expect(word.length).toBeLessThanOrEqual(datagram.length);
      }),
    );
  });
});

const PUBLIC: SnmpAccess = { version: "2c", community: "public" };

async function receiver(hosts: Readonly<Record<string, SnmpAccess>>) {
  const clock = new FakeClock();
  const trapped: string[] = [];
  const sources = Object.entries(hosts).map(([host, access]) => ({
    host,
    access,
    trapped: () => void trapped.push(host),
  }));
  const traps = new TrapReceiver({ host: "127.0.0.1", port: 0, sources, clock, log: silentLog });
  cleanups.push(() => traps.stop());
  traps.start();
  await vi.waitFor(() => expect(traps.port).toBeDefined(), { interval: 2 });
  const socket = dgram.createSocket("udp4");
  cleanups.push(() => new Promise<void>((closed) => socket.close(closed)));
  const heard = () => Object.values(traps.counters).reduce((sum, count) => sum + count, 0);
  const send = async (datagram: Uint8Array) => {
    const before = heard();
    socket.send(datagram, traps.port, "127.0.0.1");
    await vi.waitFor(() => expect(heard()).toBe(before + 1), { interval: 2 });
  };
  return { clock, trapped, traps, send, socket };
}

describe("the receiver", () => {
  test("a trap is for the printer at its address, or for each that it may be from", async () => {
    const { trapped, send } = await receiver({ "127.0.0.1": PUBLIC, "mfd.example": PUBLIC });
    await send(v2c("public"));
    expect(trapped).toEqual(["127.0.0.1"]);
    const other = await receiver({
      "mfd-1.example": PUBLIC,
      "mfd-2.example": PUBLIC,
      "10.0.0.9": { ...PUBLIC, community: "x" },
    });
    await other.send(v2c("public"));
    expect(other.trapped).toEqual(["mfd-1.example", "mfd-2.example"]);
  });

  test("what is malformed or of a stranger is counted, and neither answered nor passed on", async () => {
    const { trapped, traps, send, socket } = await receiver({ "127.0.0.1": PUBLIC });
    let answers = 0;
    socket.on("message", () => answers++);
    await send(Buffer.from("garbage"));
    await send(v2c("public", 0xa0));
    await send(v2c("private"));
    await send(v3("monitor"));
    await send(v2c("public", 0xa6));
    expect(traps.counters).toEqual({ traps: 1, trapsRefused: 2, trapsLimited: 0, trapsMalformed: 2 });
    expect(trapped).toHaveLength(1);
    expect(answers).toBe(0);
  });

  test("a flood gains five at once, then one in ten seconds", async () => {
    const { clock, trapped, traps, send } = await receiver({ "127.0.0.1": PUBLIC });
    for (let i = 0; i < 20; i++) await send(v2c("public"));
    expect(traps.counters).toMatchObject({ traps: 5, trapsLimited: 15 });
    clock.advance(25_000);
    for (let i = 0; i < 20; i++) await send(v2c("public"));
    expect(trapped).toHaveLength(7);
    clock.advance(4_999);
    await send(v2c("public"));
    expect(trapped).toHaveLength(7);
    clock.advance(1);
    await send(v2c("public"));
    expect(trapped).toHaveLength(8);
  });

  test("a port that is taken is a problem with a next step, and is tried again", async () => {
    const holder = dgram.createSocket("udp4").bind(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address();
    const clock = new FakeClock();
    const traps = new TrapReceiver({ host: "127.0.0.1", port, sources: [], clock, log: silentLog });
    cleanups.push(() => traps.stop());
    traps.start();
    await vi.waitFor(() => expect(traps.problem?.code).toBe("snmp-traps-deaf"), { interval: 2 });
    expect(traps.problem?.detail).toBe(`127.0.0.1:${port}, EADDRINUSE`);
    await new Promise<void>((closed) => holder.close(closed));
    clock.advance(30_000);
    await vi.waitFor(() => expect(traps.port).toBe(port), { interval: 2 });
    expect(traps.problem).toBeUndefined();
    await traps.stop();
    expect(clock.pending).toBe(0);
  });
});
