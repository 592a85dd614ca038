import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeFacts,
  decodeInteger,
  decodeLevel,
  decodeStatus,
  type RawFacts,
  TABLES,
} from "../../../../drivers/printers/snmp/facts.ts";
import { decodeText } from "../../../../drivers/printers/snmp/text.ts";
import type { Row } from "../../../../drivers/printers/snmp/walk.ts";

const text = (value: string) => Buffer.from(value);
const row = (index: string, ...values: unknown[]): Row => ({ index, values });
const NONE: RawFacts["tables"] = {
  inputs: [],
  covers: [],
  localizations: [],
  supplies: [],
  colorants: [],
  alerts: [],
  outputs: [],
  markers: [],
  console: [],
};
const facts = (tables: Partial<RawFacts["tables"]>, general: unknown[] = []) =>
  decodeFacts({ general, tables: { ...NONE, ...tables }, truncated: false });

test.each([
  [0, { kind: "amount", value: 0 }],
  [750, { kind: "amount", value: 750 }],
  [-1, { kind: "unlimited" }],
  [-2, { kind: "unknown" }],
  [-3, { kind: "some" }],
  [-4, { kind: "unknown" }],
  [text("-3"), { kind: "some" }],
  [text("40"), { kind: "amount", value: 40 }],
  [text("many"), { kind: "unknown" }],
  [1e300, { kind: "unknown" }],
  [undefined, { kind: "unknown" }],
])("the level %j", (value, level) => expect(decodeLevel(value)).toEqual(level));

describe("a supply", () => {
  const CONSUMED = 3;
  const RECEPTACLE = 4;
  const supply = (kind: unknown, max: unknown, level: unknown, unit: unknown = 7) =>
    facts({ supplies: [row("1", 1, kind, 21, text("Toner"), unit, max, level)], colorants: [row("1", text("Black"))] })
      .supplies[0];

  test.each([
    ["half full", CONSUMED, 10_000, 5_000, 7, { percent: 50, state: "ok" }],
    ["low", CONSUMED, 10_000, 500, 7, { percent: 5, state: "low" }],
    ["nearly empty", CONSUMED, 10_000, 100, 7, { percent: 1, state: "empty" }],
    ["empty, of unknown capacity", CONSUMED, -2, 0, 7, { state: "empty" }],
    ["percent of unknown capacity", CONSUMED, -2, 4, 19, { percent: 4, state: "low" }],
    ["a number of unknown capacity", CONSUMED, -2, 4, 7, { state: "ok" }],
    ["more than its capacity", CONSUMED, 100, 2_147_483_647, 19, { percent: 100, state: "ok" }],
    ["some left", CONSUMED, 100, -3, 19, { state: "ok" }],
    ["a receptacle with a tenth of its room", RECEPTACLE, 100, 10, 19, { percent: 90 }],
    ["a full receptacle, which is no empty supply", RECEPTACLE, 100, 0, 19, { percent: 100 }],
  ])("%s", (_name, kind, max, level, unit, wanted) => {
    const { percent, state } = supply(kind, max, level, unit) ?? {};
    expect({ ...(percent === undefined ? {} : { percent }), ...(state === undefined ? {} : { state }) }).toEqual(
      wanted,
    );
  });

  test("has the names of its type, unit, colour and class", () => {
    expect(supply(CONSUMED, 100, -2)).toEqual({
      type: "tonerCartridge",
      colour: "black",
      description: "Toner",
      kind: "consumed",
      unit: "impressions",
      level: { kind: "unknown" },
      max: { kind: "amount", value: 100 },
    });
  });
});

test("an alert has the names of its parts; of an unknown code only the severity counts", () => {
  expect(
    facts({
      alerts: [
        row("1", 3, 8, 2, 17, 808, text("Tray 2 is empty")),
        row("2", 4, 99, -1, -1, 30_001, 7),
        row("3", "x", undefined, null, {}, [], text("")),
      ],
    }).alerts,
  ).toEqual([
    {
      severity: "critical",
      group: "input",
      groupIndex: 2,
      location: 17,
      code: "inputMediaSupplyEmpty",
      description: "Tray 2 is empty",
    },
    { severity: "warning", description: "7" },
    { severity: "other" },
  ]);
});

test("a sub-unit's status is one availability and four flags", () => {
  const none = { nonCriticalAlerts: false, criticalAlerts: false, offline: false, transitioning: false };
  expect(decodeStatus(0)).toEqual({ availability: "idle", ...none });
  expect(decodeStatus(19)).toEqual({ availability: "broken", ...none, criticalAlerts: true });
  expect(decodeStatus(41)).toEqual({ availability: "onRequest", ...none, nonCriticalAlerts: true, offline: true });
  for (const odd of [7, -1, 128, 1e9, undefined, text("?")]) expect(decodeStatus(odd)).toBeUndefined();
});

