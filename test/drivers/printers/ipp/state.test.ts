import { describe, expect, test } from "vitest";
import { boolean, enumeration, integer, keyword } from "../../../../drivers/printers/ipp/attributes.ts";
import { jobStatusOf, printerStateOf, refusalOf } from "../../../../drivers/printers/ipp/state.ts";
import { job, printerGroup } from "./scripted-printer.ts";

const printer = (state: number, accepting: boolean, ...reasons: string[]) =>
  printerStateOf(
    printerGroup(
      enumeration("printer-state", state),
      keyword("printer-state-reasons", ...reasons),
      boolean("printer-is-accepting-jobs", accepting),
    ),
  );

describe("what keeps paper from coming out", () => {
  test.each([
    ["nothing to say", 3, true, ["none"], []],
    ["a warning and a report", 3, true, ["media-low-warning", "media-empty-report", "toner-low-warning"], []],
    ["an error of any name", 4, true, ["acme-fuser-error"], ["acme-fuser-error"]],
    ["a known reason without severity", 3, true, ["media-jam", "toner-low"], ["media-jam"]],
    ["an unknown reason without severity", 4, true, ["acme-thinking"], []],
    ["a jam as warning only", 4, true, ["media-jam-warning"], []],
    ["stopped, with the reason", 5, true, ["cover-open", "paused"], ["cover-open", "paused"]],
    ["stopped, without a reason", 5, true, ["none"], ["stopped"]],
    ["stopped, with a warning only", 5, true, ["toner-low-warning"], ["stopped"]],
    ["not accepting jobs", 3, false, ["none"], ["not-accepting-jobs"]],
  ])("%s", (_name, state, accepting, reasons, blocking) => {
    expect(printer(state, accepting, ...reasons).blocking).toEqual(blocking);
  });

  test("a state that no printer has is a bad reply", () => {
    expect(() => printer(9, true, "none")).toThrow("printer-bad-reply");
    expect(() => printerStateOf(undefined)).toThrow("printer-bad-reply");
  });
});

test.each([
  [3, "pending"],
  [4, "pending-held"],
  [5, "processing"],
  [6, "processing-stopped"],
  [7, "canceled"],
  [8, "aborted"],
  [9, "completed"],
  [99, "pending"],
])("job-state %i reads as %s", (state, word) => {
  expect(jobStatusOf(job(1, "a", state))?.state).toBe(word);
});

test("jobs that wait are told where they are counted", () => {
  const queued = (value: number) =>
    printerStateOf(printerGroup(enumeration("printer-state", 3), integer("queued-job-count", value)));
  expect(queued(2)).toMatchObject({ queued: 2 });
  expect(queued(-1)).not.toHaveProperty("queued");
});

test("page counts are told where they are counts", () => {
  const counted = (value: number) => jobStatusOf(job(1, "a", 9, integer("job-impressions-completed", value)));
  expect(counted(12)).toMatchObject({ impressions: 12 });
  expect(counted(-1)).not.toHaveProperty("impressions");
});

test.each([
  [0x0000, undefined],
  [0x0001, undefined],
  [0x0400, "printer-refused"],
  [0x0401, "printer-auth-required"],
  [0x0402, "printer-auth-required"],
  [0x0403, "printer-auth-required"],
  [0x040a, "printer-format-unsupported"],
  [0x0502, "printer-unavailable"],
  [0x0504, "printer-unavailable"],
  [0x0505, "printer-unavailable"],
  [0x0506, "printer-not-accepting"],
  [0x0507, "printer-busy"],
  [0x0500, "printer-unavailable"],
  [0x0599, "printer-unavailable"],
])("IPP status %i maps to %s", (code, expected) => {
  expect(refusalOf({ version: 0x0200, code, requestId: 1, groups: [], data: new Uint8Array(0) })?.code).toBe(expected);
});
