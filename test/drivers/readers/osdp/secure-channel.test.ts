import { createCipheriv } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePacket, PacketReader } from "../../../../drivers/readers/osdp/packet.ts";
import {
  clientCryptogram,
  initialMac,
  macOf,
  SecureChannel,
  serverCryptogram,
  sessionKeys,
} from "../../../../drivers/readers/osdp/secure-channel.ts";
import { DEFAULT_KEY } from "../../../../drivers/readers/osdp/settings.ts";
import { tampered } from "../../../sim/osdp-pd.ts";
import { bytes, hex } from "./line.ts";

const PANEL_RANDOM = bytes("b0b1b2b3b4b5b6b7");
const READER_RANDOM = bytes("a0a1a2a3a4a5a6a7");
const KEYS = sessionKeys(DEFAULT_KEY, PANEL_RANDOM);
const SERVER = serverCryptogram(KEYS, PANEL_RANDOM, READER_RANDOM);

describe("the standard's example (SIA OSDP 2.2, Annex E)", () => {
  test.each([
    ["S-ENC", KEYS.enc, "bf8dc2a8329acb8c67c6d0cd9a451682"],
    ["S-MAC1", KEYS.mac1, "5e86c676603bdee2d8beafe178637332"],
    ["S-MAC2", KEYS.mac2, "6fda86e857777e81132035758239172e"],
    ["client cryptogram", clientCryptogram(KEYS, PANEL_RANDOM, READER_RANDOM), "fde5d2f428ec16312471ea3c02bd7796"],
    ["server cryptogram", SERVER, "26d3356e07762d262801fc8e6665a891"],
    ["RMAC-I", initialMac(KEYS, SERVER), "b2a30057eb98ba2229ec1f875662b524"],
  ])("%s", (_, value, expected) => expect(hex(value)).toBe(expected));
});

const FIRST = initialMac(KEYS, SERVER);
const pair = () => ({
  panel: new SecureChannel(KEYS, FIRST, "panel"),
  reader: new SecureChannel(KEYS, FIRST, "reader"),
});
const draft = (sequence: number, isReply: boolean, data: Uint8Array) => ({
  address: 1,
  isReply,
  sequence,
  check: "crc16" as const,
  code: isReply ? 0x50 : 0x69,
  data,
});
const only = (stream: Uint8Array) => {
  const [packet] = new PacketReader("crc16").push(stream);
  if (packet === undefined) throw new Error("no packet");
  return packet;
};
const someData = fc.uint8Array({ maxLength: 70 });

test("what one side seals the other opens, through any conversation, and nothing of it can be read on the line", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(someData, someData), { maxLength: 12 }), (turns) => {
      const { panel, reader } = pair();
      turns.forEach(([command, reply], turn) => {
        const sequence = (turn % 3) + 1;
        const asked = panel.seal(draft(sequence, false, command));
        expect(hex(reader.open(only(asked)) ?? bytes("ff"))).toBe(hex(command));
        const answered = reader.seal(draft(sequence, true, reply));
        expect(hex(panel.open(only(answered)) ?? bytes("ff"))).toBe(hex(reply));
        if (reply.length >= 8) expect(hex(answered)).not.toContain(hex(reply));
      });
    }),
  );
});

test("a reply with any bit changed, and its check mended, is never opened", () => {
  const { panel, reader } = pair();
  const opened = () => only(panel.seal(draft(1, false, new Uint8Array())));
  reader.open(opened());
  const reply = reader.seal(draft(1, true, bytes("00011a00bb032180")));
  // From the address to the last byte of the MAC; a changed start or length is no packet.
  for (let bit = 2 * 8; bit < (reply.length - 2) * 8; bit += 1) {
    const found = new PacketReader("crc16").push(tampered(reply, "crc16", bit));
    for (const packet of found) expect(panel.open(packet)).toBeUndefined();
  }
  expect(hex(panel.open(only(reply)) ?? bytes(""))).toBe("00011a00bb032180");
});

test("a repeated, an older and a left-out message are not opened", () => {
  const { panel, reader } = pair();
  const replies = [1, 2, 3, 1].map((sequence) => {
    reader.open(only(panel.seal(draft(sequence, false, new Uint8Array()))));
    const reply = only(reader.seal(draft(sequence, true, bytes("00011a00bb032180"))));
    expect(panel.open(reply)).toBeDefined();
    return reply;
  });
  panel.seal(draft(2, false, new Uint8Array()));
  for (const old of replies) expect(panel.open(old)).toBeUndefined();
});

test("our own commands are no replies, and a packet without a seal is none either", () => {
  const { panel } = pair();
  const command = panel.seal(draft(1, false, bytes("01")));
  expect(panel.open(only(command))).toBeUndefined();
  for (const security of [
    undefined,
    { type: 0x16, data: bytes("") },
    { type: 0x18, data: bytes("") },
    { type: 0x16, data: bytes("00") },
  ]) {
    const packet = encodePacket({ ...draft(1, true, bytes("00011a00bb032180")), security });
    expect(panel.open(only(packet))).toBeUndefined();
  }
});

test("data that were not padded as agreed are not opened, even with a right MAC", () => {
  const sealedBy = (plain: Uint8Array) => {
    const { panel } = pair();
    const asked = only(panel.seal(draft(1, false, new Uint8Array())));
    const commandMac = macOf(KEYS, FIRST, asked.covered.subarray(0, -4));
    const iv = commandMac.map((byte) => ~byte);
    const data = createCipheriv("aes-128-cbc", KEYS.enc, iv).setAutoPadding(false).update(plain);
    const security = { type: 0x18, data: bytes("") };
    const sign = (covered: Uint8Array) => macOf(KEYS, commandMac, covered).subarray(0, 4);
    return panel.open(only(encodePacket({ ...draft(1, true, data), security, sign })));
  };
  expect(hex(sealedBy(bytes("00018000000000000000000000000000")) ?? bytes("ff"))).toBe("0001");
  for (const plain of [
    "00010000000000000000000000000000",
    "00000000000000000000000000000000",
    "00018100000000000000000000000000",
    "",
  ]) {
    expect(sealedBy(bytes(plain))).toBeUndefined();
  }
});

test("any data are either opened or not: no throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0x15, 0x16, 0x17, 0x18), (data, type) => {
      const { panel } = pair();
      const packet = only(encodePacket({ ...draft(1, true, data), security: { type, data: bytes("") } }));
      expect(panel.open(packet)).toBeUndefined();
    }),
  );
});
