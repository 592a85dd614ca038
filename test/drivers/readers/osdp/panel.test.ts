import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ATTEMPTS } from "../../../../drivers/readers/osdp/exchange.ts";
import { RESTARTS } from "../../../../drivers/readers/osdp/machine.ts";
import { encodePacket } from "../../../../drivers/readers/osdp/packet.ts";
import { type Fault, mended, tampered } from "../../../sim/osdp-pd.ts";
import { bytes, hex, Line, type LineOptions, online, SCBK } from "./line.ts";

const CARD = "bb032180:26";
const PLAIN: LineOptions = { settings: { secure: false, scbk: undefined } };
describe.each([
  ["secure", {}],
  ["plain", PLAIN],
  ["secure, with checksums", { settings: { check: "checksum" }, pd: { check: "checksum" } }],
] as const)("%s", (_, options: LineOptions) => {
  test("a card and keys are read once each", () => {
    const line = online(options);
    line.pd.card();
    line.pd.keys("12*4#");
    line.run(2000);
    expect(line.read).toEqual([CARD, "12*4#"]);
    expect(line.panel.counters).toMatchObject({ reads: 1, keys: 5, unknownKeys: 0, restarts: 0 });
  });

  const harmless: readonly Fault[] = ["silence", "echo", "other-address", "corrupt", "busy"];
  test.each(harmless)("a card comes once through %s, in any place", (fault) => {
    for (let place = 0; place < 8; place += 1) {
      const line = online(options);
      line.pd.card();
      for (let i = 0; i < place; i += 1) line.pd.faults.push("echo");
      line.pd.faults.push(fault);
      line.run(10_000);
      expect(line.read).toEqual([CARD]);
      expect(line.panel.failure).toBeUndefined();
      expect(line.panel.counters).toMatchObject({ restarts: 0, badMac: 0 });
    }
  });

  test("any such faults while it is opened delay it only", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...harmless), { maxLength: 30 }), (faults) => {
        const line = new Line(options);
        // Eight silent turns together are a deaf reader.
        line.pd.faults.push(...faults.flatMap((fault, at) => (at % 5 === 4 ? (["echo", fault] as const) : [fault])));
        line.pd.card();
        line.run(60_000);
        expect(line.read).toEqual([CARD]);
      }),
    );
  });

  test("a reader that lost its power is online again by itself, and reads", () => {
    const line = online(options);
    line.pd.faults.push("reset");
    line.run(1000);
    line.pd.card();
    line.run(1000);
    expect(line.read).toEqual([CARD]);
    expect(line.panel.counters).toMatchObject({ restarts: 1 });
    expect(line.notices.at(-1)).toMatchObject({ type: "online" });
  });

  test("a reader that falls silent is deaf after it was asked eight times", () => {
    const line = online(options);
    line.pd.faults.push(...Array<Fault>(50).fill("silence"));
    const before = line.sent.length;
    line.run(10_000);
    expect(line.panel.failure).toMatchObject({ code: "reader-deaf" });
    expect(line.panel.online).toBe(false);
    const asked = line.sent.slice(before);
    expect(asked).toHaveLength(ATTEMPTS);
    expect(new Set(asked.map(hex)).size).toBe(1);
    expect(line.panel.counters).toMatchObject({ noReply: ATTEMPTS });
    line.panel.open(line.now);
    line.pd.faults.length = 0;
    line.pd.card();
    line.run(1000);
    expect(line.panel.failure).toBeUndefined();
    expect(line.read).toEqual([CARD]);
  });

  test("a reader that is busy for ever is deaf", () => {
    const line = online(options);
    line.pd.faults.push(...Array<Fault>(200).fill("busy"));
    line.run(60_000);
    expect(line.panel.failure).toMatchObject({ code: "reader-deaf" });
  });

  test("any garbage between the replies: no throw, and the next card is read", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }), (lumps) => {
        const line = online(options);
        for (const lump of lumps) {
          expect(line.panel.push(lump, line.now)).toEqual([]);
          line.run(150);
        }
        line.run(10_000);
        if (line.panel.failure !== undefined) line.panel.open(line.now);
        line.run(1000);
        line.pd.card();
        line.run(10_000);
        expect(line.read).toEqual([CARD]);
      }),
      { numRuns: 30 },
    );
  });

  test("replies in any chunking are the same", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }), (sizes) => {
        let turn = 0;
        const onReply = (reply: Uint8Array) => {
          const pieces: Uint8Array[] = [];
          for (let at = 0; at < reply.length; ) {
            const size = sizes[turn % sizes.length] ?? 1;
            turn += 1;
            pieces.push(reply.subarray(at, at + size));
            at += size;
          }
          return pieces;
        };
        const line = online({ ...options, onReply });
        line.pd.card();
        line.pd.keys("1");
        line.run(1000);
        expect(line.read).toEqual([CARD, "1"]);
        expect(line.panel.counters).toMatchObject({ noReply: 0, unfinished: 0, strayBytes: 0 });
      }),
    );
  });
});

