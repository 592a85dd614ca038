import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent } from "../../agent/agent.ts";
import { Administration } from "../../agent/central/administration.ts";
import { CentralServer } from "../../agent/central/server.ts";
import type { JobState } from "../../agent/central/store.ts";
import { loadConfig } from "../../agent/config/config.ts";
import { enrol } from "../../agent/demo/enrolled.ts";
import { VirtualMfd } from "../../agent/demo/mfd.ts";
import { MFD_FAULTS, talkOf } from "../../agent/demo/mfd-faults.ts";
import { VirtualReader } from "../../agent/demo/virtual-reader.ts";
import type { Phase } from "../../agent/release/machine.ts";
import type { Stage, TapTrace } from "../../agent/release/trace.ts";
import { silentLog } from "../../drivers/log.ts";
import { Gate } from "../real/gate.ts";
import { CARD, PERSON, pdf } from "../real/site.ts";
import { lookAtLedger } from "./ledger-file.ts";
import { type Facts, judge } from "./oracle.ts";
import type { FaultPlan, FaultState, Instant, Make, Outcome } from "./plan.ts";
import { WarpClock } from "./warp-clock.ts";
import { type Submitted, Witness } from "./witness.ts";

const PAGES = 4;
const PRINT_MS = 4000;
const PENDING_MS = 1500;
/** The longest that the agent may take for its word: it is patient with a job that stands still. */
const WORD_MS = 6 * 3_600_000;
const SETTLE_MS = 600_000;
const SEEN_MS = 2000;

/** One site in this process: the real agent, central server, ledger and link, beside the hostile MFD, on a clock that jumps. */
export class FaultBench {
  readonly clock: WarpClock;
  readonly #folder: string;
  readonly #make: Make;
  readonly #reader = new VirtualReader();
  readonly #mfd: VirtualMfd;
  readonly #gate: Gate;
  readonly #central: CentralServer;
  readonly #administration: Administration;
  readonly #witness: Witness;
  #agent: Agent | undefined;
  #trap: Trap | undefined;
  #documents = 0;

  static async start(make: Make): Promise<FaultBench> {
    const clock = new WarpClock();
    const folder = await mkdtemp(join(tmpdir(), "printgate-crash-"));
    const dataDir = join(folder, "central");
    await Administration.create(dataDir);
    const administration = await Administration.open(dataDir, "test", clock);
    const limits = { tapBurst: 10_000, tapsPerSecond: 10_000, reportsPerSecond: 10_000 };
    const central = await CentralServer.start({ dataDir, clock, limits, times: { graceMs: 100 } });
    const gate = await Gate.start(central.port);
    let bench: FaultBench | undefined;
    const mfd = await VirtualMfd.start({
      ...{ clock, pages: PAGES, printMs: PRINT_MS, pendingMs: PENDING_MS, counts: make.counts },
      withoutCreateJob: !make.createJob,
      onRequest: (operation, when) => bench?.request(operation, when),
      onFirstByte: () => bench?.firstByte(),
    });
    bench = new FaultBench(clock, folder, make, { mfd, gate, central, administration });
    await bench.#install();
    return bench;
  }

  private constructor(
    clock: WarpClock,
    folder: string,
    make: Make,
    parts: { mfd: VirtualMfd; gate: Gate; central: CentralServer; administration: Administration },
  ) {
    this.clock = clock;
    this.#folder = folder;
    this.#make = make;
    this.#mfd = parts.mfd;
    this.#gate = parts.gate;
    this.#central = parts.central;
    this.#administration = parts.administration;
    this.#witness = new Witness(parts.mfd, this.#ledgerPath, clock);
  }

