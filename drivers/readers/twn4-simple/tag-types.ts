/**
 * The kinds of transponders a TWN4 can look for, each by the number that the reader calls it (Elatec, TWN4 Simple Protocol
 * DocRev25, appendix A): 0x40 and up at 125 kHz, 0x80 and up at 13.56 MHz.
 */
const TAG_TYPES = {
  em4102: 0x40,
  hitag1s: 0x41,
  hitag2: 0x42,
  em4150: 0x43,
  t55x7: 0x44,
  "fdx-b": 0x45,
  em4026: 0x46,
  hitagu: 0x47,
  em4305: 0x48,
  "hid-prox": 0x49,
  tiris: 0x4a,
  cotag: 0x4b,
  ioprox: 0x4c,
  indala: 0x4d,
  nexwatch: 0x4e,
  awid: 0x4f,
  "g-prox": 0x50,
  pyramid: 0x51,
  keri: 0x52,
  deister: 0x53,
  cardax: 0x54,
  nedap: 0x55,
  pac: 0x56,
  idteck: 0x57,
  ultraprox: 0x58,
  ict: 0x59,
  isonas: 0x5a,
  iso14443a: 0x80,
  iso14443b: 0x81,
  iso15693: 0x82,
  legic: 0x83,
  iclass: 0x84,
  felica: 0x85,
  srx: 0x86,
  "nfc-p2p": 0x87,
  ble: 0x88,
  topaz: 0x89,
  cts: 0x8a,
  "ble-legic": 0x8b,
} as const;

export type TagType = keyof typeof TAG_TYPES;

/** In the order of their numbers. */
export const TAG_TYPE_NAMES = Object.keys(TAG_TYPES) as [TagType, ...TagType[]];

export const ISO14443A = TAG_TYPES.iso14443a;
const HIGH_FREQUENCY = 0x80;

/** As SetTagTypes takes them: a bit for each type in its frequency's mask. */
export function masksOf(types: readonly TagType[]): { readonly low: number; readonly high: number } {
  let low = 0;
  let high = 0;
  for (const name of types) {
    const type = TAG_TYPES[name];
    const bit = 1 << (type & 0x1f);
    if (type >= HIGH_FREQUENCY) high |= bit;
    else low |= bit;
  }
  return { low: low >>> 0, high: high >>> 0 };
}
