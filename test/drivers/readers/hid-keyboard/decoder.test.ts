import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Keys, Read } from "../../../../drivers/reader.ts";
import { KeyboardDecoder } from "../../../../drivers/readers/hid-keyboard/decoder.ts";
import { characterOf } from "../../../../drivers/readers/hid-keyboard/layouts.ts";
import type { KeyboardDecoderSettings, LayoutName } from "../../../../drivers/readers/hid-keyboard/settings.ts";

function decoder(
  settings: Partial<KeyboardDecoderSettings> = {},
  wrongLayout?: (fits: readonly LayoutName[]) => void,
): KeyboardDecoder {
  const all: KeyboardDecoderSettings = {
    terminators: ["enter", "keypad-enter"],
    interKeyTimeoutMs: 250,
    maxFrameMs: 3000,
    maxLength: 128,
    minLength: 4,
    ...settings,
  };
  return new KeyboardDecoder(all, wrongLayout);
}

const ENTER = 0x28;
const TAB = 0x2b;
const KEYPAD_ENTER = 0x58;

const report = (modifiers: number, ...keys: number[]) =>
  Uint8Array.from([modifiers, 0, ...keys, 0, 0, 0, 0, 0, 0].slice(0, 8));
const RELEASED = report(0);

/** The reports that type `keys`, each pressed and released. */
function typed(keys: readonly (number | readonly [usage: number, modifiers: number])[]): Uint8Array[] {
  return keys.flatMap((key) => {
    const [usage, modifiers] = typeof key === "number" ? [key, 0] : key;
    return [report(modifiers, usage), RELEASED];
  });
}

/** The keys of digits. */
const digits = (text: string) => [...text].map((digit) => (digit === "0" ? 0x27 : 0x1e + Number(digit) - 1));

function feed(keys: KeyboardDecoder, reports: readonly Uint8Array[], startMs = 0, everyMs = 20): string[] {
  return textsOf(reports.flatMap((bytes, i) => keys.push(bytes, startMs + i * everyMs)));
}

function textsOf(reads: readonly (Read | Keys)[]): string[] {
  return reads.map((read) => (read.kind === "text" ? read.text : "not text"));
}

test("the recorded reports of 04A2 and Enter", () => {
  const recorded = [
    "0000270000000000 0000000000000000",
    "0000210000000000 0000000000000000",
    "0200000000000000 0200040000000000 0200000000000000 0000000000000000",
    "00001f0000000000 0000000000000000",
    "0000280000000000 0000000000000000",
  ].flatMap((line) => line.split(" ").map((bytes) => Buffer.from(bytes, "hex")));
  expect(feed(decoder(), recorded)).toEqual(["04A2"]);
});

