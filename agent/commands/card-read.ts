import type { Read } from "../../drivers/reader.ts";
import { MAX_BITS, ofBytes } from "../cards/bits.ts";
import { CommandError } from "./command.ts";

/** A read as it is typed, by --kind. */
export function readOf(raw: string, kind: string): Read {
  if (kind === "text") return { kind: "text", text: raw };
  const bits = kind === "hex" ? raw.length * 4 : Number(/^bits:([1-9][0-9]{0,3})$/.exec(kind)?.[1] ?? Number.NaN);
  if (!(bits >= 0 && bits <= MAX_BITS))
    throw new CommandError("usage", `--kind is text, hex or bits:N, N at most ${MAX_BITS}`);
  const whole = raw.length % 2 === 0 && /^[0-9A-Fa-f]+$/.test(raw);
  if (!whole || raw.length * 4 < bits)
    throw new CommandError("usage", `RAW is not ${bits} bits in hexadecimal, two digits per byte`);
  return { ...ofBytes(Uint8Array.fromHex(raw)), bitLength: bits };
}

/** The same the other way round. */
export function rawOf(read: Read): string {
  return read.kind === "text" ? read.text : Buffer.from(read.bytes).toString("hex").toUpperCase();
}
