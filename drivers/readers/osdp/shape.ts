import { binaryShape } from "../capture.ts";
import { COMMAND, REPLY_CODE } from "./messages.ts";
import { MARK, type Packet, PacketReader, START } from "./packet.ts";
import type { CheckName } from "./settings.ts";

const namesOf = (codes: Readonly<Record<string, number>>) =>
  new Map(Object.entries(codes).map(([name, code]) => [code, name]));
const COMMANDS = namesOf(COMMAND);
const REPLIES = namesOf(REPLY_CODE);

/**
 * A captured piece of the line: of whole packets whose check is right the header is told, of everything else only how
 * many bytes it was. What follows the code may be a card number, a PIN or a key.
 */
export function packetShape(check: CheckName): (bytes: Uint8Array) => string {
  return (bytes) => {
    const reader = new PacketReader(check);
    const packets = reader.push(bytes);
    const told = packets.reduce((sum, { covered }) => sum + covered.length + (check === "crc16" ? 2 : 1), 0);
    const marks = bytes[0] === MARK && bytes[1] === START ? packets.length : 0;
    const rest = bytes.length - told - marks;
    return [...packets.map(header), ...(rest > 0 ? [binaryShape(bytes.subarray(0, rest))] : [])].join(" | ");
  };
}

/** `RAW from 1 #2 scs 18 +20`: 20 bytes follow the code. */
function header({ isReply, address, sequence, security, code, data }: Packet): string {
  const name = (isReply ? REPLIES : COMMANDS).get(code) ?? code.toString(16).padStart(2, "0");
  const block = security === undefined ? "" : ` scs ${security.type.toString(16)}`;
  return `${name} ${isReply ? "from" : "to"} ${address} #${sequence}${block} +${data.length}`;
}
