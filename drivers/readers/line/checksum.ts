import type { ChecksumName } from "./settings.ts";

/** Gives the frame without its checksum, or undefined when that is wrong. */
type Check = (frame: string) => string | undefined;

/** The checksum of bytes that are summed up to `total`. */
interface Sum {
  readonly add: (total: number, byte: number) => number;
  readonly finish: (total: number) => number;
}

const XOR: Sum = { add: (total, byte) => total ^ byte, finish: (total) => total };
const SUM: Sum = { add: (total, byte) => (total + byte) & 0xff, finish: (total) => total };
/** Modbus over serial line V1.02, 6.2.1. */
const MODBUS_LRC: Sum = { add: SUM.add, finish: (total) => -total & 0xff };

/** Each name is defined in `settings.ts`. */
export const CHECKSUMS: Readonly<Record<ChecksumName, Check>> = {
  none: (frame) => frame,
  id12: (frame) => (frame.length === 12 ? ofBytes(XOR)(frame) : undefined),
  xor8: ofCharacters(XOR),
  "xor8-hex": ofBytes(XOR),
  sum8: ofCharacters(SUM),
  "sum8-hex": ofBytes(SUM),
  lrc: ofCharacters(MODBUS_LRC),
  "lrc-hex": ofBytes(MODBUS_LRC),
  "lrc-track": lrcTrack,
};

/** Over the characters as they are sent. */
function ofCharacters(sum: Sum): Check {
  return trailing(sum, (payload) => Buffer.from(payload, "latin1"));
}

/** Over the bytes that the hex digits stand for. */
function ofBytes(sum: Sum): Check {
  return trailing(sum, (payload) => {
    const isHex = payload.length % 2 === 0 && /^[0-9A-Fa-f]*$/.test(payload);
    return isHex ? Buffer.from(payload, "hex") : undefined;
  });
}

function trailing({ add, finish }: Sum, bytesOf: (payload: string) => Buffer | undefined): Check {
  return (frame) => {
    const payload = frame.slice(0, -2);
    const told = frame.slice(-2);
    const bytes = bytesOf(payload);
    if (bytes === undefined || bytes.length === 0 || !/^[0-9A-Fa-f]{2}$/.test(told)) return undefined;
    return finish(bytes.reduce(add, 0)) === Number.parseInt(told, 16) ? payload : undefined;
  };
}

/**
 * ISO/IEC 7811-2: the XOR of a track's characters, both sentinels among them, without their parity bits. Track 1 has
 * characters of six bits from 20 on, the others of four bits from 30 on.
 */
function lrcTrack(frame: string): string | undefined {
  let payload = "";
  for (let at = 0; at < frame.length; ) {
    const end = frame.indexOf("?", at);
    if (end < 0) return undefined;
    const track = frame.slice(at, end + 1);
    payload += track;
    at = end + 1;
    // What stands for a track that could not be read was not on the card.
    if (/^.E\?$/.test(track)) continue;
    const [base, bits] = track.startsWith("%") ? [0x20, 0x3f] : [0x30, 0x0f];
    // On the card, track 3 begins as track 2 does; `+` and `!` are the reader's.
    const values = Buffer.from(track.replace(/^[+!]/, ";"), "latin1").map((byte) => byte - base);
    const lrc = values.reduce((total, value) => total ^ value, 0);
    if (values.some((value) => value > bits) || frame.charCodeAt(at) !== base + lrc) return undefined;
    at += 1;
  }
  return payload === "" ? undefined : payload;
}
