import type { PrinterQuirk } from "../../printer.ts";

/**
 * What printers do differently, as settings that the driver asks for by name; each with what is seen of it. Most are met by
 * themselves at a price (one request, or one job that stays held); naming one saves that price.
 */
export const QUIRKS = {
  "no-create-job": {
    symptom: "It lists Create-Job, but does not know the job when the document comes: documents go with Print-Job.",
    // backend/ipp.c of CUPS stops such a queue and hints at IPP 1.0, which has no Create-Job.
    source: "apple/cups #4190",
  },
  "no-validate-job": {
    symptom: "It hangs, or breaks the connection, at Validate-Job or right after it: jobs are not validated ahead.",
    source: "OpenPrinting/cups #132",
  },
  "ipp-1.1": {
    symptom: "It refuses IPP 2.0 as a bad request, or answers it with nothing in it: it is spoken to in 1.1.",
    source: "ctalkington/python-ipp #515, apple/cups #6242",
  },
  "content-length": {
    symptom: "It speaks HTTP/1.0 or cannot read chunks: a document goes with its length announced.",
    source: "apple/cups #2683, #1946",
  },
  "plain-user-names": {
    symptom:
      "It refuses requests of people whose names have a backslash or other than plain letters: such characters are replaced.",
    source: "OpenPrinting/cups #1145",
  },
  "hides-job-names": {
    symptom:
      "It shows other names than those that jobs were given: jobs are known by their uuid, or by when they were made.",
    source: "CUPS with JobPrivateValues, RFC 8011 9.3",
  },
  "no-job-history": {
    symptom: "It forgets a job as soon as it has ended: how jobs ended is not known here, and each is in doubt.",
    source: "apple/cups #4079",
  },
} as const satisfies Record<string, { readonly symptom: string; readonly source: string }>;

export type Quirk = keyof typeof QUIRKS;
export const QUIRK_NAMES = Object.keys(QUIRKS) as [Quirk, ...Quirk[]];

export interface KnownModel {
  /** Of printer-make-and-model, case aside; `*` is any run of characters. */
  readonly model: string;
  readonly quirks: readonly Quirk[];
  /** The public thread that names the model. */
  readonly source: string;
}

/** Only models that a public source names; what is met without one is the operator's to name (`quirks` of a [[printer]]). */
export const KNOWN_MODELS: readonly KnownModel[] = [
  { model: "*Kyocera*P3155dn*", quirks: ["plain-user-names"], source: "OpenPrinting/cups #1145" },
  { model: "*Lexmark*T620*", quirks: ["content-length"], source: "apple/cups #2683" },
  { model: "*Lexmark*E332n*", quirks: ["content-length"], source: "apple/cups #1946" },
  { model: "C822*", quirks: ["ipp-1.1"], source: "ctalkington/python-ipp #515 (OKI C822)" },
];

/** Pure: the quirks listed for a printer-make-and-model. */
export function quirksOf(makeAndModel: string, models: readonly KnownModel[] = KNOWN_MODELS): readonly Quirk[] {
  return models.flatMap(({ model, quirks }) => (matches(model, makeAndModel) ? quirks : []));
}

/** `*` is any run of characters, anything else itself. One pass over the text: a printer chooses it. */
function matches(glob: string, text: string): boolean {
  const [first = "", ...rest] = glob.toLowerCase().split("*");
  const lower = text.toLowerCase();
  const last = rest.pop();
  if (last === undefined) return lower === first;
  if (!lower.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = lower.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return lower.length - last.length >= at && lower.endsWith(last);
}

/** The quirks that apply to one printer: named by the operator, listed for its model, or met. */
export class AppliedQuirks {
  readonly #from = new Map<Quirk, PrinterQuirk["from"]>();
  readonly #applied: (quirk: Quirk) => void;

  /** `applied` is told each one once, those of the configuration included. */
  constructor(configured: readonly Quirk[], applied: (quirk: Quirk) => void) {
    this.#applied = applied;
    for (const quirk of configured) this.#add(quirk, "configuration");
  }

  has(quirk: Quirk): boolean {
    return this.#from.has(quirk);
  }

  model(makeAndModel: string): void {
    for (const quirk of quirksOf(makeAndModel)) this.#add(quirk, "model");
  }

  met(quirk: Quirk): void {
    this.#add(quirk, "met");
  }

  get list(): readonly PrinterQuirk[] {
    return [...this.#from].map(([name, from]) => ({ name, symptom: QUIRKS[name].symptom, from }));
  }

  #add(quirk: Quirk, from: PrinterQuirk["from"]): void {
    if (this.#from.has(quirk)) return;
    this.#from.set(quirk, from);
    this.#applied(quirk);
  }
}

/** RFC 8011 5.1.3: a name has at most 255 octets; cut between two characters. `plain` leaves what no printer was seen to refuse. */
export function userName(user: string, plain: boolean): string {
  let name = "";
  let octets = 0;
  for (const character of plain ? plainly(user) : user.toWellFormed()) {
    octets += Buffer.byteLength(character);
    if (octets > 255) break;
    name += character;
  }
  return name;
}

function plainly(user: string): string {
  return user
    .toWellFormed()
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[^A-Za-z0-9 ._@-]/gu, "_");
}
