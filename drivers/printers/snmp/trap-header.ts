/** What a notification says of its sender, unverified. A community or a user name, as it stands in the clear. */
export type TrapHeader =
  | { readonly version: "1" | "2c"; readonly community: string }
  | { readonly version: "3"; readonly user: string };

interface Element {
  readonly tag: number;
  readonly body: Uint8Array;
}

const INTEGER = 0x02;
const OCTETS = 0x04;
const SEQUENCE = 0x30;
/** Trap-PDU of RFC 1157; InformRequest and SNMPv2-Trap of RFC 3416. */
const NOTIFICATIONS = [0xa4, 0xa6, 0xa7];

/**
 * Pure and total: the head of a trap or an inform of RFC 1157, 3416 or 3412; undefined for anything else. An SNMPv3 one
 * may be encrypted behind its head, so there it is taken for one.
 */
export function decodeTrapHeader(datagram: Uint8Array): TrapHeader | undefined {
  const [message] = elements(datagram, 1);
  if (message?.tag !== SEQUENCE) return undefined;
  const [version, second, third] = elements(message.body, 3);
  if (version?.tag !== INTEGER || version.body.length !== 1) return undefined;
  switch (version.body[0]) {
    case 0:
    case 1:
      if (second?.tag !== OCTETS || third === undefined || !NOTIFICATIONS.includes(third.tag)) return undefined;
      return { version: version.body[0] === 0 ? "1" : "2c", community: latin1(second.body) };
    case 3: {
      if (second?.tag !== SEQUENCE || third?.tag !== OCTETS) return undefined;
      const [parameters] = elements(third.body, 1);
      if (parameters?.tag !== SEQUENCE) return undefined;
      // RFC 3414 2.4: engine id, boots, time, user name.
      const user = elements(parameters.body, 4)[3];
      return user?.tag === OCTETS ? { version: "3", user: latin1(user.body) } : undefined;
    }
    default:
      return undefined;
  }
}

/** The first `count` BER elements of `octets`; fewer where one is cut or of a length that no datagram has. */
function elements(octets: Uint8Array, count: number): readonly Element[] {
  const found: Element[] = [];
  let at = 0;
  while (found.length < count) {
    const [tag, first] = [octets[at], octets[at + 1]];
    if (tag === undefined || first === undefined) break;
    const more = first < 0x80 ? 0 : first & 0x7f;
    if (first === 0x80 || more > 3) break;
    const length =
      more === 0 ? first : octets.subarray(at + 2, at + 2 + more).reduce((sum, octet) => sum * 256 + octet, 0);
    const start = at + 2 + more;
    if (start + length > octets.length) break;
    found.push({ tag, body: octets.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}

function latin1(octets: Uint8Array): string {
  return Buffer.from(octets).toString("latin1");
}
