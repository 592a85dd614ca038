import { randomUUID, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../drivers/clock.ts";
import type { CodedError } from "../drivers/coded-error.ts";
import type { Log } from "../drivers/log.ts";
import type { Printer } from "../drivers/printer.ts";
import { TrapReceiver } from "../drivers/printers/snmp/traps.ts";
import type { Reader, Signal } from "../drivers/reader.ts";
import { openReader } from "../drivers/readers/open-reader.ts";
import type { Transport } from "../drivers/transports/transport.ts";
import type { CardError } from "./cards/card-error.ts";
import { toCardNumber } from "./cards/pipeline.ts";
import { cardToken } from "./cards/token.ts";

import type { Config } from "./config/config.ts";
import { type CapturedFrames, ControlSocket } from "./health/control-socket.ts";
import {
  type AgentStatus,
  type PolicySummary,
  quietHint,
  type ShownError,
  summed,
  verdictOf,
} from "./health/status.ts";
import { diskUse, vitalsOf } from "./health/vitals.ts";
import type { Vital } from "./health/watchdog.ts";
import { bootId } from "./link/boot.ts";
import { CentralLink } from "./link/client.ts";
import { type Identity, IdentityFolder } from "./link/enrolment/identity.ts";
import { LINK_CODES } from "./link/link-error.ts";
import { Renewal } from "./link/renewal.ts";
import { nameOf, PolicyKeeper, type PolicyReport } from "./policy/keeper.ts";
import { PolicyError } from "./policy/policy-error.ts";
import { PolicyStore, type PreviousPolicy } from "./policy/store.ts";
import { printerOf, snmpAccess } from "./printer-of.ts";
import { DEFAULT_SETTINGS, type PolicySettings } from "./protocol/policy.ts";
import { Ledger } from "./release/ledger.ts";
import { ReleaseLoop } from "./release/loop.ts";
import { RamSpool } from "./release/spool.ts";
import type { Stage, TapTrace } from "./release/trace.ts";
import { StorageError } from "./storage/storage-error.ts";
import { VERSION } from "./version.ts";

export interface AgentOptions {
  readonly config: Config;
  readonly log: Log;
  readonly clock?: Clock;
  /** In place of a reader's own transport, by reader name: the virtual reader of the demo and of tests. */
  readonly transports?: ReadonlyMap<string, Transport>;
  /** Of another device than this one: tests copy SD cards. */
  readonly boot?: string;
  readonly traced?: (trace: TapTrace, stage: Stage | "signal") => void;
}

/** What this device is enrolled with, and which of its boots this is. */
interface Enrolled {
  readonly folder: IdentityFolder;
  readonly identity: Identity;
  readonly boot: string;
}

/** The composition root: the only file that knows every room. Starts in order, stops in reverse. */
export class Agent {
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #link: CentralLink;
  readonly #renewal: Renewal;
  /** Absent where the enrolment brought no root of trust for policies: then the defaults hold. */
  readonly #policy: PolicyKeeper | undefined;
  readonly #printers: ReadonlyMap<string, Printer>;
  readonly #traps: TrapReceiver | undefined;
  readonly #ledger: Ledger;
  readonly #loop: ReleaseLoop;
  readonly #readers = new Map<string, Reader>();
  #socket: ControlSocket | undefined;
  /** What was written before, such as a compile cache, is none of the agent's. */
  readonly #ioAtStart = ownIo();

  private constructor(options: AgentOptions, enrolled: Enrolled, ledger: Ledger, policies: PolicyStore | undefined) {
    const { config, log, clock = systemClock } = options;
    const { agent, central } = config;
    const { identity, folder, boot } = enrolled;
    const { name, manifestKey } = identity.granted;
    const cardKey = Buffer.from(identity.granted.cardKey, "base64url");
    this.#config = config;
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
    this.#ledger = ledger;
    this.#renewal = new Renewal({ folder, identity, clock, log: log.child({ part: "enrolment" }) });
    this.#link = new CentralLink({
      ...identity.trust,
      ...{ url: central.url ?? identity.url, client: this.#renewal.client, boot },
      ...{ clock, log: log.child({ part: "link" }) },
      heard: (what) => this.#renewal.heard(what),
      worked: (pin) => this.#policy?.worked(pin),
    });
    this.#renewal.attach(this.#link);
    this.#policy =
      policies &&
      new PolicyKeeper({
        store: policies,
        source: this.#link,
        configured: identity.trust.keyPins,
        trust: (pins, onTrial) => this.#link.trustPins(pins, onTrial),
        clock,
        log: log.child({ part: "policy" }),
        random: Math.random,
      });
    this.#printers = new Map(config.printers.map((settings) => [settings.name, printerOf(settings, clock, log)]));
    this.#traps =
      agent.snmpTraps &&
      new TrapReceiver({
        ...agent.snmpTraps,
        sources: config.printers.flatMap(({ name, snmp }) =>
          snmp === undefined
            ? []
            : { host: snmp.host, access: snmpAccess(snmp), trapped: () => this.#printers.get(name)?.nudge?.() },
        ),
        clock,
        log: log.child({ part: "traps" }),
      });
    const pipelines = new Map(config.readers.map(({ name, pipeline }) => [name, pipeline]));
    this.#loop = new ReleaseLoop({
      agentName: name,
      central: this.#link,
      printers: this.#printers,
      ledger,
      spool: new RamSpool(agent.spoolRamMib * 2 ** 20),
      manifestKey,
      clock,
      log: log.child({ part: "release" }),
      uuid: randomUUID,
      blocking: () => {
        const { block_on, health_max_age_s } = this.#policy?.settings.printer ?? DEFAULT_SETTINGS.printer;
        return { conditions: block_on, verdictMaxAgeMs: health_max_age_s * 1000 };
      },
      toToken(reader, read) {
        const pipeline = pipelines.get(reader);
        if (pipeline === undefined) throw new Error("a read came from a reader that is not configured");
        const warn = ({ code, detail }: CardError) =>
          log.warn({ reader, code, detail }, "a card was read with a warning");
        return cardToken(cardKey, toCardNumber(pipeline, read, { warn }));
      },
      keypads: new Map(config.readers.filter(takesPins).map((settings) => [settings.name, settings])),
      signal: (reader: string, signal: Signal) => this.#readers.get(reader)?.signal(signal),
      ...(options.traced === undefined ? {} : { traced: options.traced }),
    });
  }

  /** Resolves when the ledger is replayed, the readers are being opened and the control socket answers. */
  static async start(options: AgentOptions): Promise<Agent> {
    const { stateDir } = options.config.agent;
    await mkdir(stateDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw StorageError.from(error, `make ${stateDir}`);
    });
    // The socket is the lock of the state folder, so it comes before the ledger is touched.
    let agent: Agent | undefined;
    const socket = await ControlSocket.open(controlSocketPath(stateDir), {
      status: () => agent?.status() ?? { starting: true },
      capture: (name, forMs) => agent?.capture(name, forMs) ?? false,
      captured: (name) => agent?.captured(name),
      policy: () => agent?.policy(),
    });
    try {
      const folder = new IdentityFolder(stateDir);
      const enrolled = { folder, identity: await folder.load(), boot: options.boot ?? (await bootId()) };
      const { policyRoot } = enrolled.identity.granted;
      const policies = policyRoot === undefined ? undefined : await PolicyStore.open(stateDir, policyRoot);
      agent = new Agent(options, enrolled, await Ledger.open(join(stateDir, "ledger.log")), policies);
      agent.#socket = socket;
      await agent.#start(options);
      return agent;
    } catch (error) {
      await (agent === undefined ? socket.close() : agent.stop());
      throw error;
    }
  }

  get #name(): string {
    return this.#renewal.identity.granted.name;
  }

  get loop(): ReleaseLoop {
    return this.#loop;
  }

  async #start({ log, transports }: AgentOptions): Promise<void> {
    // First, because it says which keys of the central server are trusted.
    this.#policy?.start();
    this.#link.start();
    for (const printer of this.#printers.values()) printer.start();
    this.#traps?.start();
    this.#loop.resume();
    // Not waited for: with the central server away the agent still starts, and no tap is served until this was done.
    this.#loop.claims.start();
    for (const settings of this.#config.readers) {
      const { name, printer } = settings;
      const transport = transports?.get(name);
      const context = { clock: this.#clock, log: log.child({ part: `reader ${name}` }), random: Math.random };
      const reader = await openReader(settings, transport === undefined ? context : { ...context, transport });
      this.#readers.set(name, reader);
      reader.start({
        read: (read, at) => this.#loop.read(name, printer, read, at),
        keys: (keys, at) => this.#loop.keys(settings.keypadOf ?? name, keys, at),
        state: () => {},
      });
    }
    log.info({ version: VERSION, agent: this.#name, pid: process.pid }, "ready");
  }

  status(): AgentStatus {
    const now = this.#clock.monotonic();
    const link = this.#link.state;
    const disk = diskUse(this.#ioAtStart, ownIo(), this.#loop);
    return {
      version: VERSION,
      name: this.#name,
      pid: process.pid,
      uptimeMs: Math.round(now - this.#startedAt),
      central: {
        status: link.status,
        ...(link.lastError === undefined || link.status === "connected"
          ? {}
          : { error: { ...link.lastError, ...LINK_CODES[link.lastError.code] } }),
        ...(link.roundTripMs === undefined ? {} : { roundTripMs: link.roundTripMs }),
        certificateUntil: new X509Certificate(this.#renewal.identity.granted.certificate).validToDate.toISOString(),
        counters: this.#link.counters,
      },
      ...(this.#policy === undefined ? {} : { policy: summaryOf(this.#policy.report, this.#clock.wall()) }),
      readers: this.#config.readers.map(({ name, family, printer, expectCardWithinH }) => {
        const reader = this.#readers.get(name);
        const state = reader?.state ?? { status: "closed", since: now };
        const lastReadAt = reader?.lastReadAt;
        const hint =
          state.status === "ready" ? quietHint(now - (lastReadAt ?? this.#startedAt), expectCardWithinH) : undefined;
        return {
          name,
          family,
          printer,
          status: state.status,
          forMs: Math.round(now - state.since),
          ...(state.error === undefined ? {} : { error: shown(state.error) }),
          ...(lastReadAt === undefined ? {} : { lastReadAgoMs: Math.round(now - lastReadAt) }),
          ...(hint === undefined ? {} : { hint }),
          counters: reader?.counters ?? {},
        };
      }),
      printers: this.#config.printers.map(({ name, uri }) => {
        const printer = this.#printers.get(name);
        const executor = this.#loop.executors.get(name);
        const { problem, latest, counters: snmpCounters } = printer?.health ?? {};
        return {
          name,
          uri,
          snmp: printer?.verdict.verdict ?? "unknown",
          conditions: printer?.verdict.conditions ?? [],
          ...(problem === undefined ? {} : { snmpError: shown(problem) }),
          ...(latest === undefined ? {} : { facts: latest.facts, factsAgeMs: Math.round(latest.ageMs) }),
          ...(snmpCounters === undefined ? {} : { snmpCounters }),
          ...(printer?.quirks === undefined || printer.quirks.length === 0 ? {} : { quirks: printer.quirks }),
          ...(printer?.error === undefined ? {} : { error: shown(printer.error) }),
          ...printer?.whereabouts,
          depth: executor?.depth ?? 0,
          // What both count, the driver counts more completely: each request, not each step of a release.
          counters: { ...executor?.counters, ...printer?.counters },
        };
      }),
      ...(this.#traps === undefined
        ? {}
        : {
            snmpTraps: {
              ...(this.#traps.problem === undefined ? {} : { error: shown(this.#traps.problem) }),
              counters: this.#traps.counters,
            },
          }),
      ledger: {
        health: this.#ledger.health,
        open: this.#ledger.open.length,
        unreported: this.#ledger.unreported.length,
        inDoubt: this.#ledger.entries.filter(({ release }) => release.phase === "IN_DOUBT").length,
      },
      taps: this.#loop.traces,
      counters: summed(this.#loop.counters, this.#loop.claims.counters, this.#loop.reporter.counters),
      memoryMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
      ...(disk === undefined ? {} : { disk }),
    };
  }

  /** The verdict in one line. */
  verdict(): string {
    return verdictOf(this.status()).line;
  }

  /** What the watchdog looks at. */
  vitals(): readonly Vital[] {
    return vitalsOf({
      central: this.#link,
      ledger: this.#ledger,
      readers: this.#readers,
      printers: this.#printers,
      executors: this.#loop.executors,
    });
  }

  /** Begins a capture of what goes over a reader's line; false where there is no such reader. */
  capture(name: string, forMs: number): boolean {
    const reader = this.#readers.get(name);
    reader?.capture(forMs);
    return reader !== undefined;
  }

  /** What `policy show` tells; undefined where no policy is taken. */
  policy(): ShownPolicy | undefined {
    const report = this.#policy?.report;
    if (report === undefined) return undefined;
    const { current, previous, trial, undone } = report;
    return {
      summary: summaryOf(report, this.#clock.wall()),
      settings: current?.settings ?? DEFAULT_SETTINGS,
      ...(previous === undefined ? {} : { previous }),
      ...(trial === undefined ? {} : { trial: trial.keyPins }),
      ...(undone === undefined ? {} : { undone }),
    };
  }

  captured(name: string): CapturedFrames | undefined {
    const reader = this.#readers.get(name);
    return reader === undefined ? undefined : { nowMs: this.#clock.monotonic(), frames: reader.captured };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#readers.values()].map((reader) => reader.stop()));
    await this.#traps?.stop();
    await this.#loop.stop();
    await Promise.all([...this.#printers.values()].map((printer) => printer.stop()));
    await this.#policy?.stop();
    await this.#link.stop();
    await this.#renewal.stop();
    await this.#ledger.close();
    await this.#socket?.close();
  }
}

/** What the agent's socket tells of the policy. Holds no secret. */
export interface ShownPolicy {
  readonly summary: PolicySummary;
  readonly settings: PolicySettings;
  readonly previous?: PreviousPolicy;
  /** Key pins that are tried, and those that were tried in vain. */
  readonly trial?: readonly string[];
  readonly undone?: readonly string[];
}

function summaryOf(report: PolicyReport, now: number): PolicySummary {
  const { state, current, clock, news, trial, undone, error, counters } = report;
  return {
    state,
    ...(current === undefined
      ? {}
      : {
          version: nameOf(current),
          ageMs: now - Date.parse(current.issuedAt),
          issuedAt: current.issuedAt,
          expiresAt: current.expiresAt,
        }),
    clock,
    news,
    ...(trial === undefined ? {} : { trialLeftMs: trial.leftMs }),
    ...(undone === undefined ? {} : { undone: shown(new PolicyError("policy-link-undone")) }),
    ...(state === "expired" ? { expired: shown(new PolicyError("policy-expired", current?.expiresAt)) } : {}),
    ...(error === undefined ? {} : { error: shown(error) }),
    counters,
  };
}

export function controlSocketPath(stateDir: string): string {
  return join(stateDir, "control.sock");
}

/** Undefined where the kernel does not count (CONFIG_TASK_IO_ACCOUNTING); nothing depends on it. */
function ownIo(): string | undefined {
  try {
    return readFileSync("/proc/self/io", "utf8");
  } catch {
    return undefined;
  }
}

/** Any other reader's taps take the shorter way through the loop. */
function takesPins({ credentials }: Config["readers"][number]): boolean {
  return credentials.some((kind) => kind !== "card");
}

function shown({ code, detail, row }: CodedError): ShownError {
  return { code, detail, ...row };
}
