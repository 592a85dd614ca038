import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BootReports, keyboardReports } from "../../../drivers/transports/hid-report.ts";

const bytes = (hex: string) => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");

/** As QEMU's usb-kbd gives it, which is the boot keyboard's of HID 1.11, appendix B.1. */
const BOOT = `05010906a101 75019508 0507 19e0 29e7 1500 2501 8102 95017508 8101 95057501 0508 1901 2905 9102 95017503 9101
  95067508 1500 25ff 0507 1900 29ff 8100 c0`;
const MODIFIERS = "0507 19e0 29e7 1500 2501 7501 9508 8102";
const SIX_KEYS = "9506 7508 1500 26ff00 0507 1900 29ff 8100";
const PADDING = "9501 7508 8101";
const CONSUMER = "050c 0901 a101 8502 1500 26ff03 1900 2aff03 7510 9501 8100 c0";
const MOUSE =
  "0501 0902 a101 8503 0901 a100 0509 1901 2903 1500 2501 9503 7501 8102 9501 7505 8101 0501 0930 0931 1581 257f 7508 9502 8106 c0 c0";
const KEYBOARD = "0501 0906 a101";

const DEVICES = {
  boot: BOOT,
  "id 1, consumer control with id 2": `${KEYBOARD} 8501 ${MODIFIERS} ${PADDING} ${SIX_KEYS} c0 ${CONSUMER}`,
  "keyboard behind a mouse and a consumer control": `${MOUSE} ${CONSUMER} ${KEYBOARD} 8501 ${MODIFIERS} ${PADDING} ${SIX_KEYS} c0`,
  "no reserved byte, keys before the modifiers": `${KEYBOARD} ${SIX_KEYS} ${MODIFIERS} c0`,
  "in an inner collection, with push and pop": `${KEYBOARD} a4 ${MODIFIERS} b4 a102 ${PADDING} ${SIX_KEYS} c0 c0`,
  "keys as they were before a push": `${KEYBOARD} ${MODIFIERS} ${PADDING} 0507 1500 26ff00 7508 9506 a4 050c 7510 9501 b4 1900 29ff 8100 c0`,
  "values from 1": `${KEYBOARD} ${MODIFIERS} ${PADDING} 9506 7508 1501 2565 0507 1904 2965 8100 c0`,
  "usages with their page": `0501 0b06000100 a101 ${MODIFIERS} ${PADDING} 9506 7508 1500 26ff00 1b00000700 2bff000700 8100 c0`,
} as const;

/** Modifiers, a bit for each of the usages 4 to 0x67, and no array. */
const NKRO = `${KEYBOARD} 8506 ${MODIFIERS} 0507 1904 2967 1500 2501 7501 9564 8102 9501 7504 8101 c0`;

function translator(descriptor: string): BootReports {
  const reports = keyboardReports(bytes(descriptor));
  if (reports === undefined) throw new Error("refused");
  return new BootReports(reports);
}

const hex = (report: Uint8Array | undefined) =>
  report === undefined ? undefined : Buffer.from(report).toString("hex");

/** What a keyboard with bits sends for some keys. */
function bits(modifiers: number, ...keys: number[]): Buffer {
  const report = Buffer.alloc(15);
  report[0] = 6;
  report[1] = modifiers;
  for (const key of keys) report[2 + ((key - 4) >> 3)] = (report[2 + ((key - 4) >> 3)] ?? 0) | (1 << ((key - 4) & 7));
  return report;
}

describe("reports of other layouts come in the boot layout", () => {
  test.each([
    ["boot", "0200040000000000", "0200040000000000"],
    ["boot", "0000010101010101", "0000010000000000"],
    ["id 1, consumer control with id 2", "01 0200041e00000000", "0200041e00000000"],
    ["id 1, consumer control with id 2", "02 e900", undefined],
    ["keyboard behind a mouse and a consumer control", "01 2000270000000000", "2000270000000000"],
    ["keyboard behind a mouse and a consumer control", "03 01 7f 81", undefined],
    ["no reserved byte, keys before the modifiers", "04 1e 00 00 00 00 02", "0200041e00000000"],
    ["in an inner collection, with push and pop", "0000270000000000", "0000270000000000"],
    ["keys as they were before a push", "0200041e00000000", "0200041e00000000"],
    ["values from 1", "0200 01 62 00000000", "0200046500000000"],
    ["usages with their page", "0200041e00000000", "0200041e00000000"],
  ] as const)("%s: %s", (device, report, expected) => {
    expect(hex(translator(DEVICES[device]).translate(bytes(report)))).toBe(expected);
  });

  test("a bit for each key: press, roll over to the next, release", () => {
    const keys = translator(NKRO);
    expect(hex(keys.translate(bits(0x02, 0x04)))).toBe("0200040000000000");
    expect(hex(keys.translate(bits(0x02, 0x04, 0x1e)))).toBe("0200041e00000000");
    expect(hex(keys.translate(bits(0, 0x1e)))).toBe("00001e0000000000");
    expect(hex(keys.translate(bits(0)))).toBe("0000000000000000");
  });

  test("two bits at once do not say which key was first: the boot keyboard's ErrorUndefined", () => {
    const keys = translator(NKRO);
    expect(hex(keys.translate(bits(0, 0x1e, 0x1f)))).toBe("0000030303030303");
    expect(hex(keys.translate(bits(0, 0x1f)))).toBe("00001f0000000000");
  });

  test("more than six keys are the boot keyboard's rollover", () => {
    const keys = translator(NKRO);
    for (let n = 1; n <= 6; n += 1) keys.translate(bits(0, ...Array.from({ length: n }, (_, i) => 4 + i)));
    expect(hex(keys.translate(bits(0, 4, 5, 6, 7, 8, 9, 10)))).toBe("0000010101010101");
  });

  test("a report that is too short is none, rather than one of another layout", () => {
    expect(translator(DEVICES["id 1, consumer control with id 2"]).translate(bytes("0100270000000000"))).toHaveLength(
      0,
    );
    expect(translator(BOOT).translate(bytes("00002700"))).toHaveLength(0);
  });
});

