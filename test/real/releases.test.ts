import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import type { PrinterJob } from "../../drivers/printer.ts";
import { groupsOf, integer, nameText, numbersOf, operationGroup, uri } from "../../drivers/printers/ipp/attributes.ts";
import { IppClient } from "../../drivers/printers/ipp/client.ts";
import type { IppAttribute } from "../../drivers/printers/ipp/message.ts";
import { IppPrinter } from "../../drivers/printers/ipp/printer.ts";
import { GROUP, OPERATION, STATUS } from "../../drivers/printers/ipp/tags.ts";
import type { AgentProcess } from "./agent-process.ts";
import { Gate } from "./gate.ts";
import { KINDS, type RealPrinter } from "./printer-kinds.ts";
import { type Document, type Installed, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

/** Long enough on its way to be stopped in the middle. */
const LARGE = 4 * 2 ** 20;
const SMALL = 20_000;
const never = new AbortController().signal;

let site: Site;
beforeAll(async () => {
  site = await Site.start();
});
afterAll(() => site.stop());

/** What another person does at the printer, past the gate. */
class Panel {
  readonly #printer: IppPrinter;
  readonly #client: IppClient;
  readonly #uri: string;

  constructor({ uri: printerUri, keyPins, login }: RealPrinter) {
    const to = { uri: printerUri, keyPins, clock: systemClock, ...(login && { login }) };
    this.#uri = printerUri;
    this.#printer = new IppPrinter({ name: "panel", log: silentLog, ...to });
    this.#client = new IppClient({ ...to, count: () => {} });
  }

  /** As by an application on somebody's computer. */
  async print(bytes: Buffer): Promise<PrinterJob> {
    const request = { name: `panel-${sha256(bytes)}`, user: "eve", format: "application/pdf" };
    const job = await this.#printer.createJob(request, never);
    const chunks = async function* () {
      yield bytes;
    };
    return this.#printer.send(job, request, { size: bytes.length, chunks }, never);
  }

  /** Cancels whatever has not ended. */
  async cancelAll(): Promise<void> {
    const group = (...more: readonly IppAttribute[]) => operationGroup(uri("printer-uri", this.#uri), ...more);
    const user = nameText("requesting-user-name", "printgate");
    const listed = await this.#client.call(OPERATION.getJobs, [group(user)], true, never);
    for (const [id = 0] of groupsOf(listed, GROUP.job).map((job) => numbersOf(job, "job-id"))) {
      const reply = await this.#client.call(OPERATION.cancelJob, [group(integer("job-id", id), user)], true, never);
      expect(reply.code).toBeLessThan(STATUS.badRequest);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#printer.stop(), this.#client.close()]);
  }
}

const inTurn = { concurrent: false, timeout: 60_000 };

// All printers at once, because most of the time somebody waits; the tests of one printer one after the other.
describe.concurrent.each(Object.entries(KINDS))("%s", (kind, start) => {
  const number = Object.keys(KINDS).indexOf(kind);
  const person = `person-${number}`;
  const card = `04C2B3C4D${number}`;
  /** Whose documents are in a format that hardly any printer takes, and wait for ever. */
  const drawer = `drawer-${number}`;
  const drawerCard = `04D2B3C4D${number}`;
  let printer: RealPrinter;
  let gate: Gate;
  let panel: Panel;
  let installed: Installed;
  let agent: AgentProcess;
  const stops: (() => Promise<void>)[] = [];
  /** How many had come out before this test. */
  let before = 0;

  const came = async () => (await printer.printed()).slice(before);
  const submit = async (seed: string, size: number) => {
    before = (await printer.printed()).length;
    return add(seed, size);
  };
  const add = (seed: string, size: number) =>
    site.submit(pdf(`${kind} ${seed}`, size), `${seed}.pdf`, { user: person });
  const stateOf = (document: Document) => site.stateOf(document, person);
  const recorded = (document: Document, phase: string) =>
    until(`the ledger holds ${phase}`, async () => (await installed.phases(document)).includes(phase));

  beforeAll(async () => {
    printer = await start();
    stops.push(printer.stop);
    const at = new URL(printer.uri);
    gate = await Gate.start(Number(at.port), { resets: true });
    stops.push(() => gate.stop());
    panel = new Panel(printer);
    stops.push(() => panel.close());
    const { keyPins, login } = printer;
    const lines = [
      `uri = "${at.protocol}//127.0.0.1:${gate.port}${at.pathname}"`,
      ...(keyPins.length === 0 ? [] : [`key_pins = ${JSON.stringify(keyPins)}`]),
      ...(login === undefined ? [] : [`user = "${login.user}"`, `password = "${login.password}"`]),
    ];
    for (const [user, own] of [
      [person, card],
      [drawer, drawerCard],
    ] as const) {
      await site.administration.addUser(user);
      await site.administration.addCard(user, own);
    }
    installed = await site.install({ name: `agent-${number}`, printer: lines.join("\n") });
    agent = await installed.start();
    stops.push(() => agent.kill());
  });
  afterAll(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  async function kill(): Promise<void> {
    await agent.kill();
    gate.cut();
  }

  /** Until all that the ledger left open is resolved, and the central server knows. */
  async function restart(): Promise<void> {
    agent = await installed.start();
    await agent.tap("0123456789");
    await agent.atRest();
  }

  /** At most one came out; `printed` only if it was the whole document, `held` only if none; and no tap prints it again. */
  async function judge(document: Document): Promise<string> {
    const state = await stateOf(document);
    const out = await came();
    expect(out.length).toBeLessThanOrEqual(1);
    if (state === "printed") expect(out).toEqual([document.sha256]);
    if (state === "held") expect(out).toEqual([]);
    const again = await agent.tap(card);
    if (state === "held") {
      expect(again).toMatchObject({ signal: "printed" });
      expect(await came()).toEqual([document.sha256]);
    } else {
      expect(again).toMatchObject({ signal: "no-jobs" });
      expect(await came()).toEqual(out);
    }
    return state;
  }

  /** From a printer that lies nothing can be learnt, unless the cancel came before it printed. */
  function expectAfterCut(state: string): void {
    expect(printer.traits.liesAboutCuts === true ? ["in-doubt", "held"] : ["held"]).toContain(state);
  }

  test("a tap prints the document, once and byte for byte", inTurn, async () => {
    const document = await submit("one", 300_000);
    expect(await agent.tap(card)).toMatchObject({
      signal: "printed",
      jobs: [{ jobId: document.id, word: "printed", reason: "none" }],
    });
    expect(await judge(document)).toBe("printed");
  });

  test("several documents come out in the order of their submission", inTurn, async () => {
    const documents: Document[] = [await submit("first", SMALL)];
    for (const seed of ["second", "third", "fourth"]) documents.push(await add(seed, SMALL));
    const { jobs } = await agent.tap(card);
    expect(jobs.map(({ word }) => word)).toEqual(documents.map(() => "printed"));
    expect(await came()).toEqual(documents.map(({ sha256 }) => sha256));
  });

  test("a format that it cannot print stays held, with the reason", inTurn, async () => {
    before = (await printer.printed()).length;
    const bytes = Buffer.from(`%!PS ${kind}\nshowpage\n`);
    const document = await site.submit(bytes, "drawing.ps", { user: drawer });
    const trace = await agent.tap(drawerCard);
    if (printer.traits.takesAnyFormat === true) {
      expect(trace.jobs.map(({ word }) => word)).not.toContain("not printed");
      expect(await came()).toContain(sha256(bytes));
      return;
    }
    const ours = trace.jobs.find(({ jobId }) => jobId === document.id);
    const state = await site.stateOf(document, drawer);
    if (printer.traits.looksIntoDocuments === true) {
      // All of it had left by then: that nothing came out may be known, or not.
      expect(ours?.word).toBe(state === "held" ? "not printed" : "unknown");
    } else {
      expect(ours).toMatchObject({ word: "not printed", reason: "printer-format-unsupported" });
      expect(state).toBe("held");
    }
    expect(await came()).toEqual([]);
  });

  test("behind another person's job it waits, and then prints", inTurn, async () => {
    const document = await submit("waits", SMALL);
    const theirs = pdf(`${kind} theirs`, SMALL);
    await printer.hold();
    await panel.print(theirs);
    const trace = agent.tap(card);
    await until("it is claimed", async () => (await stateOf(document)) === "claimed");
    expect(await came()).toEqual([]);
    await printer.go();
    expect(await trace).toMatchObject({ signal: "printed" });
    expect(await came()).toEqual([sha256(theirs), document.sha256]);
  });

  test("cancelled at the printer, it is not printed again", inTurn, async () => {
    const document = await submit("cancelled", SMALL);
    await printer.hold();
    const trace = agent.tap(card);
    await recorded(document, "PRINTING");
    await panel.cancelAll();
    await printer.go();
    const word = printer.traits.counts === true ? "not printed" : "unknown";
    expect(await trace).toMatchObject({ jobs: [{ word, reason: "canceled-at-printer" }] });
    expect(await judge(document)).toBe(printer.traits.counts === true ? "canceled" : "in-doubt");
  });

  test(
    "a connection that breaks in the middle of the document: never twice, and no word that is not known",
    inTurn,
    async () => {
      const document = await submit("cut", LARGE);
      const held = gate.hold("toServer", ({ total }) => total > LARGE / 2);
      await agent.send(card);
      await held;
      gate.cut();
      await agent.atRest();
      expectAfterCut(await judge(document));
    },
  );

  test("kill -9 in the middle of the document: never twice, and no word that is not known", inTurn, async () => {
    const document = await submit("killed while sending", LARGE);
    const held = gate.hold("toServer", ({ total }) => total > LARGE / 2);
    await agent.send(card);
    await held;
    await kill();
    expect((await installed.phases(document)).at(-1)).toBe("SENDING");
    await restart();
    expectAfterCut(await judge(document));
  });

  test("kill -9 while it prints: looked up, and known to be printed", inTurn, async () => {
    const document = await submit("killed while printing", SMALL);
    await printer.hold();
    await agent.send(card);
    await recorded(document, "PRINTING");
    await kill();
    await printer.go();
    await restart();
    expect(await judge(document)).toBe("printed");
  });
});

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
