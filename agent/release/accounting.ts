import type { JobCounts, LifeCount } from "../../drivers/printer-counts.ts";
import type { Account, Discarded } from "../protocol/account.ts";
import type { Word } from "../protocol/schema.ts";

/** What is known of the printer's life count around one job. */
export type LifeEvidence =
  | { readonly before: LifeCount; readonly after: LifeCount; readonly exclusive: boolean }
  | { readonly discarded: Discarded };

export interface Evidence {
  readonly word: Word;
  /** What IPP said when the job ended, and what it said a moment later, in any order. */
  readonly counts: readonly JobCounts[];
  /** Absent where the printer has no life count, or where it is not known yet. */
  readonly life?: LifeEvidence | undefined;
}

/**
 * Pure: the account of one job. Each number in it was reported by the printer as it stands, or is the difference of two
 * readings with nothing else in between. Copies are not multiplied in: a printer's counts have them, or nobody has.
 */
export function accountOf({ word, counts, life }: Evidence): Account {
  const ipp = believed(counts);
  const found = Object.keys(ipp).length > 0 ? ({ source: "ipp", confidence: "medium" } as const) : NOTHING;
  // A document of no page is rare, a printer that does not count is not.
  const doubted = word === "printed" && ipp.impressions === 0;
  const alone = { ...ipp, ...found, ...(doubted ? { confidence: "low" as const } : {}) };
  if (life === undefined) return alone;
  if ("discarded" in life) {
    const shared = life.discarded === "not-exclusive" ? { exclusive: false } : {};
    return { ...alone, ...shared, discarded: life.discarded };
  }
  return withLifeCount(alone, life, word);
}

const NOTHING = { source: "none", confidence: "none" } as const;

function withLifeCount(alone: Account, life: Exclude<LifeEvidence, { discarded: Discarded }>, word: Word): Account {
  const { before, after, exclusive } = life;
  const { unit } = before;
  const delta = after.value - before.value;
  const sameUnit = unit === after.unit;
  const lifeCount = {
    ...{ before: before.value, after: after.value },
    ...(sameUnit && delta >= 0 ? { delta } : {}),
    ...(sameUnit && unit !== undefined ? { unit } : {}),
  };
  const kept = { ...alone, lifeCount, exclusive };
  if (!sameUnit) return { ...kept, discarded: "unit-changed" };
  // A reset, a new board, or a counter of 32 bits that wrapped: they cannot be told apart.
  if (delta < 0) return { ...kept, discarded: "went-back" };
  if (!exclusive) return { ...kept, discarded: "not-exclusive" };
  if (unit !== "impressions" && unit !== "sheets") return { ...kept, discarded: "unit-no-pages" };
  const still = delta === 0 && word === "printed";
  if (alone.source === "none") {
    // It lags, or does not count at all: "0" is what nobody saw come out of a job that was printed.
    if (still) return { ...kept, discarded: "unmoved" };
    return { ...kept, [unit]: delta, source: "life-count", confidence: "low" };
  }
  const reported = alone[unit];
  if (reported === undefined) return kept; // impressions and sheets are not compared with each other
  if (reported !== delta) return { ...kept, confidence: "low", mismatch: true };
  return still ? kept : { ...kept, confidence: "high" };
}

/** The larger of two counts, because a printer that is about to forget a job may fall back to 0. */
function believed(counts: readonly JobCounts[]): JobCounts {
  const most = (of: "impressions" | "sheets") => {
    const values = counts.flatMap((one) => one[of] ?? []);
    return values.length === 0 ? undefined : Math.max(...values);
  };
  const last = <Key extends "impressionsBy" | "sheetsBy">(key: Key) => counts.findLast((one) => one[key])?.[key];
  const [impressions, sheets, impressionsBy, sheetsBy] = [
    ...([most("impressions"), most("sheets")] as const),
    ...([last("impressionsBy"), last("sheetsBy")] as const),
  ];
  // Some count one of the two and leave the other at 0. Whether a lone 0 of impressions means anything, the driver knows.
  const noImpressions = impressions === 0 && (sheets ?? 0) > 0;
  const noSheets = sheets === 0 && impressions !== 0;
  return {
    ...(impressions === undefined || noImpressions ? {} : { impressions }),
    ...(sheets === undefined || noSheets ? {} : { sheets }),
    ...(impressionsBy === undefined ? {} : { impressionsBy }),
    ...(sheetsBy === undefined ? {} : { sheetsBy }),
  };
}
