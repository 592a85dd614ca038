import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CardError } from "../../../agent/cards/card-error.ts";
import { compilePattern, MAX_INPUT } from "../../../agent/cards/pattern.ts";

function refusal(pattern: string): string {
  try {
    compilePattern(pattern);
  } catch (error) {
    if (error instanceof CardError && error.code === "card-pattern-unsupported") return error.detail;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("a pattern", () => {
  it.each([
    ["^;0?([0-9]{8})", ";012345678=99", "12345678"],
    ["(.{10})", "0123456789AB", "0123456789"],
    ["=(\\d+)\\?$", ";12=34?", "34"],
    ["^(?:AB|CD)([0-9A-F]+)$", "CD12EF", "12EF"],
    ["^([^=]*)=", "12=34=56", "12"],
    ["(\\w+?)\\s", "ab cd", "ab"],
    ["([\\]\\-^a-c]+)", "xx]-^abcd", "]-^abc"],
    ["([\\d.-]+)", "a1.2-3b", "1.2-3"],
    ["(a|ab)(?:c|bcd)$", "abcd", "a"],
    ["^(?:(?:ab?){2}){1,2}(c*)$", "abaababcc", "cc"],
  ])("%s of %s is %s", (pattern, input, wanted) => {
    expect(compilePattern(pattern).capture(input)).toBe(wanted);
    expect(new RegExp(pattern).exec(input)?.[1]).toBe(wanted);
  });

  it("that does not match captures nothing", () => {
    expect(compilePattern("^(a)$").capture("b")).toBeUndefined();
    expect(compilePattern("a|(b)").capture("a")).toBeUndefined();
    expect(compilePattern("([])").capture("a")).toBeUndefined();
  });

  it.each([
    ["abc", /0 capturing groups/],
    ["(a)(b)", /2 capturing groups/],
    ["(a)\\1", /backreference/],
    ["(?=a)(b)", /lookaround/],
    ["(?!a)(b)", /lookaround/],
    ["(?<=a)(b)", /lookaround/],
    ["(?<!a)(b)", /lookaround/],
    ["(?<name>a)", /a name or with flags/],
    ["(?i:a)(b)", /a name or with flags/],
    ["(a)+", /capturing group is repeated/],
    ["(?:x(a))?", /capturing group is repeated/],
    ["(?:a*)*(b)", /can match nothing/],
    ["(?:a|)+(b)", /can match nothing/],
    ["^*(a)", /\^ or \$ is repeated/],
    ["(a**)", /repeat of a repeat/],
    ["(a{2}{3})", /repeat of a repeat/],
    ["(*a)", /nothing to its left/],
    ["(a]", /nothing to its left/],
    ["(a{)", /begins no \{n\}/],
    ["(a{3,2})", /m less than n/],
    ["([b-a])", /range/],
    ["([\\d-z])", /range/],
    ["([a)", /ends too early/],
    ["(a", /without its \)/],
    ["(a))", /without its \(/],
    ["(a)\\", /ends too early/],
    ["(\\bab)", /\\b is not supported/],
    ["(\\u0041)", /\\u is not supported/],
    ["(a{9999})", /too large/],
    [`(${"(?:".repeat(40)}a${")".repeat(40)})`, /too many groups/],
    ["((?:(?:(?:a{99}){99}){99}){99})", /too large/],
  ])("%s is refused", (pattern, why) => expect(refusal(pattern)).toMatch(why));

  it("means what it means in JavaScript", () => {
    // Every repeated part begins with a unit, so that none can match nothing.
    const { choices } = fc.letrec<{ choices: string; solid: string; part: string }>((tie) => {
      const unit = fc.constantFrom("a", "b", "1", ".", "\\d", "\\w", "\\D", "[ab]", "[^a]", "[a-c1]");
      const repeat = fc.constantFrom(
        "",
        "",
        "",
        "*",
        "+",
        "?",
        "{2}",
        "{1,3}",
        "{2,}",
        "*?",
        "+?",
        "??",
        "{0,2}?",
        "{2,}?",
      );
      const sequence = fc.array(tie("part"), { maxLength: 3 }).map((parts) => parts.join(""));
      const solidSequence = fc.tuple(unit, sequence).map((pair) => pair.join(""));
      return {
        solid: fc.oneof(
          { maxDepth: 3 },
          { arbitrary: unit, weight: 2 },
          fc.array(solidSequence, { minLength: 1, maxLength: 3 }).map((each) => `(?:${each.join("|")})`),
        ),
        part: fc.oneof(
          { arbitrary: fc.tuple(tie("solid"), repeat).map((pair) => pair.join("")), weight: 12 },
          fc.constantFrom("^", "$"),
          tie("choices").map((inner) => `(?:${inner})`),
        ),
        choices: fc.array(sequence, { minLength: 1, maxLength: 3 }).map((each) => each.join("|")),
      };
    });
    const input = fc.string({ unit: fc.constantFrom("a", "b", "1", "\n"), maxLength: 8 });
    let compared = 0;
    fc.assert(
      fc.property(
        choices,
        choices,
        choices,
        fc.array(input, { minLength: 3, maxLength: 3 }),
        (before, inside, after, inputs) => {
          const whole = `(?:${before})(${inside})(?:${after})`;
          let ours: ReturnType<typeof compilePattern>;
          try {
            ours = compilePattern(whole);
          } catch (error) {
            expect(error).toBeInstanceOf(CardError);
            return;
          }
          const theirs = new RegExp(whole);
          for (const each of inputs) {
            compared += 1;
            expect(ours.capture(each)).toBe(theirs.exec(each)?.[1]);
          }
        },
      ),
      { numRuns: 500 },
    );
    expect(compared).toBeGreaterThan(1000);
  });

  it("compiles or is refused, whatever it is", () => {
    const piece = fc.constantFrom(
      "(",
      ")",
      "[",
      "]",
      "{",
      "}",
      "1",
      ",",
      "?",
      ":",
      "*",
      "+",
      "|",
      "^",
      "$",
      "-",
      "\\",
      "a",
      "d",
      "=",
      "<",
      ".",
    );
    fc.assert(
      fc.property(fc.string({ unit: piece, maxLength: 24 }), (text) => {
        let theirs: RegExp | undefined;
        try {
          const pattern = compilePattern(text);
          theirs = new RegExp(text);
          expect(pattern.capture("a1-")).toBe(theirs.exec("a1-")?.[1]);
        } catch (error) {
          expect(error).toBeInstanceOf(CardError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("the work of a pattern is bounded", () => {
  // Each of these makes a backtracking engine take exponential or high polynomial time on its input.
  const evil: readonly [string, string][] = [
    ["^((?:a+)+)$", "a"],
    ["^((?:a|a)+)$", "a"],
    ["^((?:a|aa)+)$", "a"],
    ["^((?:[a-z]+)+)$", "a"],
    ["^((?:a|b|ab)*?c)$", "ab"],
    ["^((?:.*,){0,1}.*.*.*.*.*.*.*.*=)$", "a"],
    ["(.*a{1,20}.*a{1,20}.*x)", "a"],
    ["^((?:\\w+\\s?)+)$", "a"],
    ["(\\d+\\d+\\d+\\d+\\d+\\d+\\d+!)", "1"],
    ["^((?:(?:a?b?)c?|[abc])+)x", "abc"],
    [`(${"a?".repeat(100)}${"a".repeat(100)}!)`, "a"],
    ["((?:(?:a+b?)+c?)+!)", "a"],
  ];

  it.each(evil)("%s", (pattern, unit) => {
    const input = unit.repeat(MAX_INPUT).slice(0, MAX_INPUT - 1);
    let compiled: ReturnType<typeof compilePattern>;
    try {
      compiled = compilePattern(pattern);
    } catch (error) {
      expect(error).toBeInstanceOf(CardError);
      return;
    }
    const begin = performance.now();
    expect(compiled.capture(`${input}\u00ff`)).toBeUndefined();
    // 2000 states × 129 positions take some milliseconds; backtracking would take years.
    expect(performance.now() - begin).toBeLessThan(500);
  });

  it("and so is its input", () => {
    expect(() => compilePattern("(a*)").capture("a".repeat(MAX_INPUT + 1))).toThrow(CardError);
    expect(compilePattern("(a*)").capture("a".repeat(MAX_INPUT))).toHaveLength(MAX_INPUT);
  });
});
