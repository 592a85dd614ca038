import { afterEach, expect, test, vi } from "vitest";
import { silentLog } from "../../drivers/log.ts";
import type { SnmpAccess } from "../../drivers/printers/snmp/access.ts";
import { SnmpHealth } from "../../drivers/printers/snmp/session.ts";
import { TrapReceiver } from "../../drivers/printers/snmp/traps.ts";
import { FakeClock } from "../sim/clock.ts";
import { JAMMED, READY, startSnmpd, V3 } from "./snmpd.ts";
import { BY_V2C, BY_V3, snmptrap } from "./snmptrap.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const V2C: SnmpAccess = { version: "2c", community: "public" };
test.each<[string, SnmpAccess, string[]]>([
  ["SNMPv2c", V2C, BY_V2C],
  ["SNMPv3 by SHA-256 and AES", V3, BY_V3],
])("a trap over %s polls at once, twice, and what it says is not believed", async (_name, access, how) => {
  const snmpd = await startSnmpd(READY);
  cleanups.push(() => snmpd.stop());
  const clock = new FakeClock();
  const health = new SnmpHealth({ host: "127.0.0.1", port: snmpd.port, access, clock, log: silentLog });
  cleanups.push(() => health.stop());
  const sources = [{ host: "127.0.0.1", access, trapped: () => health.nudge() }];
  const traps = new TrapReceiver({ host: "127.0.0.1", port: 0, sources, clock, log: silentLog });
  cleanups.push(() => traps.stop());
  const answered = (polls: number) =>
    vi.waitFor(() => expect([health.counters.answers, clock.pending]).toEqual([polls, 1]), {
      interval: 2,
      timeout: 10_000,
    });
  const trap = async (count: number) => {
    await snmptrap(how, traps.port);
    await vi.waitFor(() => expect(traps.counters.traps).toBe(count), { interval: 2 });
  };
  health.start();
  traps.start();
  clock.advance(0);
  await answered(1);

  // "jam", says the trap; the printer says ready.
  clock.advance(2_000);
  await trap(1);
  clock.advance(0);
  await answered(2);
  expect(health.verdict()).toMatchObject({ verdict: "ready", conditions: [] });
  clock.advance(1_000);
  await answered(3);
  expect(health.verdict()).toMatchObject({ verdict: "ready", conditions: [] });

  // Without another trap the next one is due in 5 s.
  clock.advance(2_000);
  expect(health.counters.polls).toBe(3);
  await snmpd.set(JAMMED);
  await trap(2);
  clock.advance(0);
  await answered(4);
  expect(health.verdict().verdict).toBe("ready");
  clock.advance(1_000);
  await answered(5);
  expect(health.verdict()).toMatchObject({ verdict: "blocked", conditions: ["jammed"] });
});
