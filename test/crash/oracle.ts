import type { JobState } from "../../agent/central/store.ts";
import type { Word } from "../../agent/protocol/schema.ts";

/** What is known of one released job by somebody who sees everything: the printer's paper, the ledger, the central server. */
export interface Facts {
  /** In the agent's ledger. */
  readonly word: Word | undefined;
  /** The ledger's reason. */
  readonly reason: string | undefined;
  /** At the central server. */
  readonly state: JobState;
  /** Every sheet pile that came out of the document, one for each of the printer's jobs. */
  readonly paper: readonly Paper[];
  /** The printer told the agent that it has the whole document. */
  readonly acknowledged: boolean;
  /** What the printer answered to a look-up by somebody else right after the agent had spoken. */
  readonly told: Told;
  /** The printer's impressions can be believed: they are what came out. */
  readonly counts: boolean;
  /** After a second tap with a healthy printer: what the reader showed, and what came out in all. */
  readonly again?: { readonly signal: string | undefined; readonly state: JobState; readonly paper: readonly Paper[] };
}

export interface Paper {
  readonly pages: number;
  readonly ofPages: number;
  /** The document's bytes arrived whole. */
  readonly whole: boolean;
}

export type Told =
  | { readonly type: "silent" | "gone" | "active" }
  | { readonly type: "ended"; readonly state: "completed" | "canceled" | "aborted"; readonly impressions?: number };

export interface Verdict {
  readonly printedTwice: boolean;
  readonly lost: boolean;
  readonly wrongWord: boolean;
  /** Wrong, but nobody could know: the printer acknowledged the document, called it completed, and nothing that it says contradicts that. */
  readonly deceived: boolean;
  readonly unknown: boolean;
  /** Unknown although the truth could be learnt. */
  readonly needlessUnknown: boolean;
  /** In words, for whoever reads a finding. */
  readonly why: readonly string[];
}

const isComplete = ({ pages, ofPages, whole }: Paper): boolean => whole && pages === ofPages;
const SETTLED: Readonly<Record<Word, readonly JobState[]>> = {
  printed: ["printed"],
  "not printed": ["held", "canceled"],
  unknown: ["in-doubt"],
};

export function judge(facts: Facts): Verdict {
  const { word, state, paper, again } = facts;
  const why: string[] = [];
  const say = (fault: boolean, text: string): boolean => {
    if (fault) why.push(text);
    return fault;
  };
  const complete = paper.filter(isComplete).length;
  const nothing = paper.length === 0;

  const contradicts =
    (word === "printed" && (complete !== 1 || paper.length !== 1)) || (word === "not printed" && !nothing);
  const deceived = contradicts && word === "printed" && complete === 0 && wasDeceived(facts);
  const wrongWord =
    say(contradicts && !deceived, `it says ${word}, and ${shown(paper)} came out`) ||
    say(word !== undefined && !SETTLED[word].includes(state), `it says ${word}, the central server ${state}`);

  const all = again?.paper ?? paper;
  const printedTwice =
    say(all.filter(isComplete).length > 1, "the whole document came out more than once") ||
    say(all.length > 1 && all.some(isComplete), "pages of it came out before the whole of it");

  const held = state === "held";
  const lost =
    say(word === undefined, "the ledger has no word for it") ||
    say(!["held", "printed", "canceled", "in-doubt"].includes(state), `the central server calls it ${state}`) ||
    say(held && again?.state !== "printed", `held again, and the next tap leaves it ${again?.state ?? "alone"}`) ||
    say(held && !(again?.paper.some(isComplete) ?? false), "held again, and the next tap does not bring it out") ||
    say(!held && again !== undefined && again.signal !== "no-jobs", `ended, and the next tap shows ${again?.signal}`);

  const unknown = word === "unknown";
  const needlessUnknown =
    unknown && say(couldBeLearnt(facts), `unknown, and a look-up tells ${JSON.stringify(facts.told)}`);
  return { printedTwice, lost, wrongWord, deceived, unknown, needlessUnknown, why };
}

/**
 * The printer's last word could be taken: it took the whole document and completed it; or it ended the job with nothing
 * printed, and counts. `completed` after a broken transfer proves nothing: printers call half a document that.
 */
function couldBeLearnt({ told, acknowledged, counts, paper }: Facts): boolean {
  if (told.type !== "ended") return false;
  if (told.state === "completed") return acknowledged && paper.length === 1 && paper.every(isComplete);
  return counts && told.impressions === 0 && paper.length === 0;
}

function wasDeceived({ acknowledged, told, counts }: Facts): boolean {
  if (!acknowledged) return false;
  if (told.type !== "ended") return true; // it said so to the agent, and forgot it since
  return told.state === "completed" && !(counts && told.impressions === 0);
}

function shown(paper: readonly Paper[]): string {
  if (paper.length === 0) return "nothing";
  return paper
    .map(({ pages, ofPages, whole }) => `${pages}/${ofPages} pages${whole ? "" : " of a cut document"}`)
    .join(" and ");
}
