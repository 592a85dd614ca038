import { expect, it } from "vitest";
import { Supervision } from "../../../agent/health/supervision.ts";
import type { Vital } from "../../../agent/health/watchdog.ts";
import { silentLog } from "../../../drivers/log.ts";
import { FakeClock } from "../../sim/clock.ts";

function begun(watchdogMs: number | undefined) {
  const told: string[] = [];
  const clock = new FakeClock();
  const agent = { line: "Ready", vitals: [] as Vital[] };
  const supervision = new Supervision(
    { notify: (message) => told.push(message), watchdogMs },
    { verdict: () => agent.line, vitals: () => agent.vitals },
    clock,
    silentLog,
  );
  supervision.begin();
  return { told, clock, agent, supervision };
}

it("says that it is ready and how it does, and feeds the watchdog three times in its time", () => {
  const { told, clock } = begun(30_000);
  expect(told).toEqual(["READY=1", "WATCHDOG=1", "STATUS=Ready"]);
  clock.advance(30_000);
  expect(told.slice(3)).toEqual(["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
});

it("tells a verdict when it changes, on one line", () => {
  const { told, clock, agent } = begun(30_000);
  agent.line = "Degraded: reader front,\n\tcentral server";
  clock.advance(20_000);
  expect(told.filter((message) => message.startsWith("STATUS"))).toEqual([
    "STATUS=Ready",
    "STATUS=Degraded: reader front, central server",
  ]);
});

it("starves the watchdog while a part hangs, says which, and feeds it again when the part goes on", () => {
  const { told, clock, agent } = begun(30_000);
  agent.vitals = [{ part: "ledger", busy: true, mark: "1", limitMs: 60_000 }];
  clock.advance(70_000);
  told.length = 0;
  clock.advance(60_000);
  expect(told).toEqual(["STATUS=Hanging: ledger"]);
  agent.vitals = [{ part: "ledger", busy: true, mark: "2", limitMs: 60_000 }];
  clock.advance(10_000);
  expect(told.slice(1)).toEqual(["WATCHDOG=1", "STATUS=Ready"]);
});

it("says that it stops, and nothing after that", () => {
  const { told, clock, supervision } = begun(undefined);
  told.length = 0;
  supervision.end();
  clock.advance(60_000);
  expect(told).toEqual(["STOPPING=1\nSTATUS=Stopping"]);
});
