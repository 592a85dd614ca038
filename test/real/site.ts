import { createHash, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Administration, type JobRequest } from "../../agent/central/administration.ts";
import { CentralServer, type CentralServerOptions } from "../../agent/central/server.ts";
import type { JobState } from "../../agent/central/store.ts";
import { enrol } from "../../agent/demo/enrolled.ts";
import { PolicySettings, type ReleaseMode } from "../../agent/protocol/policy.ts";
import { decodeLog } from "../../agent/storage/append-log.ts";
import { AgentProcess, freePort } from "./agent-process.ts";

export const PERSON = "ada";
/** What the reader sends, which is the card number too. */
export const CARD = "04A2B3C4D5";

type CentralSettings = Omit<CentralServerOptions, "dataDir" | "port">;

export interface AgentSetup {
  readonly name?: string;
  readonly mode?: ReleaseMode;
  /** More lines for the [[printer]] table: `uri` at least. */
  readonly printer?: string;
  /** In place of the one printer and the one reader: their tables. */
  readonly tables?: string;
  /** In place of the network reader's own lines. */
  readonly reader?: string;
  /** Of the reader, as TOML. */
  readonly pipeline?: string;
  /** More lines for the [[reader]] table. */
  readonly readerLines?: string;
  /** More lines for the [agent] table. */
  readonly agent?: string;
  /** The port by which the agent reaches the central server, if not directly. */
  readonly centralPort?: number;
}

export interface Document {
  readonly id: string;
  readonly sha256: string;
}

/** One agent of the site: its configuration file, its state folder, its process. */
export interface Installed {
  readonly configPath: string;
  readonly stateDir: string;
  readonly controlSocket: string;
  readonly readerPort: number;
  start(through?: readonly string[]): Promise<AgentProcess>;
  /** The phases that its ledger file holds, of all jobs or of one, in order. */
  phases(document?: Document): Promise<string[]>;
}

/** A site in a temporary folder, set up as an administrator would: central server, a person with a card, agents. */
export class Site {
  readonly folder: string;
  readonly administration: Administration;
  readonly #central: CentralSettings;
  readonly #agents: AgentProcess[] = [];
  #server: CentralServer | undefined;
  #port = 0;

  static async start(central: CentralSettings = {}): Promise<Site> {
    const folder = await mkdtemp(join(tmpdir(), "printgate-site-"));
    await Administration.create(join(folder, "central"));
    const administration = await Administration.open(join(folder, "central"), "test");
    const site = new Site(folder, administration, central);
    await site.centralBack();
    await administration.addUser(PERSON, "Ada Lovelace");
    await administration.addCard(PERSON, CARD);
    return site;
  }

  private constructor(folder: string, administration: Administration, central: CentralSettings) {
    this.folder = folder;
    this.administration = administration;
    this.#central = central;
  }

  get centralPort(): number {
    return this.#port;
  }

  get centralFolder(): string {
    return join(this.folder, "central");
  }

  async centralAway(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  async centralBack(): Promise<void> {
    const limits = { tapBurst: 10_000, tapsPerSecond: 10_000, reportsPerSecond: 10_000, ...this.#central.limits };
    const times = { graceMs: 100, ...this.#central.times };
    this.#server = await CentralServer.start({
      ...this.#central,
      dataDir: this.centralFolder,
      port: this.#port,
      limits,
      times,
    });
    this.#port = this.#server.port;
  }

  async install(setup: AgentSetup): Promise<Installed> {
    const { name = "lobby", mode = "all", centralPort = this.#port } = setup;
    const stateDir = join(this.folder, `state-${name}`);
    const configPath = join(this.folder, `${name}.toml`);
    const controlSocket = join(stateDir, "control.sock");
    const readerPort = await freePort();
    const reader = setup.reader ?? `family = "tcp-line"\nlisten = "127.0.0.1:${readerPort}"`;
    await mkdir(stateDir, { mode: 0o700 });
    await enrol(this.administration, { url: `https://localhost:${this.#port}`, stateDir, name });
    if (mode === "newest") {
      await this.administration.publishPolicy(PolicySettings.parse({ release: { newest_at: [name] } }));
    }
    const tables =
      setup.tables ??
      `[[printer]]
name = "mfd"
${setup.printer}

[[reader]]
name = "front"
printer = "mfd"
repeat_hold_ms = 0
max_reads_per_10s = 10000
${reader}
${setup.pipeline === undefined ? "" : `pipeline = ${setup.pipeline}`}
${setup.readerLines ?? ""}
`;
    const text = `[agent]
state_dir = ${JSON.stringify(stateDir)}
${setup.agent ?? ""}

[central]
url = "https://localhost:${centralPort}"

${tables}`;
    await writeFile(configPath, text, { mode: 0o600 });
    const start = async (through: readonly string[] = []) => {
      const compileCache = join(this.folder, "compiled");
      const agent = await AgentProcess.start({ configPath, controlSocket, readerPort, compileCache, through });
      this.#agents.push(agent);
      return agent;
    };
    const phases = async (document?: Document) =>
      phasesOf(await readFile(join(stateDir, "ledger.log")).catch(() => Buffer.alloc(0)), document?.id);
    return { configPath, stateDir, controlSocket, readerPort, start, phases };
  }

  /** A document waits for the person. */
  async submit(
    bytes: Uint8Array,
    title = "document.pdf",
    { user = PERSON, ...wanted }: Partial<Pick<JobRequest, "user" | "ticket" | "jobPassword">> = {},
  ): Promise<Document> {
    const inbox = join(this.folder, "inbox");
    await mkdir(inbox, { recursive: true });
    const file = join(inbox, randomUUID());
    await writeFile(file, bytes);
    const { id, sha256 } = await this.administration.addJob({ file, user, title, ...wanted });
    return { id, sha256 };
  }

  async stateOf({ id }: Document, user = PERSON): Promise<JobState> {
    const job = (await this.administration.jobs(user)).find((one) => one.id === id);
    if (job === undefined) throw new Error("the central server does not know the job");
    return job.state;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.kill()));
    await this.#server?.stop();
    await this.administration.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The first record of a claim is CLAIMED; `reported` stands where the central server took the outcome. */
function phasesOf(bytes: Buffer, jobId: string | undefined): string[] {
  const jobs = new Map<string, string>();
  return decodeLog(bytes).records.flatMap((record) => {
    const { c = "", claim, release, reported } = record as LedgerLine;
    if (claim !== undefined) jobs.set(c, claim.jobId);
    if (jobId !== undefined && jobs.get(c) !== jobId) return [];
    if (release !== undefined) return [release.phase];
    if (reported === true) return ["reported"];
    return claim === undefined ? [] : ["CLAIMED"];
  });
}

interface LedgerLine {
  readonly c?: string;
  readonly claim?: { readonly jobId: string };
  readonly release?: { readonly phase: string };
  readonly reported?: true;
}

/** `size` octets that begin like a PDF and are never the same for another `seed`. */
export function pdf(seed: string, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let block = createHash("sha256").update(seed).digest();
  for (let at = 0; at < size; at += block.length) {
    block.copy(bytes, at);
    block = createHash("sha256").update(block).digest();
  }
  bytes.write(`%PDF-1.7 ${seed}\n`, 0, "latin1");
  return bytes;
}
