import type { PrinterVerdict } from "../../printer.ts";
import type { InputTray } from "../../printer-facts.ts";
import type { ErrorBit, Poll } from "./mib.ts";

/** The judgement of one poll. */
export type Judgement = Pick<PrinterVerdict, "verdict" | "conditions">;

const UNKNOWN: Judgement = { verdict: "unknown", conditions: [] };

/** Conditions that stop all paper even where the agent leaves hrDeviceStatus at running or warning. */
const HALTING: readonly ErrorBit[] = ["jammed", "doorOpen"];

/** Conditions that stop all paper when hrDeviceStatus says down; else they concern one tray, or one toner of several. */
const CRITICAL: readonly ErrorBit[] = [
  ...HALTING,
  "noPaper",
  "noToner",
  "offline",
  "inputTrayMissing",
  "outputTrayMissing",
  "markerSupplyMissing",
  "outputFull",
  "inputTrayEmpty",
];

/**
 * Judges one poll by the table of RFC 3805 2.2.13.2. `undefined`: the agent did not answer.
 * `blocked` needs two sources that agree, because each alone is known to be wrong on some devices:
 * an empty bypass tray sets noPaper, and offline is set while the printer sleeps.
 * `trays`: prtInputTable of the latest reading, where there is a recent one; the second source for noPaper.
 */
export function judge(poll: Poll | undefined, trays: readonly InputTray[] = []): Judgement {
  if (poll === undefined) return UNKNOWN;
  const { device, printer } = poll;
  const errors = poll.errors ?? [];
  const has = (bits: readonly ErrorBit[]) => errors.some((bit) => bits.includes(bit));

  if (device === "testing") return { verdict: "wait", conditions: [...errors, "testing"] };
  if (device === "down" && has(CRITICAL)) return { verdict: "blocked", conditions: errors };
  if (printer === "other" && has(HALTING)) return { verdict: "blocked", conditions: errors };
  if (errors.includes("noPaper") && allEmpty(trays)) return { verdict: "blocked", conditions: errors };
  if (printer === "warmup") return { verdict: "wait", conditions: [...errors, "warmup"] };
  if (device === "down") {
    // Unavailable for a reason that the MIB has no bit for. Down and yet idle or printing contradict each other.
    return printer === "other"
      ? { verdict: "blocked", conditions: [...errors, "down"] }
      : { ...UNKNOWN, conditions: errors };
  }
  if (device === "warning" && errors.includes("offline")) return { verdict: "wait", conditions: errors };
  // Running and "other" without an error is standby: asleep is ready, the job wakes it.
  const asleep = printer === "other" && (device === "running" || device === "warning");
  const up = printer === "idle" || printer === "printing" || asleep;
  return { verdict: up ? "ready" : "unknown", conditions: errors };
}

/** One tray says 0, and none says that it may hold paper: some (-3), not limited (-1, feeding by hand) or an amount. */
function allEmpty(trays: readonly InputTray[]): boolean {
  const empty = ({ level }: InputTray) => level.kind === "amount" && level.value === 0;
  return trays.some(empty) && trays.every((tray) => empty(tray) || tray.level.kind === "unknown");
}

/** What is remembered between polls: the last judgement, and what is shown. */
export interface VerdictState {
  readonly last: Judgement;
  readonly shown: Judgement;
}

export const NO_VERDICT: VerdictState = { last: UNKNOWN, shown: UNKNOWN };

/** A block is shown only when the last two polls agree on it; everything else is shown at once. */
export function nextVerdict(state: VerdictState, judgement: Judgement): VerdictState {
  if (judgement.verdict !== "blocked" || state.last.verdict === "blocked") return { last: judgement, shown: judgement };
  return { last: judgement, shown: { verdict: state.shown.verdict, conditions: judgement.conditions } };
}
