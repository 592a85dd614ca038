import type { ChecksumName } from "./settings.ts";

/** Gives the payload of a frame, or undefined when its checksum is wrong. */
type Check = (frame: string) => string | undefined;

export const CHECKSUMS: Readonly<Record<ChecksumName, Check>> = {
  none: (frame) => frame,
  id12,
};

/** Ten hex digits, then the XOR of their five bytes as two. */
function id12(frame: string): string | undefined {
  if (!/^[0-9A-Fa-f]{12}$/.test(frame)) return undefined;
  // The XOR of all six bytes is zero exactly when the last is the XOR of the others.
  const xor = Buffer.from(frame, "hex").reduce((sum, byte) => sum ^ byte, 0);
  return xor === 0 ? frame.slice(0, 10) : undefined;
}
