import { afterEach, describe, expect, test, vi } from "vitest";
import { silentLog } from "../../drivers/log.ts";
import type { SnmpAccess } from "../../drivers/printers/snmp/access.ts";
import { SnmpHealth } from "../../drivers/printers/snmp/session.ts";
import { FakeClock } from "../sim/clock.ts";
import type { PrinterRows, Snmpd } from "./snmpd.ts";
import { JAMMED, READY, startSnmpd, V3 } from "./snmpd.ts";

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function agent(rows: PrinterRows, v3 = V3): Promise<Snmpd> {
  const snmpd = await startSnmpd(rows, "public", v3);
  cleanups.push(() => snmpd.stop());
  return snmpd;
}

const V2C: SnmpAccess = { version: "2c", community: "public" };

function watch({ port }: Snmpd, access = V2C, timeoutMs = 1250) {
  const clock = new FakeClock();
  const health = new SnmpHealth({ host: "127.0.0.1", port, access, clock, log: silentLog, timeoutMs });
  cleanups.push(() => health.stop());
  /** Lets the next poll run and end, and with it the reading of facts that it may start: one timer is left. */
  const poll = async (ms = 5_000) => {
    const { answers, failures } = health.counters;
    clock.advance(ms);
    await vi.waitFor(
      () => {
        expect(health.counters.answers + health.counters.failures).toBe(answers + failures + 1);
        expect(clock.pending).toBe(1);
      },
      { interval: 2, timeout: 10_000 },
    );
  };
  health.start();
  return { health, clock, poll };
}

test("a jam is shown after two polls, and its end at once", async () => {
  const snmpd = await agent(READY);
  const { health, clock, poll } = watch(snmpd);
  expect(health.verdict()).toEqual({ verdict: "unknown", conditions: [], at: undefined });
  await poll(0);
  expect(health.verdict()).toEqual({ verdict: "ready", conditions: [], at: 0 });
  await snmpd.set(JAMMED);
  await poll();
  expect(health.verdict()).toEqual({ verdict: "ready", conditions: ["jammed"], at: 5_000 });
  await poll();
  expect(health.verdict()).toEqual({ verdict: "blocked", conditions: ["jammed"], at: 10_000 });
  await snmpd.set(READY);
  await poll();
  expect(health.verdict()).toEqual({ verdict: "ready", conditions: [], at: 15_000 });
  expect(health.counters).toEqual({ polls: 4, answers: 4, failures: 0, malformed: 0, sessions: 1 });
  expect(clock.pending).toBe(1);
});

test("hurry polls each second for 30 s, then every 5 s again", async () => {
  const { health, clock, poll } = watch(await agent(READY));
  await poll(0);
  health.hurry();
  for (let second = 0; second < 30; second++) await poll(1_000);
  clock.advance(4_999);
  expect(health.counters.polls).toBe(31);
  await poll(1);
  expect(health.counters.polls).toBe(32);
});

test("the printer's index is found, and found again when the agent renumbers its devices", async () => {
  const snmpd = await agent({ ...READY, index: 7 });
  const { health, poll } = watch(snmpd);
  await poll(0);
  expect(health.verdict().verdict).toBe("ready");
  await snmpd.set({ ...READY, index: 12 });
  await poll();
  expect(health.verdict().verdict).toBe("unknown");
  await poll();
  expect(health.verdict().verdict).toBe("ready");
});

test.each<[string, PrinterRows["errorState"]]>([
  ["an INTEGER", ["integer", "4"]],
  ["text", ["string", "0400"]],
  ["one octet", ["octet", "04"]],
])("an error state sent as %s is understood", async (_name, errorState) => {
  const { health, poll } = watch(await agent({ ...JAMMED, errorState }));
  await poll(0);
  expect(health.verdict()).toMatchObject({ verdict: "unknown", conditions: ["jammed"] });
  await poll();
  expect(health.verdict()).toMatchObject({ verdict: "blocked", conditions: ["jammed"] });
});

test("an agent without the printer's columns is unknown, and the other columns still count", async () => {
  const snmpd = await agent({});
  const { health, poll } = watch(snmpd);
  await poll(0);
  expect(health.verdict().verdict).toBe("unknown");
  await snmpd.set({ printerStatus: 3 });
  await poll();
  expect(health.verdict().verdict).toBe("ready");
});

