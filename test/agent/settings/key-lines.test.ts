import fc from "fast-check";
import { parse, stringify } from "smol-toml";
import { describe, expect, it } from "vitest";
import { KeyLines, type KeyPath } from "../../../agent/settings/key-lines.ts";

const DOCUMENT = `# [not.a.table]
top = 1 # a = 2
"quoted # key" = 'x'
dotted . inner . leaf = [1,
  # comment = 3
  "]", [ 2 ], '''
decoy = 4
''']
text = """
[decoy]
decoy = "x" \\"""
decoy2 = 1
"""
five = """ends in quotes"""""
literal = 'C:\\' # no escape

[ table . sub ] # header
a = { b = 1, c = "]" }
d = 1979-05-27T07:32:00Z

[[list]]
x = 1
[list.inner]
y = 2
[[list.deep]]
z = 3

[[list]]
x = 4
  [[list.deep]]
  z = 5
  [[list.deep]]
  z = 6
`;

describe("the line of a key", () => {
  it.each<[KeyPath, string | undefined]>([
    [["top"], "top = 1"],
    [["quoted # key"], '"quoted # key"'],
    [["dotted"], "dotted ."],
    [["dotted", "inner", "leaf"], "dotted ."],
    [["dotted", "inner", "leaf", 1], "dotted ."],
    [["text"], 'text = """'],
    [["five"], "five ="],
    [["literal"], "literal ="],
    [["table"], "[ table"],
    [["table", "sub"], "[ table"],
    [["table", "sub", "a", "b"], "a = {"],
    [["table", "sub", "d"], "d = 1979"],
    [["table", "sub", "none"], "[ table"],
    [["list"], "[[list]]"],
    [["list", 0, "x"], "x = 1"],
    [["list", 0, "inner", "y"], "y = 2"],
    [["list", 0, "deep", 0, "z"], "z = 3"],
    [["list", 1, "x"], "x = 4"],
    [["list", 1, "deep", 0, "z"], "z = 5"],
    [["list", 1, "deep", 1, "z"], "z = 6"],
    [["decoy"], undefined],
    [["decoy2"], undefined],
    [["none"], undefined],
    [[], undefined],
  ])("%j", (path, begins) => {
    expect(parse(DOCUMENT)).toBeTypeOf("object");
    for (const text of [DOCUMENT, DOCUMENT.replaceAll("\n", "\r\n")]) {
      const line = new KeyLines(text).of(path);
      expect(
        line === undefined
          ? undefined
          : text
              .split("\n")
              [line - 1]?.trimStart()
              .startsWith(begins ?? "?"),
      ).toBe(begins === undefined ? undefined : true);
    }
  });

  it("is found for every key of whatever document", () => {
    const word = fc.string({ unit: fc.constantFrom(..."ab_-1"), minLength: 1, maxLength: 5 });
    const scalar = fc.oneof(
      fc.integer(),
      fc.boolean(),
      fc.string({ unit: fc.constantFrom(..."ab\"'[]{}#=\n\\ "), maxLength: 12 }),
      fc.array(fc.string({ unit: fc.constantFrom(...'[]#,"'), maxLength: 4 }), { maxLength: 3 }),
    );
    const table = fc.dictionary(word, scalar, { maxKeys: 4 });
    const document = fc.dictionary(word, fc.oneof(scalar, table, fc.array(table, { minLength: 1, maxLength: 3 })), {
      maxKeys: 5,
    });
    fc.assert(
      fc.property(document, (data) => {
        const toml = stringify(data);
        const found = new KeyLines(toml);
        const lines = toml.split("\n");
        const visit = (value: unknown, path: KeyPath) => {
          if (typeof value !== "object" || value === null) return;
          for (const [key, inner] of Object.entries(value)) {
            const here = [...path, Array.isArray(value) ? Number(key) : key];
            const scalarList = Array.isArray(value) && (typeof inner !== "object" || Array.isArray(inner));
            if (!scalarList)
              expect(lines[(found.of(here) ?? 0) - 1]).toContain(Array.isArray(value) ? String(path.at(-1)) : key);
            visit(inner, here);
          }
        };
        visit(parse(toml), []);
      }),
      { numRuns: 300 },
    );
  });

  it("takes no time in a large document", () => {
    const toml = Array.from({ length: 20_000 }, (_, index) => `k${index} = "${"#".repeat(20)}"`).join("\n");
    expect(new KeyLines(toml).of(["k19999"])).toBe(20_000);
    expect(new KeyLines(`a = """${"\\\\".repeat(200_000)}"""\nb = 1`).of(["b"])).toBe(2);
  });
});
