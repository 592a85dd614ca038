import { expect, test } from "vitest";
import { type AgentStatus, quietHint, summed, verdictOf } from "../../../agent/health/status.ts";

test("a failure that two parts count is in the status as often as it was counted", () => {
  expect(summed({ accepted: 2, "link-timeout": 1 }, {}, { "link-timeout": 3 })).toEqual({
    accepted: 2,
    "link-timeout": 4,
  });
});

test("a reader that has read nothing for long is a hint, and no hint is a problem", () => {
  const hour = 3_600_000;
  expect(quietHint(9 * hour, 8)).toBe(
    "no card for 9 h, and one is expected every 8 h: tap a card to see whether it still reads",
  );
  expect(quietHint(8 * hour, 8)).toBeUndefined();
  expect(quietHint(10_000 * hour, undefined)).toBeUndefined();
  const status: Omit<AgentStatus, "taps" | "counters"> = {
    version: "1",
    name: "lobby",
    pid: 7,
    uptimeMs: 9 * hour,
    central: { status: "connected", counters: {} },
    readers: [
      { name: "front", family: "tcp-line", printer: "mfd-1", status: "ready", forMs: 1, hint: "no card", counters: {} },
    ],
    printers: [],
    ledger: {
      health: { fresh: true, tornBytes: 0, damagedLines: 0, unknownRecords: 0 },
      open: 0,
      unreported: 0,
      inDoubt: 0,
    },
    memoryMiB: 1,
  };
  expect(verdictOf(status)).toEqual({ status: "ready", line: "Ready", problems: [] });
});

test("a printer to which nothing is sent until somebody acts is a problem, with its next step", () => {
  const error = { code: "printer-key-unknown", detail: "sha256/x", what: "Its key changed.", next: "Trust it." };
  const printer = { name: "mfd-1", uri: "ipps://mfd/", snmp: "ready", conditions: [], depth: 0, counters: {} } as const;
  const ledger = { health: { fresh: true, tornBytes: 0, damagedLines: 0, unknownRecords: 0 }, open: 0, unreported: 0 };
  const status = {
    ...{ version: "1", name: "lobby", pid: 7, uptimeMs: 1, memoryMiB: 50, readers: [] },
    central: { status: "connected", counters: {} },
    printers: [
      { ...printer, error },
      { ...printer, name: "mfd-2" },
    ],
    ledger: { ...ledger, inDoubt: 0 },
  } as const;
  expect(verdictOf(status)).toEqual({
    status: "degraded",
    line: "Degraded: printer mfd-1",
    problems: ["printer mfd-1: Its key changed. (sha256/x) Trust it."],
  });
});
