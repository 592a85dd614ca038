import fc from "fast-check";
import { expect, test } from "vitest";
import { parseConfig } from "../../../agent/config/config.ts";
import { tableToml, tomlHex, tomlText, withTable } from "../../../agent/config/edit.ts";
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
