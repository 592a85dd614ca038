import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";
import { type AgentProcess, freePort, printgate } from "./agent-process.ts";
import { CARD, type Installed, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

let site: Site;
let mfd: VirtualMfd;
let installed: Installed;
let agent: AgentProcess;
const cache = () => join(site.folder, "compiled");
const call = (...args: string[]) => printgate([...args, "--config", installed.configPath], [], cache());

beforeAll(async () => {
  site = await Site.start();
  mfd = await VirtualMfd.start({ clock: systemClock, folder: join(site.folder, "paper"), printMs: 20 });
  installed = await site.install({ printer: `uri = "${mfd.uri}"`, agent: "spool_ram_mib = 1" });
  agent = await installed.start();
});
afterEach(() => {
  expect(mfd.failures).toEqual([]);
});
afterAll(async () => {
  await mfd.stop();
  await site.stop();
});

describe("a tap at the network reader of the agent's own process", () => {
  test("prints the held document byte for byte", async () => {
    const bytes = pdf("one", 300_000);
    const document = await site.submit(bytes);
    const trace = await agent.tap(CARD);
    expect(trace).toMatchObject({ signal: "printed", jobs: [{ jobId: document.id, word: "printed", reason: "none" }] });
    const print = mfd.prints.at(-1);
    expect(await readFile(print?.file ?? "")).toEqual(bytes);
    expect(await site.stateOf(document)).toBe("printed");
  });

  test("prints a document that is larger than the memory for documents", async () => {
    const document = await site.submit(pdf("large", 3 * 2 ** 20));
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(mfd.prints.at(-1)).toMatchObject({ sha256: document.sha256, cut: false });
  });

  test("tells a person with nothing to print, and a stranger, apart by the signal alone", async () => {
    const printed = mfd.prints.length;
    expect(await agent.tap(CARD)).toMatchObject({ signal: "no-jobs", jobs: [] });
    expect(await agent.tap("0123456789")).toMatchObject({ signal: "unknown-card", jobs: [] });
    expect(mfd.prints).toHaveLength(printed);
  });

  test("prints several documents in the order of their submission", async () => {
    const printed = mfd.prints.length;
    const documents = [];
    for (const seed of ["a", "b", "c", "d", "e"]) documents.push(await site.submit(pdf(seed, 50_000)));
    const trace = await agent.tap(CARD);
    expect(trace.jobs.map(({ word }) => word)).toEqual(documents.map(() => "printed"));
    expect(mfd.prints.slice(printed).map(({ sha256 }) => sha256)).toEqual(documents.map(({ sha256 }) => sha256));
  });

  test("with a jam keeps the job held, says so at the reader, and prints when the jam is cleared", async () => {
    const printed = mfd.prints.length;
    const document = await site.submit(pdf("jam", 10_000));
    mfd.jam();
    const refused = await agent.tap(CARD);
    expect(refused).toMatchObject({
      signal: "printer-blocked",
      jobs: [{ word: "not printed", reason: "printer-blocked" }],
    });
    expect(await site.stateOf(document)).toBe("held");
    mfd.clearJam();
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(mfd.prints.slice(printed).map(({ sha256 }) => sha256)).toEqual([document.sha256]);
  });

  test("with a jam that comes while it prints waits for the paper, and prints once", async () => {
    const printed = mfd.prints.length;
    mfd.slow(1000);
    const document = await site.submit(pdf("late jam", 10_000));
    const trace = agent.tap(CARD);
    await until("it prints", async () => (await installed.phases(document)).at(-1) === "PRINTING");
    mfd.jam();
    await until("it has been seen to wait", async () => (mfd.requests.get(0x0009) ?? 0) > 2);
    expect(mfd.prints).toHaveLength(printed);
    mfd.slow(20);
    mfd.clearJam();
    expect(await trace).toMatchObject({ signal: "printed" });
    expect(mfd.prints.slice(printed).map(({ sha256 }) => sha256)).toEqual([document.sha256]);
  });

  test("without the central server prints nothing, keeps the job held, and prints when it is back", async () => {
    const printed = mfd.prints.length;
    const document = await site.submit(pdf("away", 10_000));
    await site.centralAway();
    const refused = await agent.tap(CARD);
    expect(refused).toMatchObject({ signal: "fault", code: "link-unreachable", jobs: [] });
    expect((await agent.status()).central).toMatchObject({
      status: "disconnected",
      error: { code: "link-unreachable" },
    });
    await site.centralBack();
    expect(mfd.prints).toHaveLength(printed);
    expect(await site.stateOf(document)).toBe("held");
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(mfd.prints.slice(printed).map(({ sha256 }) => sha256)).toEqual([document.sha256]);
  });

  test("after garbage, an endless line and a short one still prints", async () => {
    const document = await site.submit(pdf("garbage", 10_000));
    await agent.send(`\u0000\u0002${"x".repeat(20_000)}\u0003`);
    await agent.send("ab");
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(await site.stateOf(document)).toBe("printed");
  });
});

describe("a reader of Wiegand words that lets wrong parity pass with a warning", () => {
  test("says so in the log, without the card", async () => {
    const pipeline = '"hexDecode | bits(0,26) | wiegand(H10301,all,warn) | toHex"';
    const wiegand = await site.install({ name: "wiegand", pipeline, printer: `uri = "${mfd.uri}"` });
    const process = await wiegand.start();
    await process.tap("BB032180");
    expect(process.stdout).not.toContain("card-parity-wrong");
    await process.tap("BB032100");
    expect(process.stdout).toMatch(/"level":40,.*"reader":"front","code":"card-parity-wrong"/);
    expect(process.stdout).not.toMatch(/BB0321|760642|760643/);
    expect(await process.stop()).toMatchObject({ code: 0 });
  });
});

describe("an agent that the central server lets release the newest job only", () => {
  test("prints that one, and leaves the older ones held", async () => {
    const newest = await site.install({ name: "side", mode: "newest", printer: `uri = "${mfd.uri}"` });
    const process = await newest.start();
    const printed = mfd.prints.length;
    const older = await site.submit(pdf("older", 10_000));
    const newer = await site.submit(pdf("newer", 10_000));
    expect(await process.tap(CARD)).toMatchObject({ signal: "printed", jobs: [{ jobId: newer.id }] });
    expect(mfd.prints.slice(printed).map(({ sha256 }) => sha256)).toEqual([newer.sha256]);
    expect(await site.stateOf(older)).toBe("held");
    expect(await process.tap(CARD)).toMatchObject({ signal: "printed", jobs: [{ jobId: older.id }] });
    expect(await process.stop()).toMatchObject({ code: 0 });
  });
});

describe("the command line beside the running agent", () => {
  test("status --json is JSON alone, and its exit code says whether all is well", async () => {
    await agent.send("");
    const good = await call("status", "--json");
    expect(good).toMatchObject({ code: 0, stderr: expect.stringContaining("Ready") });
    expect(JSON.parse(good.stdout)).toMatchObject({
      verdict: { status: "ready", problems: [] },
      name: "lobby",
      pid: agent.pid,
      readers: [{ name: "front", status: "ready" }],
      ledger: { open: 0, unreported: 0 },
    });
    await site.centralAway();
    await agent.tap(CARD);
    const bad = await call("status", "--json");
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.stdout)).toMatchObject({
      verdict: { status: "degraded" },
      central: { status: "disconnected" },
    });
    await site.centralBack();
    await agent.tap(CARD);
  });

  test("ledger show --json tells of each job, also without a running agent", async () => {
    const shown = await call("ledger", "show", "--json");
    expect(shown.code).toBe(0);
    const { entries, tornBytes, damagedLines, unknownRecords } = JSON.parse(shown.stdout);
    expect({ tornBytes, damagedLines, unknownRecords }).toEqual({ tornBytes: 0, damagedLines: 0, unknownRecords: 0 });
    expect(entries).toContainEqual(expect.objectContaining({ phase: "DONE", reported: true }));
  });

  test("doctor --json checks everything, prints nothing, and fails where something is wrong", async () => {
    const printed = mfd.prints.length;
    const good = await call("doctor", "--json");
    expect(good.code).toBe(0);
    const results = (stdout: string) =>
      Object.fromEntries(
        JSON.parse(stdout).checks.map((row: { name: string; result: string }) => [row.name, row.result]),
      );
    expect(results(good.stdout)).toMatchObject({
      ...{ configuration: "pass", storage: "pass", "central server": "pass", clock: "pass" },
      ...{ "printer mfd": "pass", agent: "pass", "reader front": "pass" },
    });
    mfd.jam();
    const bad = await call("doctor", "--json");
    mfd.clearJam();
    expect(bad.code).toBe(1);
    expect(results(bad.stdout)).toMatchObject({ "central server": "pass", "printer mfd": "fail" });
    expect(mfd.prints).toHaveLength(printed);
  });

  test("a second agent on the same state folder is refused, and the first one works on", async () => {
    const second = await call("run", "--json");
    expect(second.code).toBe(1);
    expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: "storage-in-use" } });
    const document = await site.submit(pdf("second", 10_000));
    expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
    expect(await site.stateOf(document)).toBe("printed");
  });

  test("of agents that start on one state folder at one instant, after a power cut, just one runs", async () => {
    const other = await site.install({ name: "twin", printer: `uri = "${mfd.uri}"` });
    for (let round = 0; round < 3; round++) {
      await (await other.start()).kill(); // its socket stays behind
      const started = await Promise.allSettled([other.start(), other.start(), other.start()]);
      const running = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      const refusals = started.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
      expect(running).toHaveLength(1);
      for (const refusal of refusals) expect(refusal).toContain("storage-in-use");
      expect((await running[0]?.status())?.pid).toBe(running[0]?.pid);
      await running[0]?.kill();
    }
  });

  test("status without an agent, and wrong words, have their own exit codes", async () => {
    const nobody = await site.install({
      name: "nobody",
      printer: `uri = "ipp://127.0.0.1:${await freePort()}/ipp/print"`,
    });
    const stopped = await printgate(["status", "--json", "--config", nobody.configPath], [], cache());
    expect(stopped.code).toBe(1);
    expect(JSON.parse(stopped.stdout)).toMatchObject({ error: { code: "agent-not-running" } });
    const wrong = await call("status", "--nonsense", "--json");
    expect(wrong.code).toBe(2);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { code: "usage" } });
  });
});

describe("SIGTERM", () => {
  test("ends an idle agent within a second, with exit code 0, and the next one starts", async () => {
    const { code, signal, ms } = await agent.stop();
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(ms).toBeLessThan(1000);
    expect(agent.stderr).toBe("");
    agent = await installed.start();
  });

  test("ends an agent whose job prints: the next start sees it to its end, and it is printed once", async () => {
    const printed = mfd.prints.length;
    mfd.slow(400);
    const document = await site.submit(pdf("stop", 10_000));
    await agent.send(CARD);
    await until("it prints", async () => (await installed.phases(document)).at(-1) === "PRINTING");
    const { code, ms } = await agent.stop();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(1000);
    agent = await installed.start();
    await agent.atRest();
    mfd.slow(20);
    expect(await site.stateOf(document)).toBe("printed");
    expect(await agent.tap(CARD)).toMatchObject({ signal: "no-jobs" });
    expect(mfd.prints.slice(printed).map(({ sha256 }) => sha256)).toEqual([document.sha256]);
  });
});
