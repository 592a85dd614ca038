import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../../drivers/log.ts";
import { Agent, type AgentOptions } from "../agent.ts";
import { Administration } from "../central/administration.ts";
import { CentralServer, type CentralServerOptions } from "../central/server.ts";
import { loadConfig } from "../config/config.ts";
import { enrol } from "./enrolled.ts";
import { VirtualReader } from "./virtual-reader.ts";

export interface SiteOptions {
  readonly log: Log;
  /** The printer that the agent releases on; ipp:// or, with its key pins, ipps://. */
  readonly printerUri: string;
  readonly printerKeyPins?: readonly string[];
  readonly traced?: NonNullable<AgentOptions["traced"]>;
  /** Hears the fingerprint that both sides showed when the agent was enrolled. */
  readonly enrolled?: (fingerprint: string) => void;
  readonly central?: Omit<CentralServerOptions, "dataDir" | "port" | "log">;
}

/** The card that the demo's person has: what the reader sends, which is also the card number. */
export const CARD = "04A2B3C4D5";
export const PERSON = "ada";

/** A whole site in a temporary folder, set up as an administrator would: central server, person, card, agent, reader. */
export class DemoSite {
  readonly folder: string;
  readonly reader = new VirtualReader();
  readonly #options: SiteOptions;
  readonly #administration: Administration;
  readonly #port: number;
  #central: CentralServer | undefined;
  #agent: Agent | undefined;

  private constructor(folder: string, options: SiteOptions, administration: Administration, central: CentralServer) {
    this.folder = folder;
    this.#options = options;
    this.#administration = administration;
    this.#central = central;
    this.#port = central.port;
  }

  static async start(options: SiteOptions): Promise<DemoSite> {
    const folder = await mkdtemp(join(tmpdir(), "printgate-demo-"));
    try {
      const dataDir = join(folder, "central");
      await Administration.create(dataDir);
      const administration = await Administration.open(dataDir, "demo");
      const central = await CentralServer.start({ ...options.central, dataDir, log: options.log });
      const site = new DemoSite(folder, options, administration, central);
      try {
        await administration.addUser(PERSON, "Ada Lovelace");
        await administration.addCard(PERSON, CARD);
        const stateDir = join(folder, "state");
        await mkdir(stateDir, { mode: 0o700 });
        const url = `https://localhost:${central.port}`;
        await enrol(administration, { url, stateDir, name: "demo", compared: options.enrolled });
        await writeFile(site.configPath, site.#configuration(stateDir), { mode: 0o600 });
        await site.startAgent();
        return site;
      } catch (error) {
        await site.stop();
        throw error;
      }
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get configPath(): string {
    return join(this.folder, "printgate.toml");
  }

  get agent(): Agent {
    if (this.#agent === undefined) throw new Error("the agent does not run");
    return this.#agent;
  }

  async startAgent(): Promise<void> {
    const { log, traced } = this.#options;
    const config = await loadConfig(this.configPath);
    const transports = new Map([["front", this.reader]]);
    this.#agent = await Agent.start({ config, log, transports, ...(traced === undefined ? {} : { traced }) });
    await this.reader.opened();
  }

  /** Leaves a document for the person, and tells its id and the SHA-256 of its bytes. */
  async submit(document: Uint8Array, title: string): Promise<{ id: string; sha256: string }> {
    const inbox = join(this.folder, "inbox");
    await mkdir(inbox, { recursive: true });
    const file = join(inbox, "document");
    await writeFile(file, document);
    const { id } = await this.#administration.addJob({ file, user: PERSON, title });
    return { id, sha256: createHash("sha256").update(document).digest("hex") };
  }

  async held(): Promise<number> {
    return (await this.#administration.jobs(PERSON)).filter(({ state }) => state === "held").length;
  }

  get networkCut(): boolean {
    return this.#central === undefined;
  }

  /** The central server vanishes from the network. */
  async cutNetwork(): Promise<void> {
    await this.#central?.stop();
    this.#central = undefined;
  }

  async healNetwork(): Promise<void> {
    const { central, log } = this.#options;
    this.#central ??= await CentralServer.start({
      ...central,
      dataDir: join(this.folder, "central"),
      port: this.#port,
      log,
    });
  }

  async stop(): Promise<void> {
    await this.#agent?.stop();
    await this.#central?.stop();
    await this.#administration.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  #configuration(stateDir: string): string {
    const { printerUri, printerKeyPins = [] } = this.#options;
    return `[agent]
state_dir = ${JSON.stringify(stateDir)}

[[printer]]
name = "mfd"
uri = ${JSON.stringify(printerUri)}
key_pins = ${JSON.stringify(printerKeyPins)}

[[reader]]
name = "front"
family = "tcp-line"
printer = "mfd"
listen = "127.0.0.1:1"
repeat_hold_ms = 0
max_reads_per_10s = 100
`;
  }
}
