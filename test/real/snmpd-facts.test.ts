import { afterEach, describe, expect, test, vi } from "vitest";
import { silentLog } from "../../drivers/log.ts";
import type { SnmpAccess } from "../../drivers/printers/snmp/access.ts";
import { SnmpHealth } from "../../drivers/printers/snmp/session.ts";
import { FakeClock } from "../sim/clock.ts";
import type { PrinterRows, Snmpd } from "./snmpd.ts";
import { OFFICE_MFD, READY, startSnmpd, V3 } from "./snmpd.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function agent(rows: PrinterRows): Promise<Snmpd> {
  const snmpd = await startSnmpd(rows);
  cleanups.push(() => snmpd.stop());
  return snmpd;
}

const V2C: SnmpAccess = { version: "2c", community: "public" };

function healthOf({ port }: Snmpd, access: SnmpAccess, clock: FakeClock): SnmpHealth {
  const health = new SnmpHealth({ host: "127.0.0.1", port, access, clock, log: silentLog });
  cleanups.push(() => health.stop());
  return health;
}

function watch(snmpd: Snmpd, access = V2C) {
  const clock = new FakeClock();
  const health = healthOf(snmpd, access, clock);
  /** Lets the next poll run, and what it starts: the one timer that is left then is that of the poll after it. */
  const poll = async (ms = 5_000) => {
    const { answers } = health.counters;
    clock.advance(ms);
    await vi.waitFor(() => expect([health.counters.answers, clock.pending]).toEqual([answers + 1, 1]), {
      interval: 2,
      timeout: 10_000,
    });
  };
  const facts = () => health.report.latest?.facts;
  const readings = () => health.report.counters.factReadings;
  health.start();
  return { health, clock, poll, facts, readings };
}

const unknown = { kind: "unknown" };
const WELL = { nonCriticalAlerts: false, criticalAlerts: false, offline: false, transitioning: false };
const OFFICE_FACTS = {
  name: "mfd-lobby",
  serialNumber: "4711",
  lifeCount: { value: 123_456, unit: "impressions" },
  supplies: [
    {
      type: "tonerCartridge",
      colour: "black",
      description: "Black Toner",
      kind: "consumed",
      unit: "percent",
      level: { kind: "amount", value: 4 },
      max: { kind: "amount", value: 100 },
      percent: 4,
      state: "low",
    },
    {
      type: "wasteToner",
      description: "Waste Toner Box",
      kind: "receptacle",
      unit: "impressions",
      level: { kind: "some" },
      max: unknown,
    },
  ],
  inputs: [
    {
      index: "1",
      name: "Tray 1",
      media: "iso_a4_210x297mm",
      unit: "sheets",
      level: { kind: "some" },
      max: { kind: "amount", value: 550 },
      status: { availability: "idle", ...WELL },
    },
    {
      index: "2",
      name: "Bypass [2J",
      unit: "sheets",
      level: { kind: "amount", value: 0 },
      max: { kind: "amount", value: 100 },
      status: { availability: "onRequest", ...WELL, nonCriticalAlerts: true },
    },
  ],
  outputs: [
    {
      index: "1",
      unit: "sheets",
      remaining: unknown,
      max: { kind: "amount", value: 250 },
      status: { availability: "idle", ...WELL },
    },
  ],
  covers: [
    { description: "Front cover", state: "closed" },
    { description: "Duplexer", state: "interlockClosed" },
  ],
  alerts: [
    {
      severity: "warning",
      group: "markerSupplies",
      groupIndex: 1,
      code: "markerTonerAlmostEmpty",
      description: "Toner low",
    },
  ],
  console: ["準備"],
  truncated: false,
};

test.each<[string, SnmpAccess]>([
  ["SNMPv1", { version: "1", community: "public" }],
  ["SNMPv2c", V2C],
  ["SNMPv3", V3],
])("the facts of an office MFD over %s, beside the first poll", async (_name, access) => {
  const { poll, facts, health } = watch(await agent({ ...READY, mib: OFFICE_MFD }), access);
  await poll(0);
  expect(facts()).toEqual(OFFICE_FACTS);
  expect(health.counters).toMatchObject({ polls: 1, answers: 1, malformed: 0, sessions: 1 });
});

test("they are read each minute, at once when the printer says that they changed, and no older ones are shown", async () => {
  const snmpd = await agent({ ...READY, mib: OFFICE_MFD });
  const { health, clock, poll, facts, readings } = watch(snmpd);
  await poll(0);
  // A level moves no counter.
  await snmpd.set({ ...READY, mib: { ...OFFICE_MFD, "11.1.1.9.1.1": ["integer", "0"] } });
  for (let polls = 0; polls < 11; polls++) await poll();
  expect([readings(), facts()?.supplies[0]?.state]).toEqual([1, "low"]);
  await poll();
  expect([readings(), facts()?.supplies[0]?.state]).toEqual([2, "empty"]);
  await snmpd.set({
    ...READY,
    mib: { ...OFFICE_MFD, "5.1.1.18.1": ["counter", "1"], "6.1.1.3.1.1": ["integer", "3"] },
  });
  await poll();
  expect([readings(), facts()?.covers[0]?.state]).toEqual([3, "open"]);
  await snmpd.kill();
  clock.advance(200_001);
  expect(facts()).toBeUndefined();
  expect(health.report.latest).toBeUndefined();
});

