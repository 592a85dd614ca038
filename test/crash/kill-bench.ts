import { readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { type MfdFault, talkOf } from "../../agent/demo/mfd-faults.ts";
import { type Clock, systemClock } from "../../drivers/clock.ts";
import type { AgentProcess } from "../real/agent-process.ts";
import { Gate } from "../real/gate.ts";
import { CARD, type Document, type Installed, pdf, Site } from "../real/site.ts";
import { until } from "../real/until.ts";
import { FATES, type KillPlan, type KillPoint, POINTS, type Scene } from "./kill-points.ts";
import { lookAtLedger } from "./ledger-file.ts";
import { judge } from "./oracle.ts";
import type { Outcome } from "./plan.ts";
import { type Submitted, Witness } from "./witness.ts";

const PAGES = 4;
const PRINT_MS = 600;
const PENDING_MS = 250;

/** The agent as a process of its own beside the hostile MFD; it is killed by SIGKILL at a known point, and started again. */
export class KillBench {
  readonly #site: Site;
  readonly #mfd: VirtualMfd;
  readonly #central: Gate;
  readonly #printer: Gate;
  readonly #installed: Installed;
  readonly #witness: Witness;
  #agent: AgentProcess;
  #stop: ((operation: number, when: "here" | "performed") => Promise<void> | undefined) | undefined;
  #documents = 0;

  static async start(): Promise<KillBench> {
    const site = await Site.start();
    let bench: KillBench | undefined;
    const clock: Clock = systemClock;
    const mfd = await VirtualMfd.start({
      ...{ clock, pages: PAGES, printMs: PRINT_MS, pendingMs: PENDING_MS },
      onRequest: (operation, when) => bench?.request(operation, when),
    });
    const printer = await Gate.start(Number(new URL(mfd.uri).port));
    const central = await Gate.start(site.centralPort);
    const uri = `ipp://127.0.0.1:${printer.port}/ipp/print`;
    const installed = await site.install({ printer: `uri = "${uri}"`, centralPort: central.port });
    // A clean end leaves the compiled code behind for the next starts.
    await (await installed.start()).stop();
    bench = new KillBench({ site, mfd, central, printer, installed, agent: await installed.start() });
    // After its first tap the new ledger is trusted; after its first print the printer has shown that it counts.
    await bench.#submit(1000);
    await bench.#agent.tap(CARD);
    return bench;
  }

  private constructor(parts: {
    site: Site;
    mfd: VirtualMfd;
    central: Gate;
    printer: Gate;
    installed: Installed;
    agent: AgentProcess;
  }) {
    this.#site = parts.site;
    this.#mfd = parts.mfd;
    this.#central = parts.central;
    this.#printer = parts.printer;
    this.#installed = parts.installed;
    this.#agent = parts.agent;
    this.#witness = new Witness(parts.mfd, this.#ledgerPath, systemClock);
  }

  async release(plan: KillPlan): Promise<Outcome> {
    const point: KillPoint = POINTS[plan.point];
    const { document, submitted } = await this.#submit(point.size);
    const began = performance.now();
    const scene = this.#scene(document);
    const stands = point.stand(scene);
    await this.#agent.send(CARD);
    await stands;
    await this.#agent.kill();
    this.#printer.cut();
    this.#central.cut();
    scene.letGo();
    this.#stop = undefined;
    if (point.tornToState) await this.#cutBack(document, point.state);
    const { phases } = lookAtLedger(this.#ledgerPath, document.id);
    const reached = point.state === "UNHEARD" ? phases.length === 0 : phases.at(-1) === point.state;
    for (const fault of FATES[plan.fate].faults) this.#mfd.inject(fault);
    await this.#restart();
    const { entry, phases: all } = lookAtLedger(this.#ledgerPath, document.id);
    const told = await this.#witness.ask(submitted);
    await this.#mfd.heal();
    await until("the printer is idle", () => this.#mfd.idle);
    const paper = this.#witness.paper(submitted);
    const state = await this.#site.stateOf(document);
    const { signal } = await this.#agent.tap(CARD);
    const verdict = judge({
      word: entry?.release.end?.word,
      reason: entry?.release.end?.reason,
      ...{ state, paper, told },
      acknowledged: all.includes("SENT") || all.includes("PRINTING"),
      counts: true,
      again: { signal, state: await this.#site.stateOf(document), paper: this.#witness.paper(submitted) },
    });
    if (state === "in-doubt") await this.#site.administration.decide(document.id, "printed");
    const end = entry?.release.end;
    const virtualMs = performance.now() - began;
    return { ...verdict, reached, word: end?.word ?? "none", reason: end?.reason ?? "none", virtualMs };
  }

  request(operation: number, when: "here" | "performed"): Promise<void> | undefined {
    return this.#stop?.(operation, when);
  }

  async stop(): Promise<void> {
    await this.#site.stop();
    await this.#witness.stop();
    await this.#central.stop();
    await this.#printer.stop();
    await this.#mfd.stop();
  }

  /** Until all that the ledger left open is resolved, the claims are compared, and the central server knows. */
  async #restart(): Promise<void> {
    this.#agent = await this.#installed.start();
    await this.#agent.tap("0123456789");
    await this.#agent.atRest();
  }

  async #submit(size: number): Promise<{ document: Document; submitted: Submitted }> {
    this.#documents += 1;
    const from = this.#mfd.prints.length;
    const document = await this.#site.submit(pdf(`document ${this.#documents}`, size));
    return { document, submitted: { ...document, from } };
  }

  #scene(document: Document): Scene {
    const letGo: (() => void)[] = [];
    const phase = () => lookAtLedger(this.#ledgerPath, document.id).phases.at(-1);
    return {
      central: this.#central,
      printer: this.#printer,
      inject: (fault: MfdFault) => this.#mfd.inject(fault),
      phase,
      recorded: (wanted) => until(`the ledger holds ${wanted}`, () => phase() === wanted),
      reported: async () => {
        await until("it is reported", async () => (await this.#site.stateOf(document)) !== "claimed");
      },
      holdRequest: (talk, when, then = () => {}, isIt = () => true) =>
        new Promise((resolve) => {
          const held = new Promise<void>((go) => letGo.push(go));
          this.#stop = async (operation, now) => {
            if (talkOf(operation) !== talk || now !== when || !isIt()) return;
            this.#stop = undefined;
            const stays = then() !== "go on";
            resolve();
            if (stays) await held;
          };
        }),
      letGo: () => {
        for (const go of letGo.splice(0)) go();
      },
    };
  }

  get #ledgerPath(): string {
    return join(this.#installed.stateDir, "ledger.log");
  }

  /** The file that a kill before the next record leaves behind. */
  async #cutBack(document: Document, state: string): Promise<void> {
    for (;;) {
      const { phases } = lookAtLedger(this.#ledgerPath, document.id);
      if (phases.at(-1) === state || phases.length === 0) return;
      const text = await readFile(this.#ledgerPath);
      await truncate(this.#ledgerPath, text.lastIndexOf("\n", text.length - 2) + 1);
    }
  }
}
