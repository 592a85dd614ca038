import { describe, expect, it } from "vitest";
import { parseConfig } from "../../../agent/config/config.ts";
import { ConfigError } from "../../../agent/config/config-error.ts";
import { exampleToml } from "../../../agent/config/example.ts";
import { Schema } from "../../../agent/config/schema.ts";
import { type KeyNode, keysOf } from "../../../agent/settings/key.ts";
import { withPreset } from "../../../drivers/readers/line/presets.ts";
import type { ReaderSettings } from "../../../drivers/readers/open-reader.ts";
import { filledIn } from "./sample.ts";

const EXAMPLE = exampleToml();

describe("the example", () => {
  it("is a good configuration once its placeholders are replaced", async () => {
    const { agent, printers, readers } = await parseConfig(filledIn(EXAMPLE), "example");
    expect(agent.logLevel).toBe("info");
    expect(printers).toHaveLength(1);
    expect(readers.map(({ family }) => family)).toEqual([
      "tcp-line",
      "serial-line",
      "hid-keyboard",
      "osdp",
      "rfideas-sdk",
      "pcsc",
      "twn4-simple",
      "rfideas-acp",
    ]);
  });

  it("stays good when every optional key is set as shown", async () => {
    const all = filledIn(EXAMPLE)
      .replace(/^#(connect|keypad_of|user|password|auth_password|priv_password) = .*$/gm, "")
      .replace(/^#([a-z0-9_]+ = )/gm, "$1");
    const { readers } = await parseConfig(all, "example");
    expect(readers[2]).toMatchObject({ port: "usb-0000:01:00.0-1.2", serialNumber: "0001" });
  });

  it("shows the defaults that hold when nothing is set", async () => {
    const unset = await parseConfig(filledIn(EXAMPLE), "example");
    const set = await parseConfig(
      filledIn(EXAMPLE).replace(
        /^#(?!connect|keypad_of|pin_length|pipeline|host|user|password|auth_password|priv_password|serial_number|snmp_traps|uuid|expect_card_within_h|port = ")([a-z0-9_]+ = )/gm,
        "$1",
      ),
      "example",
    );
    expect(set.agent).toEqual(unset.agent);
    expect(set.printers).toEqual(unset.printers);
    // A preset's settings are filled in by the driver.
    const complete = (reader: ReaderSettings) =>
      reader.family === "tcp-line" || reader.family === "serial-line" ? { ...reader, ...withPreset(reader) } : reader;
    // In JSON, because a parsed pipeline holds functions.
    const plain = (readers: readonly ReaderSettings[]): unknown => JSON.parse(JSON.stringify(readers.map(complete)));
    expect(plain(set.readers)).toEqual(plain(unset.readers));
  });

  it("is refused as long as a placeholder is in it, and tells only that", async () => {
    const error: unknown = await parseConfig(EXAMPLE, "example").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    const { problems } = error as ConfigError;
    expect(problems.map(({ code, key }) => [code, key])).toEqual([["config-placeholder", "[[reader]] scbk"]]);
  });

  it("has every key of the schema, and every key has its documentation", () => {
    const missing: string[] = [];
    const visit = (keys: readonly KeyNode[], block: string, path: string) => {
      for (const { name, doc, form, shape, variants } of keys) {
        if (doc.doc === "" || !EXAMPLE.includes(doc.doc)) missing.push(`${path}${name}: doc`);
        if (shape === "value") {
          if (!new RegExp(`^#?${name} = `, "m").test(block)) missing.push(`${path}${name}`);
          if (form === "" || !EXAMPLE.includes(form)) missing.push(`${path}${name}: form`);
        } else {
          const header = shape === "table" ? `[${path}${name}]` : `[[${path}${name}]]`;
          const blocks = EXAMPLE.split(`${header}\n`).slice(1);
          for (const [index, inner] of variants.entries()) visit(inner, blocks[index] ?? "", `${name}.`);
        }
      }
    };
    visit(keysOf(Schema).flat(), EXAMPLE, "");
    expect(missing).toEqual([]);
  });
});
