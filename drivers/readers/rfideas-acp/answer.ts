/** Lines of rf IDEAS' ASCII Command Protocol (manual 99009150 G; 99009010, chapter 4). */
export type Answer =
  | Queued
  /** Nothing that says anything: an empty line, a prompt, what an assignment is acknowledged with. */
  | { readonly kind: "nothing" }
  /** The reader sends back what it is sent. */
  | { readonly kind: "echo" }
  | { readonly kind: "error"; readonly number: number }
  /** `{AGE,OVERRUN,LOCKOUT,BITCOUNT;ID}` in which the numbers do not fit together. */
  | { readonly kind: "malformed" }
  | { readonly kind: "unexpected" };

/** What the reader has in its queue of one card. */
export interface Queued {
  readonly kind: "queued";
  /** Since the card was read. */
  readonly ageMs: number;
  /** Cards that this one has overwritten in the queue: 0 to 255. */
  readonly overrun: number;
  /** Until another card can be read. */
  readonly lockoutMs: number;
  readonly card: { readonly bytes: Uint8Array; readonly bitLength: number } | undefined;
}

const TICK_MS = 48;

const PROMPTS = /^(?:RF IDeas>\s*)+/i;
/** Where the echo of a line does not end with one. */
const GLUED_ECHO = /^rfid:[a-z0-9.=?]*(?=\{|Error#)/i;
const QUEUED = /^\{0x([0-9A-F]{1,4}),(\d{1,3}),0x([0-9A-F]{1,4}),(\d{1,3});0x([0-9A-F]{1,64})\}$/i;

export function parseAnswer(line: string): Answer {
  const text = line.replace(PROMPTS, "").replace(GLUED_ECHO, "").trim();
  if (text === "" || /^\{?OK\}?$/i.test(text)) return { kind: "nothing" };
  if (/^rfid:/i.test(text)) return { kind: "echo" };
  const error = /^Error#(\d{1,3})\b/i.exec(text);
  if (error !== null) return { kind: "error", number: Number(error[1]) };
  const queued = QUEUED.exec(text);
  if (queued === null) return { kind: /^\{.*;.*\}$/.test(text) ? "malformed" : "unexpected" };
  const [, age = "", overrun = "", lockout = "", bits = "", id = ""] = queued;
  const card = leftAligned(BigInt(`0x${id}`), Number(bits));
  if (card === "malformed") return { kind: "malformed" };
  return {
    kind: "queued",
    ageMs: Number.parseInt(age, 16) * TICK_MS,
    overrun: Number(overrun),
    lockoutMs: Number.parseInt(lockout, 16) * TICK_MS,
    card,
  };
}

/**
 * The reader writes the card's bits as one number, however many digits it gives it, so the last bit of the card is the last
 * of the number. A count of 0 says that nothing was read since the card before, whose digits may still stand there.
 */
function leftAligned(number: bigint, bitLength: number): Queued["card"] | "malformed" {
  if (bitLength === 0) return undefined;
  if (bitLength > 255 || number >> BigInt(bitLength) !== 0n) return "malformed";
  const length = Math.ceil(bitLength / 8);
  const aligned = number << BigInt(8 * length - bitLength);
  return { bytes: Uint8Array.from(Buffer.from(aligned.toString(16).padStart(2 * length, "0"), "hex")), bitLength };
}
