import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import type { MfdOptions } from "../../agent/demo/mfd-options.ts";
import type { Account } from "../../agent/protocol/account.ts";
import type { Clock } from "../../drivers/clock.ts";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { SnmpHealth } from "../../drivers/printers/snmp/session.ts";
import { documentOf, CARD as TOKEN, World } from "../agent/release/world.ts";
import { printgate } from "./agent-process.ts";
import { CARD, pdf, Site } from "./site.ts";
import { READY, startSnmpd } from "./snmpd.ts";
import { until } from "./until.ts";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const close of closers.splice(0).reverse()) await close();
});

/** The release loop's waits of a second and more pass 20 times as fast; the drivers' deadlines do not. */
const hasty: Clock = {
  wall: () => systemClock.wall(),
  monotonic: () => systemClock.monotonic() * 20,
  after: (ms, run) => systemClock.after(ms / 20, run),
};

const PAGES = 3;
/** RFC 3805 PrtMarkerCounterUnitTC. */
const IMPRESSIONS = 7;
const SHEETS = 8;

/** One printer: the virtual MFD prints, and Debian's snmpd tells its life count. */
class CountedMfd {
  /** What the life count moves by for each page. */
  perPage = 1;
  life = 1000;
  unit = IMPRESSIONS;
  /** Called when something came out, before it is counted. */
  onPrinted: (name: string) => void = () => {};
  #counted: Promise<void> = Promise.resolve();

