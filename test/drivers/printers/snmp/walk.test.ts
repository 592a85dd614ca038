import fc from "fast-check";
import { expect, test } from "vitest";
import type { SnmpConnection, SnmpObject } from "../../../../drivers/printers/snmp/connection.ts";
import { SnmpError } from "../../../../drivers/printers/snmp/connection.ts";
import { Budget, walkTable } from "../../../../drivers/printers/snmp/walk.ts";

const SHAPE = { entry: "1.3.9", columns: [2, 5] };

function connection(next: SnmpConnection["next"]): SnmpConnection {
  return { next, get: async () => [], close: () => {} };
}

/** An agent that has these objects, in order. */
function agentWith(objects: readonly SnmpObject[]): SnmpConnection["next"] {
  const key = (oid: string) =>
    oid
      .split(".")
      .map((arc) => arc.padStart(10, "0"))
      .join(".");
  const sorted = [...objects].sort((a, b) => (key(a.oid) < key(b.oid) ? -1 : 1));
  return async (oids) => oids.map((oid) => sorted.find((object) => key(object.oid) > key(oid)));
}

const lavish = () => new Budget(1000, 1e6, () => false);

test("rows come by index, with gaps, of this device alone and not from beyond the column", async () => {
  const next = agentWith([
    { oid: "1.3.9.2.1.10", value: "ten" },
    { oid: "1.3.9.2.1.2", value: "two" },
    { oid: "1.3.9.2.2.1", value: "another device's" },
    { oid: "1.3.9.5.1.2", value: 22 },
    { oid: "1.3.9.5.1.3", value: 33 },
    { oid: "1.3.9.6.1.1", value: "another column's" },
  ]);
  const budget = lavish();
  expect(await walkTable(connection(next), SHAPE, "1", budget)).toEqual([
    { index: "2", values: ["two", 22] },
    { index: "3", values: [undefined, 33] },
    { index: "10", values: ["ten", undefined] },
  ]);
  expect(budget.truncated).toBe(false);
});

test("an agent that cannot answer two at once is asked one by one", async () => {
  const all = agentWith([
    { oid: "1.3.9.2.1.1", value: 1 },
    { oid: "1.3.9.5.1.1", value: 2 },
  ]);
  const next: SnmpConnection["next"] = async (oids) => {
    if (oids.length > 1) throw new SnmpError("snmp-bad-answer");
    return all(oids);
  };
  expect(await walkTable(connection(next), SHAPE, "1", lavish())).toEqual([{ index: "1", values: [1, 2] }]);
});

test("silence is not answered by more questions", async () => {
  let asked = 0;
  const next: SnmpConnection["next"] = async () => {
    asked++;
    throw new SnmpError("snmp-no-answer");
  };
  await expect(walkTable(connection(next), SHAPE, "1", lavish())).rejects.toMatchObject({ code: "snmp-no-answer" });
  expect(asked).toBe(1);
});

test("a table without end is left after 32 rows, and said to be cut", async () => {
  let row = 0;
  const budget = lavish();
  const next: SnmpConnection["next"] = async (oids) => {
    row++;
    return oids.map((_, i) => ({ oid: `1.3.9.${SHAPE.columns[i]}.1.${row}`, value: row }));
  };
  expect(await walkTable(connection(next), SHAPE, "1", budget)).toHaveLength(32);
  expect(budget.truncated).toBe(true);
  expect(row).toBe(33);
});

test("octets and time are bounded too", async () => {
  const endless = (): SnmpConnection["next"] => {
    let row = 0;
    return async () => [{ oid: `1.3.9.2.1.${++row}`, value: Buffer.alloc(1000) }];
  };
  const one = { entry: "1.3.9", columns: [2] };
  expect(await walkTable(connection(endless()), one, "1", new Budget(1000, 4_500, () => false))).toHaveLength(5);
  let now = 0;
  const timed = new Budget(1000, 1e6, () => ++now > 3);
  expect(await walkTable(connection(endless()), one, "1", timed)).toHaveLength(3);
});

test("any agent: it ends, within the budget", async () => {
  const object = fc.record({
    oid: fc.oneof(
      fc.tuple(fc.constantFrom(2, 5, 6), fc.nat(3), fc.nat(5)).map(([c, d, r]) => `1.3.9.${c}.${d}.${r}`),
      fc.constantFrom("", "1.3.9.2.1.", "1.3.9.2.1.x", "1.3.9.5.1.1.2.3.4", "2.1"),
    ),
    value: fc.anything(),
  });
  const answers = fc.array(fc.array(fc.option(object, { nil: undefined }), { maxLength: 3 }), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(answers, async (script) => {
      let asked = 0;
      const next: SnmpConnection["next"] = async () => script[asked++ % script.length] ?? [];
      const rows = await walkTable(connection(next), SHAPE, "1", new Budget(50, 10_000, () => false));
      expect(asked).toBeLessThanOrEqual(50);
      for (const { index, values } of rows) {
        expect(index).toMatch(/^[\d.]+$/);
        expect(values).toHaveLength(2);
      }
    }),
  );
});
