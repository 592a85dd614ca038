import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { controlSocketPath } from "../../agent/agent.ts";
import { Administration } from "../../agent/central/administration.ts";
import { enrol } from "../../agent/demo/enrolled.ts";
import { askStatus } from "../../agent/health/control-socket.ts";
import type { PolicySettings } from "../../agent/protocol/policy.ts";
import type { CentralNews, CentralReady, CentralSettings } from "./central.ts";
import type { FloorNews, FloorReady, FloorSettings } from "./floor.ts";
import type { BenchPrinter } from "./printer.ts";
import { AgentProcess, Script, within } from "./processes.ts";

export interface BedOptions {
  readonly folder: string;
  readonly bundle: string;
  readonly printer: BenchPrinter;
  readonly cards: number;
  /** Added before each answer of the central server, in ms. */
  readonly delayMs?: number;
  readonly readers?: number;
  readonly withFloor?: boolean;
  readonly nodeOptions?: readonly string[];
}

/** What a bare script that plays agent trusts, shows and says. */
export interface BareTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly boot: string;
}

export interface BareAgent {
  readonly url: string;
  readonly tls: BareTls;
  readonly cardKey: string;
}

/** Of one tap, in ms from its read. */
export type Stages = Readonly<Record<string, number>>;

const OUTCOME_MS = 30_000;

/**
 * A site to measure: central server, agent and floor each in a process of its own, all on loopback; this process is
 * reader and printer, so that a tap and its first byte are timed by one clock.
 */
export class Bed {
  readonly agent: AgentProcess;
  readonly config: string;
  readonly stateDir: string;
  /** For a script that plays agent. */
  readonly bare: BareAgent;
  readonly folder: string;
  /** Of every tap of the floor. */
  readonly floorStages: readonly Stages[];
  readonly #admin: Administration;
  readonly #closers: (() => Promise<unknown> | unknown)[];
  readonly #taps: readonly Socket[];
  readonly #floor: Socket | undefined;
  readonly #news: News;
  #turn = 0;

  static async start(options: BedOptions): Promise<Bed> {
    const { folder, bundle, printer, cards, delayMs = 0, readers = 1, nodeOptions = [] } = options;
    const closers: (() => Promise<unknown> | unknown)[] = [];
    try {
      await mkdir(folder, { recursive: true });
      closers.push(() => rm(folder, { recursive: true, force: true }));
      const dataDir = join(folder, "central");
      await Administration.create(dataDir);
      const news = new News();
      const central = await Script.start<CentralReady>(
        "central.ts",
        { dataDir, delayMs } satisfies CentralSettings,
        (message) => news.add(message as CentralNews),
      );
      closers.push(() => central.stop());
      const { url } = central.ready;
      const admin = await Administration.open(dataDir);
      closers.push(() => admin.close());
      for (let card = 0; card < cards; card++) {
        await admin.addUser(userOf(card));
        await admin.addCard(userOf(card), cardOf(card));
      }
      const ports = await freePorts(readers);
      const stateDir = join(folder, "state");
      const config = join(folder, "printgate.toml");
      await mkdir(stateDir, { mode: 0o700 });
      await enrol(admin, { url, stateDir, name: "agent" });
      await writeFile(config, configuration(stateDir, printer.uri, ports), { mode: 0o600 });
      const agent = await AgentProcess.start(bundle, config, nodeOptions);
      closers.push(() => agent.stop());
      const taps: Socket[] = [];
      for (const port of ports) taps.push(await line(port));
      closers.push(() => {
        for (const socket of taps) socket.destroy();
      });
      const bare = await bareAgent(admin, url, join(folder, "bare"));
      let floor: Socket | undefined;
      const floorStages: Stages[] = [];
      if (options.withFloor === true) {
        const settings: FloorSettings = {
          ...bare,
          ...{ printerPort: printer.port, file: join(folder, "floor.log") },
        };
        const script = await Script.start<FloorReady>("floor.ts", settings, (message) =>
          floorStages.push((message as FloorNews).stagesMs),
        );
        closers.push(() => script.stop());
        const socket = await line(script.ready.port);
        closers.push(() => void socket.destroy());
        floor = socket;
      }
      return new Bed({ folder, admin, agent, config, stateDir, bare, taps, floor, floorStages, news, closers });
    } catch (error) {
      for (const close of closers.reverse()) await close();
      throw error;
    }
  }

  private constructor(parts: {
    folder: string;
    admin: Administration;
    agent: AgentProcess;
    config: string;
    stateDir: string;
    bare: BareAgent;
    taps: readonly Socket[];
    floor: Socket | undefined;
    floorStages: readonly Stages[];
    news: News;
    closers: (() => Promise<unknown> | unknown)[];
  }) {
    this.folder = parts.folder;
    this.#admin = parts.admin;
    this.agent = parts.agent;
    this.config = parts.config;
    this.stateDir = parts.stateDir;
    this.bare = parts.bare;
    this.#taps = parts.taps;
    this.#floor = parts.floor;
    this.floorStages = parts.floorStages;
    this.#news = parts.news;
    this.#closers = parts.closers;
  }

