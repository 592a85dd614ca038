import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Presence } from "../../../drivers/readers/presence.ts";

describe("one presence", () => {
  test("is a card held for an hour, silences of the reader included", () => {
    const presence = new Presence(1500);
    expect(presence.seen("A", 0)).toBe(true);
    for (let at = 250; at < 3_600_000; at += 250) expect(presence.seen("A", at)).toBe(false);
    expect(presence.seen("A", 3_700_000)).toBe(false);
  });

  test("is a card that one poll misses, again and again", () => {
    const presence = new Presence(0);
    presence.seen("A", 0);
    for (let at = 0; at < 100_000; at += 500) {
      presence.missed(at + 250);
      expect(presence.seen("A", at + 500)).toBe(false);
    }
  });

  test("is a card that is missed twice but not for so long", () => {
    const presence = new Presence(1500);
    presence.seen("A", 0);
    for (const at of [250, 500, 750, 1000, 1250]) presence.missed(at);
    expect(presence.seen("A", 1499)).toBe(false);
  });

  test("is each of two cards that are found in turn", () => {
    const presence = new Presence(1500);
    expect([presence.seen("A", 0), presence.seen("B", 250)]).toEqual([true, true]);
    for (let at = 500; at < 60_000; at += 500) {
      expect([presence.seen("A", at), presence.seen("B", at + 250)]).toEqual([false, false]);
    }
  });
});

describe("another presence", () => {
  test("is the card after two misses and the time", () => {
    const presence = new Presence(1500);
    presence.seen("A", 0);
    presence.missed(250);
    presence.missed(1500);
    expect(presence.seen("A", 1600)).toBe(true);
  });

  test("is the card after others", () => {
    const presence = new Presence(1500);
    presence.seen("A", 0);
    presence.seen("B", 1000);
    presence.seen("B", 1500);
    expect(presence.seen("A", 1600)).toBe(true);
  });

  test("is every card after clear", () => {
    const presence = new Presence(1500);
    presence.seen("A", 0);
    presence.clear();
    expect(presence.seen("A", 1)).toBe(true);
  });
});

test("whatever is found: a card that was not missed twice since is known, as long as few cards are about", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("A", "B", "C", undefined), { maxLength: 100 }), (polls) => {
      const presence = new Presence(1500);
      const last = new Map<string, number>();
      polls.forEach((card, index) => {
        const at = index * 250;
        if (card === undefined) presence.missed(at);
        else {
          const before = last.get(card);
          const isNew = presence.seen(card, at);
          if (before === undefined) expect(isNew).toBe(true);
          else expect(isNew).toBe(index - before - 1 >= 2 && at - before * 250 >= 1500);
          last.set(card, index);
        }
      });
    }),
  );
});
