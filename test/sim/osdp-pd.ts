import { checksum8, crc16 } from "../../drivers/readers/osdp/check.ts";
import { COMMAND, NAK, REPLY_CODE } from "../../drivers/readers/osdp/messages.ts";
import { encodePacket, type Packet, PacketReader, type SecurityBlock } from "../../drivers/readers/osdp/packet.ts";
import {
  clientCryptogram,
  initialMac,
  SCS,
  SecureChannel,
  type SessionKeys,
  sameBytes,
  serverCryptogram,
  sessionKeys,
} from "../../drivers/readers/osdp/secure-channel.ts";
import { type CheckName, DEFAULT_KEY } from "../../drivers/readers/osdp/settings.ts";

/** What becomes of the next reply, once each. */
export type Fault =
  /** It is lost on the line. */
  | "silence"
  /** The adapter gives our own bytes back before it. */
  | "echo"
  /** A reply of another reader stands before it. */
  | "other-address"
  /** One bit of it is wrong. */
  | "corrupt"
  /** The reader is busy; the command is not done. */
  | "busy"
  /** Somebody on the line changed it and mended its check: the last bit before the check, which is of the MAC if there is one. */
  | "tamper"
  /** Somebody on the line sends an earlier reply with this sequence number instead. */
  | "replay"
  /** Somebody on the line sends a card without a secure channel instead. */
  | "plain-card"
  /** The reader loses its power before the command comes. */
  | "reset";

export interface PdOptions {
  readonly address?: number;
  readonly check?: CheckName;
  /** Its own key. */
  readonly scbk?: Uint8Array;
  /** Whether it takes the default key, as in installation mode. */
  readonly installing?: boolean;
  readonly takesKeyset?: boolean;
  /** Nothing but ID, CAP and the handshake without a channel. */
  readonly demandsChannel?: boolean;
  /** Readers of the first edition have no CAP. */
  readonly hasCap?: boolean;
  readonly hasBeeper?: boolean;
  /** Eight bytes each time. */
  readonly random?: () => Uint8Array;
}

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));
/** As those of the recorded reader. */
const PDID = bytes("3322119901040302010b0c0d");
const PDCAP = bytes("0301010401010501010801000901000a0001100200");
const CUID = bytes("3322990004030201");
export const CARD_26 = bytes("bb032180");
const NO_KEY = new Uint8Array(16);
/** Length of the data of a command. */
const LENGTHS = new Map<number, number>([
  [COMMAND.POLL, 0],
  [COMMAND.ID, 1],
  [COMMAND.CAP, 1],
  [COMMAND.LED, 14],
  [COMMAND.BUZ, 5],
  [COMMAND.CHLNG, 8],
  [COMMAND.SCRYPT, 16],
  [COMMAND.KEYSET, 18],
]);

type Answer = readonly [code: number, data?: Uint8Array, security?: SecurityBlock];

/** An OSDP reader: refuses what a real one refuses, and fails as told. */
export class OsdpPd {
  readonly #options: PdOptions;
  readonly #address: number;
  readonly #check: CheckName;
  readonly #reader: PacketReader;
  #scbk: Uint8Array;
  #sequence: number | undefined;
  #lastCommand: Uint8Array = new Uint8Array();
  #lastReply: Uint8Array | undefined;
  #channel: SecureChannel | undefined;
  #handshake: { keys: SessionKeys; panel: Uint8Array; own: Uint8Array; key: number } | undefined;
  readonly #events: Answer[] = [];
  readonly #history: Uint8Array[] = [];

  readonly faults: Fault[] = [];
  /** Lamp and beeper commands, in hexadecimal. */
  readonly shown: string[] = [];
  /** Commands that were done, by code. */
  readonly done: number[] = [];
  /** Codes of its refusals. */
  readonly naks: number[] = [];

  constructor(options: PdOptions = {}) {
    this.#options = options;
    this.#address = options.address ?? 1;
    this.#check = options.check ?? "crc16";
    this.#reader = new PacketReader(this.#check);
    this.#scbk = options.scbk ?? NO_KEY;
  }

  get scbk(): Uint8Array {
    return this.#scbk;
  }

  get isSecure(): boolean {
    return this.#channel !== undefined;
  }

  /** `bits` of `data`, left-aligned. */
  card(data: Uint8Array = CARD_26, bits = 26, format = 1): void {
    this.#events.push([REPLY_CODE.RAW, Uint8Array.of(0, format, bits & 0xff, bits >> 8, ...data)]);
  }

