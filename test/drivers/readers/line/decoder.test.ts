import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineDecoder, STALL_MS } from "../../../../drivers/readers/line/decoder.ts";
import {
  CHECKSUM_NAMES,
  FRAMINGS,
  type LineChoices,
  MAX_LINE_LENGTH,
} from "../../../../drivers/readers/line/settings.ts";
import { SENTINELS } from "../../../../drivers/readers/tracks.ts";
import { SUBSTITUTE } from "../../../../drivers/transports/line-faults.ts";

function decoder(settings: LineChoices = {}): LineDecoder {
  return new LineDecoder({
    framing: "crlf",
    idleGapMs: 100,
    maxLength: 128,
    minLength: 4,
    checksum: "none",
    ...settings,
  });
}

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const text = (...lines: string[]) => lines.map((line) => ({ kind: "text", text: line }));
const latin1 = (line: string) => Buffer.from(line, "latin1");

describe("framings", () => {
  test.each([
    ["cr", "04A2B3C4\r0011223344\r"],
    ["cr", "04A2B3C4\r\n0011223344\r\n"],
    ["lf", "04A2B3C4\n0011223344\n"],
    ["lf", "04A2B3C4\r\n0011223344\r\n"],
    ["crlf", "04A2B3C4\r0011223344\n"],
    ["crlf", "\r\n04A2B3C4\r\n0011223344\r\n"],
    ["stx-etx", "\x0204A2B3C4\x03\x020011223344\x03"],
    ["stx-etx", "\x0204A2B3C4\r\n\x03\r\n\x020011223344\r\n\x03"],
  ] as const)("%s delivers both lines of %j", (framing, line) => {
    const lines = decoder({ framing });
    expect(lines.push(latin1(line), 0)).toEqual(text("04A2B3C4", "0011223344"));
    expect(lines.counters).toMatchObject({ reads: 2, garbled: 0, strayBytes: 0, unfinished: 0 });
    expect(lines.deadline).toBeUndefined();
  });

  test("idle-gap delivers at the silence, and at CR or LF", () => {
    const lines = decoder({ framing: "idle-gap" });
    expect(lines.push(latin1("04A2"), 0)).toEqual([]);
    expect(lines.push(latin1("B3C4"), 60)).toEqual([]);
    expect(lines.deadline).toBe(160);
    expect(lines.expire(159)).toEqual([]);
    expect(lines.expire(160)).toEqual(text("04A2B3C4"));
    expect(lines.deadline).toBeUndefined();
    expect(lines.push(latin1("0011223344\r\n"), 200)).toEqual(text("0011223344"));
  });

  test("idle-gap: bytes after a silence that no timer reported begin a new line", () => {
    const lines = decoder({ framing: "idle-gap" });
    lines.push(latin1("04A2B3C4"), 0);
    expect(lines.push(latin1("0011\r"), 100)).toEqual(text("04A2B3C4", "0011"));
  });

  test("a line that does not end is dropped after a stall, so that the next is not glued to it", () => {
    const lines = decoder();
    lines.push(latin1("04A2"), 0);
    expect(lines.deadline).toBe(STALL_MS);
    expect(lines.push(latin1("0011223344\r"), STALL_MS)).toEqual(text("0011223344"));
    expect(lines.counters).toMatchObject({ reads: 1, unfinished: 1 });
  });

  test("an STX in a frame begins it anew", () => {
    const lines = decoder({ framing: "stx-etx" });
    expect(lines.push(latin1("\x0204A2\x0211223344\x03"), 0)).toEqual(text("11223344"));
    expect(lines.counters).toMatchObject({ unfinished: 1 });
  });

  test("bytes between STX-ETX frames are counted and ignored", () => {
    const lines = decoder({ framing: "stx-etx" });
    expect(lines.push(latin1("noise\x0204A2B3C4\x03tail"), 0)).toEqual(text("04A2B3C4"));
    expect(lines.counters).toMatchObject({ strayBytes: 9 });
    expect(lines.deadline).toBeUndefined();
  });
});

