import type { Whereabouts } from "../../drivers/discovery/follow-machine.ts";
import type { PrinterQuirk, PrinterVerdict } from "../../drivers/printer.ts";
import type { PrinterFacts } from "../../drivers/printer-facts.ts";
import type { ReaderStatus } from "../../drivers/reader.ts";
import type { LedgerHealth } from "../release/ledger.ts";
import type { TapTrace } from "../release/trace.ts";
import { alertInWords } from "./printer-notes.ts";

export type Counts = Readonly<Record<string, number>>;

/** Pure: the counters of several parts as one; a name that two of them use is added up. */
export function summed(...parts: readonly Counts[]): Counts {
  const sums: Record<string, number> = {};
  for (const [name, count] of parts.flatMap((part) => Object.entries(part))) sums[name] = (sums[name] ?? 0) + count;
  return sums;
}

/** An error as the status, the page and the log show it. */
export interface ShownError {
  readonly code: string;
  readonly detail: string;
  readonly what: string;
  readonly next: string;
}

/** The policy in short. Holds no secret. */
export interface PolicySummary {
  /** Of what is in force: `unknown` where the clock is implausible; `none`: the defaults hold. */
  readonly state: "none" | "valid" | "expired" | "unknown";
  /** Its root's version, a dot, and its own. */
  readonly version?: string;
  /** By this machine's clock, in ms. */
  readonly ageMs?: number;
  readonly issuedAt?: string;
  readonly expiresAt?: string;
  readonly clock: "plausible" | "implausible";
  /** Whether the central server tells of a new one, or is asked each minute. */
  readonly news: "pushed" | "polled";
  /** New key pins are on trial, for so many ms of running time still. */
  readonly trialLeftMs?: number;
  readonly undone?: ShownError;
  readonly expired?: ShownError;
  /** Why the last look brought none. */
  readonly error?: ShownError;
  readonly counters: Counts;
}

/** The whole agent in one document: what `printgate status --json` prints. Holds no secret. */
export interface AgentStatus {
  readonly version: string;
  readonly name: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly central: {
    readonly status: "connected" | "disconnected" | "unknown";
    readonly error?: ShownError;
    readonly roundTripMs?: number;
    /** RFC 3339; it is renewed when a third of its time is left. */
    readonly certificateUntil?: string;
    readonly counters: Counts;
  };
  /** Absent where no policy is taken. */
  readonly policy?: PolicySummary;
  readonly readers: readonly {
    readonly name: string;
    readonly family: string;
    readonly printer: string;
    readonly status: ReaderStatus;
    /** How long it has been so, in ms. */
    readonly forMs: number;
    readonly error?: ShownError;
    /** How long ago the latest good read was, in ms; absent before the first. */
    readonly lastReadAgoMs?: number;
    /** Something to look at that is not wrong, and does not change the verdict. */
    readonly hint?: string;
    readonly counters: Counts;
  }[];
  readonly printers: readonly {
    readonly name: string;
    readonly uri: string;
    readonly snmp: PrinterVerdict["verdict"];
    readonly conditions: readonly string[];
    /** Why SNMP says nothing; printing goes on without it. */
    readonly snmpError?: ShownError;
    /** What it told of supplies, trays, covers and alerts, and how old that is; absent where there is nothing recent. */
    readonly facts?: PrinterFacts;
    readonly factsAgeMs?: number;
    readonly snmpCounters?: Counts;
    /** What it does differently, as far as it is known. */
    readonly quirks?: readonly PrinterQuirk[];
    /** Nothing is sent to this printer until somebody acts. */
    readonly error?: ShownError;
    /** Where it was found by its uuid. */
    readonly follows?: Whereabouts["follows"];
    readonly seen?: Whereabouts["seen"];
    /** Jobs that are being released or wait for it. */
    readonly depth: number;
    readonly counters: Counts;
  }[];
  /** Absent where none are listened for. */
  readonly snmpTraps?: { readonly error?: ShownError; readonly counters: Counts };
  readonly ledger: {
    readonly health: LedgerHealth;
    readonly open: number;
    readonly unreported: number;
    readonly inDoubt: number;
  };
  readonly taps: readonly TapTrace[];
  readonly counters: Counts;
  readonly memoryMiB: number;
  /** What this process wrote to disks; absent where the kernel does not count it. */
  readonly disk?: DiskUse;
}

