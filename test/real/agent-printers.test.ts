import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";
import { printgate } from "./agent-process.ts";
import { type EvePrinter, startEvePrinter } from "./ippeveprinter.ts";
import { CARD, pdf, Site } from "./site.ts";
import { freeUdpPort, JAMMED, OFFICE_MFD, READY, startSnmpd } from "./snmpd.ts";
import { BY_V2C, snmptrap } from "./snmptrap.ts";
import { until } from "./until.ts";

const WRONG_PIN = `sha256/${"A".repeat(43)}=`;

let site: Site;
const closers: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  site = await Site.start();
  closers.push(() => site.stop());
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startEve(): Promise<EvePrinter> {
  const eve = await startEvePrinter();
  closers.push(() => eve.stop());
  return eve;
}

/** The documents that it took, in order; beside each lies what its command wrote. */
async function printedBy(eve: EvePrinter): Promise<Buffer[]> {
  const files = (await readdir(eve.spool)).filter((name) => name.endsWith(".pdf")).sort();
  return Promise.all(files.map((name) => readFile(join(eve.spool, name))));
}

describe("ippeveprinter", () => {
  test("under another key than the pinned one gets nothing: the job stays held, and the doctor shows the key", async () => {
    const eve = await startEve();
    const installed = await site.install({ printer: `uri = "${eve.secureUri}"\nkey_pins = ["${WRONG_PIN}"]` });
    const agent = await installed.start();
    const document = await site.submit(pdf("secret", 20_000));
    expect(await agent.tap(CARD)).toMatchObject({
      signal: "printer-blocked",
      jobs: [{ word: "not printed", reason: "printer-key-unknown" }],
    });
    expect(await printedBy(eve)).toEqual([]);
    expect(await site.stateOf(document)).toBe("held");
    const doctor = await printgate(["doctor", "--json", "--config", installed.configPath]);
    expect(doctor.code).toBe(1);
    const { checks } = JSON.parse(doctor.stdout);
    expect(checks).toContainEqual(
      expect.objectContaining({ name: "printer mfd", result: "fail", evidence: expect.stringContaining(eve.keyPin) }),
    );
    const status = await printgate(["status", "--json", "--config", installed.configPath]);
    expect(JSON.parse(status.stdout)).toMatchObject({
      verdict: { status: "degraded", problems: [expect.stringContaining("printgate printer trust NAME --replace")] },
      printers: [{ name: "mfd", error: { code: "printer-key-unknown", detail: eve.keyPin } }],
    });
    const sure = ["--replace", "--yes", "--expect", eve.keyPin, "--config", installed.configPath];
    expect((await printgate(["printer", "trust", "mfd", ...sure])).code).toBe(0);
    await agent.stop();
    expect(await (await installed.start()).tap(CARD)).toMatchObject({ signal: "printed", jobs: [{ word: "printed" }] });
  });

  test("is vetoed by its Printer MIB while it reports a jam, and prints when that says ready", async () => {
    const eve = await startEve();
    const snmpd = await startSnmpd(JAMMED);
    closers.push(() => snmpd.stop());
    const installed = await site.install({
      printer: `uri = "${eve.uri}"\n[printer.snmp]\nhost = "127.0.0.1"\nport = ${snmpd.port}`,
    });
    const agent = await installed.start();
    const verdict = (wanted: string, ms: number) =>
      until(`SNMP says ${wanted}`, async () => (await agent.status()).printers[0]?.snmp === wanted, ms);
    const bytes = pdf("vetoed", 20_000);
    const document = await site.submit(bytes);
    await verdict("blocked", 30_000);
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printer-blocked", jobs: [{ reason: "printer-blocked" }] });
    const status = await printgate(["status", "--json", "--config", installed.configPath]);
    expect(status.code).toBe(1);
    expect(JSON.parse(status.stdout).verdict.problems).toEqual([expect.stringContaining("jammed")]);
    expect(await printedBy(eve)).toEqual([]);
    expect(await site.stateOf(document)).toBe("held");
    const doctor = await printgate(["doctor", "--json", "--config", installed.configPath]);
    expect(doctor.code).toBe(1);
    expect(JSON.parse(doctor.stdout).checks).toContainEqual({
      name: "printer mfd",
      result: "fail",
      evidence: expect.stringMatching(/ is idle.*; SNMP says blocked \(jammed\)/),
      next: expect.stringContaining("panel"),
    });
    await snmpd.set(READY);
    // The person who cleared the jam taps again within seconds.
    await verdict("ready", 3000);
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(await printedBy(eve)).toEqual([bytes]);
  }, 60_000);
});

