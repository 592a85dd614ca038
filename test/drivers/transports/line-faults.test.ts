import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineDecoder } from "../../../drivers/readers/line/decoder.ts";
import { LineFaults, Marks, noFaults, SUBSTITUTE } from "../../../drivers/transports/line-faults.ts";

/** What Linux hands out for each thing that a UART may report, with PARMRK (n_tty.c). */
const GOOD = (byte: number) => (byte === 0xff ? [0xff, 0xff] : [byte]);
const DAMAGED = (byte: number) => [0xff, 0x00, byte];
const BREAK = [0xff, 0x00, 0x00];

const unmarked = (bytes: readonly number[]) => [...new Marks().push(Uint8Array.from(bytes))];

describe("the marks of a serial line", () => {
  test.each([
    ["plain bytes", [0x30, 0x00, 0x0d], [0x30, 0x00, 0x0d], 0],
    ["FF itself", [0xff, 0xff, 0x41], [0xff, 0x41], 0],
    ["a byte with wrong parity or stop bit", [0x30, ...DAMAGED(0x34), 0x31], [0x30, SUBSTITUTE, 0x31], 1],
    ["a damaged FF", [...DAMAGED(0xff), 0x31], [SUBSTITUTE, 0x31], 1],
    ["a break", [...BREAK, 0x31], [SUBSTITUTE, 0x31], 1],
    ["FF before a damaged byte", [0xff, 0xff, ...DAMAGED(0x30)], [0xff, SUBSTITUTE], 1],
  ])("%s", (_name, marked, plain, faults) => {
    const marks = new Marks();
    expect([...marks.push(Uint8Array.from(marked))]).toEqual(plain);
    expect(marks.faults).toBe(faults);
  });

  test("any bytes, good or damaged, in any chunking, come out as they were or as SUB", () => {
    const line = fc.array(fc.tuple(fc.nat(255), fc.boolean()), { maxLength: 60 });
    fc.assert(
      fc.property(line, fc.array(fc.nat(200)), (sent, cuts) => {
        const marked = Uint8Array.from(sent.flatMap(([byte, isGood]) => (isGood ? GOOD(byte) : DAMAGED(byte))));
        const marks = new Marks();
        const places = [0, ...cuts.map((at) => at % (marked.length + 1)), marked.length].sort((a, b) => a - b);
        const plain = places.flatMap((at, i) => [...marks.push(marked.subarray(at, places[i + 1] ?? at))]);
        expect(plain).toEqual(sent.map(([byte, isGood]) => (isGood ? byte : SUBSTITUTE)));
        expect(marks.faults).toBe(sent.filter(([, isGood]) => !isGood).length);
      }),
    );
  });

  test("any garbage: no error, never more bytes than came in", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(new Marks().push(bytes).length).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

test("one damaged byte anywhere in a line, and no number comes of it; the next line is read", () => {
  const line = [...Buffer.from("04A2B3C4\r")];
  for (let at = 0; at < line.length - 1; at += 1) {
    const marked = line.flatMap((byte, i) => (i === at ? DAMAGED(byte ^ 1) : GOOD(byte)));
    const lines = new LineDecoder({});
    const reads = lines.push(Uint8Array.from(unmarked([...marked, ...Buffer.from("0011223344\r")])), 0);
    expect(reads).toEqual([{ kind: "text", text: "0011223344" }]);
    expect(lines.counters).toMatchObject({ garbled: 1, reads: 1 });
  }
});

test("a damaged end takes the line that follows with it, rather than gluing the two together", () => {
  const lines = new LineDecoder({});
  const marked = [...Buffer.from("04A2B3C4"), ...DAMAGED(0x0d), ...Buffer.from("0011223344\r55667788\r")];
  expect(lines.push(Uint8Array.from(unmarked(marked)), 0)).toEqual([{ kind: "text", text: "55667788" }]);
});

/**
 * What a receiver hears of 8N1 bytes whose bits last `1 / rate` of its own: as a UART does, it waits for a start bit, then looks
 * at the middle of each bit; a stop bit that is none damages the byte.
 */
function heardAt(rate: number, bytes: Uint8Array): number[] {
  const line = [...bytes].flatMap((byte) => [0, ...Array.from({ length: 8 }, (_, i) => (byte >> i) & 1), 1, 1]);
  const levelAt = (bit: number) => line[Math.floor(bit * rate)] ?? 1;
  const marked: number[] = [];
  for (let at = 0; at * rate < line.length; at += 1 / 16) {
    if (levelAt(at) !== 0) continue;
    const byte = Array.from({ length: 8 }, (_, i) => levelAt(at + 1.5 + i) << i).reduce((sum, bit) => sum | bit, 0);
    marked.push(...(levelAt(at + 9.5) === 1 ? GOOD(byte) : DAMAGED(byte)));
    at += 9.5;
  }
  return marked;
}

describe("what the kernel counts", () => {
  /** Indices of `struct serial_icounter_struct` (linux/serial.h). */
  const FRAME = 6;
  const OVERRUN = 7;
  const PARITY = 8;
  const BRK = 9;
  const BUF_OVERRUN = 10;

  function line() {
    const kernel = new Int32Array(20);
    const counters = noFaults();
    // A driver that was open before has counted already.
    kernel.fill(3);
    const faults = new LineFaults(counters, true, () => kernel.slice());
    const raise = (index: number, by = 1) => {
      kernel[index] = (kernel[index] ?? 0) + by;
    };
    return { kernel, counters, faults, raise };
  }

  test("is counted from the open on", () => {
    const { counters, faults, raise } = line();
    faults.take(Buffer.from("0"));
    expect(counters).toEqual(noFaults());
    raise(FRAME);
    raise(PARITY, 2);
    raise(BRK, 3);
    faults.take(Buffer.from("0"));
    expect(counters).toEqual({ ...noFaults(), framingErrors: 1, parityErrors: 2, breaks: 3 });
  });

  test("and when it wraps around", () => {
    const { kernel, counters, faults, raise } = line();
    kernel[PARITY] = 0x7fffffff;
    faults.take(Buffer.from("0"));
    expect(counters.parityErrors).toBe(0x7fffffff - 3);
    const before = counters.parityErrors;
    raise(PARITY, 2);
    faults.take(Buffer.from("0"));
    expect(counters.parityErrors - before).toBe(2);
  });

  test.each([OVERRUN, BUF_OVERRUN])(
    "lost bytes (%i): nothing of the piece can be trusted, nor what it began",
    (index) => {
      const { counters, faults, raise } = line();
      const lines = new LineDecoder({});
      const texts = (bytes: string) =>
        lines.push(faults.take(Buffer.from(bytes)), 0).map((read) => (read.kind === "text" ? read.text : ""));
      expect(texts("CARD1\r04A2")).toEqual(["CARD1"]);
      raise(index);
      expect(texts("C4\r0011")).toEqual([]);
      expect(texts("223344\r55667788\r")).toEqual(["55667788"]);
      expect(counters).toMatchObject({ overruns: 1, lineFaults: 0 });
    },
  );

  test("a driver that does not count says nothing", () => {
    const counters = noFaults();
    const faults = new LineFaults(counters, true, () => undefined);
    expect(Buffer.from(faults.take(Buffer.from("04A2")))).toEqual(Buffer.from("04A2"));
    expect(counters).toEqual(noFaults());
  });
});

describe("a wrong baud rate", () => {
  const read = (rate: number, text: string) =>
    new LineDecoder({}).push(Uint8Array.from(unmarked(heardAt(rate, Buffer.from(text)))), 0);

  test("the right one is read", () => {
    expect(read(1, "04A2B3C4\r")).toEqual([{ kind: "text", text: "04A2B3C4" }]);
  });

  // Known cards rather than any: of very short lines one in some ten thousand comes out as another line by chance.
  const CARDS = ["04A2B3C4", "0077771716", "62E3086CED08", "04A2B3C4D5E680", "1304792892040832", ";5235092385=8?"];

  test.each([1 / 8, 1 / 4, 1 / 2, 2 / 3, 3 / 2, 2, 3, 4, 6, 8, 12])("%f times the reader's: no read", (rate) => {
    for (const card of CARDS) expect(read(rate, `${card}\r\n`.repeat(3))).toEqual([]);
  });
});