describe("ID-12 and RDM6300", () => {
  test.each([
    ["02 31 30 30 30 38 36 46 34 34 34 32 36 03", "100086F444"],
    ["02 33 43 30 30 43 45 37 35 34 43 43 42 03", "3C00CE754C"],
    ["02 36 32 45 33 30 38 36 43 45 44 30 38 0D 0A 03", "62E3086CED"],
  ])("%s is card %s", (frame, card) => {
    expect(decoder({ framing: "stx-etx", checksum: "id12" }).push(hex(frame), 0)).toEqual(text(card));
  });

  test("any one flipped bit of a digit is refused and counted", () => {
    const frame = hex("02 36 32 45 33 30 38 36 43 45 44 30 38 0D 0A 03");
    for (let byte = 1; byte <= 12; byte += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const wrong = Buffer.from(frame);
        wrong[byte] = (wrong[byte] ?? 0) ^ (1 << bit);
        // 0x20 only changes the case of a letter, which is the same number.
        if (wrong.toString("latin1").toUpperCase() === frame.toString("latin1")) continue;
        const lines = decoder({ framing: "stx-etx", checksum: "id12" });
        expect(lines.push(Buffer.concat([wrong, frame]), 0)).toEqual(text("62E3086CED"));
      }
    }
  });

  test("a wrong length is a bad checksum", () => {
    const lines = decoder({ framing: "stx-etx", checksum: "id12" });
    expect(lines.push(latin1("\x0262E3086CED\x03"), 0)).toEqual([]);
    expect(lines.counters).toMatchObject({ badChecksum: 1, reads: 0 });
  });
});

describe("bad input", () => {
  test("telnet negotiation and NULs around a line are ignored", () => {
    const lines = decoder();
    const negotiation = hex("fffd22 fffb03 fffd00 fffb27");
    expect(
      lines.push(Buffer.concat([negotiation, hex("0000"), latin1("04A2B3C4"), hex("00"), latin1("\r\n")]), 0),
    ).toEqual(text("04A2B3C4"));
  });

  test("a byte that the serial line marked as damaged spoils its line, at its ends too", () => {
    const sub = String.fromCharCode(SUBSTITUTE);
    for (const line of [`04A2${sub}B3C4`, `${sub}4A2B3C4`, `04A2B3C${sub}`, sub]) {
      const lines = decoder();
      expect(lines.push(latin1(`${line}\r0011223344\r`), 0)).toEqual(text("0011223344"));
      expect(lines.counters).toMatchObject({ reads: 1, garbled: 1 });
    }
  });

  test("a UID of 256 bytes in hex is oversize where it is not allowed, and whole where it is", () => {
    const uid = "0123456789ABCDEF".repeat(32);
    expect(decoder().push(latin1(`${uid}\r04A2B3C4\r`), 0)).toEqual(text("04A2B3C4"));
    expect(decoder({ maxLength: 512 }).push(latin1(`${uid}\r`), 0)).toEqual(text(uid));
  });

  test("a byte now and then does not make a line of what stood still", () => {
    const lines = decoder();
    for (let i = 0; i < 10; i += 1) expect(lines.push(latin1("4"), i * STALL_MS)).toEqual([]);
    expect(lines.push(latin1("04A2B3C4\r"), 10 * STALL_MS)).toEqual(text("04A2B3C4"));
    expect(lines.counters).toMatchObject({ unfinished: 10, reads: 1 });
  });

  test.each(["04A2\x00B3C4", "04A2\xff\xfb\x03B3C4", "04A2\xe3B3C4", "04A2\x07B3C4", "04\x1b[A2B3C4"])(
    "%j is dropped whole: without the bad byte it could be another card",
    (line) => {
      const lines = decoder();
      expect(lines.push(latin1(`${line}\r0011223344\r`), 0)).toEqual(text("0011223344"));
      expect(lines.counters).toMatchObject({ reads: 1, garbled: 1 });
    },
  );

  test("with framing lf, a CR inside a line garbles it", () => {
    const lines = decoder({ framing: "lf" });
    expect(lines.push(latin1("04A2\rB3C4\n"), 0)).toEqual([]);
    expect(lines.counters).toMatchObject({ garbled: 1 });
  });

  test("too short is counted, empty is not", () => {
    const lines = decoder();
    expect(lines.push(latin1("\r\r\n04A\r"), 0)).toEqual([]);
    expect(lines.counters).toMatchObject({ tooShort: 1 });
  });

  test("the longest allowed line passes, one more does not", () => {
    const lines = decoder({ maxLength: 10 });
    expect(lines.push(latin1("0123456789\r01234567890\r01234\r"), 0)).toEqual(text("0123456789", "01234"));
    expect(lines.counters).toMatchObject({ oversize: 1 });
  });

  test("10 MB without an end are one oversize line, and the next line is read", () => {
    const lines = decoder({ maxLength: 1_000_000 });
    const chunk = Buffer.alloc(1_000_000, "4");
    for (let i = 0; i < 10; i += 1) expect(lines.push(chunk, i)).toEqual([]);
    expect(lines.push(latin1("\r04A2B3C4\r"), 10)).toEqual(text("04A2B3C4"));
    expect(lines.counters).toMatchObject({ oversize: 1, reads: 1 });
  });

  test("a length above the hard cap is the cap", () => {
    const lines = decoder({ maxLength: 1_000_000 });
    expect(lines.push(latin1(`${"4".repeat(MAX_LINE_LENGTH)}\r`), 0)).toHaveLength(1);
    expect(lines.push(latin1(`${"4".repeat(MAX_LINE_LENGTH + 1)}\r`), 0)).toHaveLength(0);
  });

  test("a stream of NULs does not keep half a line alive", () => {
    const lines = decoder();
    lines.push(latin1("04A2"), 0);
    for (let now = 100; now < STALL_MS; now += 100) lines.push(hex("0000"), now);
    expect(lines.deadline).toBe(STALL_MS);
  });

  test("reset forgets half a line and half a telnet command", () => {
    const lines = decoder();
    lines.push(latin1("04A2"), 0);
    lines.reset();
    lines.push(hex("fffb"), 0);
    lines.reset();
    expect(lines.deadline).toBeUndefined();
    expect(lines.push(latin1("0011223344\r"), 1)).toEqual(text("0011223344"));
  });
});

