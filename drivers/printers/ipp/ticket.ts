import { createHash } from "node:crypto";
import { enumName, type JobTicket, type MediaCol, type TicketEnum } from "../../job-ticket.ts";
import { PrinterError } from "../../printer.ts";
import { attribute, boolean, enumeration, integer, keyword, numbersOf, stringsOf, valuesOf } from "./attributes.ts";
import type { IppAttribute, IppGroup, IppMessage, IppValue } from "./message.ts";
import { GROUP, STATUS, TAG } from "./tags.ts";

/** What a printer says of tickets; asked with the capabilities, not with each state. */
export const TICKET_ATTRIBUTES = [
  "copies-supported",
  "sides-supported",
  "media-supported",
  "media-col-supported",
  "media-size-supported",
  "media-source-supported",
  "media-type-supported",
  "print-color-mode-supported",
  "print-quality-supported",
  "finishings-supported",
  "orientation-requested-supported",
  "page-ranges-supported",
  "print-scaling-supported",
  "job-password-supported",
  "job-password-length-supported",
  "job-password-encryption-supported",
  "job-password-repertoire-configured",
  "job-release-action-supported",
  "job-release-action-default",
] as const;

/** A printer attributes group, of which only `TICKET_ATTRIBUTES` are looked at. */
export type TicketCapabilities = IppGroup;

export function ticketCapabilitiesOf(group: IppGroup | undefined): TicketCapabilities {
  const wanted: ReadonlySet<string> = new Set(TICKET_ATTRIBUTES);
  return { tag: GROUP.printer, attributes: group?.attributes.filter(({ name }) => wanted.has(name)) ?? [] };
}

export interface MappedTicket {
  /** For the operation group of Validate-Job, Create-Job and Print-Job. */
  readonly operation: readonly IppAttribute[];
  /** For their job group. */
  readonly job: readonly IppAttribute[];
  readonly unsupported: readonly UnsupportedValue[];
}

export const NO_TICKET: MappedTicket = { operation: [], job: [], unsupported: [] };

export interface UnsupportedValue {
  /** `sides`, `media-col.media-size` ... */
  readonly name: string;
  /** For people. Of a job-password it says why, and nothing of the password. */
  readonly value: string;
}

/** A value that is what the printer does anyway where it does not know the attribute at all. */
const NOTHING_ASKED: ReadonlySet<string> = new Set(["copies 1", "sides one-sided", "finishings none"]);

/**
 * The registered job-password-encryption keywords that are good enough, the strongest first, with their names in Node.
 * Weaker ones (sha2-224, sha, md5 ...) are never used. No hash makes four digits strong: it keeps them from being read
 * off the wire and the printer's disk at a glance, not from being tried out.
 */
const HASHES: readonly (readonly [keyword: string, algorithm: string])[] = [
  ["sha2-512", "sha512"],
  ["sha3-512", "sha3-512"],
  ["sha2-384", "sha384"],
  ["sha3-384", "sha3-384"],
  ["sha2-512_256", "sha512-256"],
  ["sha2-256", "sha256"],
  ["sha3-256", "sha3-256"],
];
const DIGITS_ONLY = "iana_us-ascii_digits";

/** Pure: which attributes ask this printer for what the ticket says, and what of it the printer cannot do. `secure`: over TLS. */
export function mapTicket(ticket: JobTicket | undefined, printer: TicketCapabilities, secure: boolean): MappedTicket {
  const mapping = new Mapping(printer);
  mapping.template(ticket ?? {});
  const password = ticket?.["job-password"];
  if (password !== undefined) mapping.password(password, secure);
  const { operation, job, unsupported } = mapping;
  const fidelity = ticket === undefined ? [] : [boolean("ipp-attribute-fidelity", ticket.unsupported !== "drop")];
  const release = releaseAction(printer, password !== undefined);
  return { operation: [...fidelity, ...operation, ...release], job, unsupported };
}

/** The groups after the operation's in Validate-Job, Create-Job and Print-Job. */
export function jobGroups({ job }: MappedTicket): IppGroup[] {
  return job.length === 0 ? [] : [{ tag: GROUP.job, attributes: job }];
}

/** As `mapTicket`; `printer-ticket-unsupported` where the ticket does not let go of what the printer cannot do. */
export function checkedTicket(
  ticket: JobTicket | undefined,
  printer: TicketCapabilities,
  secure: boolean,
): MappedTicket {
  const mapped = mapTicket(ticket, printer, secure);
  const kept = mapped.unsupported.filter(({ name }) => ticket?.unsupported !== "drop" || name === "job-password");
  if (kept.length > 0) throw unsupportedError(kept.map(({ name, value }) => `${name} ${value}`));
  return mapped;
}

