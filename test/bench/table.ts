import type { BigDocument } from "./big-document.ts";
import type { AddedRoundTrip, Latency } from "./latency.ts";
import type { ReaderLatency } from "./readers.ts";
import type { Resident } from "./resident.ts";
import type { Spread } from "./statistics.ts";

/** Absent: not measured. */
export interface Measured {
  readonly startMs?: number;
  readonly policyMs?: Spread;
  readonly latency?: Latency;
  readonly added?: AddedRoundTrip;
  readonly cups?: Spread;
  readonly big?: BigDocument;
  readonly resident?: Resident;
  readonly readers?: ReaderLatency;
}

type Figure = number | undefined;

interface Row {
  readonly what: string;
  readonly figure: Figure;
  readonly unit: string;
  readonly goal: string;
  /** Absent: a figure without a goal of its own. */
  readonly met?: (figure: number) => boolean;
}

/** The figures for people, with their goals beside them, and for programs. Nothing is asserted. */
export function report({ startMs, policyMs, latency, added, cups, big, resident, readers }: Measured): {
  readonly table: string;
  readonly json: object;
} {
  const tap = latency?.tapToFirstByteMs;
  const faster = cups === undefined || tap === undefined ? undefined : cups.p50 / tap.p50;
  const multiple = (ms: Figure, d: number) => (ms === undefined ? undefined : ms / d);
  const row = (what: string, figure: Figure, unit: string): Row => ({ what, figure, unit, goal: "" });
  const atMost = (what: string, figure: Figure, unit: string, limit: number): Row => {
    return { what, figure, unit, goal: `<= ${limit}`, met: (value) => value <= limit };
  };
  const atLeast = (what: string, figure: Figure, unit: string, limit: number): Row => {
    return { what, figure, unit, goal: `>= ${limit}`, met: (value) => value >= limit };
  };
  const { idle, afterTaps, afterTwice } = resident?.rssMiB ?? {};
  const more = afterTaps === undefined || afterTwice === undefined ? undefined : afterTwice - afterTaps;
  const rows: Row[] = [
    row("tap to first byte, p50", tap?.p50, "ms"),
    row("tap to first byte, p99", tap?.p99, "ms"),
    row("floor, p50", latency?.floorMs.p50, "ms"),
    row("floor, p99", latency?.floorMs.p99, "ms"),
    atMost("tap against floor, p50", latency?.ratioP50, "x", 1.5),
    row("CUPS: release to first byte, p50", cups?.p50, "ms"),
    atLeast("faster than CUPS, p50", faster, "x", 5),
    row("20 ms more per central answer add", added?.d20, "ms"),
    atMost("  of what was added", multiple(added?.d20, 20), "x", 2.2),
    row("50 ms more per central answer add", added?.d50, "ms"),
    atMost("  of what was added", multiple(added?.d50, 50), "x", 2.2),
    row(`big document: bare pipe`, big?.pipeMiBPerS, "MiB/s"),
    row(`big document: agent`, big?.agentMiBPerS, "MiB/s"),
    atLeast("big document: share of the bare pipe", big?.ratio, "x", 0.8),
    atMost("big document: memory growth", big?.rssGrowthMiB, "MiB", 32),
    atMost("resident memory, idle", idle, "MiB", 80),
    atMost("resident memory, after the taps", afterTaps, "MiB", 96),
    atMost("  more after as many again", more, "MiB", 2),
    row("taps as fast as the agent takes them", resident?.tapsPerSecond, "1/s"),
    atMost("start to ready", startMs, "ms", 300),
    atMost("policy: publication to obeyed, p50", policyMs?.p50, "ms", 1000),
    row("policy: publication to obeyed, p99", policyMs?.p99, "ms"),
    atMost("idle: CPU of one core", resident?.idle.cpuPercent, "%", 0.3),
    atMost("idle: written to disk", resident?.idle.writtenBytes, "B", 0),
    atMost("written to disk per release", latency?.writtenBytesPerRelease, "B", 8192),
    ...Object.entries(readers ?? {}).map(([family, { p99 }]) =>
      atMost(`last byte to tap event, ${family}, p99`, p99, "ms", 1),
    ),
  ];
  const nothing = { p50: null, p99: null };
  const json = {
    tapToFirstByteMs: tap ?? nothing,
    policyMs: policyMs ?? nothing,
    floorMs: latency?.floorMs ?? nothing,
    ratioP50: latency?.ratioP50 ?? null,
    cupsReleaseMs: cups ?? nothing,
    addedRoundTrip: added ?? { d20: null, d50: null },
    bigDocument: big ?? { ratio: null, rssGrowthMiB: null },
    rssMiB: resident?.rssMiB ?? { idle: null, afterTaps: null, afterTwice: null },
    startMs: startMs ?? null,
    idle: resident?.idle ?? { cpuPercent: null, writtenBytes: null },
    writtenBytesPerRelease: latency?.writtenBytesPerRelease ?? null,
    stagesMs: latency?.stagesMs ?? {},
    taps: latency?.taps ?? null,
    tapsPerSecond: resident?.tapsPerSecond ?? null,
    lastByteToTapMs: readers ?? null,
  };
  const stages = Object.entries(latency?.stagesMs ?? {}).map(([who, stagesMs]) => {
    const list = Object.entries(stagesMs).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
    return `stages of the ${who}, ms from the read, p50: ${list.join(", ")}`;
  });
  return { table: [...rows.map(line), ...stages].join("\n"), json };
}

function line({ what, figure, unit, goal, met }: Row): string {
  const value = figure === undefined ? "not measured" : `${shown(figure)} ${unit}`;
  const verdict = figure === undefined || met === undefined ? "" : met(figure) ? "met" : "MISSED";
  return `${what.padEnd(42)}${value.padStart(14)}   ${goal.padEnd(8)} ${verdict}`.trimEnd();
}

function shown(figure: number): string {
  if (Number.isInteger(figure)) return String(figure);
  const magnitude = Math.abs(figure);
  return figure.toFixed(magnitude < 0.1 ? 3 : magnitude < 100 ? 2 : 0);
}
