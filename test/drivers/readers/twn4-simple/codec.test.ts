import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc16, encode, type Frame, FrameDecoder } from "../../../../drivers/readers/twn4-simple/codec.ts";
import {
  answers,
  BEEP_OFF,
  beep,
  beepOn,
  foundTag,
  LED_INIT,
  LED_INIT_OLD,
  ledOn,
  ledsOff,
  SEARCH,
  setTagTypes,
  statusError,
  VERSION,
} from "../../../../drivers/readers/twn4-simple/commands.ts";
import { masksOf, TAG_TYPE_NAMES } from "../../../../drivers/readers/twn4-simple/tag-types.ts";
import { isRandomUid } from "../../../../drivers/readers/uid.ts";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
const FORMATS = [
  { mode: "ascii", crc: false },
  { mode: "ascii", crc: true },
  { mode: "binary", crc: false },
  { mode: "binary", crc: true },
] as const;
type Format = (typeof FORMATS)[number];

function decode(bytes: Uint8Array, format: Format): Frame[] {
  const decoder = new FrameDecoder(format);
  return [...bytes].flatMap((byte) => decoder.next(byte) ?? []);
}

/** DocRev25, 1.3.4: GetUSBType. */
test.each([
  ["ascii", false, "0005\r", "0001\r"],
  ["ascii", true, "000515A7\r", "000131E1\r"],
  ["binary", false, "\x02\0\0\x05", "\x02\0\0\x01"],
  ["binary", true, "\x04\0\0\x05\x15\xa7", "\x04\0\0\x01\x31\xe1"],
] as const)("the vendor's reference message, %s, checksum %s", (mode, crc, host, reader) => {
  const format = { mode, crc };
  expect(Buffer.from(encode(hex("0005"), format)).toString("latin1")).toBe(host);
  expect(decode(Buffer.from(reader, "latin1"), format)).toEqual([new Uint8Array([0, 1])]);
});

test.each([
  ["050010", "0F10"],
  ["000180200466CF4DC2", "E960"],
  ["0000", "B8F0"],
])("the checksum of %s is %s", (message, check) => {
  const value = crc16(hex(message));
  expect(
    Buffer.of(value & 0xff, value >> 8)
      .toString("hex")
      .toUpperCase(),
  ).toBe(check);
});

/** The vendor's example of each command that we say, where it has the parameters of ours. */
test.each([
  ["GetVersionString", VERSION, "0004FF"],
  ["SearchTag", SEARCH, "050020"],
  ["SetTagTypes, all", setTagTypes({ low: 0xffffffff, high: 0xffffffff }), "0502FFFFFFFFFFFFFFFF"],
  ["SetTagTypes, MIFARE only", setTagTypes(masksOf(["iso14443a"])), "05020000000001000000"],
  ["SetTagTypes, FeliCa and HID Prox", setTagTypes(masksOf(["felica", "hid-prox"])), "05020002000020000000"],
  ["Beep", beep(100, 500), "0407646009F4010000"],
  ["BeepOn", beepOn(100), "0416646009"],
  ["BeepOff", BEEP_OFF, "0417"],
  ["LEDInit", LED_INIT, "041007"],
  ["LEDOff", ledsOff("new"), "041207"],
  ["LEDOn, red", ledOn("red", "new"), "041101"],
  ["GPIOConfigureOutputs", LED_INIT_OLD, "0400070000"],
  ["GPIOSetBits, green", ledOn("green", "old"), "040202"],
  ["GPIOClearBits", ledsOff("old"), "040307"],
] as const)("%s", (_, command, wanted) => {
  expect(Buffer.from(command.bytes).toString("hex").toUpperCase()).toBe(wanted);
});

test("each kind of transponder has a bit of its own", () => {
  const masks = TAG_TYPE_NAMES.map((name) => masksOf([name]));
  expect(new Set(masks.map(({ low, high }) => `${low}/${high}`)).size).toBe(TAG_TYPE_NAMES.length);
  for (const { low, high } of masks) expect([low, high]).toContain(0);
});