export interface DiskUse {
  /** Since the agent's start. */
  readonly writtenBytes: number;
  /** Releases that ended since then. */
  readonly releases: number;
}

/** Pure: from the text of /proc/self/io (proc(5)), what was sent to a block device; page cache that is still to go counts. */
export function writtenBytes(io: string): number | undefined {
  const [, bytes] = /^write_bytes: (\d+)$/m.exec(io) ?? [];
  return bytes === undefined ? undefined : Number(bytes);
}

export interface Verdict {
  readonly status: "ready" | "degraded";
  /** `Ready`, or `Degraded: ` and which parts have a problem. */
  readonly line: string;
  /** One sentence for each thing that is wrong, with the next step; empty when ready. */
  readonly problems: readonly string[];
}

/** Pure: the one look. */
export function verdictOf(status: Omit<AgentStatus, "taps" | "counters">): Verdict {
  const problems: string[] = [];
  const { central, readers, printers, ledger } = status;
  if (central.status === "disconnected") {
    problems.push(problem("central server", central.error, "The central server does not answer. Check the network."));
  }
  for (const wrong of policyProblems(status.policy)) problems.push(problem("policy", wrong, ""));
  for (const reader of readers) {
    if (reader.status === "ready") continue;
    const fallback = `It is ${reader.status} for ${duration(reader.forMs)}.`;
    problems.push(problem(`reader ${reader.name}`, reader.error, fallback));
  }
  for (const printer of printers) {
    if (printer.error !== undefined) problems.push(problem(`printer ${printer.name}`, printer.error, ""));
    if (printer.snmp !== "blocked") continue;
    const alerts = printer.facts?.alerts.filter(({ severity }) => severity === "critical").map(alertInWords) ?? [];
    const why = [...printer.conditions, ...alerts.slice(0, 3)].join(", ");
    problems.push(`printer ${printer.name}: ${why}. Clear what its panel shows.`);
  }
  if (ledger.health.tornBytes + ledger.health.damagedLines + ledger.health.unknownRecords > 0) {
    problems.push("ledger: records were lost before the last start. Check the SD card; see `printgate ledger show`.");
  }
  if (problems.length === 0) return { status: "ready", line: "Ready", problems };
  const parts = new Set(problems.map((text) => text.slice(0, text.indexOf(": "))));
  return { status: "degraded", line: `Degraded: ${[...parts].join(", ")}`, problems };
}

/** A server that cannot be reached is told once, as such. */
function policyProblems(policy: PolicySummary | undefined): readonly ShownError[] {
  const { expired, undone, error } = policy ?? {};
  const told = error?.code.startsWith("link-") === true && error.code !== "link-nothing-there" ? undefined : error;
  return [expired, undone, told?.code === expired?.code ? undefined : told].filter((one) => one !== undefined);
}

function problem(part: string, error: ShownError | undefined, fallback: string): string {
  if (error === undefined) return `${part}: ${fallback}`;
  const detail = error.detail === "" ? "" : ` (${error.detail})`;
  return `${part}: ${error.what}${detail} ${error.next}`;
}

/**
 * Pure: what to look at when a reader that seems well has read nothing for longer than expected. `quietMs` is since its
 * latest card, or since the agent's start.
 */
export function quietHint(quietMs: number, expectWithinH: number | undefined): string | undefined {
  if (expectWithinH === undefined || quietMs <= expectWithinH * 3_600_000) return undefined;
  return `no card for ${duration(quietMs)}, and one is expected every ${expectWithinH} h: tap a card to see whether it still reads`;
}

/** `4 s`, `12 min`, `3 h`, `5 d`. */
export function duration(ms: number): string {
  const units = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
  ] as const;
  const unit = units.find(([size]) => ms >= size);
  return unit === undefined ? `${Math.floor(ms / 1000)} s` : `${Math.floor(ms / unit[0])} ${unit[1]}`;
}
