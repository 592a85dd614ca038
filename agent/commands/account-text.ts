import type { Account } from "../protocol/account.ts";

const SOURCES = { ipp: "by IPP", "life-count": "by the life count", none: "" } as const;

/** For people: the numbers, who reported them, and whether they are contradicted. */
export function pagesOf({ impressions, sheets, source, confidence, mismatch, lifeCount }: Account): string {
  const numbers = [
    ...(impressions === undefined ? [] : [counted(impressions, "impression")]),
    ...(sheets === undefined ? [] : [counted(sheets, "sheet")]),
  ].join(", ");
  if (numbers === "") return "pages unknown";
  const contradicted = mismatch ? ` MISMATCH: the life count says ${lifeCount?.delta} ${lifeCount?.unit}` : "";
  return `${numbers} ${SOURCES[source]} (${confidence})${contradicted}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
