import { MFD_FAULT_NAMES, type MfdFaultName } from "../../agent/demo/mfd-faults.ts";
import { FATE_NAMES, type KillPlan, POINT_NAMES, POINTS } from "./kill-points.ts";
import type { Verdict } from "./oracle.ts";

/** The machine's states in which a printer can fail it; `ENDED`: the word is known, and not reported yet. */
export const FAULT_STATES = ["CLAIMED", "FETCHED", "CREATED", "SENDING", "SENT", "PRINTING", "ENDED"] as const;
export type FaultState = (typeof FAULT_STATES)[number];

/**
 * When in that state: `here`, when the printer has the request that the agent waits for; `performed`, when it was done and
 * not answered; `between`, when no request is under way, or in the middle of the document.
 */
export const INSTANTS = ["here", "performed", "between"] as const;
export type Instant = (typeof INSTANTS)[number];

/** What kind of printer it is. */
export interface Make {
  readonly createJob: boolean;
  readonly counts: "pages" | "zero" | "never";
}

export interface FaultPlan {
  readonly state: FaultState;
  readonly fault: MfdFaultName;
  readonly instant: Instant;
  readonly size: number;
}

export interface Outcome extends Verdict {
  /** The fault or the kill came while the agent was in exactly that state. */
  readonly reached: boolean;
  readonly word: string;
  readonly reason: string;
  /** Of the site's clock, until the agent had spoken. */
  readonly virtualMs: number;
}

/** Releases on one site, with one make of printer. */
export type Batch =
  | { readonly type: "faults"; readonly make: Make; readonly releases: readonly FaultPlan[] }
  | { readonly type: "kills"; readonly releases: readonly KillPlan[] };

/** So many releases on one site: its ledger is not compacted meanwhile, and its clock does not run away. */
const PER_SITE = 40;
const SMALL = 20_000;
const LARGE = 300_000;

/** The first make is what most printers are. */
const MAKES: readonly Make[] = [
  { createJob: true, counts: "pages" },
  { createJob: false, counts: "pages" },
  { createJob: true, counts: "zero" },
  { createJob: true, counts: "never" },
];

/** These keep the agent patient for an hour of its clock; each is done, but not over and over. */
const LONG: ReadonlySet<MfdFaultName> = new Set(["jam-stays", "jam-first-page", "held-for-ever", "one-byte"]);

function instantsOf(state: FaultState): readonly Instant[] {
  switch (state) {
    case "CLAIMED":
    case "CREATED":
    case "ENDED":
      return ["here"];
    case "FETCHED":
      return ["here", "performed"];
    case "SENDING":
    case "SENT":
    case "PRINTING":
      return INSTANTS;
  }
}

/** Every state with every fault at every instant, on a printer of the first make; then again with others, up to `releases`. */
export function faultBatches(releases: number): Batch[] {
  const batches: Batch[] = [];
  let left = releases;
  for (let round = 0; left > 0 || round === 0; round++) {
    const make = MAKES[round % MAKES.length] ?? { createJob: true, counts: "pages" };
    const plans = FAULT_STATES.flatMap((state) =>
      // Without Create-Job the printer hears nothing of a release before its document.
      !make.createJob && state === "FETCHED"
        ? []
        : instantsOf(state).flatMap((instant) =>
            MFD_FAULT_NAMES.filter((fault) => round === 0 || !LONG.has(fault)).map(
              (fault): FaultPlan => ({ state, fault, instant, size: sizeFor(state, fault, instant) }),
            ),
          ),
    );
    const taken = round === 0 ? plans : spread(plans, left);
    for (let at = 0; at < taken.length; at += PER_SITE)
      batches.push({ type: "faults", make, releases: taken.slice(at, at + PER_SITE) });
    left -= taken.length;
  }
  return batches;
}

/** Each state and each fault at least once, and `releases` in all: the share of `npm test`. */
export function someFaults(releases: number): Batch {
  const fast = MFD_FAULT_NAMES.filter((fault) => !LONG.has(fault));
  const plans = Array.from({ length: releases }, (_, n): FaultPlan => {
    const state = FAULT_STATES[n % FAULT_STATES.length] ?? "CLAIMED";
    const instants = instantsOf(state);
    const instant = instants[Math.floor(n / FAULT_STATES.length) % instants.length] ?? "here";
    const fault = fast[n % fast.length] ?? "hangs";
    return { state, fault, instant, size: sizeFor(state, fault, instant) };
  });
  return { type: "faults", make: { createJob: true, counts: "pages" }, releases: plans };
}

/** Every point of the agent's death with every fate of the printer in turn. */
export function killBatches(kills: number): Batch[] {
  const plans = Array.from({ length: kills }, (_, n): KillPlan => {
    const round = Math.floor(n / POINT_NAMES.length);
    // A fate of its own for each point in each round, and "goes-on" for all in the first.
    const fate = round === 0 ? 0 : (round + (n % POINT_NAMES.length)) % FATE_NAMES.length;
    return { point: POINT_NAMES[n % POINT_NAMES.length] ?? "unheard", fate: FATE_NAMES[fate] ?? "goes-on" };
  });
  const batches: Batch[] = [];
  for (let at = 0; at < plans.length; at += PER_SITE)
    batches.push({ type: "kills", releases: plans.slice(at, at + PER_SITE) });
  return batches;
}

export function pairOf(batch: Batch, index: number): { state: string; with: string } {
  if (batch.type === "faults") {
    const plan = batch.releases[index];
    return { state: plan?.state ?? "", with: plan?.fault ?? "" };
  }
  const plan = batch.releases[index];
  return { state: plan === undefined ? "" : POINTS[plan.point].state, with: "kill -9" };
}

/** In the middle of a document is only where one is long; a slow printer would take for ever over it. */
function sizeFor(state: FaultState, fault: MfdFaultName, instant: Instant): number {
  return state === "SENDING" && instant === "between" && fault !== "slow" ? LARGE : SMALL;
}

/** `count` of them, evenly over the whole list. */
function spread<T>(all: readonly T[], count: number): T[] {
  if (count >= all.length) return [...all];
  return Array.from({ length: count }, (_, n) => all[Math.floor((n * all.length) / count)]).filter(
    (one) => one !== undefined,
  );
}
