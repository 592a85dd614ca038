import { readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { OPERATION } from "../../drivers/printers/ipp/tags.ts";
import { CrashBench } from "./crash-bench.ts";
import type { Flow } from "./gate.ts";
import { CARD } from "./site.ts";
import { until } from "./until.ts";

/** Long enough on its way to be stopped in the middle. */
const LARGE = 4 * 2 ** 20;
const SMALL = 20_000;
const PRINT_MS = 60;

/** Version, operation-id and the first half of the request-id (RFC 8010 3.1.1). */
const asks =
  (operation: number) =>
  ({ last }: Flow): boolean =>
    last.includes(Buffer.from([2, 0, 0, operation, 0, 0]));
const answers =
  (operation: number) =>
  (_: Flow, question: Flow): boolean =>
    asks(operation)(question);

let bench: CrashBench;
/** Called when the printer gets the first octet of a document. */
let atFirstByte = (): void => {};
afterEach(() => {
  expect(bench.mfd.failures).toEqual([]);
});

describe("kill -9 at each record of the ledger, then a restart", () => {
  beforeAll(async () => {
    bench = await CrashBench.start({ onFirstByte: () => atFirstByte() });
  });
  afterAll(() => bench.stop());
  beforeEach(async () => {
    await bench.ready();
    atFirstByte = () => {};
    bench.mfd.slow(PRINT_MS);
    bench.mfd.clearJam();
  });

  test("before the agent hears of its claim: the job is held again", async () => {
    const held = bench.central.hold("toClient");
    const release = await bench.tapWithDocument(SMALL);
    await held;
    await until("it is claimed", async () => (await bench.site.stateOf(release.document)) === "claimed");
    await bench.kill();
    expect(await release.phases()).toEqual([]);
    await bench.restart();
    expect(await bench.judge(release)).toBe("held");
  });

  test("at CLAIMED, in the middle of the download: the job is held again", async () => {
    const held = bench.central.hold("toClient", ({ total }) => total > LARGE / 2);
    const release = await bench.tapWithDocument(LARGE);
    await held;
    await bench.recorded(release, "CLAIMED");
    await bench.kill();
    expect(await release.phases()).toEqual(["CLAIMED"]);
    await bench.restart();
    expect(await bench.judge(release)).toBe("held");
  });

  test("at FETCHED, with a job made at the printer and its reply lost: that job is cancelled, ours is held again", async () => {
    const held = bench.printer.hold("toClient", answers(OPERATION.createJob));
    const release = await bench.tapWithDocument(SMALL);
    await held;
    await bench.recorded(release, "FETCHED");
    await bench.kill();
    expect(await release.phases()).toEqual(["CLAIMED", "FETCHED"]);
    const canceled = bench.mfd.requests.get(OPERATION.cancelJob) ?? 0;
    await bench.restart();
    expect(bench.mfd.requests.get(OPERATION.cancelJob)).toBe(canceled + 1);
    expect(await bench.judge(release)).toBe("held");
  });

  test("at CREATED, before SENDING is on the disk: the printer's job is cancelled, ours is held again", async () => {
    const held = bench.printer.hold("toServer", asks(OPERATION.sendDocument));
    const release = await bench.tapWithDocument(SMALL);
    await held;
    await bench.kill();
    expect(await release.phases()).toEqual(["CLAIMED", "FETCHED", "CREATED", "SENDING"]);
    // Not one octet had left. This is the file that a kill just before leaves behind.
    const ledger = join(bench.installed.stateDir, "ledger.log");
    const text = await readFile(ledger);
    await truncate(ledger, text.lastIndexOf("\n", text.length - 2) + 1);
    const canceled = bench.mfd.requests.get(OPERATION.cancelJob) ?? 0;
    await bench.restart();
    expect(bench.mfd.requests.get(OPERATION.cancelJob)).toBe(canceled + 1);
    expect(await bench.judge(release)).toBe("held");
  });

  test("at SENDING, before the printer has an octet: its empty job is cancelled, ours is held again", async () => {
    const held = bench.printer.hold("toServer", asks(OPERATION.sendDocument));
    const release = await bench.tapWithDocument(SMALL);
    await held;
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("SENDING");
    await bench.restart();
    expect(await bench.judge(release)).toBe("held");
  });

  test("at SENDING, in the middle of the document: the printer gives it up, ours is held again", async () => {
    const held = bench.printer.hold("toServer", ({ total }) => total > LARGE / 2);
    const release = await bench.tapWithDocument(LARGE);
    await held;
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("SENDING");
    await bench.restart();
    expect(bench.mfd.cuts.at(-1)?.size).toBeLessThan(LARGE);
    expect(await bench.judge(release)).toBe("held");
  });

  test("at SENDING, with the whole document at the printer and its reply lost: printed once, and in doubt", async () => {
    const held = bench.printer.hold("toClient", (_, { total }) => total > LARGE);
    const release = await bench.tapWithDocument(LARGE);
    await held;
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("SENDING");
    await bench.restart();
    expect(release.prints()).toHaveLength(1);
    expect(await bench.judge(release)).toBe("in-doubt");
  });

  test("at SENT, with a jam that came meanwhile: printed when the jam is cleared, and known to be", async () => {
    atFirstByte = () => bench.mfd.jam();
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "SENT");
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("SENT");
    atFirstByte = () => {};
    bench.mfd.clearJam();
    await bench.restart();
    expect(await bench.judge(release)).toBe("printed");
  });

  test("at PRINTING: printed, and known to be", async () => {
    bench.mfd.slow(600);
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "PRINTING");
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("PRINTING");
    await bench.restart();
    expect(await bench.judge(release)).toBe("printed");
  });

  test("at DONE, before it is reported: reported after the restart", async () => {
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "PRINTING");
    const held = bench.central.hold("toServer");
    await bench.recorded(release, "DONE");
    await held;
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("DONE");
    expect(await bench.site.stateOf(release.document)).toBe("claimed");
    await bench.restart();
    expect(await bench.judge(release)).toBe("printed");
  });

  test("at DONE, with the report's answer lost: reported twice, which does no harm", async () => {
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "PRINTING");
    const held = bench.central.hold("toClient");
    await held;
    await until("it is reported", async () => (await bench.site.stateOf(release.document)) === "printed");
    await bench.kill();
    expect((await release.phases()).at(-1)).toBe("DONE");
    await bench.restart();
    expect(await bench.judge(release)).toBe("printed");
  });

  test("after it is reported: nothing more happens", async () => {
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "reported");
    await bench.kill();
    await bench.restart();
    expect(await bench.judge(release)).toBe("printed");
  });

  test("with the printer switched off and on, and our job's id given to another person's job: in doubt, theirs prints", async () => {
    bench.mfd.slow(60_000);
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "PRINTING");
    await bench.kill();
    bench.mfd.powerCycle();
    bench.mfd.slow(PRINT_MS);
    const stranger = new IppPrinter({ name: "s", uri: bench.mfd.uri, keyPins: [], clock: systemClock, log: silentLog });
    const never = new AbortController().signal;
    // Ids begin at 1 again: these take all that our agent had.
    const theirs: string[] = [];
    for (let number = 1; number <= 30; number++) {
      const request = { name: `theirs-${number}`, user: "eve", format: "application/pdf" };
      const job = await stranger.createJob(request, never);
      theirs.push(request.name);
      const body = {
        size: 8,
        chunks: async function* () {
          yield Buffer.from("%PDF-1.4");
        },
      };
      await stranger.send(job, request, body, never);
    }
    await bench.restart();
    expect(await bench.site.stateOf(release.document)).toBe("in-doubt");
    await until("theirs are printed", () =>
      theirs.every((name) => bench.mfd.prints.some((print) => print.name === name)),
    );
    await stranger.stop();
    expect(await bench.agent.tap(CARD)).toMatchObject({ signal: "no-jobs" });
    expect(release.prints().map(({ name }) => name)).toEqual(theirs);
  });
});