test("a counter that moves with each poll costs no reading a second", async () => {
  const snmpd = await agent({ ...READY, mib: OFFICE_MFD });
  const { health, poll, readings } = watch(snmpd);
  await poll(0);
  health.hurry();
  for (let second = 1; second <= 10; second++) {
    await snmpd.set({ ...READY, mib: { ...OFFICE_MFD, "5.1.1.1.1": ["counter", String(100 + second)] } });
    await poll(1_000);
  }
  expect(readings()).toBe(3);
});

describe("noPaper of a printer that is not down", () => {
  const EMPTY: PrinterRows = { ...READY, errorState: ["octet", "40"] };

  test("does not block while a tray has some (-3)", async () => {
    const { health, poll } = watch(await agent({ ...EMPTY, mib: OFFICE_MFD }));
    for (const ms of [0, 5_000, 5_000, 5_000]) await poll(ms);
    expect(health.verdict()).toMatchObject({ verdict: "ready", conditions: ["noPaper"] });
  });

  test("blocks when all trays are empty, after two polls, and no longer once the bit is gone", async () => {
    const snmpd = await agent({ ...READY, mib: OFFICE_MFD });
    const { health, poll } = watch(snmpd);
    await poll(0);
    const mib = { ...OFFICE_MFD, "8.2.1.10.1.1": ["integer", "0"] } as const;
    await snmpd.set({ ...EMPTY, mib });
    await poll(); // sees the bit, and reads the trays because of it
    await poll();
    expect(health.verdict()).toMatchObject({ verdict: "ready" });
    await poll();
    expect(health.verdict()).toMatchObject({ verdict: "blocked", conditions: ["noPaper"] });
    await snmpd.set({ ...READY, mib });
    await poll();
    expect(health.verdict()).toMatchObject({ verdict: "ready", conditions: [] });
  });
});

test("a printer without the Printer MIB has no facts, and its verdict all the same", async () => {
  const { health, poll, facts } = watch(await agent(READY));
  await poll(0);
  expect(health.verdict().verdict).toBe("ready");
  expect(facts()).toEqual({
    supplies: [],
    inputs: [],
    outputs: [],
    covers: [],
    alerts: [],
    console: [],
    truncated: false,
  });
});

test("a table of a thousand rows is cut, and said to be, and no other is", async () => {
  const rows = Array.from({ length: 1000 }, (_, i) => [`18.1.1.2.1.${i + 1}`, ["integer", "3"]] as const);
  const { poll, facts, health } = watch(await agent({ ...READY, mib: { ...OFFICE_MFD, ...Object.fromEntries(rows) } }));
  await poll(0);
  expect(facts()?.alerts).toHaveLength(32);
  expect(facts()?.truncated).toBe(true);
  // The tables after it are read all the same.
  expect(facts()).toMatchObject({ outputs: OFFICE_FACTS.outputs, console: OFFICE_FACTS.console });
  expect(health.verdict().verdict).toBe("ready");
});

test("a poll does not wait for a reading: it goes out while one is under way", async () => {
  const snmpd = await agent({ ...READY, mib: OFFICE_MFD });
  const clock = new FakeClock();
  const health = healthOf(snmpd, V2C, clock);
  health.start();
  clock.advance(0);
  await vi.waitFor(() => expect(health.counters.answers).toBe(1), { interval: 1 });
  health.hurry();
  // The reading's requests are in flight; a second later the next poll is due.
  clock.advance(1_000);
  expect(health.counters.polls).toBe(2);
  expect(health.report.counters.factReadings).toBe(0);
  await vi.waitFor(() => expect(health.counters.answers).toBe(2), { timeout: 10_000 });
  await vi.waitFor(() => expect(health.report.counters.factReadings).toBe(1), { timeout: 10_000 });
});

test("one look learns a block and the facts, and leaves nothing open", async () => {
  const snmpd = await agent({ deviceStatus: 5, printerStatus: 1, errorState: ["octet", "08"], mib: OFFICE_MFD });
  const clock = new FakeClock();
  const health = healthOf(snmpd, V2C, clock);
  await health.look();
  expect(health.verdict()).toMatchObject({ verdict: "blocked", conditions: ["doorOpen"] });
  expect(health.report.latest?.facts).toEqual(OFFICE_FACTS);
  await health.stop();
  expect(clock.pending).toBe(0);
});