  /** Leaves one document for the holder of each of these cards. */
  async hold(file: string, ...cards: readonly number[]): Promise<void> {
    for (const card of cards) {
      await this.#admin.addJob({ file, user: userOf(card), title: "bench", format: "application/pdf" });
    }
  }

  /** As `printgate central policy publish`; the name of the policy. */
  async publish(settings: PolicySettings): Promise<string> {
    const { policy } = await this.#admin.publishPolicy(settings);
    return `${policy.root}.${policy.version}`;
  }

  /** Presents a card at one of the agent's readers; returns when, in monotonic ms. A card of no one is refused. */
  tap(card: number): number {
    this.#turn = (this.#turn + 1) % this.#taps.length;
    return present(this.#taps[this.#turn], card);
  }

  /** The same for the bare script. */
  tapFloor(card: number): number {
    return present(this.#floor, card);
  }

  /** Of the agent's newest taps. */
  async stages(taps: number): Promise<Stages[]> {
    const status = await askStatus(controlSocketPath(this.stateDir));
    return (status as { taps: { stagesMs: Stages }[] }).taps.slice(-taps).map(({ stagesMs }) => stagesMs);
  }

  get answeredTaps(): number {
    return this.#news.taps;
  }

  /** Resolves when the server has answered this many taps in all. */
  answered(taps: number): Promise<void> {
    return within(
      OUTCOME_MS,
      "answers to taps",
      this.#news.when(() => this.#news.taps >= taps),
    );
  }

  get printed(): number {
    return this.#news.printed;
  }

  /** Resolves when the server was told of this many printed jobs in all; rejects if one did not print. */
  outcomes(printed: number): Promise<void> {
    return within(
      OUTCOME_MS,
      "outcomes",
      this.#news.when(() => this.#news.printed >= printed),
    );
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }
}

/** What the central server told so far. */
class News {
  taps = 0;
  printed = 0;
  #failed: string | undefined;
  #waiting: { ready: () => boolean; resolve: () => void; reject: (error: Error) => void }[] = [];

  add({ taps, outcomes }: CentralNews): void {
    this.taps += taps;
    for (const word of outcomes) {
      if (word === "printed") this.printed += 1;
      else this.#failed = word;
    }
    this.#waiting = this.#waiting.filter(({ ready, resolve, reject }) => {
      if (this.#failed !== undefined) reject(new Error(`a job ended as ${this.#failed}`));
      else if (ready()) resolve();
      else return true;
      return false;
    });
  }

  when(ready: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ready, resolve, reject });
      this.add({ taps: 0, outcomes: [] });
    });
  }
}

const userOf = (card: number) => `user-${card}`;
/** As a card number is written, and as the reader sends it. */
export const cardOf = (card: number) => `04A2${card.toString(16).toUpperCase().padStart(6, "0")}`;

function present(socket: Socket | undefined, card: number): number {
  if (socket === undefined) throw new Error("nobody reads cards here");
  const at = performance.now();
  socket.write(`${cardOf(card)}\r\n`);
  return at;
}

async function line(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  socket.resume(); // what the agent says to the reader
  return socket;
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, "listening");
    const address = server.address();
    if (address !== null && typeof address === "object") ports.push(address.port);
  }
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

async function bareAgent(admin: Administration, url: string, stateDir: string): Promise<BareAgent> {
  await mkdir(stateDir, { mode: 0o700 });
  const boot = randomBytes(16).toString("hex");
  const { trust, granted, keys } = await enrol(admin, { url, stateDir, name: "bare", boot });
  return { url, tls: { ca: trust.ca, cert: granted.certificate, key: keys.tls, boot }, cardKey: granted.cardKey };
}

function configuration(stateDir: string, printerUri: string, ports: readonly number[]): string {
  const agent = `[agent]\nstate_dir = ${JSON.stringify(stateDir)}\n`;
  const readers = ports.map(
    (port, index) => `
[[reader]]
name = "front-${index}"
family = "tcp-line"
printer = "mfd"
listen = "127.0.0.1:${port}"
repeat_hold_ms = 0
max_reads_per_10s = 10000
`,
  );
  return `${agent}
[[printer]]
name = "mfd"
uri = ${JSON.stringify(printerUri)}
${readers.join("")}`;
}

/** A document of this size that looks like a PDF and does not compress. */
export async function writeDocument(file: string, size: number): Promise<void> {
  const bytes = randomBytes(Math.min(size, 2 ** 20));
  bytes.write("%PDF-1.7\n");
  const pieces = Array.from({ length: Math.ceil(size / bytes.length) }, (_, index) =>
    bytes.subarray(0, Math.min(bytes.length, size - index * bytes.length)),
  );
  await writeFile(file, pieces);
}
