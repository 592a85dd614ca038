import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CREDENTIAL_KINDS, PersonalId, PIN_LENGTH, Pin } from "../../../agent/protocol/schema.ts";
import {
  type Digits,
  deadlineOf,
  ENTRY_EVENTS,
  type EntryEffect,
  type EntryInput,
  type EntryRules,
  type EntryState,
  IDLE,
  stepEntry,
} from "../../../agent/release/pin-entry.ts";

const [CARD, OTHER] = ["c0ffee", "badcafe"];
const rulesOf = (credentials: EntryRules["credentials"], pinLength?: number): EntryRules => ({
  credentials,
  pinLength,
  keyTimeoutMs: 10_000,
  entryTimeoutMs: 60_000,
});
const textOf = (digits: Digits) => Buffer.from(digits).toString();

/** What is told of an effect: digits as text, at once, because they are wiped afterwards. */
function told(effect: EntryEffect): string {
  switch (effect.type) {
    case "present": {
      const { credential } = effect;
      const who = credential.kind === "id-pin" ? textOf(credential.id) : credential.token;
      return `${credential.kind} ${who}${"pin" in credential ? ` ${textOf(credential.pin)}` : ""}`;
    }
    case "signal":
      return effect.signal;
    case "wipe":
      return "";
    case "count":
      return effect.event.replace("entry-", "");
  }
}

/**
 * A script in words: `card`, `other` (cards), `needed` (the server asks for the PIN of `card`), `+N` (ms later), `stop`,
 * anything else: keys. What came of it, in order, and whether an entry is under way.
 */
function play(script: string, rules: EntryRules): string {
  let state: EntryState = IDLE;
  let now = 0;
  const results: string[] = [];
  const step = (input: EntryInput) => {
    const { state: next, effects } = stepEntry(state, input, rules, now);
    state = next;
    results.push(...effects.map(told).filter((text) => text !== ""));
  };
  for (const word of script.split(" ")) {
    if (word === "card" || word === "other") step({ type: "card", token: word === "card" ? CARD : OTHER });
    else if (word === "needed") step({ type: "pin-needed", token: CARD });
    else if (word === "stop") step({ type: "stop" });
    else if (word.startsWith("+")) {
      now += Number(word.slice(1));
      step({ type: "time" });
    } else for (const key of word) step({ type: "key", key });
  }
  return [...results, ...(state.phase === "idle" ? [] : [`awaits ${state.phase}`])].join(", ");
}

describe("card and PIN", () => {
  test.each([
    ["card 1234#", "enter-pin, card-pin c0ffee 1234"],
    ["card", "enter-pin, awaits pin"],
    ["card 12*5678#", "enter-pin, card-pin c0ffee 5678"],
    ["card 12**", "enter-pin, canceled"],
    ["card *", "enter-pin, canceled"],
    ["card * 1234#", "enter-pin, canceled, key-ignored, key-ignored, key-ignored, key-ignored, key-ignored"],
    ["card # 1234#", "enter-pin, card-pin c0ffee 1234"],
    ["card 123#", "enter-pin, too-short, denied"],
    ["card 1234567890123456#", "enter-pin, card-pin c0ffee 1234567890123456"],
    ["card 12345678901234567", "enter-pin, awaits pin"],
    ["card 12345678901234567890#", "enter-pin, too-long, denied"],
    ["card 12345678901234567*1234#", "enter-pin, card-pin c0ffee 1234"],
    ["card 12345678901234567**", "enter-pin, canceled"],
    ["card 12 other 3456#", "enter-pin, replaced, enter-pin, card-pin badcafe 3456"],
    ["card 12 card 3456#", "enter-pin, replaced, enter-pin, card-pin c0ffee 3456"],
    ["card +9999 1 +9999 234#", "enter-pin, card-pin c0ffee 1234"],
    ["card +10000", "enter-pin, timed-out, denied"],
    ["card 1 +10000 234#", "enter-pin, timed-out, denied, key-ignored, key-ignored, key-ignored, key-ignored"],
    ["card 1 +9000 2 +9000 3 +9000 4 +9000 5 +9000 6 +9000 7 +6000", "enter-pin, timed-out, denied"],
    ["card 1x2A34#", "enter-pin, key-ignored, key-ignored, card-pin c0ffee 1234"],
    ["1234#", "key-ignored, key-ignored, key-ignored, key-ignored, key-ignored"],
    ["card 12 stop", "enter-pin, canceled"],
    ["stop", ""],
  ])("%s: %s", (script, expected) => {
    expect(play(script, rulesOf(["card-pin"]))).toBe(expected);
  });

  test("with a PIN of a known length the last digit ends it", () => {
    expect(play("card 123456", rulesOf(["card-pin"], 6))).toBe("enter-pin, card-pin c0ffee 123456");
    expect(play("card 1234#", rulesOf(["card-pin"], 6))).toBe("enter-pin, card-pin c0ffee 1234");
  });
});

