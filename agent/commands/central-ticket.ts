import { ENUM_NAMES, enumName, type TicketEnum } from "../../drivers/job-ticket.ts";
import { TicketAttributes } from "../protocol/ticket.ts";
import { CommandError, type Invocation, textOption } from "./command.ts";

/** How a job is to be printed, in the words of the command line: an option for each IPP attribute, under its name. */

/** With what each takes, for its own error message and for --help. */
const TAKES = {
  copies: "a number from 1 to 9999",
  sides: "one-sided, two-sided-long-edge or two-sided-short-edge",
  media: "a name such as iso_a4_210x297mm, without blanks; not beside --media-size, --media-source and --media-type",
  "media-size": "width and length such as 210x297mm or 8.5x11in",
  "media-source": "a tray such as tray-1",
  "media-type": "a type such as stationery or labels",
  "print-color-mode": "a mode such as color or monochrome",
  "print-quality": `${Object.keys(ENUM_NAMES["print-quality"]).join(", ")}`,
  finishings: "names or numbers with commas between, such as staple,punch or staple-top-left",
  "orientation-requested": `${Object.keys(ENUM_NAMES["orientation-requested"]).join(", ")}`,
  "page-ranges": "ranges that ascend and lie apart, such as 1-3,5",
  "print-scaling": "auto, auto-fit, fill, fit or none",
} as const;
type Flag = keyof typeof TAKES;
const FLAGS = Object.keys(TAKES) as Flag[];

export const TICKET_FLAGS: readonly string[] = [...FLAGS, "job-password"];
export const TICKET_OPTIONS = {
  ...(Object.fromEntries(FLAGS.map((flag) => [flag, { type: "string" }])) as Record<Flag, { type: "string" }>),
  "job-password": { type: "boolean" },
} as const;

export const TICKET_HELP = `
${FLAGS.map((flag) => `  --${flag.padEnd(22)} ${TAKES[flag]}`).join("\n")}
  --job-password           what its owner must type at the printer's panel, too: asked for, or read from standard input
                           where that is no terminal
What a printer cannot do of it holds the job, unless the policy says \`ticket.unsupported = "drop"\`.`;

/** The ticket that the options ask for; a usage error names the option. */
export function ticketFrom(invocation: Invocation): TicketAttributes {
  const text = (flag: Flag) => textOption(invocation, flag);
  const size = text("media-size");
  const mediaCol = present({
    "media-size": size === undefined ? undefined : sizeOf(size),
    "media-source": text("media-source"),
    "media-type": text("media-type"),
  });
  const given = present({
    copies: wholeNumber(text("copies")),
    sides: text("sides"),
    media: text("media"),
    "media-col": Object.keys(mediaCol).length === 0 ? undefined : mediaCol,
    "print-color-mode": text("print-color-mode"),
    "print-quality": enumOf("print-quality", text("print-quality")),
    finishings: text("finishings")
      ?.split(",")
      .map((name) => enumOf("finishings", name)),
    "orientation-requested": enumOf("orientation-requested", text("orientation-requested")),
    "page-ranges": text("page-ranges")?.split(",").map(rangeOf),
    "print-scaling": text("print-scaling"),
  });
  const parsed = TicketAttributes.safeParse(given);
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path ?? [];
  const found = path.toReversed().find((part): part is Flag => FLAGS.some((flag) => flag === part));
  throw wrong(found ?? "media");
}

/** A ticket in a few words, for people: `copies 2, sides two-sided-long-edge`. */
export function ticketText(ticket: TicketAttributes): string {
  const parts = Object.entries(ticket).map(([name, value]) => `${name} ${valueText(name, value)}`);
  return parts.join(", ");
}

function valueText(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.map((one) => valueText(name, one)).join(",");
  if (typeof value === "number" && isEnum(name)) return enumName(name, value);
  if (typeof value !== "object" || value === null) return String(value);
  if ("lower" in value && "upper" in value) {
    return value.lower === value.upper ? String(value.lower) : `${value.lower}-${value.upper}`;
  }
  if ("x-dimension" in value && "y-dimension" in value) {
    return `${Number(value["x-dimension"]) / 100}x${Number(value["y-dimension"]) / 100}mm`;
  }
  return Object.entries(value)
    .map(([member, content]) => `${member} ${valueText(member, content)}`)
    .join(" ");
}

const isEnum = (name: string): name is TicketEnum => Object.hasOwn(ENUM_NAMES, name);

const wrong = (flag: Flag) => new CommandError("usage", `--${flag} takes ${TAKES[flag]}`);

/** Without what is undefined: the schema is strict, and an absent option asks for nothing. */
function present(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function wholeNumber(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  return /^[0-9]{1,10}$/.test(written) ? Number(written) : Number.NaN;
}

function enumOf(attribute: TicketEnum, written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  const named: Readonly<Record<string, number>> = ENUM_NAMES[attribute];
  return Object.hasOwn(named, written) ? named[written] : (wholeNumber(written) ?? Number.NaN);
}

function rangeOf(written: string): { lower: number; upper: number } {
  const [, lower, upper = lower] = /^([0-9]{1,10})(?:-([0-9]{1,10}))?$/.exec(written) ?? [];
  return { lower: Number(lower), upper: Number(upper) };
}

/** PWG 5101.1: hundredths of a millimetre, so an inch is 2540. */
function sizeOf(written: string): { "x-dimension": number; "y-dimension": number } {
  const [, width, length, unit] =
    /^([0-9]{1,5}(?:\.[0-9]{1,3})?)x([0-9]{1,5}(?:\.[0-9]{1,3})?)(mm|in)$/.exec(written) ?? [];
  const hundredths = (number: string | undefined) => Math.round(Number(number) * (unit === "in" ? 2540 : 100));
  return { "x-dimension": hundredths(width), "y-dimension": hundredths(length) };
}
