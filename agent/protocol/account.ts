import * as z from "zod/mini";

/** What a printer put out for one job, as far as anybody reported it, and how well that is known. */

const Count = z.int().check(z.gte(0));
/** PWG 5100.7: by the printer's own understanding of colour; they are kept apart and never summed. */
const ByKind = z.strictObject({
  blank: z.optional(Count),
  "blank-two-sided": z.optional(Count),
  "full-color": z.optional(Count),
  "full-color-two-sided": z.optional(Count),
  "highlight-color": z.optional(Count),
  "highlight-color-two-sided": z.optional(Count),
  monochrome: z.optional(Count),
  "monochrome-two-sided": z.optional(Count),
});

/** Why the printer's life count says nothing of this job; each has its row in agent/release/README.md. */
export const DISCARDED = [
  "unread",
  "read-late",
  "not-exclusive",
  "not-settled",
  "next-release",
  "agent-stopping",
  "unit-changed",
  "unit-no-pages",
  "went-back",
  "unmoved",
] as const;
export type Discarded = (typeof DISCARDED)[number];

export const Account = z.strictObject({
  impressions: z.optional(Count),
  sheets: z.optional(Count),
  impressionsBy: z.optional(ByKind),
  sheetsBy: z.optional(ByKind),
  /** The printer's life count around the job. No delta where it went back, or changed its unit. */
  lifeCount: z.optional(
    z.strictObject({
      before: Count,
      after: Count,
      delta: z.optional(Count),
      unit: z.optional(z.string().check(z.maxLength(32))),
    }),
  ),
  /** Nothing else was seen at the printer between the two life counts. Absent: not looked at. */
  exclusive: z.optional(z.boolean()),
  /** Who reported `impressions` and `sheets`. */
  source: z.enum(["ipp", "life-count", "none"]),
  /** high: two sources agree. medium: IPP alone. low: the life count alone, or sources that contradict. none: no number. */
  confidence: z.enum(["high", "medium", "low", "none"]),
  /** The life count says otherwise than IPP, of the same unit, and nothing else was seen at the printer. */
  mismatch: z.optional(z.literal(true)),
  discarded: z.optional(z.enum(DISCARDED)),
});
export type Account = z.infer<typeof Account>;
