import fc from "fast-check";
import { expect, test } from "vitest";
import { KeypadDecoder } from "../../../../drivers/readers/hid-keyboard/keypad.ts";

const report = (modifiers: number, ...usages: number[]) =>
  Uint8Array.of(modifiers, 0, ...Array.from({ length: 6 }, (_, at) => usages[at] ?? 0));
const RELEASED = report(0);

function typed(reports: readonly Uint8Array[]): string {
  const decoder = new KeypadDecoder();
  return reports
    .flatMap((one) => decoder.push(one))
    .map(({ keys }) => keys)
    .join("");
}

const KEYS: readonly (readonly [string, number, number])[] = [
  ...[..."1234567890"].map((digit, at) => [digit, 0, 0x1e + at] as const),
  ...[..."1234567890"].map((digit, at) => [digit, 0, 0x59 + at] as const),
  ["*", 0, 0x55],
  ["*", 0, 0x2a],
  ["*", 0, 0x29],
  ["*", 0x02, 0x25],
  ["#", 0, 0x28],
  ["#", 0, 0x58],
  ["#", 0x20, 0x20],
];

test("each key is its digit, * or #, with any Num Lock around it", () => {
  for (const [key, modifiers, usage] of KEYS) {
    expect(typed([report(modifiers, usage), RELEASED])).toBe(key);
    const numLock = report(0, 0x53);
    expect(typed([numLock, RELEASED, report(modifiers, usage), RELEASED, numLock, RELEASED])).toBe(key);
  }
});

test("a held key counts once, rolled over ones in the order of pressing", () => {
  const held = report(0, 0x1e);
  expect(typed([held, held, held, RELEASED, held])).toBe("11");
  expect(typed([held, report(0, 0x1e, 0x1f), report(0, 0x1f), report(0, 0x1f, 0x20), RELEASED])).toBe("123");
});

test("what is no key of a keypad is counted, and is none", () => {
  const decoder = new KeypadDecoder();
  const strange = [
    report(0, 0x04),
    report(0x01, 0x1e),
    report(0x02, 0x1f),
    report(0, 1, 1, 1, 1, 1, 1),
    RELEASED.subarray(1),
  ];
  for (const one of strange) {
    expect(decoder.push(one)).toEqual([]);
    decoder.push(RELEASED);
  }
  expect(decoder.counters).toEqual({ keys: 0, modified: 1, unmapped: 2, rollover: 1, wrongSize: 1 });
});

test("any garbage: no throw, no other keys, nothing kept, and the next key is read", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 12 })),
      fc.constantFrom(...KEYS),
      (garbage, [key, modifiers, usage]) => {
        const decoder = new KeypadDecoder();
        for (const one of garbage) for (const { keys } of decoder.push(one)) expect(keys).toMatch(/^[0-9*#]{1,6}$/);
        expect(decoder.deadline).toBeUndefined();
        expect(decoder.expire()).toEqual([]);
        decoder.push(RELEASED);
        expect(decoder.push(report(modifiers, usage))).toEqual([{ kind: "keys", keys: key }]);
        decoder.reset();
        expect(decoder.push(report(modifiers, usage))).toEqual([{ kind: "keys", keys: key }]);
      },
    ),
  );
});