describe("a card alone, and a PIN when the central server asks for it", () => {
  test.each([
    ["card", "card c0ffee"],
    ["card needed 1234#", "card c0ffee, card-pin c0ffee 1234"],
    ["card needed other", "card c0ffee, replaced, card badcafe"],
    ["card needed needed 12 needed 34#", "card c0ffee, card-pin c0ffee 1234"],
    ["card needed +10000", "card c0ffee, timed-out, denied"],
  ])("%s: %s", (script, expected) => {
    expect(play(script, rulesOf(["card", "card-pin"]))).toBe(expected);
  });

  test("who typed the PIN before it was asked for begins anew, where keys begin a number", () => {
    expect(play("card 12 needed 1234#", rulesOf(["card", "card-pin", "id-pin"]))).toBe(
      "card c0ffee, replaced, card-pin c0ffee 1234",
    );
  });

  test("a late answer does not disturb who types a number's PIN already", () => {
    expect(play("card 7#12 needed 34#", rulesOf(["card", "card-pin", "id-pin"]))).toBe(
      "card c0ffee, enter-pin, id-pin 7 1234",
    );
  });

  test("a reader that takes no PIN after a card does not ask for one", () => {
    expect(play("card needed", rulesOf(["card", "id-pin"]))).toBe("card c0ffee");
  });
});

describe("number and PIN", () => {
  test.each([
    ["7#1234#", "enter-pin, id-pin 7 1234"],
    ["42*7#1234#", "enter-pin, id-pin 7 1234"],
    ["42**", "canceled"],
    ["42#*", "enter-pin, canceled"],
    ["42#12*3456#", "enter-pin, id-pin 42 3456"],
    ["#*", "key-ignored, key-ignored"],
    ["42##1234#", "enter-pin, id-pin 42 1234"],
    ["42#123#", "enter-pin, too-short, denied"],
    ["1234567890123456#1234#", "enter-pin, id-pin 1234567890123456 1234"],
    ["12345678901234567", "awaits id"],
    ["1234567890123456789012345#", "too-long, denied"],
    ["12345678901234567*7#1234#", "enter-pin, id-pin 7 1234"],
    ["42 +10000", "timed-out, denied"],
    ["42# +10000", "enter-pin, timed-out, denied"],
    ["4 +9000 2 +9000 # +9000 1 +9000 2 +9000 3 +9000 4 +6000", "enter-pin, timed-out, denied"],
    ["card", "card-not-taken, denied"],
    ["42 card", "replaced, card-not-taken, denied"],
    ["42#12 stop", "enter-pin, canceled"],
    ["42#1234#7#5678#", "enter-pin, id-pin 42 1234, enter-pin, id-pin 7 5678"],
  ])("%s: %s", (script, expected) => {
    expect(play(script, rulesOf(["id-pin"]))).toBe(expected);
  });

  test("a number is not ended by the PIN's length", () => {
    expect(play("123456#654321", rulesOf(["id-pin"], 6))).toBe("enter-pin, id-pin 123456 654321");
  });

  test("a card ends it where cards are taken", () => {
    expect(play("42 card", rulesOf(["card", "id-pin"]))).toBe("replaced, card c0ffee");
    expect(play("42#12 card 1234#", rulesOf(["card-pin", "id-pin"]))).toBe(
      "enter-pin, replaced, enter-pin, card-pin c0ffee 1234",
    );
  });
});

