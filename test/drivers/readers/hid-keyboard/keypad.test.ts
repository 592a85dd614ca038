import fc from "fast-check";
import { expect, test } from "vitest";
import type { Keys, Read } from "../../../../drivers/reader.ts";
import { KeyboardDecoder } from "../../../../drivers/readers/hid-keyboard/decoder.ts";
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

const GAP = 60;
const shared = () =>
  new KeyboardDecoder({
    keypad: "shared",
    terminators: ["enter", "keypad-enter"],
    interKeyTimeoutMs: GAP,
    maxFrameMs: 3000,
    maxLength: 128,
    minLength: 6,
  });
const USAGES = new Map([..."1234567890"].map((digit, at) => [digit, 0x59 + at]));
USAGES.set("*", 0x55).set("\n", 0x58).set("-", 0x56);

/** Presses keys `gaps` ms apart, and waits in the end: what came of it, in order. */
function press(keys: readonly (readonly [string, number])[]): string[] {
  const decoder = shared();
  const came: (Read | Keys)[] = [];
  let now = 0;
  for (const [key, gap] of keys) {
    now += gap;
    came.push(...decoder.expire(now));
    came.push(...decoder.push(report(0, USAGES.get(key) ?? 0), now));
    came.push(...decoder.push(RELEASED, now));
  }
  came.push(...decoder.expire(now + 10_000));
  expect(decoder.deadline).toBeUndefined();
  return came.map((one) => (one.kind === "keys" ? `keys ${one.keys}` : one.kind === "text" ? `read ${one.text}` : ""));
}
const slow = (keys: string) => Array.from(keys, (key) => [key, 150] as const);
const fast = (keys: string) => Array.from(keys, (key, at) => [key, at === 0 ? 500 : 8] as const);

test("a reader with a keypad of its own: fast keys are a card, slow ones are a person's", () => {
  expect(press(fast("0012345678\n"))).toEqual(["read 0012345678"]);
  expect(press(slow("12*34\n"))).toEqual(["keys 1", "keys 2", "keys *", "keys 3", "keys 4", "keys #"]);
  expect(press([...slow("12"), ...fast("0012345678\n"), ...slow("34\n")])).toEqual([
    "keys 1",
    "keys 2",
    "read 0012345678",
    "keys 3",
    "keys 4",
    "keys #",
  ]);
});

test("two keys of a nimble person come as they were pressed, with and without Enter", () => {
  expect(press([...fast("12"), ...fast("34\n")])).toEqual(["keys 12", "keys 34#"]);
});

test("the half of a card is no keys", () => {
  expect(press(fast("0012"))).toEqual([]);
  expect(press(fast("00-"))).toEqual([]);
  expect(press(fast("12-4\n"))).toEqual([]);
});

test("any keys at any pace: no key is in two things, a read comes with Enter only, and a person's keys all arrive", () => {
  const key = fc.constantFrom(..."0123456789*\n-");
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.integer({ min: 1, max: 2 * GAP })), { maxLength: 60 }), (keys) => {
      const typed = keys.map(([one]) => (one === "\n" ? "#" : one)).join("");
      let from = 0;
      for (const one of press(keys)) {
        const text = one.startsWith("read ") ? `${one.slice(5)}#` : one.slice(5);
        const at = typed.indexOf(text, from);
        expect(at).toBeGreaterThanOrEqual(from);
        from = at + text.length;
      }
    }),
  );
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9*\n]{0,40}$/), fc.integer({ min: GAP, max: 5000 }), (keys, gap) => {
      const came = press(Array.from(keys, (one) => [one, gap] as const));
      expect(came).toEqual(Array.from(keys, (one) => `keys ${one === "\n" ? "#" : one}`));
    }),
  );
});