describe("replies", () => {
  test("the vendor's tag", () => {
    const reply = hex("000180200466CF4DC2");
    expect(answers("search", reply)).toBe(true);
    expect(foundTag(reply)).toEqual({ type: 0x80, bitLength: 32, id: new Uint8Array([0x66, 0xcf, 0x4d, 0xc2]) });
  });

  test("26 bits of HID Prox are left-aligned, and what is beyond them is none of the card", () => {
    expect(foundTag(hex("0001491A04BB0321BF"))).toMatchObject({ bitLength: 26, id: hex("BB032180") });
  });

  test("a tag without an ID has 0 bits", () => {
    expect(foundTag(hex("0001440000"))).toMatchObject({ bitLength: 0 });
  });

  test.each(["0001802003664DC2", "00018020056600000000", "000180200466CF4DC200", "00018021 04 66CF4DC2"])(
    "%s has a wrong length",
    (reply) => expect(foundTag(hex(reply))).toBe("malformed"),
  );

  test("no tag", () => expect([answers("search", hex("0000")), foundTag(hex("0000"))]).toEqual([true, "none"]));

  test("the vendor's version", () => {
    const reply = hex("001D54574E342F42312E30332F434346312E35372F505253312E30332F5049");
    expect(answers("version", reply)).toBe(true);
    expect(answers("version", reply.subarray(0, -1))).toBe(false);
  });

  test.each([
    ["01", "unknownFunction"],
    ["02", "missingParameter"],
    ["03", "unusedParameters"],
    ["04", "invalidFunction"],
    ["05", "parserError"],
    ["00", undefined],
    ["06", undefined],
  ])("status %s is %s", (status, name) => expect(statusError(hex(status))).toBe(name));

  test("an answer to one command is none to another", () => {
    expect(answers("led", hex("0000"))).toBe(false);
    expect(answers("search", hex("00"))).toBe(false);
    expect(answers("search", hex("0100"))).toBe(false);
    expect(answers("search", hex("000180"))).toBe(false);
  });
});

test("random UIDs", () => {
  expect(["08A2B3C4", "04A2B3C4", "08A2B3C4D5E680"].map((uid) => isRandomUid(hex(uid)))).toEqual([true, false, false]);
});

describe("bad input", () => {
  test.each(["00G1\r", "000\r", "\0" + "0001\r", "00 01\r", "\xff\r"])(
    "%j is garbled, and the next line is good",
    (line) => {
      const frames = decode(Buffer.from(`${line}0001\r`, "latin1"), { mode: "ascii", crc: false });
      expect(frames).toEqual(["garbled", new Uint8Array([0, 1])]);
    },
  );

  test("line feeds, empty lines and small letters do no harm", () => {
    const frames = decode(Buffer.from("\r\n\r\n00ab\r\n"), { mode: "ascii", crc: false });
    expect(frames).toEqual([new Uint8Array([0, 0xab])]);
  });

  test("a line without end is told once", () => {
    expect(decode(Buffer.from(`${"00".repeat(100_000)}\r0001\r`), { mode: "ascii", crc: false })).toEqual([
      "oversize",
      new Uint8Array([0, 1]),
    ]);
  });

  test("a length that cannot be spoils all until the next question", () => {
    expect(decode(Buffer.from("0001\r0001\r"), { mode: "binary", crc: false })).toEqual(["oversize"]);
    expect(decode(hex("00000200 0001"), { mode: "binary", crc: false })).toEqual(["garbled"]);
  });

  test.each(FORMATS.filter(({ crc }) => crc))("any one flipped bit is noticed: $mode", (format) => {
    const good = Buffer.from(encode(hex("000180200466CF4DC2"), format));
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const wrong = Buffer.from(good);
      wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (wrong.toString("latin1").toLowerCase() === good.toString("latin1").toLowerCase()) continue;
      expect(decode(wrong, format).filter((frame) => typeof frame !== "string")).toEqual([]);
    }
  });
});

test("what is encoded is decoded, in any format", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 257 }), fc.constantFrom(...FORMATS), (message, format) => {
      expect(decode(encode(message, format), format)).toEqual([message]);
    }),
  );
});

test("any garbage: no throw, and after a reset the next message is good", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.constantFrom(...FORMATS), (garbage, format) => {
      const decoder = new FrameDecoder(format);
      for (const byte of garbage) decoder.next(byte);
      decoder.reset();
      expect(decoder.inFrame).toBe(false);
      const frames = [...encode(hex("0001"), format)].flatMap((byte) => decoder.next(byte) ?? []);
      expect(frames).toEqual([new Uint8Array([0, 1])]);
    }),
  );
});
