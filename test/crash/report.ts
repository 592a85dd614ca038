import type { Outcome } from "./plan.ts";

export interface Pair {
  readonly state: string;
  readonly with: string;
}

export interface PairReport extends Pair {
  runs: number;
  /** The agent was in exactly that state when it happened. */
  reached: number;
  printed: number;
  notPrinted: number;
  unknown: number;
  needlessUnknown: number;
}

export interface Finding extends Pair {
  readonly kind: "printedTwice" | "lost" | "wrongWord" | "needlessUnknown" | "failed";
  readonly detail: string;
}

export interface CrashReport {
  readonly runs: number;
  /** Of these, with a real kill -9 of a real agent's process. */
  readonly kills: number;
  readonly printedTwice: number;
  readonly lost: number;
  readonly wrongWord: number;
  readonly unknown: number;
  readonly unknownShare: number;
  /** Unknown although the printer could have been asked for the truth. */
  readonly needlessUnknown: number;
  /** The printer acknowledged the whole document and called it completed, and lied: no client could know. */
  readonly deceived: number;
  /** Releases in which the harness itself failed. */
  readonly failed: number;
  readonly unknownBecause: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly pairs: readonly PairReport[];
  readonly findings: readonly Finding[];
}

const BAD = ["printedTwice", "lost", "wrongWord", "needlessUnknown"] as const;

/** Adds up what the releases gave. */
export class Tally {
  readonly #pairs = new Map<string, PairReport>();
  readonly #findings: Finding[] = [];
  readonly #because: Record<string, number> = {};
  readonly #sums = {
    runs: 0,
    kills: 0,
    printedTwice: 0,
    lost: 0,
    wrongWord: 0,
    unknown: 0,
    needlessUnknown: 0,
    deceived: 0,
  };

  get runs(): number {
    return this.#sums.runs;
  }

  /** A pair that is to be reached, also if it never is. */
  expect(pair: Pair): PairReport {
    const key = `${pair.state} ${pair.with}`;
    const known = this.#pairs.get(key);
    if (known !== undefined) return known;
    const counts = { runs: 0, reached: 0, printed: 0, notPrinted: 0, unknown: 0, needlessUnknown: 0 };
    const fresh: PairReport = { state: pair.state, with: pair.with, ...counts };
    this.#pairs.set(key, fresh);
    return fresh;
  }

  add(pair: Pair, how: string, outcome: Outcome): void {
    const sums = this.#sums;
    const report = this.expect(pair);
    sums.runs += 1;
    report.runs += 1;
    if (pair.with === "kill -9") sums.kills += 1;
    if (outcome.reached) report.reached += 1;
    if (outcome.word === "printed") report.printed += 1;
    if (outcome.word === "not printed") report.notPrinted += 1;
    if (outcome.unknown) {
      report.unknown += 1;
      sums.unknown += 1;
      this.#because[outcome.reason] = (this.#because[outcome.reason] ?? 0) + 1;
    }
    if (outcome.deceived) sums.deceived += 1;
    if (outcome.needlessUnknown) report.needlessUnknown += 1;
    for (const kind of BAD) {
      if (!outcome[kind]) continue;
      sums[kind] += 1;
      const detail = `${how}: ${outcome.word} (${outcome.reason}); ${outcome.why.join("; ")}`;
      this.#findings.push({ state: pair.state, with: pair.with, kind, detail });
    }
  }

  failed(pair: Pair, how: string, error: string): void {
    this.#findings.push({ state: pair.state, with: pair.with, kind: "failed", detail: `${how}: ${error}` });
  }

  report(seconds: number): CrashReport {
    const { runs, unknown } = this.#sums;
    return {
      ...this.#sums,
      unknownShare: runs === 0 ? 0 : Math.round((unknown / runs) * 10_000) / 10_000,
      failed: this.#findings.filter(({ kind }) => kind === "failed").length,
      unknownBecause: Object.fromEntries(Object.entries(this.#because).sort(([, a], [, b]) => b - a)),
      seconds: Math.round(seconds),
      pairs: [...this.#pairs.values()],
      findings: this.#findings,
    };
  }
}

/** Nothing printed twice, nothing lost, no wrong word, and each pair was met. */
export function isGood({ printedTwice, lost, wrongWord, failed, pairs }: CrashReport): boolean {
  return printedTwice + lost + wrongWord + failed === 0 && pairs.every(({ reached }) => reached > 0);
}

/** For people: a row for each fault, a column for each state; in a cell printed/not printed/unknown. */
export function table(report: CrashReport): string {
  const states = [...new Set(report.pairs.map(({ state }) => state))];
  const rows = [...new Set(report.pairs.map((pair) => pair.with))];
  const cell = (state: string, row: string): string => {
    const pair = report.pairs.find((one) => one.state === state && one.with === row);
    if (pair === undefined) return "-";
    return pair.reached === 0 ? "NOT MET" : `${pair.printed}/${pair.notPrinted}/${pair.unknown}`;
  };
  const width = Math.max(...rows.map((row) => row.length));
  const columns = states.map((state) => Math.max(state.length, ...rows.map((row) => cell(state, row).length)));
  const line = (first: string, cells: readonly string[]) =>
    `${first.padEnd(width)}  ${cells.map((text, at) => text.padStart(columns[at] ?? 0)).join("  ")}`.trimEnd();
  const unmet = report.pairs.filter(({ reached }) => reached === 0).length;
  const because = Object.entries(report.unknownBecause).map(([reason, count]) => `${reason} ${count}`);
  return [
    "printed/not printed/unknown, by what happened and in which state of the release it did",
    "",
    line("", states),
    ...rows.map((row) =>
      line(
        row,
        states.map((state) => cell(state, row)),
      ),
    ),
    "",
    `${report.runs} releases in ${report.seconds} s, ${report.kills} of them with kill -9 of the agent's process; ${report.pairs.length} pairs, ${unmet} not met`,
    `printed twice ${report.printedTwice}, lost ${report.lost}, wrong word ${report.wrongWord}, the harness failed ${report.failed}`,
    `unknown ${report.unknown} (${(report.unknownShare * 100).toFixed(1)} %): ${because.join(", ")}`,
    `unknown without need ${report.needlessUnknown}; deceived by a printer that nobody could see through ${report.deceived}`,
    ...report.findings.map(({ kind, state, with: row, detail }) => `${kind}: ${state} × ${row}, ${detail}`),
  ].join("\n");
}
