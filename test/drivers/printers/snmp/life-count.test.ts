import { expect, test } from "vitest";
import type { SnmpConnection } from "../../../../drivers/printers/snmp/connection.ts";
import { SnmpError } from "../../../../drivers/printers/snmp/connection.ts";
import { oneCount, readLifeCount } from "../../../../drivers/printers/snmp/life-count.ts";
import type { Row } from "../../../../drivers/printers/snmp/walk.ts";
import { FakeClock } from "../../../sim/clock.ts";

const row = (unit: unknown, count: unknown, index = "1"): Row => ({ index, values: [unit, count] });

test.each<[string, Row[], object | undefined]>([
  ["impressions", [row(7, 120)], { value: 120, unit: "impressions" }],
  ["sheets", [row(8, 60)], { value: 60, unit: "sheets" }],
  ["a unit that has no name", [row(99, 60)], { value: 60 }],
  ["the whole of a Counter32", [row(7, 4_294_967_295)], { value: 4_294_967_295, unit: "impressions" }],
  [
    "a marker that does not count beside one that does",
    [row(7, -2), row(7, 9, "2")],
    { value: 9, unit: "impressions" },
  ],
  ["markers that say the same", [row(7, 9), row(7, 9, "2")], { value: 9, unit: "impressions" }],
  ["a marker for each colour: no one count is the pages", [row(7, 900), row(7, 300, "2")], undefined],
  ["markers that count in other units", [row(7, 9), row(8, 9, "2")], undefined],
  ["nothing", [], undefined],
])("%s", (_name, rows, count) => {
  expect(oneCount(rows)).toEqual(count);
});

test("an agent that fails, that goes on for ever or that takes for ever has none", async () => {
  const clock = new FakeClock();
  const agent = (next: SnmpConnection["next"]) =>
    readLifeCount({ next, get: async () => [], close: () => {} }, "1", clock);
  expect(await agent(() => Promise.reject(new SnmpError("snmp-no-answer")))).toBeUndefined();
  let rows = 0;
  const endless = async (oids: readonly string[]) => {
    rows += 1;
    return oids.map((oid) => ({ oid: `${oid.split(".").slice(0, 11).join(".")}.1.${rows}`, value: 7 }));
  };
  expect(await agent(endless)).toBeUndefined();
  expect(rows).toBe(20);
  const slow = async (oids: readonly string[]) => {
    clock.advance(2000);
    return endless(oids);
  };
  rows = 0;
  expect(await agent(slow)).toBeUndefined();
  expect(rows).toBe(2);
});
