import type { Colour } from "../feedback.ts";

/**
 * What a pcProx reader keeps of its configuration: pages of eight bytes, read and put in RAM, or written to EEPROM by a
 * mask that is never given here. Layout after the protocol description of the pcprox project and its recorded dumps.
 */
export const MESSAGE_BYTES = 8;

export const COMMAND = { page0: 0x80, page2: 0x82, info: 0x8a, cardInfo: 0x8e, card: 0x8f } as const;

/** A command is its code and zeros. */
export function command(code: number): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES);
  message[0] = code;
  return message;
}

/**
 * Ends configuration, and the reader reads cards again. The byte after the code names the pages to write to EEPROM, which
 * wears out and would outlive us: always none.
 */
export const FINISH = command(0x90);

/** Page 0, byte 2: how many bits the reader strips before (low nibble) and after (high nibble) a card's data. */
const STRIPPED = 2;
/** Page 0, byte 7. */
const FLAGS = 7;
const HALT_KEYSTROKES = 0x80;
/** Page 2, byte 0: the lamps, when byte 1 says that the application sets them. */
const LAMPS = 0;
const LAMP_FLAGS = 1;
const APPLICATION_SETS_LAMPS = 0x02;
const LAMP_BITS: Readonly<Record<Colour, number>> = { red: 1, green: 2, amber: 3 };

/**
 * Whether the reader could have such a page. The first byte of page 0 is a number of digits and that of page 2 four
 * outputs: one of 80 or more is a command of ours that was taken for a page, and put back it could be taken for one.
 */
export function isPlausible(page: Uint8Array, code: typeof COMMAND.page0 | typeof COMMAND.page2): boolean {
  const first = page[0] ?? 0xff;
  return page.length === MESSAGE_BYTES && first < (code === COMMAND.page2 ? 0x10 : 0x80);
}

/**
 * No keystrokes, and every bit of the card: the reader strips parity bits by count and never checks them, so that it must
 * strip none for the pipeline to check them.
 */
export function forUs(page0: Uint8Array): Uint8Array {
  const page = Uint8Array.from(page0);
  page[STRIPPED] = 0;
  page[FLAGS] = (page[FLAGS] ?? 0) | HALT_KEYSTROKES;
  return page;
}

export function isHalted(page0: Uint8Array): boolean {
  return ((page0[FLAGS] ?? 0) & HALT_KEYSTROKES) !== 0;
}

/** Page 2 with the lamp lit, or dark. */
export function lit(page2: Uint8Array, colour: Colour | undefined): Uint8Array {
  const page = Uint8Array.from(page2);
  page[LAMPS] = colour === undefined ? 0 : LAMP_BITS[colour];
  page[LAMP_FLAGS] = (page[LAMP_FLAGS] ?? 0) | APPLICATION_SETS_LAMPS;
  return page;
}

/** Page 2 between two signals: the reader's own lights, or none where it was told to have none of its own. */
export function atRest(page2: Uint8Array): Uint8Array {
  return ((page2[LAMP_FLAGS] ?? 0) & APPLICATION_SETS_LAMPS) === 0 ? page2 : lit(page2, undefined);
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/**
 * A card's bits, first transmitted bit first and left-aligned, of a number of `bitLength` bits whose lowest byte comes
 * first. Undefined where bits are set beyond its length: then data and length are not of the same card.
 */
export function leftAligned(littleEndian: Uint8Array, bitLength: number): Uint8Array | undefined {
  let word = 0n;
  for (const byte of Uint8Array.from(littleEndian).reverse()) word = (word << 8n) | BigInt(byte);
  if (word >> BigInt(bitLength) !== 0n) return undefined;
  const length = Math.ceil(bitLength / 8);
  word <<= BigInt(8 * length - bitLength);
  const bytes = new Uint8Array(length);
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(word & 0xffn);
    word >>= 8n;
  }
  return bytes;
}
