import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checksum8, crc16 } from "../../../../drivers/readers/osdp/check.ts";
import {
  type Draft,
  encodePacket,
  MAX_PACKET,
  type Packet,
  PacketReader,
} from "../../../../drivers/readers/osdp/packet.ts";
import { bytes, hex, transcript } from "./line.ts";

const TRANSCRIPTS = ["osdp-plain", "osdp-sc-scbk", "osdp-sc-scbkd-keyset"];

describe("the standard's examples (SIA OSDP 2.2, Annex E)", () => {
  test.each([
    ["537f0d00046e0080250000", 0x386e],
    ["53000900046100", 0x66c0],
  ])("CRC of %s", (packet, crc) => expect(crc16(bytes(packet))).toBe(crc));
  test.each([
    ["537f0c00006e0080250000", 0x0f],
    ["53000800006100", 0x44],
  ])("checksum of %s", (packet, sum) => expect(checksum8(bytes(packet))).toBe(sum));

  test("are what we write", () => {
    const comset = { address: 0x7f, sequence: 0, code: 0x6e, data: bytes("0080250000") };
    expect(hex(encodePacket({ ...comset, check: "crc16" }))).toBe("ff537f0d00046e00802500006e38");
    expect(hex(encodePacket({ ...comset, check: "checksum" }))).toBe("ff537f0c00006e00802500000f");
  });
});

const draft: fc.Arbitrary<Draft> = fc.record({
  address: fc.integer({ min: 0, max: 0x7f }),
  isReply: fc.boolean(),
  sequence: fc.integer({ min: 0, max: 3 }),
  check: fc.constant("crc16" as const),
  security: fc.option(
    fc.record({ type: fc.integer({ min: 0x11, max: 0x18 }), data: fc.uint8Array({ maxLength: 2 }) }),
    {
      nil: undefined,
    },
  ),
  code: fc.integer({ min: 0, max: 255 }),
  data: fc.uint8Array({ maxLength: 64 }),
});

const plain = ({ address, isReply, sequence, security, code, data }: Packet | Draft) => ({
  address,
  isReply: isReply ?? false,
  sequence,
  security: security === undefined ? undefined : { type: security.type, data: [...security.data] },
  code,
  data: [...(data ?? [])],
});

function pushedIn(reader: PacketReader, stream: Uint8Array, sizes: readonly number[]): Packet[] {
  const found: Packet[] = [];
  let at = 0;
  for (let turn = 0; at < stream.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    found.push(...reader.push(stream.subarray(at, at + size)));
    at += size;
  }
  return found;
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });

test("what is written is read, in any chunking", () => {
  fc.assert(
    fc.property(fc.array(draft, { maxLength: 8 }), sizes, (drafts, sizes) => {
      const reader = new PacketReader("crc16");
      const stream = Buffer.concat(drafts.map(encodePacket));
      expect(pushedIn(reader, stream, sizes).map(plain)).toEqual(drafts.map(plain));
      expect(reader.counters).toEqual({ strayBytes: 0, badCheck: 0, malformed: 0, unfinished: 0 });
      expect(reader.midPacket).toBe(false);
    }),
  );
});

test("every recorded packet is read and written again as it was", () => {
  for (const { from, text } of TRANSCRIPTS.flatMap(transcript)) {
    if (from === "note") continue;
    const [packet, ...others] = new PacketReader("crc16").push(bytes(text));
    expect(others).toEqual([]);
    expect(packet?.isReply).toBe(from === "reader");
    if (packet !== undefined) expect(hex(encodePacket({ ...packet, check: "crc16" }))).toBe(text);
  }
});

test("any garbage, in any chunking: the same packets and counters, and in step again after a silence", () => {
  // Rich in starts, small lengths and control bytes that could be.
  const noise = fc.array(
    fc.oneof(fc.constantFrom(0x53, 0xff, 0x81, 0x01, 0x08, 0x00, 0x04), fc.integer({ min: 0, max: 255 })),
    {
      maxLength: 3000,
    },
  );
  fc.assert(
    fc.property(noise, sizes, draft, (noise, sizes, good) => {
      const stream = Uint8Array.from(noise);
      const inChunks = new PacketReader("crc16");
      const atOnce = new PacketReader("crc16");
      const found = pushedIn(inChunks, stream, sizes).map(plain);
      expect(found).toEqual(atOnce.push(stream).map(plain));
      expect(inChunks.counters).toEqual(atOnce.counters);
      inChunks.reset();
      expect(inChunks.push(encodePacket(good)).map(plain)).toEqual([plain(good)]);
    }),
  );
});

test("any one bit that is wrong makes a packet nobody's", () => {
  const packet = bytes("ff53811000065000011a00bb032180cc84");
  for (let bit = 8; bit < packet.length * 8; bit += 1) {
    const wrong = packet.slice();
    wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const reader = new PacketReader("crc16");
    expect(reader.push(wrong)).toEqual([]);
    reader.reset();
    expect(reader.push(packet)).toHaveLength(1);
  }
});

test("a packet with a check of the other kind is not believed", () => {
  const reader = new PacketReader("crc16");
  expect(reader.push(encodePacket({ address: 1, isReply: true, sequence: 1, check: "checksum", code: 0x40 }))).toEqual(
    [],
  );
  expect(reader.counters).toMatchObject({ badCheck: 1 });
});

test.each([
  ["a length of nothing", "ff53810000044000"],
  ["a length below the least", "ff53810700044000"],
  ["a length above the most", "ff5381ff7f044000"],
  ["reserved bits in the control byte", "ff538108002440"],
])("%s is no header", (_, text) => {
  const reader = new PacketReader("crc16");
  expect(reader.push(bytes(text))).toEqual([]);
  expect(reader.counters.strayBytes).toBeGreaterThan(0);
  reader.reset();
  expect(reader.push(bytes("ff5381080006406a60"))).toHaveLength(1);
});

test.each([
  ["one byte long", Uint8Array.of(1, 0x16)],
  ["longer than the packet", Uint8Array.of(40, 0x16)],
])("a security block that is %s makes the packet malformed", (_, block) => {
  // As if the block were the code and the data of a packet without one, then the control byte and the check mended.
  const packet = encodePacket({
    address: 1,
    isReply: true,
    sequence: 1,
    check: "crc16",
    code: block[0] ?? 0,
    data: block.subarray(1),
  });
  packet[6 - 1] = (packet[6 - 1] ?? 0) | 0x08;
  const sum = crc16(packet.subarray(1, -2));
  packet.set([sum & 0xff, sum >> 8], packet.length - 2);
  const reader = new PacketReader("crc16");
  expect(reader.push(packet)).toEqual([]);
  expect(reader.counters).toMatchObject({ malformed: 1, badCheck: 0 });
});

test("the longest packet is read, and no longer one is begun", () => {
  const longest = encodePacket({
    address: 1,
    sequence: 0,
    check: "crc16",
    code: 0x80,
    data: new Uint8Array(MAX_PACKET - 8),
  });
  expect(new PacketReader("crc16").push(longest)).toHaveLength(1);
});