describe("a printer that is switched off and on while the agent watches its job", () => {
  beforeAll(async () => {
    bench = await CrashBench.start({ printMs: 60_000 });
  });
  afterAll(() => bench.stop());

  test("leaves the job in doubt: it is never printed again", async () => {
    const release = await bench.tapWithDocument(SMALL);
    await bench.recorded(release, "PRINTING");
    bench.mfd.powerCycle();
    bench.mfd.slow(PRINT_MS);
    await bench.agent.atRest();
    expect(await bench.judge(release)).toBe("in-doubt");
    expect(release.prints()).toEqual([]);
  });
});

describe("with a printer that prints half a document and calls it completed", () => {
  beforeAll(async () => {
    bench = await CrashBench.start({ lieCompleted: true, printMs: PRINT_MS });
  });
  afterAll(() => bench.stop());

  test("kill -9 in the middle of the document: in doubt, and never printed again", async () => {
    const held = bench.printer.hold("toServer", ({ total }) => total > LARGE / 2);
    const release = await bench.tapWithDocument(LARGE);
    await held;
    await bench.kill();
    await bench.restart();
    await until("its half has come out", () => release.prints().length > 0);
    expect(release.prints()).toMatchObject([{ cut: true }]);
    expect(await bench.judge(release)).toBe("in-doubt");
  });

  test("kill -9 before the printer has an octet: held again, then printed whole", async () => {
    const held = bench.printer.hold("toServer", asks(OPERATION.sendDocument));
    const release = await bench.tapWithDocument(SMALL);
    await held;
    await bench.kill();
    await bench.restart();
    expect(await bench.judge(release)).toBe("held");
  });

  test("a connection that breaks in the middle of the document: in doubt, or held where the cancel came first", async () => {
    const held = bench.printer.hold("toServer", ({ total }) => total > LARGE / 2);
    const release = await bench.tapWithDocument(LARGE);
    await held;
    bench.printer.cut();
    await bench.agent.atRest();
    expect(["in-doubt", "held"]).toContain(await bench.judge(release));
  });
});