  static async start(options: Partial<MfdOptions> = {}, unit = IMPRESSIONS) {
    const counted = new CountedMfd();
    counted.unit = unit;
    const mfd = await VirtualMfd.start({
      ...{ clock: systemClock, pages: PAGES },
      ...options,
      onPrinted: ({ name, pages }) => {
        counted.onPrinted(name);
        counted.life += pages * counted.perPage;
        counted.#counted = counted.#counted.then(() => snmpd.set(counted.#rows));
      },
    });
    closers.push(() => mfd.stop());
    const snmpd = await startSnmpd(counted.#rows);
    closers.push(() => snmpd.stop());
    closers.push(() => counted.#counted);
    return { counted, mfd, snmpd };
  }

  get #rows() {
    return {
      ...READY,
      mib: {
        "10.2.1.3.1.1": ["integer", String(this.unit)],
        "10.2.1.4.1.1": ["counter", String(this.life)],
      },
    } as const;
  }
}

let world: World;
beforeEach(async () => {
  world = await World.make();
  closers.push(() => world.remove());
});

async function released(
  options: Partial<MfdOptions> = {},
  prepared: (made: Made) => void = () => {},
  unit = IMPRESSIONS,
) {
  const made = await CountedMfd.start(options, unit);
  const { mfd, snmpd } = made;
  const target = {
    host: "127.0.0.1",
    port: snmpd.port,
    access: { version: "2c", community: snmpd.community } as const,
  };
  const health = new SnmpHealth({ ...target, clock: systemClock, log: silentLog });
  const common = { uri: mfd.uri, keyPins: [], clock: systemClock, log: silentLog };
  const printer = new IppPrinter({ ...common, name: "mfd", health });
  closers.push(() => printer.stop());
  printer.start();
  await until("the printer is found by SNMP", () => health.counters.answers > 0);
  prepared(made);
  world.central.hold(TOKEN, documentOf(10_000));
  // A central server that takes as long as the printer's SNMP agent: the reading before is here in time.
  let asked: Promise<unknown> = Promise.resolve();
  const [lifeCount, tap] = [printer.lifeCount.bind(printer), world.central.tap.bind(world.central)];
  vi.spyOn(printer, "lifeCount").mockImplementation(() => {
    const count = lifeCount();
    asked = count;
    return count;
  });
  vi.spyOn(world.central, "tap").mockImplementation(async (...args) => {
    await Promise.resolve();
    await asked;
    return tap(...args);
  });
  const life = await world.start({ printer, context: { clock: hasty } });
  closers.push(async () => {
    await life.loop.stop();
    await life.ledger.close();
  });
  world.tap(life);
  const whole = (account: Account | undefined) =>
    account?.lifeCount !== undefined || account?.discarded !== undefined ? account : undefined;
  return until("the account", () => whole(world.central.outcomes.at(-1)?.account));
}
type Made = Awaited<ReturnType<typeof CountedMfd.start>>;

test("three pages: IPP and the life count agree", async () => {
  expect(await released()).toEqual({
    ...{ impressions: 3, sheets: 3, source: "ipp", confidence: "high", exclusive: true },
    lifeCount: { before: 1000, after: 1003, delta: 3, unit: "impressions" },
  });
  expect(world.central.outcomes.map(({ word }) => word)).toEqual(["printed", "printed"]);
});

test("a printer that counts each side twice: IPP's number stands, and the mismatch is flagged", async () => {
  const account = await released({}, ({ counted }) => {
    counted.perPage = 2;
  });
  expect(account).toMatchObject({ impressions: 3, confidence: "low", mismatch: true, lifeCount: { delta: 6 } });
});

test("a counter of sheets is compared with sheets", async () => {
  const account = await released({}, () => {}, SHEETS);
  expect(account).toMatchObject({ confidence: "high", lifeCount: { delta: 3, unit: "sheets" } });
});

test("a counter that changes its unit in between is no difference of anything", async () => {
  const account = await released({}, ({ counted }) => {
    counted.unit = SHEETS; // told with the first page that is counted
  });
  expect(account).toMatchObject({ impressions: 3, confidence: "medium", discarded: "unit-changed" });
});

test("somebody else's job in between: not exclusive, and its pages are nobody's of ours", async () => {
  const account = await released({ counts: "zero" }, ({ counted, mfd }) => {
    const other = new IppPrinter({ name: "other", uri: mfd.uri, keyPins: [], clock: systemClock, log: silentLog });
    closers.push(() => other.stop());
    const never = new AbortController().signal;
    counted.onPrinted = (name) => {
      if (name === "foreign") return;
      const request = { name: "foreign", user: "eve", format: "application/pdf" };
      const body = {
        size: 4,
        chunks: async function* () {
          yield Buffer.from("page");
        },
      };
      closers.push(() => sent);
      const sent = other.createJob(request, never).then((job) => other.send(job, request, body, never));
    };
  });
  expect(account).toMatchObject({ source: "none", confidence: "none", exclusive: false, discarded: "not-exclusive" });
  expect(account).not.toHaveProperty("impressions");
});

test("a counter that is set back, as by a new board", async () => {
  const account = await released({}, ({ counted }) => {
    counted.onPrinted = () => {
      counted.life = 0;
    };
  });
  expect(account).toMatchObject({
    ...{ impressions: 3, confidence: "medium", discarded: "went-back", lifeCount: { before: 1000, after: 3 } },
  });
  expect(account.lifeCount).not.toHaveProperty("delta");
});

test.each(["zero", "never"] as const)(
  "a printer whose IPP counts %s: the life count alone, and it says so",
  async (counts) => {
    const account = await released({ counts });
    expect(account).toMatchObject({ impressions: 3, source: "life-count", confidence: "low", exclusive: true });
    expect(account).not.toHaveProperty("sheets");
  },
);

test("an agent's account reaches the central server's list and its own ledger", async () => {
  const { mfd, snmpd } = await CountedMfd.start();
  const site = await Site.start();
  closers.push(() => site.stop());
  const snmp = `[printer.snmp]\nhost = "127.0.0.1"\nport = ${snmpd.port}\ncommunity = "${snmpd.community}"`;
  const installed = await site.install({ printer: `uri = "${mfd.uri}"\n${snmp}` });
  const agent = await installed.start();
  await until("SNMP", async () => {
    const status = await printgate(["status", "--json", "--config", installed.configPath]);
    return JSON.parse(status.stdout).printers[0].snmp === "ready";
  });
  const document = await site.submit(pdf("counted", 20_000));
  expect(await agent.tap(CARD)).toMatchObject({ signal: "printed" });
  expect(await site.stateOf(document)).toBe("printed"); // the word did not wait
  const listed = async () =>
    JSON.parse((await printgate(["central", "job", "list", "--all", "--json", "--data", site.centralFolder])).stdout)
      .jobs[0];
  const account = await until(
    "the account at the central server",
    async () => {
      const { account: newest } = await listed();
      return newest?.lifeCount !== undefined || newest?.discarded !== undefined ? newest : undefined;
    },
    45_000,
  );
  expect(await listed()).toMatchObject({ state: "printed", impressions: 3, sheets: 3 });
  expect(account).toMatchObject({ impressions: 3, sheets: 3, source: "ipp" });
  // On a machine that is busy enough, the document may leave before the printer's SNMP agent has answered.
  if (account.discarded !== undefined) expect(account).toMatchObject({ discarded: "read-late", confidence: "medium" });
  else expect(account).toMatchObject({ confidence: "high", exclusive: true, lifeCount: { delta: 3 } });
  const list = await printgate(["central", "job", "list", "--all", "--data", site.centralFolder]);
  expect(list.stdout).toContain(`  at lobby/mfd  3 impressions, 3 sheets by IPP (${account.confidence})`);
  const ledger = await printgate(["ledger", "show", "--config", installed.configPath]);
  expect(ledger.stdout).toContain(`: printed, 3 impressions, 3 sheets by IPP (${account.confidence})\n`);
}, 90_000);