describe("what is no keyboard is refused", () => {
  test.each([
    ["a mouse", MOUSE],
    ["a consumer control", CONSUMER],
    ["a keypad", BOOT.replace("0906", "0907")],
    ["a vendor's collection", BOOT.replace("0501", "06a0ff")],
    ["a keyboard's usage within another collection", `0501 0902 a101 ${BOOT} c0`],
    ["a keyboard of modifiers only", `${KEYBOARD} ${MODIFIERS} c0`],
    ["keys after the keyboard's end", `${KEYBOARD} ${MODIFIERS} c0 ${SIX_KEYS}`],
    ["keys of more than one bit", `${KEYBOARD} ${MODIFIERS} 0507 1904 2967 7502 9564 8102 c0`],
    ["some keys that can be made out, and some that cannot", `${KEYBOARD} ${SIX_KEYS} 1904 2967 7502 9564 8102 c0`],
    ["more keys than there are", `${KEYBOARD} ${MODIFIERS} 0507 1904 2967 7501 96ffff 8102 c0`],
    ["nothing", ""],
    ["a long item only", `fe02008585${"00".repeat(2)}`],
    ["one that is cut off in an item", "05010906a10175"],
    ["more than the kernel takes", `${BOOT}${"00".repeat(4096)}`],
  ])("%s", (_name, descriptor) => {
    expect(keyboardReports(bytes(descriptor))).toBeUndefined();
  });

  test("a long item, or what looks like an item in data, changes nothing", () => {
    const plain = keyboardReports(bytes(BOOT));
    expect(keyboardReports(bytes(`fe02008501${BOOT}`))).toEqual(plain);
    expect(keyboardReports(bytes(`2685a1${BOOT}`))).toEqual(plain);
  });
});

describe("any bytes", () => {
  const item = fc.oneof(
    fc
      .constantFrom(...Object.values(DEVICES), NKRO, MODIFIERS, SIX_KEYS, KEYBOARD, "c0", "a4", "b4", "8501")
      .map(bytes),
    fc.uint8Array({ maxLength: 8 }),
  );
  const descriptor = fc
    .array(item, { maxLength: 40 })
    .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));

  test("as a descriptor and as reports: no error, and what is kept and what comes out is bounded", () => {
    fc.assert(
      fc.property(descriptor, fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 20 }), (described, input) => {
        const reports = keyboardReports(described);
        if (reports === undefined) return;
        const fields = [...reports.values()].flatMap((report) => report.fields);
        expect(fields.length).toBeLessThanOrEqual(described.length);
        for (const { count, size } of fields) expect(count * size).toBeLessThanOrEqual(256 * 16);
        const keys = new BootReports(reports);
        for (const report of input) expect([undefined, 0, 8]).toContain(keys.translate(report)?.length);
      }),
    );
  });

  test("keys pressed one at a time come out the same, whatever the layout", () => {
    const usage = fc.integer({ min: 0x04, max: 0x65 });
    fc.assert(
      fc.property(fc.array(fc.tuple(usage, fc.constantFrom(0, 0x02, 0x40))), (typed) => {
        const boot = translator(BOOT);
        const nkro = translator(NKRO);
        const withId = translator(DEVICES["id 1, consumer control with id 2"]);
        for (const [key, modifiers] of typed) {
          for (const keys of [[key], []]) {
            const report = Buffer.from([modifiers, 0, ...keys, 0, 0, 0, 0, 0, 0].slice(0, 8));
            expect(hex(boot.translate(report))).toBe(hex(report));
            expect(hex(nkro.translate(bits(modifiers, ...keys)))).toBe(hex(report));
            expect(hex(withId.translate(Buffer.concat([Buffer.of(1), report])))).toBe(hex(report));
          }
        }
      }),
    );
  });
});
