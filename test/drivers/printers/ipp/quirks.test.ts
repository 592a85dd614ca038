import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AppliedQuirks,
  KNOWN_MODELS,
  QUIRK_NAMES,
  QUIRKS,
  quirksOf,
  userName,
} from "../../../../drivers/printers/ipp/quirks.ts";

describe("the table", () => {
  test("names a public thread for every quirk and every model, and says what is seen", () => {
    for (const quirk of QUIRK_NAMES) {
      expect(QUIRKS[quirk].symptom).toMatch(/^It .*\.$/);
      expect(QUIRKS[quirk].source).not.toBe("");
    }
    for (const { source, quirks, model } of KNOWN_MODELS) {
      expect(source).toMatch(/#\d+/);
      expect(quirks.length).toBeGreaterThan(0);
      // A model, not a maker: what one of them does says nothing of the others.
      expect(model).toMatch(/\d{3}/);
    }
  });

  test.each([
    ["Kyocera ECOSYS P3155dn", ["plain-user-names"]],
    ["KYOCERA ECOSYS P3155dn KPDL", ["plain-user-names"]],
    ["Kyocera ECOSYS P3145dn", []],
    ["Lexmark T620", ["content-length"]],
    ["Lexmark E332n PS", ["content-length"]],
    ["C822", ["ipp-1.1"]],
    ["OKI MC822", []],
    ["Printgate Virtual MFD", []],
    ["", []],
  ])("%s: %j", (model, quirks) => {
    expect(quirksOf(model)).toEqual(quirks);
  });

  test("a glob takes exactly what a regular expression of it would take", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "B", "b", "*", " ", "."), maxLength: 12 });
    fc.assert(
      fc.property(word, word, (glob, text) => {
        const pattern = glob.split("*").map((part) => part.replaceAll(".", "\\."));
        const expected = new RegExp(`^${pattern.join("[^]*")}$`, "i").test(text);
        expect(quirksOf(text, [{ model: glob, quirks: ["ipp-1.1"], source: "" }]).length > 0).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("a long name costs one pass", () => {
    const models = [{ model: `${"*a".repeat(50)}*b`, quirks: ["ipp-1.1"] as const, source: "" }];
    const started = performance.now();
    expect(quirksOf("a".repeat(32_767), models)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test("each applies once, from where it was known first, and is told once", () => {
  const told: string[] = [];
  const quirks = new AppliedQuirks(["no-job-history"], (quirk) => void told.push(quirk));
  quirks.met("no-job-history");
  quirks.met("content-length");
  quirks.model("Lexmark T620");
  expect(quirks.list.map(({ name, from }) => `${name} ${from}`)).toEqual([
    "no-job-history configuration",
    "content-length met",
  ]);
  expect(told).toEqual(["no-job-history", "content-length"]);
  expect(quirks.has("ipp-1.1")).toBe(false);
});

describe("a person's name", () => {
  test.each([
    ["alice", "alice"],
    ["SCHOOL\\alice", "SCHOOL_alice"],
    ["Jürgen Ångström", "Jurgen Angstrom"],
    ["李雷", "__"],
    ["o'neil@example.com", "o_neil@example.com"],
  ])("%s is %s, plainly", (user, plain) => {
    expect(userName(user, true)).toBe(plain);
    expect(userName(user, false)).toBe(user);
  });

  test("any text fits, and a plain one stays itself", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 400 }), (user) => {
        const plain = userName(user, true);
        expect(plain).toMatch(/^[\x20-\x7e]*$/);
        expect(Buffer.byteLength(userName(user, false))).toBeLessThanOrEqual(255);
        expect(plain.length).toBeLessThanOrEqual(255);
        expect(userName(plain, true)).toBe(plain);
      }),
    );
  });
});
