import { createCipheriv, createDecipheriv, timingSafeEqual } from "node:crypto";
import { type Draft, encodePacket, MAC_BYTES, type Packet, type SecurityBlock } from "./packet.ts";

/**
 * The secure channel of OSDP (SIA OSDP 2.2, Annex D): AES-128 throughout. Both sides derive three keys from the base key and
 * the panel's random number, prove them to each other, and then chain every message to the one before: a MAC begins with
 * the MAC of the last message of the other direction, so nothing can be left out, repeated, or put in.
 */
export interface SessionKeys {
  readonly enc: Uint8Array;
  readonly mac1: Uint8Array;
  readonly mac2: Uint8Array;
}

export const RANDOM_BYTES = 8;
/** Types of security blocks. */
export const SCS = {
  challenge: 0x11,
  clientCryptogram: 0x12,
  serverCryptogram: 0x13,
  initialMac: 0x14,
  command: 0x15,
  reply: 0x16,
  commandWithData: 0x17,
  replyWithData: 0x18,
} as const;

const BLOCK = 16;
const NO_IV = Buffer.alloc(BLOCK);

export function sessionKeys(baseKey: Uint8Array, panelRandom: Uint8Array): SessionKeys {
  const derive = (kind: number) => {
    const seed = Buffer.alloc(BLOCK);
    seed.set([0x01, kind, ...panelRandom.subarray(0, 6)]);
    return encryptBlock(baseKey, seed);
  };
  return { enc: derive(0x82), mac1: derive(0x01), mac2: derive(0x02) };
}

/** What the reader proves itself with. */
export function clientCryptogram({ enc }: SessionKeys, panelRandom: Uint8Array, readerRandom: Uint8Array): Uint8Array {
  return encryptBlock(enc, Buffer.concat([panelRandom, readerRandom]));
}

/** What the panel proves itself with. */
export function serverCryptogram({ enc }: SessionKeys, panelRandom: Uint8Array, readerRandom: Uint8Array): Uint8Array {
  return encryptBlock(enc, Buffer.concat([readerRandom, panelRandom]));
}

/** RMAC-I: where the chain begins. */
export function initialMac({ mac1, mac2 }: SessionKeys, server: Uint8Array): Uint8Array {
  return encryptBlock(mac2, encryptBlock(mac1, server));
}

export function macOf({ mac1, mac2 }: SessionKeys, iv: Uint8Array, bytes: Uint8Array): Uint8Array {
  const padded = bytes.length % BLOCK === 0 ? bytes : pad(bytes);
  const last = padded.length - BLOCK;
  const chained = last === 0 ? iv : cbc(mac1, iv, padded.subarray(0, last)).subarray(-BLOCK);
  return cbc(mac2, chained, padded.subarray(last));
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** One side of an established channel. */
export class SecureChannel {
  readonly #keys: SessionKeys;
  readonly #isReader: boolean;
  #sent: Uint8Array;
  #received: Uint8Array;

  constructor(keys: SessionKeys, initial: Uint8Array, side: "panel" | "reader") {
    this.#keys = keys;
    this.#isReader = side === "reader";
    this.#sent = initial;
    this.#received = initial;
  }

  /** The packet with its data encrypted and its MAC, ready to be written; it is the next one of the chain. */
  seal(draft: Draft): Uint8Array {
    const data = draft.data === undefined || draft.data.length === 0 ? undefined : pad(draft.data);
    const plain = this.#isReader ? SCS.reply : SCS.command;
    const security: SecurityBlock = { type: data === undefined ? plain : plain + 2, data: new Uint8Array() };
    return encodePacket({
      ...draft,
      security,
      data: data === undefined ? undefined : cbc(this.#keys.enc, inverted(this.#received), data),
      sign: (covered) => {
        this.#sent = macOf(this.#keys, this.#received, covered);
        return this.#sent.subarray(0, MAC_BYTES);
      },
    });
  }

  /** The data of the other side's next packet; undefined if it is anything else, and then the channel is over. */
  open({ security, data, covered }: Packet): Uint8Array | undefined {
    const plain = this.#isReader ? SCS.command : SCS.reply;
    if (security === undefined || data.length < MAC_BYTES) return undefined;
    if (security.type !== plain && security.type !== plain + 2) return undefined;
    const mac = macOf(this.#keys, this.#sent, covered.subarray(0, -MAC_BYTES));
    if (!sameBytes(mac.subarray(0, MAC_BYTES), covered.subarray(-MAC_BYTES))) return undefined;
    this.#received = mac;
    const sealed = data.subarray(0, -MAC_BYTES);
    // A block that proves data without hiding them is allowed; the MAC covers which of the two it is.
    return security.type === plain ? sealed : unsealed(this.#keys.enc, inverted(this.#sent), sealed);
  }
}

function unsealed(key: Uint8Array, iv: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length === 0 || sealed.length % BLOCK !== 0) return undefined;
  const decipher = createDecipheriv("aes-128-cbc", key, iv).setAutoPadding(false);
  const padded = decipher.update(sealed);
  const end = padded.findLastIndex((byte) => byte !== 0);
  return padded[end] === 0x80 ? padded.subarray(0, end) : undefined;
}

/** 80 and zeros, up to a whole block. */
function pad(bytes: Uint8Array): Uint8Array {
  const padded = Buffer.alloc((Math.floor(bytes.length / BLOCK) + 1) * BLOCK);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  return padded;
}

function inverted(iv: Uint8Array): Uint8Array {
  return iv.map((byte) => ~byte);
}

/** One block in ECB is one block in CBC from zero. */
function encryptBlock(key: Uint8Array, block: Uint8Array): Uint8Array {
  return cbc(key, NO_IV, block);
}

function cbc(key: Uint8Array, iv: Uint8Array, blocks: Uint8Array): Uint8Array {
  return createCipheriv("aes-128-cbc", key, iv).setAutoPadding(false).update(blocks);
}
