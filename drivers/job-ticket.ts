/**
 * How a job wants to be printed: job-template attributes by their IPP names (RFC 8011 5.2, PWG 5100.7, 5100.13, 5100.11).
 * An enum is its number; `ENUM_NAMES` has the registered names. What is absent is the printer's to choose.
 */
export interface JobTicket {
  readonly copies?: number | undefined;
  readonly sides?: string | undefined;
  readonly media?: string | undefined;
  /** Never beside `media` (PWG 5100.7 6.3). */
  readonly "media-col"?: MediaCol | undefined;
  readonly "print-color-mode"?: string | undefined;
  readonly "print-quality"?: number | undefined;
  readonly finishings?: readonly number[] | undefined;
  readonly "orientation-requested"?: number | undefined;
  /** Ascending, apart from each other. */
  readonly "page-ranges"?: readonly { readonly lower: number; readonly upper: number }[] | undefined;
  readonly "print-scaling"?: string | undefined;
  /** What the person is to type at the printer's panel, in clear: the printer says how it is to be hashed. Never logged. */
  readonly "job-password"?: string | undefined;
  /** What is to happen to a value that the printer cannot do: the job is not printed there (by default), or goes without it. */
  readonly unsupported?: "hold" | "drop" | undefined;
}

export interface MediaCol {
  /** In hundredths of a millimetre. */
  readonly "media-size"?: { readonly "x-dimension": number; readonly "y-dimension": number } | undefined;
  readonly "media-source"?: string | undefined;
  readonly "media-type"?: string | undefined;
}

/** RFC 8011 5.2.10, 5.2.13; PWG 5100.1 and the IANA registry for finishings, of which these are the common ones. */
export const ENUM_NAMES = {
  "print-quality": { draft: 3, normal: 4, high: 5 },
  "orientation-requested": { portrait: 3, landscape: 4, "reverse-landscape": 5, "reverse-portrait": 6, none: 7 },
  finishings: {
    none: 3,
    staple: 4,
    punch: 5,
    cover: 6,
    bind: 7,
    "saddle-stitch": 8,
    "edge-stitch": 9,
    fold: 10,
    trim: 11,
    bale: 12,
    "booklet-maker": 13,
    "staple-top-left": 20,
    "staple-bottom-left": 21,
    "staple-top-right": 22,
    "staple-bottom-right": 23,
    "staple-dual-left": 28,
    "staple-dual-top": 29,
    "staple-dual-right": 30,
    "staple-dual-bottom": 31,
    "punch-dual-left": 74,
    "punch-dual-top": 75,
    "punch-dual-right": 76,
    "punch-dual-bottom": 77,
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>;

export type TicketEnum = keyof typeof ENUM_NAMES;

/** The registered name of an enum's value, else its number. */
export function enumName(attribute: TicketEnum, value: number): string {
  return Object.entries(ENUM_NAMES[attribute]).find(([, number]) => number === value)?.[0] ?? String(value);
}