describe("a secure channel", () => {
  const refused = (line: Line, detail: RegExp) => {
    expect(line.panel.failure).toMatchObject({
      code: "reader-secure-channel-failed",
      detail: expect.stringMatching(detail),
    });
    expect(line.panel.online).toBe(false);
    expect(line.read).toEqual([]);
    expect(line.panel.deadline).toBeUndefined();
    expect(line.panel.output(line.now)).toBeUndefined();
  };
  const challenges = (line: Line) => line.sent.filter((sent) => sent[7] === 0x11).map((sent) => sent[8]);

  test("with another key in the reader fails, and neither plain nor the default key is tried", () => {
    for (const scbk of [new Uint8Array(16), SCBK.map((byte) => byte ^ 1)]) {
      const line = new Line({ pd: { scbk, installing: true } });
      line.pd.card();
      line.run(60_000);
      refused(line, /another key/);
      expect(challenges(line)).toEqual([1]);
      expect(line.pd.done).toEqual([0x61, 0x62, 0x76]);
    }
  });

  test("is not begun with a reader that answers for the default key", () => {
    const line = new Line({
      onReply: (reply) => {
        if (reply[7] !== 0x12) return [reply];
        const changed = reply.slice();
        changed[8] = 0;
        return [mended(changed, "crc16")];
      },
    });
    refused(line.run(60_000), /CCRYPT for another key/);
  });

  test("is not begun with a reader that has none", () => {
    const line = new Line({
      onReply: (reply) => {
        if (reply[7] !== 0x12) return [reply];
        return [
          encodePacket({ address: 1, isReply: true, sequence: 0, check: "crc16", code: 0x41, data: bytes("05") }),
        ];
      },
    });
    refused(line.run(60_000), /NAK 5/);
  });

  test("is not begun when anybody changes one bit of the handshake", () => {
    for (const type of [0x12, 0x14]) {
      // From the address to the last byte before the check.
      for (let bit = 16; ; bit += 1) {
        let past = false;
        const line = new Line({
          onReply: (reply) => {
            if (reply[7] !== type) return [reply];
            past = bit >= (reply.length - 2) * 8;
            // The reader's number and serial are not part of the proof.
            const isCuid = type === 0x12 && bit >= 10 * 8 && bit < 18 * 8;
            return past || isCuid ? [] : [tampered(reply, "crc16", bit)];
          },
        });
        line.pd.card();
        line.run(20_000);
        expect(line.panel.online).toBe(false);
        expect(line.read).toEqual([]);
        if (past) break;
      }
    }
  });

  test.each(["tamper", "replay", "plain-card"] as const)("ends at %s: nothing of it is accepted", (fault) => {
    for (let place = 4; place < 10; place += 1) {
      const line = online();
      line.run(2000);
      for (let i = 0; i < place; i += 1) line.pd.faults.push("echo");
      line.pd.faults.push(fault);
      line.run(5000);
      expect(line.read).toEqual([]);
      expect(line.panel.counters).toMatchObject({ badMac: 1, restarts: 1, channels: 2 });
      line.pd.card();
      line.run(1000);
      expect(line.read).toEqual([CARD]);
    }
  });

  test("a card whose reply was changed on the line is lost, not read", () => {
    const line = online();
    line.pd.card();
    line.pd.faults.push("tamper");
    line.run(5000);
    expect(line.read).toEqual([]);
    expect(line.panel.counters).toMatchObject({ badMac: 1, channels: 2, reads: 0 });
  });

  test("that is attacked again and again is a failure", () => {
    const line = online();
    line.pd.faults.push(...Array.from({ length: 100 }, (_, i): Fault => (i % 5 === 4 ? "tamper" : "echo")));
    line.pd.card();
    line.run(20_000);
    expect(line.panel.failure?.code).toBe("reader-secure-channel-failed");
    expect(line.panel.counters.restarts).toBe(RESTARTS + 1);
  });

  test("that breaks once a minute is no failure", () => {
    const line = online();
    for (let i = 0; i < 10; i += 1) {
      line.pd.faults.push("tamper");
      line.run(60_000);
    }
    expect(line.panel.failure).toBeUndefined();
    expect(line.panel.counters).toMatchObject({ channels: 11, restarts: 10 });
  });

  test("nothing is read before it stands, whatever the reader says", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), fc.constantFrom(0x16, 0x18, undefined), (turn, type) => {
        let replies = 0;
        const card = (sequence: number) =>
          encodePacket({
            address: 1,
            isReply: true,
            sequence,
            check: "crc16",
            code: 0x50,
            data: bytes("00011a00bb032180"),
            security: type === undefined ? undefined : { type, data: bytes("") },
          });
        const line = new Line({
          onReply: (reply) => {
            replies += 1;
            return replies === turn + 1 ? [0, 1, 2, 3].map(card) : [reply];
          },
        });
        line.run(5000);
        expect(line.read).toEqual([]);
      }),
    );
  });

  test("says nothing of a PIN, a card or a key on the line, in a notice or a failure", () => {
    const line = online();
    line.pd.card();
    line.pd.keys("73914682");
    line.run(1000);
    line.pd.faults.push(...Array<Fault>(20).fill("tamper"));
    line.run(20_000);
    const told = JSON.stringify([line.notices, line.panel.failure, line.panel.counters, line.panel.failure?.message]);
    expect(line.read).toEqual([CARD, "73914682"]);
    for (const secret of ["bb032180", "73914682", hex(SCBK), hex(Buffer.from("73914682"))]) {
      expect(told).not.toContain(secret);
      expect(line.sent.map(hex).join(" ")).not.toContain(secret);
    }
  });
});

