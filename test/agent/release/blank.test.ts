import { expect, test } from "vitest";
import { type Release, step } from "../../../agent/release/machine.ts";
import type { PrinterJobStatus } from "../../../drivers/printer.ts";

const sent: Release = { phase: "SENT", failures: 0, job: { id: 7, name: "printgate-1" } };
const completed = (counts: Partial<PrinterJobStatus>): PrinterJobStatus => ({
  ...{ id: 7, name: "printgate-1", state: "completed", reasons: ["job-completed-successfully"] },
  ...counts,
});
const tell = (state: Release, counts: Partial<PrinterJobStatus>) =>
  step(state, { type: "status", status: completed(counts) });

test("completed, with no page counted at a second look either: in doubt, not printed by the printer's word alone", () => {
  const first = tell(sent, { impressions: 0 });
  expect(first.state.end).toBeUndefined();
  expect(first.effects).toEqual([{ type: "lookUp" }]);
  const second = tell(first.state, { impressions: 0 });
  expect(second.state).toMatchObject({
    phase: "IN_DOUBT",
    end: { word: "unknown", reason: "completed-without-pages" },
  });
  expect(second.effects).toEqual([{ type: "settle" }]);
});

test("completed, with the pages counted at the second look: printed", () => {
  const { state } = tell(tell(sent, { impressions: 0 }).state, { impressions: 3 });
  expect(state).toMatchObject({ phase: "DONE", end: { word: "printed", impressions: 3 } });
});

test.each([
  ["sheets alone are counted", { impressions: 0, sheets: 2 }],
  ["nothing is known to be counted", {}],
])("completed, where %s: printed", (_, counts) => expect(tell(sent, counts).state.end?.word).toBe("printed"));