/** The error that a reply to Validate-Job, Create-Job or Print-Job stands for because of the ticket (RFC 8011 B.1.2, B.1.4.12). */
export function ticketRefusalOf(
  reply: IppMessage,
  ticket: JobTicket | undefined,
  { operation, job }: MappedTicket,
): PrinterError | undefined {
  if (ticket === undefined) return undefined;
  const refused = reply.code === STATUS.attributesNotSupported || reply.code === STATUS.conflictingAttributes;
  const ignored = reply.code === STATUS.okIgnoredAttributes || reply.code === STATUS.okConflictingAttributes;
  if (!refused && !ignored) return undefined;
  const named = reply.groups.filter(({ tag }) => tag === GROUP.unsupported).flatMap(({ attributes }) => attributes);
  const sent = [...job, ...operation.filter(({ name }) => name.startsWith("job-password"))];
  const ours = sent.filter(({ name }) => named.some((other) => other.name === name));
  // That it ignored something of another kind is no matter of the ticket; that it does not say what, may be.
  if (ours.length === 0 && (named.length > 0 || sent.length === 0)) return undefined;
  const kept = refused || ticket.unsupported !== "drop" || ours.some(({ name }) => name.startsWith("job-password"));
  return kept ? unsupportedError(ours.length === 0 ? ["the printer does not say what"] : ours.map(textOf)) : undefined;
}

function unsupportedError(what: readonly string[]): PrinterError {
  return new PrinterError("printer-ticket-unsupported", what.join(", ").slice(0, 255), { nothingSent: true });
}

/**
 * PWG 5100.11: a printer may wait for a person before it prints. Ours stands there and has shown who it is already, so it
 * is told not to; with a job-password it is to wait for just that.
 */
function releaseAction(printer: TicketCapabilities, withPassword: boolean): IppAttribute[] {
  const [byDefault = "none"] = stringsOf(printer, "job-release-action-default");
  const wanted = withPassword ? "job-password" : "none";
  const isOffered = stringsOf(printer, "job-release-action-supported").includes(wanted);
  return isOffered && byDefault !== wanted ? [keyword("job-release-action", wanted)] : [];
}

class Mapping {
  readonly operation: IppAttribute[] = [];
  readonly job: IppAttribute[] = [];
  readonly unsupported: UnsupportedValue[] = [];
  readonly #printer: TicketCapabilities;

  constructor(printer: TicketCapabilities) {
    this.#printer = printer;
  }

  template(ticket: JobTicket): void {
    this.#copies(ticket.copies);
    this.#words("sides", ticket.sides);
    this.#words("media", ticket.media);
    this.#mediaCol(ticket["media-col"]);
    this.#words("print-color-mode", ticket["print-color-mode"]);
    this.#enums("print-quality", ticket["print-quality"]);
    this.#enums("finishings", ...(ticket.finishings ?? []));
    this.#enums("orientation-requested", ticket["orientation-requested"]);
    this.#pageRanges(ticket["page-ranges"]);
    this.#words("print-scaling", ticket["print-scaling"]);
  }

  /** A printer with copies-supported 1 would have to be sent the document again and again, as several jobs of which any may fail. */
  #copies(copies: number | undefined): void {
    if (copies === undefined) return;
    if (this.#isWithin("copies-supported", copies)) this.job.push(integer("copies", copies));
    else this.#cannot("copies", String(copies));
  }

