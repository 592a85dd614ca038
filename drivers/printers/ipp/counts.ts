import { COUNTED_AS, type CountsByKind, type JobCounts } from "../../printer-counts.ts";
import { valuesOf } from "./attributes.ts";
import type { IppAttribute, IppGroup } from "./message.ts";
import { TAG } from "./tags.ts";

/** PWG 5100.7: the counts apart by colour, where the printer has them; RFC 8011 4.1.7 lets others leave them out. */
export const COUNT_ATTRIBUTES = ["job-impressions-completed-col", "job-media-sheets-completed-col"] as const;

/** Printers send `unknown`, or a negative number, for what they do not count. */
export function countOf(group: Pick<IppGroup, "attributes"> | undefined, name: string): number | undefined {
  const first = group?.attributes.find((candidate) => candidate.name === name)?.values[0];
  return first?.tag === TAG.integer && typeof first.value === "number" && first.value >= 0 ? first.value : undefined;
}

/** Pure: what the two collections say. Their members are kept apart: which of them overlap is the printer's own understanding. */
export function countsByKind(group: IppGroup | undefined): Pick<JobCounts, "impressionsBy" | "sheetsBy"> {
  const impressionsBy = kindsOf(group, "job-impressions-completed-col");
  const sheetsBy = kindsOf(group, "job-media-sheets-completed-col");
  return {
    ...(impressionsBy === undefined ? {} : { impressionsBy }),
    ...(sheetsBy === undefined ? {} : { sheetsBy }),
  };
}

function kindsOf(group: IppGroup | undefined, name: string): CountsByKind | undefined {
  const value = valuesOf(group, name)[0]?.value;
  if (!isCollection(value)) return undefined;
  const members = { attributes: value };
  const told = COUNTED_AS.flatMap((kind) => {
    const count = countOf(members, kind);
    return count === undefined ? [] : [[kind, count] as const];
  });
  return told.length === 0 ? undefined : Object.fromEntries(told);
}

function isCollection(value: unknown): value is readonly IppAttribute[] {
  return Array.isArray(value);
}
