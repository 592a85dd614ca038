import fc from "fast-check";
import { expect, test } from "vitest";
import { parseConfig } from "../../../agent/config/config.ts";
import { tableToml, tomlHex, tomlText, withKey, withTable } from "../../../agent/config/edit.ts";
import { SAMPLE } from "./sample.ts";

const TABLE = tableToml("reader", [
  tomlText("name", "new"),
  tomlText("family", "hid-keyboard"),
  tomlText("printer", "mfd-1"),
  tomlHex("vendor_id", 0xffff),
  tomlHex("product_id", 0x35),
]);

test("a table at the end, and nothing else changes", async () => {
  const file = `# Our lobby.\n${SAMPLE}# The last word.`;
  const edited = withTable(file, TABLE);
  expect(edited).toBe(
    `${file}\n\n[[reader]]\nname = "new"\nfamily = "hid-keyboard"\nprinter = "mfd-1"\nvendor_id = 0xffff\nproduct_id = 0x0035\n`,
  );
  const { readers } = await parseConfig(edited, "p.toml");
  expect(readers.at(-1)).toMatchObject({ name: "new", vendorId: 0xffff, productId: 0x35 });
});

test("line ends stay as they are, and an empty file begins with the table", () => {
  expect(withTable("a = 1\r\n", "[[b]]\nc = 2")).toBe("a = 1\r\n\r\n[[b]]\r\nc = 2\r\n");
  expect(withTable("", "[[b]]")).toBe("[[b]]\n");
});

test("whatever text a device has, TOML reads it back as it was", async () => {
  const { parse } = await import("smol-toml");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme-ascii" }), fc.string(), (value, before) => {
      const edited = withTable(
        `# ${before.replace(/[^\x20-\x7e]/g, "")}`,
        tableToml("reader", [tomlText("name", value)]),
      );
      expect(parse(edited)).toEqual({ reader: [{ name: value }] });
    }),
  );
});

const PINS = { key: "key_pins", toml: '["new"]' };

test.each([
  [
    "a value is replaced, its comment stays",
    "[[p]]\nuri = 1\nkey_pins = [] # none\nz = 2\n",
    '[[p]]\nuri = 1\nkey_pins = ["new"] # none\nz = 2\n',
  ],
  ["a value of several lines", "[[p]]\nkey_pins = [\n  ']', # one\n]\n\nz = 2", '[[p]]\nkey_pins = ["new"]\n\nz = 2'],
  [
    "a new key follows another, as far to the right",
    "[[p]]\r\n  uri = 1 # x\r\n",
    '[[p]]\r\n  uri = 1 # x\r\n  key_pins = ["new"]\r\n',
  ],
  ["also at the end of the file", "[[p]]\nuri = 1", '[[p]]\nuri = 1\nkey_pins = ["new"]\n'],
  [
    "and not behind the keys of a table below",
    "[[p]]\nuri = 1\n[p.q]\nuri = 2\n",
    '[[p]]\nuri = 1\nkey_pins = ["new"]\n[p.q]\nuri = 2\n',
  ],
])("one key: %s", (_what, before, after) => expect(withKey(before, ["p", 0], "uri", PINS)).toBe(after));

test("an inline table is not touched", () => {
  expect(withKey("p = [{ uri = 1 }]\n", ["p", 0], "uri", PINS)).toBeUndefined();
});

test("whatever stands around it, the key and nothing else is changed", async () => {
  const { parse, stringify } = await import("smol-toml");
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string()), fc.record({ a: fc.string() }));
  const table = fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), value, { maxKeys: 4 });
  const tables = fc.array(fc.tuple(table, fc.boolean()), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(tables, fc.nat(), fc.integer(), (made, which, number) => {
      const p = made.map(([keys, has]) => ({ ...keys, uri: "x", ...(has ? { key_pins: ["old", "]"] } : {}) }));
      const index = which % p.length;
      const edited = withKey(stringify({ p }), ["p", index], "uri", { key: "key_pins", toml: String(number) });
      const wanted = p.map((keys, place) => (place === index ? { ...keys, key_pins: number } : keys));
      expect(parse(edited ?? "")).toEqual({ p: wanted });
    }),
  );
});