describe("the US layout", () => {
  test("every key of it, plain and with either shift", () => {
    const keys = Array.from({ length: 0x100 }, (_, usage) => usage).filter(
      (usage) => characterOf("us", usage, "plain") !== undefined,
    );
    const plain = "abcdefghijklmnopqrstuvwxyz1234567890\t -=[]\\#;'`,./" + "/*-+1234567890.\\=,";
    const shifted = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\t _+{}|~:"~<>?' + "/*-+1234567890.|=,";
    for (const [modifiers, expected] of [
      [0x00, plain],
      [0x02, shifted],
      [0x20, shifted],
    ] as const) {
      const reports = typed([...keys.map((usage) => [usage, modifiers] as const), ENTER]);
      expect(feed(decoder(), reports, 0, 1)).toEqual([expected]);
    }
  });

  test("lock keys type nothing and spoil nothing", () => {
    expect(feed(decoder(), typed([0x53, ...digits("12"), 0x39, ...digits("34"), 0x47, ENTER]))).toEqual(["1234"]);
  });
});

describe("keys", () => {
  test("the same character twice, with the release between", () => {
    expect(feed(decoder(), typed([...digits("1122"), ENTER]))).toEqual(["1122"]);
  });

  test("a key held over the next one is one character", () => {
    const [one = 0, two = 0] = digits("12");
    const reports = [report(0, one), report(0, one, two), report(0, two), RELEASED, ...typed([...digits("34"), ENTER])];
    expect(feed(decoder(), reports)).toEqual(["1234"]);
  });

  test("two keys in one report come in the order of the report", () => {
    const [one = 0, two = 0, three = 0, four = 0] = digits("1234");
    expect(feed(decoder(), [report(0, two, one), RELEASED, report(0, four, three), report(0, ENTER)])).toEqual([
      "2143",
    ]);
  });

  const ROLLOVER = Uint8Array.from([0, 0, 1, 1, 1, 1, 1, 1]);

  test("a report with the rollover error changes nothing between two frames", () => {
    const keys = decoder();
    expect(feed(keys, [ROLLOVER, RELEASED, ...typed([...digits("1234"), ENTER])])).toEqual(["1234"]);
    expect(keys.counters).toMatchObject({ rollover: 1, ambiguous: 0 });
  });

  test("within a frame it spoils it: what was pressed and let go behind it is a digit that is missing", () => {
    const keys = decoder();
    const reports = [...typed(digits("1234")), ROLLOVER, RELEASED, ...typed([...digits("6"), ENTER])];
    expect(feed(keys, [...reports, ...typed([...digits("7890"), ENTER])])).toEqual(["7890"]);
    expect(keys.counters).toMatchObject({ rollover: 1, ambiguous: 1 });
  });
});

describe("the end of a read", () => {
  test.each([
    ["enter", ENTER],
    ["keypad-enter", KEYPAD_ENTER],
    ["tab", TAB],
  ] as const)("%s ends it where configured", (terminator, usage) => {
    expect(feed(decoder({ terminators: [terminator] }), typed([...digits("1234"), usage]))).toEqual(["1234"]);
  });

  test("Tab is a character where it is no terminator", () => {
    expect(feed(decoder(), typed([...digits("12"), TAB, ...digits("34"), ENTER]))).toEqual(["12\t34"]);
  });

  test("without a terminator a silence ends it", () => {
    const keys = decoder({ terminators: [] });
    expect(feed(keys, typed(digits("1234")))).toEqual([]);
    expect(keys.deadline).toBe(120 + 250);
    expect(textsOf(keys.expire(369))).toEqual([]);
    expect(textsOf(keys.expire(370))).toEqual(["1234"]);
    expect(keys.deadline).toBeUndefined();
  });

  test("a silence within a read drops it", () => {
    const keys = decoder();
    feed(keys, typed(digits("12")));
    expect(feed(keys, typed([...digits("5678"), ENTER]), 290)).toEqual(["5678"]);
    expect(keys.counters).toMatchObject({ unfinished: 1, reads: 1 });
  });

  test("a read that takes too long in all is dropped to its end, its tail is no read", () => {
    const keys = decoder();
    expect(feed(keys, typed([...digits("1234567890".repeat(2)), ENTER]), 0, 100)).toEqual([]);
    expect(keys.counters).toMatchObject({ tooSlow: 1, reads: 0 });
    expect(feed(keys, typed([...digits("1234"), ENTER]), 5000)).toEqual(["1234"]);
  });
});

describe("other layouts", () => {
  const A = 0x04;
  const Q = 0x14;
  test("a reader set to AZERTY: digits with Shift, letters at their own places, AltGr", () => {
    const keys = decoder({ layout: "fr" });
    const shifted = digits("0123").map((usage) => [usage, 0x02] as const);
    expect(feed(keys, typed([...shifted, A, Q, [0x27, 0x40], ENTER]))).toEqual(["0123qa@"]);
  });

  test("a reader set to QWERTZ: y and z are swapped", () => {
    expect(feed(decoder({ layout: "de" }), typed([0x1c, 0x1d, [Q, 0x40], [0x64, 0x40], ENTER]))).toEqual(["zy@|"]);
  });

  test.each([
    ["a dead key", [[0x2f, 0]], { unmapped: 1 }],
    ["AltGr with a key that has nothing there", [[A, 0x40]], { unmapped: 1 }],
    ["AltGr and Shift", [[0x27, 0x42]], { modified: 1 }],
    ["Ctrl and left Alt", [[0x27, 0x05]], { modified: 1 }],
  ] as const)("%s spoils the frame", (_name, wrong, counters) => {
    const keys = decoder({ layout: "fr" });
    expect(feed(keys, typed([...digits("1234"), ...wrong, ENTER]))).toEqual([]);
    expect(keys.counters).toMatchObject({ ...counters, reads: 0 });
  });

  test("the keypad is read in any layout", () => {
    const keypad = [0x62, 0x5c, 0x59, 0x5a];
    for (const layout of ["us", "fr", "de"] as const) {
      expect(feed(decoder({ layout }), typed([0x53, ...keypad, KEYPAD_ENTER]))).toEqual(["0412"]);
    }
  });

  test("mostly symbols: counted, delivered, and the layout that fits is named", () => {
    const hints: (readonly LayoutName[])[] = [];
    const keys = decoder({ layout: "fr" }, (fits) => hints.push(fits));
    expect(feed(keys, typed([...digits("1234567890"), ENTER]))).toEqual(["&é\"'(-è_çà"]);
    expect(feed(keys, typed([...digits("12345").map((usage) => [usage, 0x02] as const), ENTER]), 1000)).toEqual([
      "12345",
    ]);
    expect(hints).toEqual([["us", "de"]]);
    expect(keys.counters).toMatchObject({ symbolHeavy: 1, reads: 2 });
  });

  test("neither a read error nor a short frame says anything about the layout", () => {
    const hints: (readonly LayoutName[])[] = [];
    const keys = decoder({}, (fits) => hints.push(fits));
    const error = [
      [0x22, 0x02],
      [0x08, 0x02],
      [0x38, 0x02],
    ] as const;
    expect(feed(keys, typed([...error, ENTER, [0x38, 0x02], ENTER]))).toEqual([]);
    expect(keys.counters).toMatchObject({ readError: 1, tooShort: 1, symbolHeavy: 0 });
    expect(hints).toEqual([]);
  });
});

describe("Alt codes", () => {
  const ALT = 0x04;
  const KEYPAD = (digit: string) => (digit === "0" ? 0x62 : 0x58 + Number(digit));
  const altCode = (code: string) => [
    report(ALT),
    ...[...code].flatMap((digit) => [report(ALT, KEYPAD(digit)), report(ALT)]),
    RELEASED,
  ];

  test("a Datalogic scanner's 052 is the character 4, with and without leading 0", () => {
    const reports = ["048", "52", "0065", "050"].flatMap(altCode);
    expect(feed(decoder(), [...typed([0x53]), ...reports, ...typed([ENTER])], 0, 5)).toEqual(["04A2"]);
  });

  test.each(["us", "fr", "de"] as const)("every printable character in every form, in the layout %s", (layout) => {
    for (let value = 0x20; value <= 0x7e; value += 1) {
      for (const code of [String(value), `0${value}`, String(value).padStart(3, "0"), String(value).padStart(4, "0")]) {
        const keys = decoder({ layout, minLength: 1 });
        expect(feed(keys, [...altCode(code), ...typed([ENTER])], 0, 5)).toEqual([String.fromCharCode(value)]);
      }
    }
  });

  test.each(["0", "5", "031", "127", "0233", "256", "0000", "00052", "48048"])(
    "%s is no character: dropped",
    (code) => {
      const keys = decoder();
      expect(feed(keys, [...typed(digits("1234")), ...altCode(code), ...typed([...digits("5"), ENTER])], 0, 5)).toEqual(
        [],
      );
      expect(keys.counters).toMatchObject({ unmapped: 1, reads: 0 });
      expect(feed(keys, typed([...digits("1234"), ENTER]), 500)).toEqual(["1234"]);
    },
  );

  test("the release of Alt and the next key in one report", () => {
    const reports = [...altCode("052").slice(0, -1), report(0, 0x1e), ...typed([...digits("23"), ENTER])];
    expect(feed(decoder(), reports)).toEqual(["4123"]);
  });

  test("Alt alone types nothing", () => {
    expect(
      feed(decoder(), [...typed(digits("12")), report(ALT), RELEASED, ...typed([...digits("34"), ENTER])]),
    ).toEqual(["1234"]);
  });

  test.each([
    ["another key", [report(ALT, KEYPAD("5")), report(ALT), report(ALT, 0x04)]],
    ["Enter", [report(ALT, KEYPAD("5")), report(ALT, ENTER)]],
    ["Shift with it", [report(ALT | 0x02, KEYPAD("5"))]],
    ["the other Alt", [report(0x40, KEYPAD("5")), RELEASED, report(0x40, KEYPAD("2"))]],
  ])("%s while Alt is held makes a command: dropped", (_name, reports) => {
    const keys = decoder();
    expect(feed(keys, [...typed(digits("1234")), ...reports, RELEASED, ...typed([ENTER])])).toEqual([]);
    expect(keys.counters).toMatchObject({ modified: 1, reads: 0 });
  });

  test("a silence within a code drops it, and its tail is no code of its own", () => {
    const keys = decoder({ minLength: 1 });
    const code = altCode("0052");
    // Alt, 0, 0; then, after the time-out, 5 and 2, which would be the 4 at the end of a number.
    feed(keys, [...typed(digits("99")), ...code.slice(0, 5)]);
    expect(feed(keys, [...code.slice(5), ...typed([ENTER])], 1000)).toEqual([]);
    expect(keys.counters).toMatchObject({ unfinished: 1, unmapped: 1, reads: 0 });
  });

  test("without a terminator a silence within a code delivers nothing", () => {
    const keys = decoder({ terminators: [] });
    feed(keys, [...typed(digits("1234")), ...altCode("052").slice(0, 3)]);
    expect(textsOf(keys.expire(10_000))).toEqual([]);
    expect(keys.counters).toMatchObject({ unfinished: 1 });
  });

  test("reset forgets half a code", () => {
    const keys = decoder();
    feed(keys, altCode("052").slice(0, 5));
    keys.reset();
    expect(feed(keys, [RELEASED, ...typed([...digits("1234"), ENTER])], 500)).toEqual(["1234"]);
  });
});

describe("the sentinels of a magnetic stripe", () => {
  // ;0412=9? in the US layout.
  const stripe: Parameters<typeof typed>[0] = [0x33, ...digits("0412"), 0x2e, ...digits("9"), [0x38, 0x02], ENTER];
  test.each([
    ["keep", ";0412=9?"],
    ["strip", "0412=9"],
    ["track-2", "0412=9"],
  ] as const)("%s", (sentinels, expected) => {
    expect(feed(decoder({ sentinels }), typed(stripe))).toEqual([expected]);
  });

  test("a frame without its beginning is dropped", () => {
    const keys = decoder({ sentinels: "strip" });
    expect(feed(keys, typed(stripe.slice(2)))).toEqual([]);
    expect(keys.counters).toMatchObject({ noTrack: 1, reads: 0 });
  });
});

describe("bad input", () => {
  test.each([
    ["Ctrl", 0x01],
    ["Alt and a key that is not the keypad's", 0x04],
    ["GUI", 0x08],
    ["AltGr", 0x40],
    ["Shift and Ctrl", 0x03],
  ])("a frame with %s is dropped and counted once", (_name, modifiers) => {
    const keys = decoder();
    const [first = 0, ...rest] = digits("12345678");
    expect(feed(keys, typed([first, [first, modifiers], [first, modifiers], ...rest, ENTER]))).toEqual([]);
    expect(feed(keys, typed([...digits("1234"), ENTER]), 1000)).toEqual(["1234"]);
    expect(keys.counters).toMatchObject({ modified: 1, reads: 1 });
  });

  test("a frame with a key that has no character is dropped", () => {
    const keys = decoder();
    expect(feed(keys, typed([...digits("1234"), 0x2a, ...digits("5"), ENTER]))).toEqual([]);
    expect(keys.counters).toMatchObject({ unmapped: 1 });
  });

  test("too short is counted, an empty one is not", () => {
    const keys = decoder();
    expect(feed(keys, typed([ENTER, ...digits("123"), ENTER, ENTER]))).toEqual([]);
    expect(keys.counters).toMatchObject({ tooShort: 1, reads: 0 });
  });

  test("too long is dropped to its end", () => {
    const keys = decoder({ maxLength: 10 });
    expect(feed(keys, typed([...digits("12345678901234"), ENTER, ...digits("1234"), ENTER]))).toEqual(["1234"]);
    expect(keys.counters).toMatchObject({ oversize: 1 });
  });

  test("a report of another size is counted and changes nothing", () => {
    const keys = decoder();
    const odd = [0, 1, 7, 9, 64].map((size) => new Uint8Array(size).fill(0x1e));
    const reports = typed([...digits("1234"), ENTER]).flatMap((bytes, i) => [odd[i % odd.length] ?? bytes, bytes]);
    expect(feed(keys, reports, 0, 1)).toEqual(["1234"]);
    expect(keys.counters).toMatchObject({ wrongSize: 10 });
  });

  test("keys that the device cannot tell the order of drop the frame", () => {
    const keys = decoder();
    const unknown = Uint8Array.from([0, 0, 3, 3, 3, 3, 3, 3]);
    expect(feed(keys, [...typed(digits("12")), unknown, RELEASED, ...typed([...digits("3456"), ENTER])])).toEqual([]);
    expect(feed(keys, [unknown, RELEASED, ...typed([...digits("3456"), ENTER])], 1000)).toEqual([]);
    expect(feed(keys, typed([...digits("1234"), ENTER]), 2000)).toEqual(["1234"]);
    expect(keys.counters).toMatchObject({ ambiguous: 2, reads: 1 });
  });

  test("reset forgets half a read and the keys held", () => {
    const keys = decoder();
    const [one = 0] = digits("1");
    keys.push(report(0, one), 0);
    keys.reset();
    expect(keys.deadline).toBeUndefined();
    expect(feed(keys, typed([...digits("1234"), ENTER]), 10)).toEqual(["1234"]);
  });

  test("any reports: no error, bounded reads, and the next read after a silence is right", () => {
    const bytes = fc.uint8Array({ minLength: 8, maxLength: 8 });
    const likely = fc
      .tuple(fc.constantFrom(0, 0, 0, 2, 4), fc.integer({ min: 0, max: 0x70 }))
      .map(([m, k]) => report(m, k));
    const reports = fc.array(fc.tuple(fc.oneof(likely, bytes, fc.uint8Array({ maxLength: 12 })), fc.nat(400)), {
      maxLength: 200,
    });
    const layout = fc.constantFrom("us" as const, "fr" as const, "de" as const);
    fc.assert(
      fc.property(reports, fc.boolean(), layout, (input, silenceEnds, in_) => {
        const keys = decoder({ layout: in_, maxLength: 10, ...(silenceEnds ? { terminators: [] } : {}) });
        let now = 0;
        for (const [data, later] of input) {
          now += later;
          for (const text of textsOf(keys.push(data, now)))
            expect(text.length).toSatisfy((n: number) => n >= 4 && n <= 10);
        }
        now += 250;
        keys.expire(now);
        expect(keys.deadline).toBeUndefined();
        keys.push(RELEASED, now);
        // An Alt that was held gives a character when it is released, or spoils what follows.
        now += 250;
        keys.expire(now);
        const reads = feed(keys, typed([0x59, 0x5a, 0x5b, 0x5c, ENTER]), now);
        // Without terminators Enter is a key without a character.
        expect(reads).toEqual(silenceEnds ? [] : ["1234"]);
      }),
    );
  });
});
