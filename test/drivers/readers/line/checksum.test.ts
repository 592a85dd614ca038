import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHECKSUMS } from "../../../../drivers/readers/line/checksum.ts";
import { CHECKSUM_NAMES, type ChecksumName } from "../../../../drivers/readers/line/settings.ts";

describe("what others computed", () => {
  test.each<[ChecksumName, string, string]>([
    // ID-12 and RDM6300.
    ["id12", "62E3086CED08", "62E3086CED"],
    ["id12", "3c00ce754ccb", "3c00ce754c"],
    ["xor8-hex", "62E3086CED08", "62E3086CED"],
    // ACG HF Multi ISO reader manual 12.2.9: 64h 01h 78h, BCC 1Dh.
    ["xor8-hex", "6401781D", "640178"],
    // Modbus ASCII requests as they are printed everywhere.
    ["lrc-hex", "F7031389000A60", "F7031389000A"],
    ["lrc-hex", "010300000001FB", "010300000001"],
    // NMEA 0183's checksum is the XOR of the characters.
    ["xor8", "GPGLL,5300.97914,N,00259.98174,E,125926,A28", "GPGLL,5300.97914,N,00259.98174,E,125926,A"],
    // Civintec CN56 manual, page 19: B 5 7 0 1 9 3 5 1 F gives 9.
    ["lrc-track", ";57019351?9", ";57019351?"],
    ["none", "04A2B3C4", "04A2B3C4"],
  ])("%s of %s", (name, frame, payload) => {
    expect(CHECKSUMS[name](frame)).toBe(payload);
  });
});

describe("by hand", () => {
  test.each<[ChecksumName, string, string]>([
    // 31 ^ 32 ^ 33 ^ 34 = 04; 31 + 32 + 33 + 34 = CA; 100 - CA = 36.
    ["xor8", "123404", "1234"],
    ["sum8", "1234CA", "1234"],
    ["sum8", "1234ca", "1234"],
    ["lrc", "123436", "1234"],
    // FF + 02 = 101.
    ["sum8-hex", "FF0201", "FF02"],
    // % 5, A 21, ? 1F, of six bits: 05 ^ 21 ^ 1F = 3B, which is [.
    ["lrc-track", "%A?[", "%A?"],
    // Track 3: on the card + is ; as on track 2: B ^ 1 ^ F = 5.
    ["lrc-track", "+1?5", "+1?"],
    ["lrc-track", "%A?[;1?5", "%A?;1?"],
    // The LRC may look like a sentinel: B ^ 4 ^ F = 0, and B ^ B = 0 ...
    ["lrc-track", ";4?0", ";4?"],
    ["lrc-track", ";;?\x3f", ";;?"],
    ["lrc-track", "%E?;1?5", "%E?;1?"],
  ])("%s of %s", (name, frame, payload) => {
    expect(CHECKSUMS[name](frame)).toBe(payload);
  });
});

describe("refused", () => {
  test.each<[ChecksumName, string]>([
    ["id12", "62E3086CED09"],
    ["id12", "640178"],
    ["id12", "62E3086CEDZZ"],
    ["xor8", "1234"],
    ["xor8", "04"],
    ["xor8", "12340"],
    ["xor8", "1234+4"],
    ["xor8-hex", "123404"],
    ["xor8-hex", "1X3404"],
    ["xor8-hex", "00"],
    ["xor8-hex", ""],
    ["sum8-hex", "12304"],
    ["lrc-track", ";57019351?8"],
    ["lrc-track", ";57019351?"],
    ["lrc-track", ";57019351"],
    ["lrc-track", "57019351?9"],
    ["lrc-track", ";57A19351?9"],
    ["lrc-track", "%a?["],
    // Right, were these characters of a stripe.
    ["lrc-track", "%a?{"],
    ["lrc-track", ";5A?@"],
    ["lrc-track", ""],
  ])("%s: %j", (name, frame) => {
    expect(CHECKSUMS[name](frame)).toBeUndefined();
  });

  test("any one changed character of a checked frame", () => {
    const frames: Partial<Record<ChecksumName, string>> = {
      id12: "62E3086CED08",
      xor8: "123404",
      "xor8-hex": "62E3086CED08",
      sum8: "1234CA",
      "sum8-hex": "FF0201",
      lrc: "123436",
      "lrc-hex": "F7031389000A60",
      "lrc-track": ";57019351?9",
    };
    const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code));
    fc.assert(
      fc.property(fc.constantFrom(...Object.entries(frames)), fc.nat(), printable, ([name, frame], at, other) => {
        const place = at % frame.length;
        const changed = frame.slice(0, place) + other + frame.slice(place + 1);
        fc.pre(changed.toUpperCase() !== frame.toUpperCase());
        // Readers write `+` and `!` for the `;` that is on the stripe: the same character to its LRC.
        fc.pre(frame[place] !== ";" || !"+!".includes(other));
        expect(CHECKSUMS[name as ChecksumName](changed)).toBeUndefined();
      }),
    );
  });
});

test("any text: no error, and what is delivered begins as the frame does, unless LRCs were taken out of its middle", () => {
  const text = fc.string({ unit: fc.constantFrom(..."%;+?E0123456789ABCDEFabcdef "), maxLength: 40 });
  fc.assert(
    fc.property(fc.constantFrom(...CHECKSUM_NAMES), text, (name, frame) => {
      const payload = CHECKSUMS[name](frame);
      if (payload === undefined) return;
      expect(payload.length).toBeLessThanOrEqual(frame.length);
      if (name !== "lrc-track") expect(frame.startsWith(payload)).toBe(true);
    }),
  );
});
