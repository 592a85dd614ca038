import { attribute, enumeration, groupsOf, integer, keyword, valuesOf } from "../../drivers/printers/ipp/attributes.ts";
import type { IppAttribute, IppData, IppGroup, IppMessage, IppValue } from "../../drivers/printers/ipp/message.ts";
import { GROUP, TAG } from "../../drivers/printers/ipp/tags.ts";

/** PWG 5100.3 media-size; lengths in hundredths of a millimetre. */
const size = (x: number, y: number) => [integer("x-dimension", x), integer("y-dimension", y)];
const A4_SIZE = size(21_000, 29_700);
const A4: readonly IppAttribute[] = [
  attribute("media-size", TAG.begCollection, A4_SIZE),
  integer("media-top-margin", 423),
  integer("media-bottom-margin", 423),
  integer("media-left-margin", 423),
  integer("media-right-margin", 423),
  keyword("media-source", "main"),
  keyword("media-type", "stationery"),
];

/** What the virtual MFD can do with a job's ticket; requested-attributes calls it `job-template`. */
export const TEMPLATE: readonly IppAttribute[] = [
  integer("copies-default", 1),
  attribute("copies-supported", TAG.rangeOfInteger, { lower: 1, upper: 99 }),
  enumeration("finishings-default", 3),
  enumeration("finishings-supported", 3, 4, 5),
  keyword("media-default", "iso_a4_210x297mm"),
  keyword("media-ready", "iso_a4_210x297mm"),
  keyword("media-supported", "iso_a4_210x297mm", "na_letter_8.5x11in"),
  attribute("media-col-default", TAG.begCollection, A4),
  attribute("media-col-ready", TAG.begCollection, A4),
  keyword("media-col-supported", ...A4.map(({ name }) => name)),
  attribute("media-size-supported", TAG.begCollection, A4_SIZE, size(21_590, 27_940)),
  keyword("media-source-supported", "main", "manual"),
  keyword("media-type-supported", "stationery"),
  enumeration("orientation-requested-default", 3),
  enumeration("orientation-requested-supported", 3, 4),
  keyword("output-bin-default", "face-down"),
  keyword("output-bin-supported", "face-down"),
  attribute("page-ranges-supported", TAG.boolean, true),
  keyword("print-color-mode-default", "auto"),
  keyword("print-color-mode-supported", "auto", "color", "monochrome"),
  enumeration("print-quality-default", 4),
  enumeration("print-quality-supported", 3, 4, 5),
  keyword("print-scaling-default", "auto"),
  keyword("print-scaling-supported", "auto", "fit", "none"),
  attribute("printer-resolution-default", TAG.resolution, { cross: 600, feed: 600, units: 3 }),
  attribute("printer-resolution-supported", TAG.resolution, { cross: 600, feed: 600, units: 3 }),
  keyword("sides-default", "two-sided-long-edge"),
  keyword("sides-supported", "one-sided", "two-sided-long-edge", "two-sided-short-edge"),
  // PWG 5100.11. Its panel asks for nothing: a password is taken as typed.
  integer("job-password-supported", 16),
  keyword("job-password-encryption-supported", "none", "sha", "sha2-256", "sha2-512"),
];

/** Of the operation group; the members of media-col are no attributes of a job. */
const NOT_IN_JOB = /^(job-|media-(size|source|type)$)/;
const IN_OPERATION = ["job-password", "job-password-encryption", "job-release-action"];

export interface JudgedTicket {
  /** What it prints by: job attributes, and those of the operation that are about the job. */
  readonly accepted: readonly IppAttribute[];
  /** As the unsupported group names it (RFC 8011 4.1.7): an attribute that it does not know, or values that it cannot do. */
  readonly unsupported: readonly IppAttribute[];
}

/** Pure: what a printer with this template makes of a request's job attributes. */
export function judgedTicket(message: IppMessage, template: readonly IppAttribute[]): JudgedTicket {
  const printer: IppGroup = { tag: GROUP.printer, attributes: template };
  const accepted: IppAttribute[] = [];
  const unsupported: IppAttribute[] = [];
  for (const asked of groupsOf(message, GROUP.job).flatMap(({ attributes }) => attributes)) {
    const supported = valuesOf(printer, `${asked.name}-supported`);
    const isKnown = supported.length > 0 && !NOT_IN_JOB.test(asked.name);
    const wrong = asked.values.filter((value) => !isSupported(asked.name, value, supported));
    if (!isKnown) unsupported.push(attribute(asked.name, TAG.unsupported, null));
    else if (wrong.length > 0) unsupported.push({ name: asked.name, values: wrong });
    else accepted.push(asked);
  }
  const operation = message.groups[0]?.attributes.filter(({ name }) => IN_OPERATION.includes(name)) ?? [];
  return { accepted: [...operation, ...accepted], unsupported };
}

function isSupported(name: string, { value }: IppValue, supported: readonly IppValue[]): boolean {
  if (supported[0]?.tag === TAG.boolean) return supported[0].value === true;
  // Of a collection, the members' names.
  if (isMembers(value)) return value.every((member) => supported.some((one) => one.value === member.name));
  if (name === "printer-resolution") return true;
  return supported.some(({ value: one }) => one === value || (isRange(one) && isIn(one, value)));
}

const isMembers = (value: IppData): value is readonly IppAttribute[] => Array.isArray(value);
const isRange = (value: IppData): value is { lower: number; upper: number } =>
  typeof value === "object" && value !== null && "lower" in value;
const isIn = ({ lower, upper }: { lower: number; upper: number }, value: IppData) =>
  typeof value === "number" && lower <= value && value <= upper;
