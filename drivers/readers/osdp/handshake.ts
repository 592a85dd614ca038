import type { KeyName } from "./machine.ts";
import { COMMAND, type Command, REPLY_CODE } from "./messages.ts";
import type { SecurityBlock } from "./packet.ts";
import {
  clientCryptogram,
  initialMac,
  RANDOM_BYTES,
  SCS,
  SecureChannel,
  sameBytes,
  serverCryptogram,
  sessionKeys,
} from "./secure-channel.ts";
import { DEFAULT_KEY } from "./settings.ts";

const CRYPTOGRAM_BYTES = 16;
const CUID_BYTES = 8;
/** How a security block names the key. */
const KEY_BYTE: Readonly<Record<KeyName, number>> = { default: 0, own: 1 };
const SERVER_PROVEN = 1;

/** The panel's side of the four messages that begin a secure channel. Flaws are told in words, without anything secret. */
export class Handshake {
  readonly #own: Uint8Array | undefined;
  readonly #random: (length: number) => Uint8Array;
  #key: KeyName = "own";
  #panelRandom: Uint8Array = new Uint8Array(RANDOM_BYTES);
  #readerRandom: Uint8Array = new Uint8Array(RANDOM_BYTES);

  constructor(own: Uint8Array | undefined, random: (length: number) => Uint8Array) {
    this.#own = own;
    this.#random = random;
  }

  /** @throws TypeError without one: a secure reader's settings have a key, or the configuration was not checked. */
  get ownKey(): Uint8Array {
    if (this.#own === undefined) throw new TypeError("a secure channel needs a key");
    return this.#own;
  }

  /** CHLNG, with a new random number. */
  challenge(key: KeyName): Command {
    this.#key = key;
    this.#panelRandom = this.#random(RANDOM_BYTES);
    return { code: COMMAND.CHLNG, security: this.#block(SCS.challenge), data: this.#panelRandom };
  }

  /** Takes CCRYPT: its number, the reader's random number, its cryptogram. What is wrong with it, if anything. */
  takeProof(code: number, security: SecurityBlock | undefined, data: Uint8Array): string | undefined {
    if (code !== REPLY_CODE.CCRYPT || security?.type !== SCS.clientCryptogram) return "an odd reply to CHLNG";
    if (data.length !== CUID_BYTES + RANDOM_BYTES + CRYPTOGRAM_BYTES) return "a CCRYPT of a wrong length";
    if (security.data.length !== 1 || security.data[0] !== KEY_BYTE[this.#key]) return "a CCRYPT for another key";
    this.#readerRandom = data.slice(CUID_BYTES, CUID_BYTES + RANDOM_BYTES);
    const expected = clientCryptogram(this.#keys(), this.#panelRandom, this.#readerRandom);
    return sameBytes(expected, data.subarray(CUID_BYTES + RANDOM_BYTES)) ? undefined : "the reader has another key";
  }

  /** SCRYPT. */
  proof(): Command {
    return { code: COMMAND.SCRYPT, security: this.#block(SCS.serverCryptogram), data: this.#server() };
  }

  /** Takes RMAC_I; the channel, or what is wrong. */
  takeInitialMac(code: number, security: SecurityBlock | undefined, data: Uint8Array): SecureChannel | string {
    if (code !== REPLY_CODE.RMAC_I || security?.type !== SCS.initialMac) return "an odd reply to SCRYPT";
    if (security.data[0] !== SERVER_PROVEN) return "the reader does not believe our key";
    const keys = this.#keys();
    const expected = initialMac(keys, this.#server());
    return sameBytes(expected, data) ? new SecureChannel(keys, expected, "panel") : "a wrong first MAC";
  }

  #keys() {
    return sessionKeys(this.#key === "own" ? this.ownKey : DEFAULT_KEY, this.#panelRandom);
  }

  #server(): Uint8Array {
    return serverCryptogram(this.#keys(), this.#panelRandom, this.#readerRandom);
  }

  #block(type: number): SecurityBlock {
    return { type, data: Uint8Array.of(KEY_BYTE[this.#key]) };
  }
}
