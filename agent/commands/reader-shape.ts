import type { Read } from "../../drivers/reader.ts";
import { textShape } from "../../drivers/readers/capture.ts";
import type { Heard } from "./reader-detect.ts";

/** What kind of number a read is, and not which: `10 characters, dddddddddd`. */
export function shapeOf(read: Read): string {
  if (read.kind === "bits") return `${read.bitLength} bits`;
  return `${read.text.length} characters, ${textShape(Buffer.from(read.text, "latin1"))}`;
}

export function shapeOfHeard(heard: readonly Heard[]): string {
  return textShape(Buffer.concat(heard.map(({ bytes }) => bytes)));
}

export function isSameRead(a: Read, b: Read | undefined): boolean {
  if (a.kind === "text") return b?.kind === "text" && a.text === b.text;
  return b?.kind === "bits" && a.bitLength === b.bitLength && Buffer.compare(a.bytes, b.bytes) === 0;
}