test("what the Printer MIB says of supplies, trays and alerts is in the status, in words and whole", async () => {
  const eve = await startEve();
  const snmpd = await startSnmpd({ ...READY, mib: OFFICE_MFD });
  closers.push(() => snmpd.stop());
  const installed = await site.install({
    printer: `uri = "${eve.uri}"\n[printer.snmp]\nhost = "127.0.0.1"\nport = ${snmpd.port}\ncommunity = "public"`,
  });
  const agent = await installed.start();
  await until("the facts are read", async () => (await agent.status()).printers[0]?.facts !== undefined, 10_000);
  const json = await printgate(["status", "--json", "--config", installed.configPath]);
  expect(JSON.parse(json.stdout).printers[0]).toMatchObject({
    snmp: "ready",
    facts: { name: "mfd-lobby", serialNumber: "4711", console: ["準備"], lifeCount: { value: 123_456 } },
    snmpCounters: { factReadings: 1 },
  });
  const { stdout } = await printgate(["status", "--config", installed.configPath]);
  expect(stdout.split("\n").filter((line) => line.startsWith("  ? printer"))).toEqual([
    "  ? printer mfd: Bypass [2J has no paper",
    "  ? printer mfd: Black Toner is low (4 %)",
    '  ? printer mfd: warning: marker toner almost empty, marker supplies 1 ("Toner low")',
  ]);
  const doctor = await printgate(["doctor", "--json", "--config", installed.configPath]);
  expect(JSON.parse(doctor.stdout).checks).toContainEqual(
    expect.objectContaining({
      name: "printer mfd",
      result: "pass",
      evidence: expect.stringMatching(/SNMP says ready; .*Black Toner is low/),
    }),
  );
}, 60_000);

test("an SNMP agent that is silent is a warning of the doctor and a hint of the status, no more", async () => {
  const eve = await startEve();
  const snmpd = await startSnmpd(READY);
  closers.push(() => snmpd.stop());
  const installed = await site.install({
    printer: `uri = "${eve.uri}"\n[printer.snmp]\nhost = "127.0.0.1"\nport = ${snmpd.port}\ncommunity = "s3cret-community"`,
  });
  const agent = await installed.start();
  await until("SNMP failed", async () => (await agent.status()).printers[0]?.snmpError !== undefined, 10_000);
  const status = await printgate(["status", "--config", installed.configPath]);
  expect(status.stdout).toContain("  ? printer mfd: The printer's SNMP agent does not answer.");
  expect(status.code).toBe(0);
  const doctor = await printgate(["doctor", "--json", "--config", installed.configPath]);
  expect(JSON.parse(doctor.stdout).checks).toContainEqual(
    expect.objectContaining({ name: "printer mfd", result: "warn", next: expect.stringContaining("community") }),
  );
  const json = await printgate(["status", "--json", "--config", installed.configPath]);
  expect(status.stdout + doctor.stdout + json.stdout).not.toContain("s3cret-community");
}, 60_000);

test("a trap makes the agent poll, and a port that it may not have degrades nothing", async () => {
  const eve = await startEve();
  const snmpd = await startSnmpd(READY);
  closers.push(() => snmpd.stop());
  const port = await freeUdpPort();
  const printer = `uri = "${eve.uri}"\n[printer.snmp]\nhost = "127.0.0.1"\nport = ${snmpd.port}`;
  const installed = await site.install({ printer, agent: `snmp_traps = "127.0.0.1:${port}"` });
  const agent = await installed.start();
  const traps = async () => (await agent.status()).snmpTraps;
  await until("it listens", async () => {
    await snmptrap(BY_V2C, port);
    return ((await traps())?.counters.traps ?? 0) > 0;
  });
  expect((await traps())?.error).toBeUndefined();

  const other = await site.install({ name: "other", printer, agent: 'snmp_traps = "192.0.2.1:11162"' });
  const deaf = await other.start();
  await until("it says that it cannot", async () => (await deaf.status()).snmpTraps?.error !== undefined);
  const { stdout, code } = await printgate(["status", "--config", other.configPath]);
  expect(stdout).toContain("  ? traps: The agent cannot listen for SNMP traps.");
  expect(code).toBe(0);
}, 60_000);

describe("a serial reader at a pseudo-terminal", () => {
  test("prints at a tap, and again after it was unplugged and plugged in", async () => {
    const mfd = await VirtualMfd.start({ clock: systemClock, printMs: 20 });
    closers.push(() => mfd.stop());
    const path = join(site.folder, "reader");
    const installed = await site.install({
      printer: `uri = "${mfd.uri}"`,
      reader: `family = "serial-line"\npath = "${path}"\nframing = "stx-etx"`,
    });
    const plugIn = async () => {
      const device = spawn("socat", ["-d", "-d", `PTY,raw,echo=0,link=${path}`, "STDIO"]);
      const gone = once(device, "exit");
      device.stdin.on("error", () => {}); // it may be unplugged at any time
      const unplug = async () => {
        device.kill();
        await gone;
      };
      closers.push(unplug);
      for await (const line of createInterface({ input: device.stderr })) {
        if (line.includes("starting data transfer loop")) break;
      }
      device.stderr.resume();
      return { unplug, tap: async () => void device.stdin.write(`\x02${CARD}\r\n\x03`) };
    };
    const first = await plugIn();
    const agent = await installed.start();
    const reader = (wanted: string) =>
      until(`the reader is ${wanted}`, async () => (await agent.status()).readers[0]?.status === wanted);
    await reader("ready");
    const document = await site.submit(pdf("serial", 20_000));
    expect(await agent.next(first.tap)).toMatchObject({ reader: "front", signal: "printed" });
    await first.unplug();
    await reader("absent");
    const second = await plugIn();
    await reader("ready");
    const other = await site.submit(pdf("serial again", 20_000));
    expect(await agent.next(second.tap)).toMatchObject({ signal: "printed" });
    expect(mfd.prints.map(({ sha256 }) => sha256)).toEqual([document.sha256, other.sha256]);
    expect(await agent.stop()).toMatchObject({ code: 0 });
  });
});
