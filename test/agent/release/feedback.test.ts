import { expect, test } from "vitest";
import type { Word } from "../../../agent/protocol/schema.ts";
import { signalForEnd, signalForFailure } from "../../../agent/release/feedback.ts";
import type { Release } from "../../../agent/release/machine.ts";

const ended = (word: Word, reason: string): Release => ({ phase: "DONE", failures: 0, end: { word, reason } });

test("`printed` is shown when the last job of the tap is out, not before", () => {
  const [first, second] = [{ jobId: "1", word: "printed" as const }, { jobId: "2" }];
  expect(signalForEnd(ended("printed", "none"), [first, second])).toBeUndefined();
  expect(signalForEnd(ended("printed", "none"), [first, { ...second, word: "printed" }])).toBe("printed");
  expect(signalForEnd(ended("printed", "none"), [first, { ...second, word: "unknown" }])).toBeUndefined();
});

test("what went wrong shows as the printer's or as a fault; a cancel at the panel shows nothing", () => {
  expect(signalForEnd(ended("not printed", "printer-blocked"), [])).toBe("printer-blocked");
  expect(signalForEnd(ended("unknown", "job-gone-at-printer"), [])).toBe("fault");
  expect(signalForEnd(ended("not printed", "canceled-at-printer"), [])).toBeUndefined();
  expect(signalForEnd({ phase: "SENT", failures: 0 }, [])).toBeUndefined();
});

test("a read that is no card looks like an unknown card", () => {
  expect(signalForFailure("card-pattern-mismatch")).toBe("unknown-card");
  expect(signalForFailure("printer-unreachable")).toBe("printer-blocked");
  expect(signalForFailure("link-timeout")).toBe("fault");
});
