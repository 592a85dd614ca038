import * as z from "zod/mini";

/**
 * How a job wants to be printed: job-template attributes under their IPP names, with IPP's values (RFC 8011 5.2, PWG 5100.7,
 * 5100.13, 5100.11; an enum is its number). What is absent is the printer's to choose.
 */

/** A keyword, or a name without blanks, as printers list them. */
const Keyword = z.string().check(z.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$/));
const Enum = z.int().check(z.gte(1), z.lte(2 ** 31 - 1));
/** Hundredths of a millimetre; 100 m are more than any roll. */
const Dimension = z.int().check(z.gte(1), z.lte(10_000_000));
const Page = z.int().check(z.gte(1), z.lte(2 ** 31 - 1));

const ATTRIBUTES = {
  copies: z.optional(z.int().check(z.gte(1), z.lte(9999))),
  sides: z.optional(z.enum(["one-sided", "two-sided-long-edge", "two-sided-short-edge"])),
  media: z.optional(Keyword),
  "media-col": z.optional(
    z.strictObject({
      "media-size": z.optional(z.strictObject({ "x-dimension": Dimension, "y-dimension": Dimension })),
      "media-source": z.optional(Keyword),
      "media-type": z.optional(Keyword),
    }),
  ),
  "print-color-mode": z.optional(Keyword),
  "print-quality": z.optional(z.int().check(z.gte(3), z.lte(5))),
  finishings: z.optional(z.array(Enum).check(z.minLength(1), z.maxLength(20))),
  "orientation-requested": z.optional(z.int().check(z.gte(3), z.lte(7))),
  "page-ranges": z.optional(
    z.array(z.strictObject({ lower: Page, upper: Page })).check(z.minLength(1), z.maxLength(100)),
  ),
  "print-scaling": z.optional(Keyword),
} as const;

interface Rules {
  readonly media?: string | undefined;
  readonly "media-col"?: object | undefined;
  readonly "page-ranges"?: readonly { readonly lower: number; readonly upper: number }[] | undefined;
}

/** What a JSON Schema cannot say: PWG 5100.7 6.3, and RFC 8011 5.2.7. */
const rules = () =>
  [
    z.refine<Rules>((ticket) => ticket.media === undefined || ticket["media-col"] === undefined, {
      path: ["media-col"],
      error: "media and media-col exclude each other",
    }),
    z.refine<Rules>(
      ({ "page-ranges": ranges = [] }) =>
        ranges.every(({ lower, upper }, index) => lower > (ranges[index - 1]?.upper ?? 0) && lower <= upper),
      { path: ["page-ranges"], error: "page ranges ascend and lie apart" },
    ),
  ] as const;

/** What whoever submits a job may ask for. */
export const TicketAttributes = z.strictObject(ATTRIBUTES).check(...rules());
export type TicketAttributes = z.infer<typeof TicketAttributes>;

export const TICKET_POLICIES = ["hold", "drop"] as const;
/** What the central server wants done about a value that the printer cannot do: the job stays held, or goes without it. */
export const TicketPolicy = z.enum(TICKET_POLICIES);
export type TicketPolicy = z.infer<typeof TicketPolicy>;

/** As signed with a job's manifest. */
export const Ticket = z
  .strictObject({
    ...ATTRIBUTES,
    /** There is one; it travels beside the manifest, which is signed but not secret. Without it the job is not printed. */
    "job-password": z.optional(z.literal(true)),
    /** `hold` where it is absent. A job-password is never dropped. */
    unsupported: z.optional(TicketPolicy),
  })
  .check(...rules());
export type Ticket = z.infer<typeof Ticket>;

/** What a person types at the printer's panel (PWG 5100.11 job-password: at most 255 octets). Never in a log, never in a ledger. */
export const JobPassword = z.string().check(z.regex(/^[\x20-\x7e]{1,255}$/));