describe("text", () => {
  test.each<[string, Buffer, number | undefined, string | undefined]>([
    ["Shift_JIS, declared", Buffer.from("8f8094f5838083528365", "hex"), 17, Buffer.from("準備ムコテ").toString()],
    ["UTF-8, declared", text("Papierstau – Fach 2"), 106, "Papierstau – Fach 2"],
    ["UTF-8, declared as ASCII", text("Klappe öffnen"), 3, "Klappe öffnen"],
    ["Latin-1, declared", Buffer.from("Klappe öffnen", "latin1"), 4, "Klappe öffnen"],
    ["Latin-1, declared as UTF-8", Buffer.from("Klappe öffnen", "latin1"), 106, "Klappe öffnen"],
    ["UTF-16, declared", Buffer.from("004f004b", "hex"), 1000, "OK"],
    ["of an unknown charset", text("Ready"), 999_999, "Ready"],
    [
      "with a terminal's escapes and lines",
      text("\x1b[31mRed\x07\r\n  two\u0085lines\0\0"),
      undefined,
      "[31mRed two lines",
    ],
    ["that turns the writing around", text("a\u202egnp.b\u200b"), undefined, "agnp.b"],
    ["of nothing but blanks", text("  \0 "), undefined, undefined],
  ])("%s", (_name, octets, charset, wanted) => expect(decodeText(octets, charset)).toBe(wanted));

  test("an INTEGER is its digits, anything else is none", () => {
    expect(decodeText(4711)).toBe("4711");
    for (const odd of [undefined, null, "text", {}, Number.NaN, 1.5]) expect(decodeText(odd)).toBeUndefined();
  });

  test("whatever the octets and the charset are: no throw, bounded, safe for a terminal", () => {
    const charset = fc.option(fc.oneof(fc.integer({ min: 0, max: 2300 }), fc.constantFrom(17, 39, 106, 1000, 2026)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), fc.string().map(text)), charset, (octets, of) => {
        const decoded = decodeText(octets, of ?? undefined) ?? "x";
        expect([...decoded].length).toBeLessThanOrEqual(80);
        expect(decoded).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(decoded).toBe(decoded.trim());
        expect(decoded).not.toBe("");
      }),
    );
  });
});

test("the console is read in its own charset, descriptions in that of the current localization", () => {
  const read = facts(
    {
      localizations: [row("1", 106), row("2", 17)],
      console: [row("1", Buffer.from("8f8094f5", "hex")), row("2", text("   ")), row("3", text("OK"))],
      covers: [row("1", text("Vordere Klappe für Toner"), 3), row("2", 5, 5)],
    },
    [1, 2, text("mfd-lobby"), 12_345],
  );
  expect(read.console).toEqual(["準備", "OK"]);
  expect(read.covers).toEqual([
    { description: "Vordere Klappe für Toner", state: "open" },
    { description: "5", state: "interlockOpen" },
  ]);
  expect(read).toMatchObject({ name: "mfd-lobby", serialNumber: "12345" });
});

test("the life count has its unit, and a negative one is none", () => {
  expect(facts({ markers: [row("1", 7, 123_456)] }).lifeCount).toEqual({ value: 123_456, unit: "impressions" });
  expect(facts({ markers: [row("1", 7, -2), row("2", 99, text("88"))] }).lifeCount).toEqual({ value: 88 });
  expect(facts({}).lifeCount).toBeUndefined();
});

test("whatever the agent sends: no throw, and every text is bounded and safe", () => {
  const value = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets)),
    fc.anything(),
    fc.constantFrom(3, 4, 5, 8, 17, 19, 106, -1, -2, -3, undefined, null),
  );
  const rows = (columns: number) =>
    fc.array(fc.record({ index: fc.constantFrom("1", "2", "1.3"), values: fc.array(value, { maxLength: columns }) }), {
      maxLength: 5,
    });
  const tables = fc.record({
    inputs: rows(TABLES.inputs.columns.length),
    covers: rows(2),
    localizations: rows(1),
    supplies: rows(TABLES.supplies.columns.length),
    colorants: rows(1),
    alerts: rows(6),
    outputs: rows(6),
    markers: rows(2),
    console: rows(1),
  });
  fc.assert(
    fc.property(tables, fc.array(value, { maxLength: 5 }), (read, general) => {
      const decoded = decodeFacts({ general, tables: read, truncated: false });
      JSON.stringify(decoded, (_key, one: unknown) => {
        if (typeof one === "string") {
          expect(one.length).toBeLessThanOrEqual(160);
          expect(one).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        }
        if (typeof one === "number") expect(Number.isSafeInteger(one)).toBe(true);
        return one;
      });
      for (const { percent = 0 } of decoded.supplies) expect(percent >= 0 && percent <= 100).toBe(true);
    }),
  );
});

test("an integer of any shape is safe or none", () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(Number.isSafeInteger(decodeInteger(value) ?? 0)).toBe(true);
    }),
  );
});