  async #install(): Promise<void> {
    await this.#administration.addUser(PERSON, "Ada Lovelace");
    await this.#administration.addCard(PERSON, CARD);
    const stateDir = join(this.#folder, "state");
    await mkdir(stateDir, { mode: 0o700 });
    await enrol(this.#administration, { url: `https://localhost:${this.#gate.port}`, stateDir, name: "lobby" });
    const configPath = join(this.#folder, "printgate.toml");
    const text = `[agent]
state_dir = ${JSON.stringify(stateDir)}

[[printer]]
name = "mfd"
uri = "${this.#mfd.uri}"

[[reader]]
name = "front"
family = "tcp-line"
printer = "mfd"
listen = "127.0.0.1:1"
repeat_hold_ms = 0
max_reads_per_10s = 10000
`;
    await writeFile(configPath, text, { mode: 0o600 });
    await mkdir(join(this.#folder, "inbox"));
    this.#agent = await Agent.start({
      config: await loadConfig(configPath),
      ...{ log: silentLog, clock: this.clock, transports: new Map([["front", this.#reader]]) },
      traced: (trace, stage) => this.#trap?.traced(trace, stage),
    });
    await this.#reader.opened();
    // A first document, so that the ledger is trusted and the printer was seen to count.
    const { outcome } = await this.#tapped(await this.#submit(5000));
    if (outcome !== "printed") throw new Error(`a first document came out as ${outcome}`);
  }

  /** One document, one tap, one fault; then the verdict. */
  async release({ state, fault, instant, size }: FaultPlan): Promise<Outcome> {
    const document = await this.#submit(size);
    const trap = new Trap(state, instant, {
      clock: this.clock,
      gate: this.#gate,
      phase: () => this.#view(document).entry?.release.phase,
      inject: () => {
        for (const one of MFD_FAULTS[fault].faults) this.#mfd.inject(one);
      },
    });
    this.#trap = trap;
    const began = this.clock.monotonic();
    await this.#tapped(document);
    const virtualMs = this.clock.monotonic() - began;
    this.#trap = undefined;
    const told = await this.clock.settle("the printer tells of the job", this.#witness.ask(document), SETTLE_MS);
    const { entry, phases } = this.#view(document);
    // Nothing of it may come out later than the word. What does, does so before the next tap.
    await this.clock.settle("the printer is well", this.#mfd.heal(), SETTLE_MS);
    await this.clock.run("the printer is idle", () => this.#mfd.idle, SETTLE_MS);
    const paper = this.#witness.paper(document);
    const state1 = await this.#stateOf(document);
    const second = await this.#tapped(document);
    const facts: Facts = {
      word: entry?.release.end?.word,
      reason: entry?.release.end?.reason,
      state: state1,
      paper,
      acknowledged: phases.includes("SENT") || phases.includes("PRINTING"),
      told,
      counts: this.#make.counts === "pages",
      again: { signal: second.signal, state: await this.#stateOf(document), paper: this.#witness.paper(document) },
    };
    if (state1 === "in-doubt") await this.#administration.decide(document.id, "printed");
    const reached = trap.sprung && (state === "ENDED" ? facts.word !== undefined : phases.includes(state));
    return {
      ...judge(facts),
      ...{ reached, word: facts.word ?? "none", reason: facts.reason ?? "none", virtualMs },
    };
  }

  async request(operation: number, when: "here" | "performed"): Promise<void> {
    await this.#trap?.request(operation, when);
  }

  firstByte(): void {
    this.#trap?.firstByte();
  }

  async stop(): Promise<void> {
    const stopping = (async () => {
      await this.#mfd.heal();
      await this.#agent?.stop();
      await this.#witness.stop();
      await this.#mfd.stop();
      await this.#central.stop();
      await this.#gate.stop();
      await this.#administration.close();
    })();
    await this.clock.settle("all has stopped", stopping, SETTLE_MS);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  get failures(): readonly unknown[] {
    return this.#mfd.failures;
  }

  async #submit(size: number): Promise<Submitted> {
    this.#documents += 1;
    const file = join(this.#folder, "inbox", "document");
    await writeFile(file, pdf(`document ${this.#documents}`, size));
    const job = { file, user: PERSON, title: "document.pdf", expiresInMs: 30 * 86_400_000 };
    const { id, sha256 } = await this.#administration.addJob(job);
    return { id, sha256, from: this.#mfd.prints.length };
  }

  /** Taps, and waits until the agent has spoken of everything and the central server knows. */
  async #tapped({ id }: Submitted): Promise<Tapped> {
    const agent = this.#agent;
    if (agent === undefined) throw new Error("no agent runs");
    const last = agent.loop.traces.at(-1);
    if (!this.#reader.tap(CARD)) throw new Error("nobody reads the reader");
    await this.clock.run(
      `the tap of document ${this.#documents} has ended`,
      () => {
        const trace = agent.loop.traces.at(-1);
        if (trace === undefined || trace === last || !hasEnded(trace)) return false;
        const { ledger, printers } = agent.status();
        return ledger.open + ledger.unreported === 0 && printers.every(({ depth }) => depth === 0);
      },
      WORD_MS,
    );
    await this.clock.still(); // the file holds what the status said
    const trace = agent.loop.traces.at(-1);
    return { signal: trace?.signal, outcome: trace?.jobs.find(({ jobId }) => jobId === id)?.word };
  }

  get #ledgerPath(): string {
    return join(this.#folder, "state", "ledger.log");
  }

  #view({ id }: Submitted) {
    return lookAtLedger(this.#ledgerPath, id);
  }

  async #stateOf({ id }: Submitted): Promise<JobState> {
    const job = (await this.#administration.jobs(PERSON)).find((one) => one.id === id);
    if (job === undefined) throw new Error("the central server does not know the job");
    return job.state;
  }
}

interface Tapped {
  readonly signal: string | undefined;
  readonly outcome: string | undefined;
}

function hasEnded({ jobs, signal }: TapTrace): boolean {
  return jobs.length > 0 ? jobs.every(({ word }) => word !== undefined) : signal !== undefined && signal !== "accepted";
}

interface TrapParts {
  readonly clock: WarpClock;
  readonly gate: Gate;
  /** By the ledger file. */
  readonly phase: () => Phase | undefined;
  readonly inject: () => void;
}

/** Larger than any answer of the central server but a document. */
const DOCUMENT_OCTETS = 3500;

/** Waits until the agent is in one state, at one instant of it, and injects there, once. */
class Trap {
  sprung = false;
  readonly #state: FaultState;
  readonly #instant: Instant;
  readonly #parts: TrapParts;
  #traced = new Set<string>();
  #armed = true;

  constructor(state: FaultState, instant: Instant, parts: TrapParts) {
    this.#state = state;
    this.#instant = instant;
    this.#parts = parts;
    if (state !== "CLAIMED") return;
    void parts.gate
      .hold("toClient", ({ last }) => last.length > DOCUMENT_OCTETS)
      .then(() => this.#stand(() => parts.gate.release()));
  }

  traced(_trace: TapTrace, stage: Stage | "signal"): void {
    this.#traced.add(stage);
    if (this.#state === "CREATED" && stage === "created") {
      // One turn later the machine has the printer's job, and the disk has not answered yet.
      setImmediate(() => {
        if (!this.#traced.has("durable")) this.#spring();
      });
    }
    if (this.#state === "ENDED" && stage === "ended") this.#spring();
  }

  async request(operation: number, when: "here" | "performed"): Promise<void> {
    if (!this.#armed || !this.#isMine(operation)) return;
    if (this.#instant === when) await this.#stand();
    else if (this.#instant === "between" && when === "performed" && talkOf(operation) === "look-up") this.#later();
  }

  firstByte(): void {
    if (this.#armed && this.#state === "SENDING" && this.#instant === "between") this.#spring();
  }

  #isMine(operation: number): boolean {
    const talk = talkOf(operation);
    switch (this.#state) {
      case "FETCHED":
        return talk === "create";
      case "SENDING":
        return talk === "document";
      case "SENT":
      case "PRINTING":
        return talk === "look-up" && this.#parts.phase() === this.#state;
      case "CLAIMED":
      case "CREATED":
      case "ENDED":
        return false;
    }
  }

  /** Between two look-ups. */
  #later(): void {
    this.#armed = false;
    this.#parts.clock.after(100, () => {
      this.#armed = true;
      if (this.#parts.phase() === this.#state) this.#spring();
    });
  }

  /** Time stands still until the ledger file shows the state; then it happens. */
  async #stand(then: () => void = () => {}): Promise<void> {
    const goOn = this.#parts.clock.freeze();
    try {
      const end = performance.now() + SEEN_MS;
      while (this.#parts.phase() !== this.#state && performance.now() < end) await sleep(1);
      if (this.#parts.phase() === this.#state) this.#spring();
    } finally {
      then();
      goOn();
    }
  }

  #spring(): void {
    if (!this.#armed) return;
    this.#armed = false;
    this.sprung = true;
    this.#parts.inject();
  }
}
