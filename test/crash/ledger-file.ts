import { readFileSync } from "node:fs";
import { type LedgerEntry, replay } from "../../agent/release/ledger.ts";
import type { Phase } from "../../agent/release/machine.ts";
import { decodeLog } from "../../agent/storage/append-log.ts";

/** What a ledger file says of one job, by its newest claim or by an earlier one. */
export interface LedgerView {
  readonly entry: LedgerEntry | undefined;
  /** In order; a first record that is a claim alone is CLAIMED. */
  readonly phases: readonly Phase[];
}

/** The claim of this job that came `index`-th. */
export function lookAtLedger(path: string, jobId: string, index = 0): LedgerView {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return { entry: undefined, phases: [] };
  }
  const { records } = decodeLog(bytes);
  const entry = [...replay({ records }).entries.values()].filter((one) => one.jobId === jobId)[index];
  if (entry === undefined) return { entry, phases: [] };
  const phases = (records as Line[])
    .filter(({ c }) => c === entry.claimId)
    .flatMap(({ release, claim }): Phase[] =>
      release === undefined ? (claim === undefined ? [] : ["CLAIMED"]) : [release.phase],
    );
  return { entry, phases };
}

interface Line {
  readonly c?: string;
  readonly claim?: object;
  readonly release?: { readonly phase: Phase };
}