  /** A keyword or a name, sent as what the printer lists it as. */
  #words(name: string, word: string | undefined): void {
    if (word === undefined) return;
    const offered = this.#word(`${name}-supported`, word);
    if (offered === undefined) this.#cannot(name, word);
    else this.job.push({ name, values: [offered] });
  }

  #enums(name: TicketEnum, ...values: readonly (number | undefined)[]): void {
    const offered = numbersOf(this.#printer, `${name}-supported`);
    const asked = values.filter((value) => value !== undefined);
    for (const value of asked) if (!offered.includes(value)) this.#cannot(name, enumName(name, value));
    const sent = asked.filter((value) => offered.includes(value));
    if (sent.length > 0) this.job.push(enumeration(name, ...sent));
  }

  #mediaCol(mediaCol: MediaCol | undefined): void {
    if (mediaCol === undefined) return;
    const known = stringsOf(this.#printer, "media-col-supported");
    const members: IppAttribute[] = [];
    const take = (name: string, member: IppAttribute | undefined, value: string) => {
      if (member !== undefined && known.includes(name)) members.push(member);
      else this.#cannot(`media-col.${name}`, value);
    };
    const size = mediaCol["media-size"];
    if (size !== undefined) {
      const { "x-dimension": x, "y-dimension": y } = size;
      const sent = attribute("media-size", TAG.begCollection, [integer("x-dimension", x), integer("y-dimension", y)]);
      take("media-size", this.#hasSize(x, y) ? sent : undefined, `${x / 100}x${y / 100}mm`);
    }
    for (const name of ["media-source", "media-type"] as const) {
      const word = mediaCol[name];
      if (word === undefined) continue;
      const offered = this.#word(`${name}-supported`, word);
      take(name, offered && { name, values: [offered] }, word);
    }
    if (members.length > 0) this.job.push(attribute("media-col", TAG.begCollection, members));
  }

  /** PWG 5100.3 3.13.8: dimensions, each a number or, for media of any length, a range. */
  #hasSize(x: number, y: number): boolean {
    return valuesOf(this.#printer, "media-size-supported").some(({ value }) => {
      if (!Array.isArray(value)) return false;
      const size: IppGroup = { tag: GROUP.printer, attributes: value };
      return isWithin(valuesOf(size, "x-dimension"), x) && isWithin(valuesOf(size, "y-dimension"), y);
    });
  }

  #pageRanges(ranges: JobTicket["page-ranges"]): void {
    if (ranges === undefined || ranges.length === 0) return;
    const sent = attribute("page-ranges", TAG.rangeOfInteger, ...ranges.map(({ lower, upper }) => ({ lower, upper })));
    if (valuesOf(this.#printer, "page-ranges-supported")[0]?.value === true) this.job.push(sent);
    else this.#cannot("page-ranges", valueText(sent));
  }

  /** PWG 5100.11: octets of its hash, by the strongest algorithm that the printer offers; in clear only where nobody can listen. */
  password(password: string, secure: boolean): void {
    const problem = this.#passwordProblem(password);
    if (problem !== undefined) {
      this.unsupported.push({ name: "job-password", value: `(${problem})` });
      return;
    }
    const offered = stringsOf(this.#printer, "job-password-encryption-supported");
    const hash = HASHES.find(([name]) => offered.includes(name));
    const clear = Buffer.from(password);
    if (hash !== undefined) {
      const [name, algorithm] = hash;
      this.#password(createHash(algorithm).update(clear).digest(), name);
    } else if (secure && offered.includes("none")) {
      this.#password(clear, "none");
    } else {
      const why = offered.includes("none")
        ? "the printer takes it unencrypted only"
        : "the printer offers no safe hash";
      this.unsupported.push({ name: "job-password", value: `(${why})` });
    }
  }

  #passwordProblem(password: string): string | undefined {
    const length = Buffer.byteLength(password);
    const range = valuesOf(this.#printer, "job-password-length-supported");
    const [max = 0] = numbersOf(this.#printer, "job-password-supported");
    if (max <= 0) return "the printer has none";
    if (length === 0 || length > Math.min(max, 255)) return "the printer takes no password of this length";
    if (range.length > 0 && !isWithin(range, length)) return "the printer takes no password of this length";
    const [repertoire] = stringsOf(this.#printer, "job-password-repertoire-configured");
    return repertoire === DIGITS_ONLY && !/^[0-9]+$/.test(password) ? "the printer takes digits only" : undefined;
  }

  #password(octets: Uint8Array, encryption: string): void {
    this.operation.push(attribute("job-password", TAG.octetString, new Uint8Array(octets)));
    this.operation.push(keyword("job-password-encryption", encryption));
  }

  #word(supported: string, word: string): IppValue | undefined {
    const isNamed = ({ value }: IppValue) =>
      value === word || (typeof value === "object" && value !== null && "text" in value && value.text === word);
    const found = valuesOf(this.#printer, supported).find(isNamed);
    return found && { tag: found.tag === TAG.keyword ? TAG.keyword : TAG.name, value: word };
  }

  #isWithin(supported: string, value: number): boolean {
    return isWithin(valuesOf(this.#printer, supported), value);
  }

  #cannot(name: string, value: string): void {
    const isUnknown = valuesOf(this.#printer, `${name}-supported`).length === 0;
    if (!(isUnknown && NOTHING_ASKED.has(`${name} ${value}`))) this.unsupported.push({ name, value });
  }
}

function isWithin(values: readonly IppValue[], wanted: number): boolean {
  return values.some(({ value }) => {
    if (typeof value === "number") return value === wanted;
    return typeof value === "object" && value !== null && "lower" in value
      ? value.lower <= wanted && wanted <= value.upper
      : false;
  });
}

/** For people; of a password its name alone. */
function textOf(sent: IppAttribute): string {
  return sent.name.startsWith("job-password") ? sent.name : `${sent.name} ${valueText(sent)}`;
}

function valueText({ name, values }: IppAttribute): string {
  return values
    .map(({ tag, value }): string => {
      if (typeof value === "object" && value !== null && "lower" in value)
        return value.lower === value.upper ? String(value.lower) : `${value.lower}-${value.upper}`;
      if (Array.isArray(value)) return `{${value.map((member) => `${member.name} ${valueText(member)}`).join(" ")}}`;
      if (tag === TAG.enum && typeof value === "number" && isTicketEnum(name)) return enumName(name, value);
      return String(value);
    })
    .join(",");
}

const isTicketEnum = (name: string): name is TicketEnum =>
  name === "print-quality" || name === "finishings" || name === "orientation-requested";