test("a wrong community is unknown, with a reason for the technician", async () => {
  const { health, poll } = watch(await agent(READY), { version: "2c", community: "wrong" }, 40);
  await poll(0);
  expect(health.verdict()).toEqual({ verdict: "unknown", conditions: [], at: undefined });
  expect(health.problem?.code).toBe("snmp-no-answer");
});

test("a killed agent never blocks: unknown at once, and its verdict grows stale without a poll too", async () => {
  const snmpd = await agent(JAMMED);
  // The agent's first answer waits for its table script to start; what follows may have a short time-out.
  await watch(snmpd).poll(0);
  const { health, clock, poll } = watch(snmpd, V2C, 250);
  await poll(0);
  await poll();
  expect(health.verdict().verdict).toBe("blocked");
  await snmpd.kill();
  clock.advance(15_001);
  expect(health.verdict().verdict).toBe("unknown");
  await vi.waitFor(() => expect(health.counters.failures).toBe(1), { interval: 5 });
  expect(health.verdict().verdict).toBe("unknown");
  clock.advance(5_000);
  await vi.waitFor(() => expect(health.counters.sessions).toBe(2), { interval: 5 });
});

describe("SNMPv1", () => {
  const v1: SnmpAccess = { version: "1", community: "public" };

  test("is asked object by object, because it refuses a request for one that it lacks", async () => {
    const { health, poll } = watch(await agent({ printerStatus: 3 }), v1);
    await poll(0);
    expect(health.verdict().verdict).toBe("ready");
    expect(health.problem).toBeUndefined();
  });

  test("an agent that lists no printer is told apart from one that does not answer", async () => {
    const { health, poll } = watch(await agent({ index: 1, ...READY, listed: false }), v1);
    await poll(0);
    expect(health.problem?.code).toBe("snmp-no-printer");
  });
});

describe("SNMPv3", () => {
  test.each([
    ["SHA-256 and AES", V3],
    ["SHA-512 and AES", { ...V3, authProtocol: "sha512" }],
    ["SHA and AES", { ...V3, authProtocol: "sha" }],
    ["SHA-256 alone", { ...V3, privPassword: undefined }],
  ] as const)("by %s", async (_name, access) => {
    const { health, poll } = watch(await agent(JAMMED, access), access);
    await poll(0);
    await poll();
    expect(health.problem).toBeUndefined();
    expect(health.verdict()).toMatchObject({ verdict: "blocked", conditions: ["jammed"] });
  });

  test.each([
    ["user", { ...V3, user: "nobody" }, "snmp-unknown-user"],
    ["authentication password", { ...V3, authPassword: "another12345" }, "snmp-wrong-auth-key"],
    ["authentication protocol", { ...V3, authProtocol: "sha512" }, "snmp-wrong-auth-key"],
    ["privacy password", { ...V3, privPassword: "another12345" }, "snmp-privacy-silence"],
  ] as const)("a wrong %s is named, blocks nothing and is in no message", async (_name, access, code) => {
    const { health, poll } = watch(await agent(READY), access, 250);
    await poll(0);
    expect(health.problem?.code).toBe(code);
    expect(health.verdict().verdict).toBe("unknown");
    expect(JSON.stringify([health.problem, String(health.problem)])).not.toMatch(/pass12345|another12345/);
  });

  test("a lower level than the agent wants is named", async () => {
    const { health, poll } = watch(await agent(READY), { ...V3, privPassword: undefined }, 250);
    await poll(0);
    expect(health.verdict().verdict).toBe("unknown");
    expect(health.problem?.code).toMatch(/snmp-(wrong-level|bad-answer)/);
  });

  test.each(["raised", "as before"] as const)(
    "a restart with the boots %s costs a poll or two, no more",
    async (boots) => {
      const snmpd = await agent(READY);
      const { health, poll } = watch(snmpd, V3, 500);
      await poll(0);
      await snmpd.set(JAMMED);
      await snmpd.restart(boots);
      let polls = 0;
      while (health.verdict().verdict !== "blocked" && polls < 6) {
        await poll();
        polls += 1;
      }
      // Two of them are what a block takes in any case.
      expect(polls).toBeLessThanOrEqual(4);
      expect(health.verdict()).toMatchObject({ verdict: "blocked", conditions: ["jammed"] });
    },
  );
});
