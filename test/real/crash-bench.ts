import { expect } from "vitest";
import { type MfdOptions, type Print, VirtualMfd } from "../../agent/demo/mfd.ts";
import { systemClock } from "../../drivers/clock.ts";
import type { AgentProcess } from "./agent-process.ts";
import { Gate } from "./gate.ts";
import { CARD, type Document, type Installed, pdf, Site } from "./site.ts";
import { until } from "./until.ts";

/** One document that a person tapped for. */
export interface Released {
  readonly document: Document;
  /** What came out of the printer since the tap. */
  readonly prints: () => readonly Print[];
  /** What the ledger file holds of it. */
  readonly phases: () => Promise<readonly string[]>;
}

/** One printer beside one agent that may be killed, with a gate on each of the agent's two lines. */
export class CrashBench {
  readonly site: Site;
  readonly mfd: VirtualMfd;
  readonly central: Gate;
  readonly printer: Gate;
  readonly installed: Installed;
  agent: AgentProcess;
  #documents = 0;

  static async start(options: Omit<MfdOptions, "clock"> = {}): Promise<CrashBench> {
    const site = await Site.start();
    const mfd = await VirtualMfd.start({ clock: systemClock, ...options });
    const printer = await Gate.start(Number(new URL(mfd.uri).port));
    const central = await Gate.start(site.centralPort);
    const installed = await site.install({
      printer: `uri = "ipp://127.0.0.1:${printer.port}/ipp/print"`,
      centralPort: central.port,
    });
    // A clean end leaves the compiled code behind for the next starts.
    await (await installed.start()).stop();
    const bench = new CrashBench({ site, mfd, central, printer, installed, agent: await installed.start() });
    // After its first tap the new ledger is trusted; after its first print the printer has shown that it counts.
    mfd.slow(0);
    await bench.tapWithDocument(1000);
    await until("a first document is printed", () => mfd.prints.length > 0);
    mfd.slow(options.printMs ?? 40);
    await bench.agent.atRest();
    return bench;
  }

  private constructor(parts: Pick<CrashBench, "site" | "mfd" | "central" | "printer" | "installed" | "agent">) {
    this.site = parts.site;
    this.mfd = parts.mfd;
    this.central = parts.central;
    this.printer = parts.printer;
    this.installed = parts.installed;
    this.agent = parts.agent;
  }

  /** An agent runs again, if the test before left none. */
  async ready(): Promise<void> {
    if (this.agent.running) return;
    await this.kill();
    await this.restart();
  }

  /** A person with one held document of `size` octets taps; nothing is waited for. */
  async tapWithDocument(size: number): Promise<Released> {
    this.#documents += 1;
    const document = await this.site.submit(pdf(`document ${this.#documents}`, size));
    const printed = this.mfd.prints.length;
    await this.agent.send(CARD);
    return {
      document,
      prints: () => this.mfd.prints.slice(printed),
      phases: () => this.installed.phases(document),
    };
  }

  /** Resolves when the ledger file holds this record of the release. */
  async recorded({ phases }: Released, phase: string): Promise<void> {
    await until(`the ledger holds ${phase}`, async () => (await phases()).includes(phase));
  }

  /** What is on its way at this moment is lost with the process. */
  async kill(): Promise<void> {
    await this.agent.kill();
    this.printer.cut();
    this.central.cut();
  }

  /** Until all that the ledger left open is resolved, the claims are compared, and the central server knows. */
  async restart(): Promise<void> {
    this.agent = await this.installed.start();
    await this.agent.tap("0123456789");
    await this.agent.atRest();
  }

  /**
   * What must hold after any crash: at most one print; `printed` only if the whole document came out, `held` only if nothing
   * did. Then the person taps again: a held job is printed now, and no other. Resolves with the state after the crash.
   */
  async judge({ document, prints }: Released): Promise<string> {
    const state = await this.site.stateOf(document);
    const came = prints();
    expect(came.length).toBeLessThanOrEqual(1);
    if (state === "printed") expect(came.map(wholeOf)).toEqual([document.sha256]);
    else if (state === "held") expect(came).toEqual([]);
    else expect(state).toBe("in-doubt");
    const again = await this.agent.tap(CARD);
    if (state === "held") {
      expect(again).toMatchObject({ signal: "printed" });
      expect(prints().map(wholeOf)).toEqual([document.sha256]);
    } else {
      expect(again).toMatchObject({ signal: "no-jobs" });
      expect(prints()).toEqual(came);
    }
    return state;
  }

  async stop(): Promise<void> {
    await this.site.stop();
    await this.central.stop();
    await this.printer.stop();
    await this.mfd.stop();
  }
}

function wholeOf({ cut, sha256 }: Print): string {
  return cut ? "the beginning of a document" : sha256;
}
