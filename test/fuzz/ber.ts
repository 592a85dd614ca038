/** BER as SNMP needs it, for the replies that are mutated; lengths of up to 64 KiB. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), body]);
}

/** Four octets whatever the number. */
export function int(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeInt32BE(value);
  return tlv(0x02, octets);
}

export const octets = (text: string | Uint8Array = "") => tlv(0x04, Buffer.from(text));

export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...arcs] = text.split(".").map(Number);
  const septets = (arc: number): number[] => {
    const out = [arc & 0x7f];
    for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) out.unshift((rest & 0x7f) | 0x80);
    return out;
  };
  return tlv(0x06, Buffer.from([first * 40 + second, ...arcs.flatMap(septets)]));
}

/** What stands behind the head of the element at `path`, counted from 0 in each level; undefined if there is none. */
export function bodyAt(bytes: Uint8Array, ...path: readonly number[]): Uint8Array | undefined {
  const [which, ...deeper] = path;
  if (which === undefined) return bytes;
  let at = 0;
  for (let number = 0; at + 1 < bytes.length; number++) {
    const first = bytes[at + 1] ?? 0;
    const more = first < 0x80 ? 0 : first & 0x7f;
    let length = more === 0 ? first : 0;
    for (let i = 0; i < more; i++) length = length * 256 + (bytes[at + 2 + i] ?? 0);
    const start = at + 2 + more;
    if (number === which) return bodyAt(bytes.subarray(start, start + length), ...deeper);
    at = start + length;
  }
  return undefined;
}
