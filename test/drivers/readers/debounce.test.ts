import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Read } from "../../../drivers/reader.ts";
import { Debounce } from "../../../drivers/readers/debounce.ts";
import { RateLimit } from "../../../drivers/readers/rate-limit.ts";

const card = (text: string): Read => ({ kind: "text", text });
const bits = (bitLength: number, ...bytes: number[]): Read => ({
  kind: "bits",
  bytes: Uint8Array.from(bytes),
  bitLength,
});

describe("Debounce", () => {
  test("an RDM6300 that repeats every 50 ms for a minute gives one tap, and the next after a pause", () => {
    const debounce = new Debounce(1500);
    let accepted = 0;
    for (let now = 0; now <= 60_000; now += 50) if (debounce.accepts(card("62E3086CED"), now)) accepted += 1;
    expect(accepted).toBe(1);
    expect(debounce.accepts(card("62E3086CED"), 61_499)).toBe(false);
    expect(debounce.accepts(card("62E3086CED"), 62_999)).toBe(true);
  });

  test("another card is never held back", () => {
    const debounce = new Debounce(1500);
    expect(debounce.accepts(card("A"), 0)).toBe(true);
    expect(debounce.accepts(card("B"), 1)).toBe(true);
  });

  test("two cards held together and read in turn are two taps", () => {
    const debounce = new Debounce(1500);
    const accepted = Array.from({ length: 100 }, (_, i) => debounce.accepts(card(i % 2 === 0 ? "A" : "B"), i * 50));
    expect(accepted.filter(Boolean)).toHaveLength(2);
  });

  test("the same bytes with another bit length, and text that looks like them, are other cards", () => {
    const debounce = new Debounce(1500);
    expect(debounce.accepts(bits(26, 1, 2, 3, 0), 0)).toBe(true);
    expect(debounce.accepts(bits(32, 1, 2, 3, 0), 0)).toBe(true);
    expect(debounce.accepts(card("32:01020300"), 0)).toBe(true);
    expect(debounce.accepts(bits(26, 1, 2, 3, 0), 0)).toBe(false);
  });

  test("a hold of 0 lets everything pass; clear forgets", () => {
    const none = new Debounce(0);
    expect([none.accepts(card("A"), 0), none.accepts(card("A"), 0)]).toEqual([true, true]);
    const debounce = new Debounce(1500);
    debounce.accepts(card("A"), 0);
    debounce.clear();
    expect(debounce.accepts(card("A"), 0)).toBe(true);
  });

  test("any sequence of up to eight cards: accepted exactly when not seen within the hold", () => {
    const events = fc.array(fc.tuple(fc.integer({ min: 0, max: 7 }), fc.nat(2000)), { maxLength: 100 });
    fc.assert(
      fc.property(events, (taps) => {
        const debounce = new Debounce(1500);
        const seen = new Map<number, number>();
        let now = 0;
        for (const [id, later] of taps) {
          now += later;
          const before = seen.get(id);
          seen.set(id, now);
          expect(debounce.accepts(card(String(id)), now)).toBe(before === undefined || now - before >= 1500);
        }
      }),
    );
  });
});

describe("RateLimit", () => {
  test("five in ten seconds; what is refused does not count", () => {
    const limit = new RateLimit(5, 10_000);
    const at = [0, 1, 2, 3, 4, 5, 9_999, 10_000, 10_000, 10_001];
    expect(at.map((now) => limit.accepts(now))).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
      false,
      true,
      false,
      true,
    ]);
  });

  test("never more than the limit in any window", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3000), { maxLength: 200 }), fc.integer({ min: 1, max: 8 }), (gaps, max) => {
        const limit = new RateLimit(max, 10_000);
        const accepted: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          if (limit.accepts(now)) accepted.push(now);
        }
        for (const start of accepted) {
          expect(accepted.filter((at) => at >= start && at < start + 10_000).length).toBeLessThanOrEqual(max);
        }
      }),
    );
  });
});