describe("any bytes", () => {
  const framing = fc.constantFrom(...FRAMINGS);
  const checksum = fc.constantFrom(...CHECKSUM_NAMES);
  const sentinels = fc.constantFrom(...SENTINELS);
  /** Mostly bytes that mean something here. */
  const noise = fc
    .array(
      fc.oneof(
        fc.constantFrom(0, 2, 3, 9, 10, 13, 0x1a, 0x30, 0x41, 0x45, 0x53, 0x25, 0x3b, 0x3f, 0xfb, 0xfd, 0xff),
        fc.nat(255),
      ),
      { maxLength: 300 },
    )
    .map((bytes) => Uint8Array.from(bytes));

  test("any chunking gives the same reads and counters", () => {
    fc.assert(
      fc.property(framing, checksum, sentinels, fc.boolean(), noise, fc.array(fc.nat(300)), (...chosen) => {
        const [kind, check, tracks, statusLetter, bytes, cuts] = chosen;
        const choices = {
          framing: kind,
          checksum: check,
          sentinels: tracks,
          statusLetter,
          maxLength: 20,
          minLength: 1,
        };
        const whole = decoder(choices);
        const cut = decoder(choices);
        const places = [0, ...cuts.map((at) => at % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        const reads = places.flatMap((at, i) => cut.push(bytes.subarray(at, places[i + 1] ?? at), 7));
        expect(reads).toEqual(whole.push(bytes, 7));
        expect(cut.counters).toEqual(whole.counters);
        expect(cut.deadline).toBe(whole.deadline);
      }),
    );
  });

  test("after any garbage and a silence the next frame is read", () => {
    fc.assert(
      fc.property(framing, noise, (kind, bytes) => {
        const lines = decoder({ framing: kind, maxLength: 20 });
        for (const read of lines.push(bytes, 0))
          expect(read).toSatisfy((r) => r.kind === "text" && r.text.length <= 20);
        lines.expire(STALL_MS);
        const frame = kind === "stx-etx" ? "\x0204A2B3C4\x03" : "04A2B3C4\r\n";
        expect(lines.push(latin1(frame), STALL_MS)).toEqual(text("04A2B3C4"));
      }),
    );
  });

  test("after any garbage and two terminators the next frame is read, without a silence", () => {
    fc.assert(
      fc.property(framing, noise, (kind, bytes) => {
        const lines = decoder({ framing: kind, maxLength: 20 });
        lines.push(bytes, 0);
        lines.push(latin1("\r\n\x03\r\n"), 0);
        const frame = kind === "stx-etx" ? "\x0204A2B3C4\x03" : "04A2B3C4\r\n";
        expect(lines.push(latin1(frame), 0)).toEqual(text("04A2B3C4"));
      }),
    );
  });
});