describe("plain", () => {
  test("is refused by a reader that wants a channel, which is told", () => {
    const line = new Line({ ...PLAIN, pd: { demandsChannel: true } }).run(60_000);
    expect(line.panel.failure).toMatchObject({ code: "reader-secure-channel-failed", detail: "address 1: NAK 6" });
  });

  test("never challenges, and takes nothing that claims to be sealed", () => {
    const line = online(PLAIN);
    expect(line.sent.some((sent) => (sent[5] ?? 0) & 0x08)).toBe(false);
    const sealed = { address: 1, isReply: true, check: "crc16", code: 0x50, data: bytes("00011a00bb032180") } as const;
    for (const type of [0x14, 0x16, 0x18]) {
      for (const sequence of [0, 1, 2, 3]) {
        line.panel.output(line.now + 200);
        const packet = encodePacket({ ...sealed, sequence, security: { type, data: bytes("") } });
        line.events.push(...line.panel.push(packet, line.now + 201));
      }
    }
    expect(line.read).toEqual([]);
  });
});

describe("the line", () => {
  const rawCard = (sequence: number) =>
    encodePacket({ address: 1, isReply: true, sequence, check: "crc16", code: 0x50, data: bytes("00011a00bb032180") });

  test("what nobody asked for is not read", () => {
    const line = online(PLAIN);
    for (let turn = 0; turn < 3; turn += 1) {
      for (const sequence of [0, 1, 2, 3]) line.events.push(...line.panel.push(rawCard(sequence), line.now));
      line.run(200);
    }
    expect(line.read).toEqual([]);
    expect(line.panel.counters).toMatchObject({ staleReplies: 12, restarts: 0 });
  });

  test("half a packet of noise does not swallow the next reply", () => {
    const line = online();
    line.pd.card();
    line.panel.push(bytes("5381ff0404"), line.now);
    line.run(250);
    expect(line.read).toEqual([CARD]);
    expect(line.panel.counters).toMatchObject({ unfinished: 1, noReply: 0 });
  });

  test("a reply that takes long to arrive is waited for, and not for ever", () => {
    const line = online(PLAIN);
    line.now = line.panel.deadline ?? 0;
    const poll = line.panel.output(line.now);
    for (const byte of rawCard((poll?.[5] ?? 0) & 3)) {
      line.now += 60;
      line.events.push(...line.panel.push(Uint8Array.of(byte), line.now));
    }
    expect(line.read).toEqual([CARD]);
    expect(line.panel.counters).toMatchObject({ noReply: 0 });
    line.run(500);
    line.now = line.panel.deadline ?? 0;
    line.panel.output(line.now);
    const asked = line.now;
    line.panel.push(bytes("5381000404"), line.now);
    for (let turn = 0; turn < 1000 && line.panel.counters.noReply === 0; turn += 1) {
      line.now += 60;
      line.panel.push(Uint8Array.of(0), line.now);
    }
    expect(line.now - asked).toBeLessThan(2500);
  });

  test.each([1, 2])("a reader that heard badly (NAK %i) is told again, and does nothing twice", (code) => {
    let spoilt = 0;
    const nak = (sequence: number) =>
      encodePacket({ address: 1, isReply: true, sequence, check: "crc16", code: 0x41, data: Uint8Array.of(code) });
    const line = online({
      ...PLAIN,
      onReply: (reply) => {
        if (reply[6] !== 0x50 || spoilt > 0) return [reply];
        spoilt += 1;
        return [nak((reply[5] ?? 0) & 3)];
      },
    });
    line.pd.card();
    line.run(2000);
    expect(line.read).toEqual([CARD]);
    expect(line.panel.counters).toMatchObject({ naks: 1, noReply: 1, restarts: 0 });
  });

  test("is given a moment to turn around", () => {
    const line = new Line(PLAIN);
    const id = line.panel.output(0) ?? bytes("");
    for (const reply of line.pd.push(id)) line.panel.push(reply, 10);
    expect(line.panel.output(11)).toBeUndefined();
    expect(line.panel.deadline).toBe(15);
    expect(line.panel.output(15)).toBeDefined();
  });

  test("a reader that is busy now and then is not silent", () => {
    const line = online();
    const silence = Array<Fault>(7).fill("silence");
    line.pd.faults.push(...silence, "busy", ...silence, "busy", ...silence);
    line.pd.card();
    line.run(20_000);
    expect(line.read).toEqual([CARD]);
    expect(line.panel.counters).toMatchObject({ noReply: 21, busy: 2, restarts: 0 });
  });
});

