/** What a printer says it has put out. A count that the printer does not tell is absent; none is ever computed. */

/** PWG 5100.7 6.7: the members of job-impressions-completed-col; those without `-two-sided` are of job-media-sheets-completed-col too. */
export const COUNTED_AS = [
  "blank",
  "blank-two-sided",
  "full-color",
  "full-color-two-sided",
  "highlight-color",
  "highlight-color-two-sided",
  "monochrome",
  "monochrome-two-sided",
] as const;
export type CountedAs = (typeof COUNTED_AS)[number];
export type CountsByKind = { readonly [kind in CountedAs]?: number };

/** What IPP says of one job. Copies are in these counts already (RFC 8011 5.3.18), as far as the printer counts them. */
export interface JobCounts {
  /** job-impressions-completed; 0 only from a printer that was seen to count. */
  readonly impressions?: number;
  /** job-media-sheets-completed. */
  readonly sheets?: number;
  readonly impressionsBy?: CountsByKind;
  readonly sheetsBy?: CountsByKind;
}

/** prtMarkerLifeCount of RFC 3805: what the marker has put out since it was made, jobs, copies, faxes and test pages alike. */
export interface LifeCount {
  readonly value: number;
  /** prtMarkerCounterUnit: `impressions`, `sheets` ... */
  readonly unit?: string;
}