  keys(keys: string): void {
    const codes = Array.from(keys, (key) => (key === "*" ? 0x7f : key === "#" ? 0x0d : key.charCodeAt(0)));
    this.reply(REPLY_CODE.KEYPAD, Uint8Array.of(0, codes.length, ...codes));
  }

  /** Any reply to the next poll. */
  reply(code: number, data: Uint8Array): void {
    this.#events.push([code, data]);
  }

  /** Power off and on. */
  reset(): void {
    this.#sequence = undefined;
    this.#lastReply = undefined;
    this.#channel = undefined;
    this.#handshake = undefined;
  }

  /** What it says to what it hears. */
  push(heard: Uint8Array): Uint8Array[] {
    return this.#reader.push(heard).flatMap((packet) => {
      if (packet.isReply || packet.address !== this.#address) return [];
      return this.#spoil(heard, packet);
    });
  }

  #spoil(heard: Uint8Array, packet: Packet): Uint8Array[] {
    const fault = this.faults.shift();
    if (fault === "reset") this.reset();
    if (fault === "busy") return [this.#encode(0, [REPLY_CODE.BUSY])];
    const reply = this.#hear(packet);
    this.#history.push(reply);
    switch (fault) {
      case "silence":
        return [];
      case "echo":
        return [heard, reply];
      case "other-address":
        return [
          encodePacket({
            address: this.#address + 1,
            isReply: true,
            sequence: packet.sequence,
            check: this.#check,
            code: REPLY_CODE.ACK,
          }),
          reply,
        ];
      case "corrupt":
        return [reply.map((byte, at) => (at === reply.length - 3 ? byte ^ 0x10 : byte))];
      case "tamper":
        return [tampered(reply, this.#check)];
      case "replay":
        // Its own sequence number is two places further back each time, and so is the control byte.
        return [this.#history.slice(0, -1).findLast((earlier) => ((earlier[5] ?? 0) & 3) === packet.sequence) ?? reply];
      case "plain-card":
        return [this.#encode(packet.sequence, [REPLY_CODE.RAW, Uint8Array.of(0, 1, 26, 0, ...CARD_26)])];
      case "reset":
      case undefined:
        return [reply];
    }
  }

  #hear(packet: Packet): Uint8Array {
    const { sequence } = packet;
    if (sequence === this.#sequence && this.#lastReply !== undefined && sameBytes(packet.covered, this.#lastCommand)) {
      return this.#lastReply;
    }
    this.#lastCommand = packet.covered;
    this.#lastReply = this.#obey(packet);
    return this.#lastReply;
  }

  #obey(packet: Packet): Uint8Array {
    const { sequence } = packet;
    if (sequence === 0) this.#channel = undefined;
    else if (this.#sequence === undefined) return this.#refuse(0, NAK.sequence);
    else if (sequence !== (this.#sequence % 3) + 1) return this.#refuse(sequence, NAK.sequence);
    this.#sequence = sequence;
    const isHandshake = packet.security?.type === SCS.challenge || packet.security?.type === SCS.serverCryptogram;
    if (isHandshake) this.#channel = undefined;
    let { data } = packet;
    if (this.#channel !== undefined) {
      const opened = this.#channel.open(packet);
      if (opened === undefined) return this.#refuse(sequence, NAK.needsSecureChannel);
      data = opened;
    } else if (packet.security !== undefined && !isHandshake) return this.#refuse(sequence, NAK.needsSecureChannel);
    const answer = this.#answer(packet.code, data, packet.security);
    if (answer[0] === REPLY_CODE.NAK) this.naks.push(answer[1]?.[0] ?? 0);
    else this.done.push(packet.code);
    // RMAC_I is the last message before the channel.
    const channel = answer[0] === REPLY_CODE.RMAC_I ? undefined : this.#channel;
    return channel === undefined ? this.#encode(sequence, answer) : channel.seal(this.#draft(sequence, answer));
  }

  #answer(code: number, data: Uint8Array, security: SecurityBlock | undefined): Answer {
    const length = LENGTHS.get(code);
    if (length === undefined || (code === COMMAND.CAP && this.#options.hasCap === false))
      return nak(NAK.unknownCommand);
    if (data.length !== length) return nak(NAK.length);
    const isOpen: number[] = [COMMAND.ID, COMMAND.CAP, COMMAND.CHLNG, COMMAND.SCRYPT];
    if (this.#options.demandsChannel && this.#channel === undefined && !isOpen.includes(code)) {
      return nak(NAK.needsSecureChannel);
    }
    switch (code) {
      case COMMAND.ID:
        return [REPLY_CODE.PDID, PDID];
      case COMMAND.CAP:
        return [REPLY_CODE.PDCAP, PDCAP];
      case COMMAND.CHLNG:
        return this.#challenged(data, security);
      case COMMAND.SCRYPT:
        return this.#proven(data, security);
      case COMMAND.KEYSET:
        return this.#keyset(data);
      case COMMAND.BUZ:
        if (this.#options.hasBeeper === false) return nak(NAK.unknownCommand);
        break;
      case COMMAND.POLL:
        return this.#events.shift() ?? [REPLY_CODE.ACK];
    }
    this.shown.push(`${code.toString(16)} ${Buffer.from(data).toString("hex")}`);
    return [REPLY_CODE.ACK];
  }

  #challenged(panel: Uint8Array, security: SecurityBlock | undefined): Answer {
    const key = security?.data[0] ?? 1;
    if (security?.type !== SCS.challenge || (key === 0 && this.#options.installing === false)) {
      return nak(NAK.needsSecureChannel);
    }
    const own = this.#options.random?.() ?? crypto.getRandomValues(new Uint8Array(8));
    const keys = sessionKeys(key === 0 ? DEFAULT_KEY : this.#scbk, panel);
    this.#handshake = { keys, panel: panel.slice(), own, key };
    const cryptogram = clientCryptogram(keys, panel, own);
    const block = { type: SCS.clientCryptogram, data: Uint8Array.of(key) };
    return [REPLY_CODE.CCRYPT, Uint8Array.of(...CUID, ...own, ...cryptogram), block];
  }

  #proven(cryptogram: Uint8Array, security: SecurityBlock | undefined): Answer {
    const handshake = this.#handshake;
    this.#handshake = undefined;
    if (security?.type !== SCS.serverCryptogram || handshake === undefined) return nak(NAK.needsSecureChannel);
    const { keys, panel, own, key } = handshake;
    if (security.data[0] !== key || !sameBytes(cryptogram, serverCryptogram(keys, panel, own))) {
      return [REPLY_CODE.RMAC_I, new Uint8Array(16), { type: SCS.initialMac, data: Uint8Array.of(0xff) }];
    }
    const first = initialMac(keys, cryptogram);
    this.#channel = new SecureChannel(keys, first, "reader");
    return [REPLY_CODE.RMAC_I, first, { type: SCS.initialMac, data: Uint8Array.of(1) }];
  }

  #keyset(data: Uint8Array): Answer {
    if (this.#channel === undefined) return nak(NAK.needsSecureChannel);
    if (this.#options.takesKeyset === false || data[0] !== 1 || data[1] !== 16) return nak(NAK.cannot);
    this.#scbk = data.slice(2);
    return [REPLY_CODE.ACK];
  }

  /** Out of step: both sides must begin anew. */
  #refuse(sequence: number, code: number): Uint8Array {
    this.reset();
    this.naks.push(code);
    return this.#encode(sequence, nak(code));
  }

  #draft(sequence: number, [code, data, security]: Answer) {
    return { address: this.#address, isReply: true, sequence, check: this.#check, code, data, security };
  }

  #encode(sequence: number, answer: Answer): Uint8Array {
    return encodePacket(this.#draft(sequence, answer));
  }
}

function nak(code: number): Answer {
  return [REPLY_CODE.NAK, Uint8Array.of(code)];
}

/** `reply` with one bit changed (the last of its data or MAC by default), and a right check. */
export function tampered(reply: Uint8Array, check: CheckName, bit?: number): Uint8Array {
  const changed = reply.slice();
  const at = bit ?? (endOf(reply, check) - 1) * 8;
  changed[at >> 3] = (changed[at >> 3] ?? 0) ^ (1 << (at & 7));
  return mended(changed, check);
}

/** `packet` with a right check, whatever was done to it. */
export function mended(packet: Uint8Array, check: CheckName): Uint8Array {
  const end = endOf(packet, check);
  const covered = packet.subarray(1, end);
  const sum = check === "crc16" ? crc16(covered) : checksum8(covered);
  const bytes = packet.slice();
  bytes.set(check === "crc16" ? [sum & 0xff, sum >> 8] : [sum], end);
  return bytes;
}

function endOf(packet: Uint8Array, check: CheckName): number {
  return packet.length - (check === "crc16" ? 2 : 1);
}