test("polls are fast while somebody stands there, slower then, and slowest when nobody came for ten minutes", () => {
  const line = online();
  const polls = () => {
    const before = line.sent.length;
    line.run(2000);
    return line.sent.length - before;
  };
  const between = (least: number, most: number) => {
    const count = polls();
    expect(count).toBeGreaterThanOrEqual(least);
    expect(count).toBeLessThanOrEqual(most);
  };
  between(8, 11);
  line.pd.card();
  line.run(300);
  between(30, 41);
  line.run(10_000);
  between(8, 11);
  line.run(600_000);
  between(3, 4);
  line.pd.card();
  line.run(600);
  between(30, 41);
});

test("a reader that answers under another address is not heard, and deaf", () => {
  const line = new Line({ settings: { address: 2 } }).run(60_000);
  expect(line.panel.failure).toMatchObject({ code: "reader-deaf", detail: "address 2: no reply" });
});

test("late replies of a slow reader are taken once, and their repetitions dropped", () => {
  // Each reply comes after the command was written a second time.
  const line = online();
  line.pd.card();
  for (let turn = 0; turn < 12; turn += 1) {
    line.now = Math.max(line.now, line.panel.deadline ?? 0);
    const asked = line.panel.output(line.now);
    const replies = asked === undefined ? [] : line.pd.push(asked);
    line.now = line.panel.deadline ?? line.now;
    line.panel.expire(line.now);
    const again = line.panel.output(line.now);
    if (again !== undefined) replies.push(...line.pd.push(again));
    line.now += 30;
    for (const reply of replies) line.events.push(...line.panel.push(reply, line.now));
  }
  expect(line.read).toEqual([CARD]);
  expect(line.panel.counters).toMatchObject({ badMac: 0, restarts: 0 });
  expect(line.panel.counters.staleReplies).toBeGreaterThan(5);
});