const key = (text: string) => ({ type: "key", key: text }) as const;
const one = (input: EntryInput) => [input];
const digits = fc.array(fc.constantFrom(..."0123456789"), { minLength: 1, maxLength: 18 });
/** Digits come in runs, or no number would ever be too long. */
const inputs: fc.Arbitrary<EntryInput[]> = fc.oneof(
  digits.map((keys) => keys.map(key)),
  digits.map((keys) => [...keys, "#"].map(key)),
  fc.constantFrom("#", "#", "*", "x", "").map((text) => [key(text)]),
  fc.constantFrom(CARD, OTHER).map((token) => one({ type: "card", token })),
  fc.constantFrom(CARD, OTHER).map((token) => one({ type: "pin-needed", token })),
  fc.constantFrom("time", "stop").map((type) => one({ type })),
);
const rules = fc.record({
  credentials: fc.subarray([...CREDENTIAL_KINDS], { minLength: 1 }),
  pinLength: fc.option(fc.integer({ min: 4, max: 16 }), { nil: undefined }),
  keyTimeoutMs: fc.constant(10_000),
  entryTimeoutMs: fc.constant(60_000),
});
const pause = fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 300 }) }, fc.nat({ max: 12_000 }));
const history = fc
  .array(fc.tuple(pause, inputs), { maxLength: 60 })
  .map((runs) => runs.flatMap(([ms, run]) => run.map((input) => [ms, input] as const)));

/** All digits that a state holds. */
function heldBy(state: EntryState): Digits[] {
  if (state.phase === "idle") return [];
  const ofPerson = state.phase === "pin" && "id" in state.whose ? [state.whose.id] : [];
  return [state.digits, ...ofPerson].filter(({ length }) => length > 0);
}

test("any history: digits are wiped or presented, once; no more than one credential an entry; bounded; in time", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(rules, history, (rule, steps) => {
      let state: EntryState = IDLE;
      let now = 0;
      const created = new Set<Digits>();
      const done = new Set<Digits>();
      const finish = (digits: Digits) => {
        expect(done.has(digits)).toBe(false);
        done.add(digits);
      };
      for (const [ms, one] of [...steps, [0, { type: "stop" }] as const]) {
        now += ms;
        const deadline = deadlineOf(state, rule);
        const before = heldBy(state).map(textOf);
        const result = stepEntry(state, one, rule, now);
        // Pure: what was there is as it was, and the same again gives the same.
        expect(heldBy(state).map(textOf)).toEqual(before);
        expect(stepEntry(state, one, rule, now)).toEqual(result);
        if (deadline !== undefined && now >= deadline && one.type !== "stop") {
          expect(result.effects).toContainEqual({ type: "count", event: "entry-timed-out" });
        }
        let presented = 0;
        for (const effect of result.effects) {
          seen.add(effect.type === "count" ? effect.event : effect.type);
          if (effect.type === "wipe") finish(effect.digits);
          if (effect.type !== "present") continue;
          presented += 1;
          const { credential } = effect;
          expect(rule.credentials).toContain(credential.kind);
          expect(result.state).toEqual(IDLE);
          if (credential.kind === "card") continue;
          // Only a key presents digits, and only those of the entry that was under way.
          expect([one.type, state.phase]).toEqual(["key", "pin"]);
          expect(Pin.safeParse(textOf(credential.pin)).success).toBe(true);
          created.add(credential.pin);
          finish(credential.pin);
          if (credential.kind === "id-pin") {
            expect(PersonalId.safeParse(textOf(credential.id)).success).toBe(true);
            finish(credential.id);
          }
        }
        expect(presented).toBeLessThanOrEqual(1);
        ({ state } = result);
        for (const digits of heldBy(state)) {
          created.add(digits);
          expect(digits.length).toBeLessThanOrEqual(PIN_LENGTH.max);
          expect(done.has(digits)).toBe(false);
        }
        const next = deadlineOf(state, rule);
        if (next !== undefined) expect(next - now).toBeLessThanOrEqual(rule.keyTimeoutMs);
      }
      expect(state).toEqual(IDLE);
      expect(done).toEqual(created);
      const memories = [...created].map(({ buffer }) => buffer);
      expect(new Set(memories).size).toBe(created.size);
    }),
    { numRuns: 1000 },
  );
  expect([...seen].sort()).toEqual([...ENTRY_EVENTS, "present", "signal", "wipe"].sort());
});
