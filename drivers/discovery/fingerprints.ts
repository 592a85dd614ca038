/**
 * What a plugged-in device probably is, as data. Hints, never a permission: the operator names the reader that is taken.
 * The udev rules that keep a reader's keys from the console are made from the keyboard rows.
 */

/** What a USB device can do for us, by its interfaces' classes: one product id is sold as any of these. */
export const USB_FUNCTIONS = ["keyboard", "serial", "ccid", "hid"] as const;
export type UsbFunction = (typeof USB_FUNCTIONS)[number];

/** Every family, by the name that the configuration has for it. */
export const FAMILIES = [
  "hid-keyboard",
  "serial-line",
  "tcp-line",
  "twn4-simple",
  "rfideas-acp",
  "rfideas-sdk",
  "osdp",
  "pcsc",
] as const;
export type Family = (typeof FAMILIES)[number];

/** `low` is never taken without being named: it may be anything, or somebody's keyboard. */
export type Confidence = "high" | "medium" | "low";

export interface Guess {
  readonly product: string;
  /** What it can be used as, the best first; empty where it is no reader. */
  readonly families: readonly Family[];
  readonly confidence: Confidence;
  readonly note?: string;
}

export interface Fingerprint extends Guess {
  readonly vendorId: number;
  readonly productId: number;
  /** The row is for devices that have this function, and for no other. */
  readonly has: UsbFunction;
  readonly source: string;
}

const USB_IDS = "usb.ids 2025.07.26";
const LIBCCID = "libccid 1.5.2 Info.plist";

type Row = Pick<Fingerprint, "has" | "product" | "families" | "confidence" | "note" | "source">;

function rows(vendorId: number, productIds: readonly number[], ...same: readonly Row[]): Fingerprint[] {
  return productIds.flatMap((productId) => same.map((row) => ({ vendorId, productId, ...row })));
}

const TWN4_SERIAL = {
  has: "serial",
  product: "Elatec TWN4 (serial)",
  families: ["twn4-simple", "serial-line"],
  note: "Only firmware with PRS in its name answers; standard firmware just sends lines.",
} as const;
const TWN4_KEYBOARD = { has: "keyboard", product: "Elatec TWN4 (keyboard)", families: ["hid-keyboard"] } as const;
const CCID = { has: "ccid", families: ["pcsc"], confidence: "high", source: LIBCCID } as const;
const SYCREADER = {
  has: "keyboard",
  product: "Sycreader 125 kHz or 13.56 MHz (keyboard)",
  families: ["hid-keyboard"],
  confidence: "medium",
} as const;
const BRIDGE = {
  has: "serial",
  families: ["serial-line", "twn4-simple", "rfideas-acp", "osdp"],
  confidence: "low",
  note: "A USB-to-serial bridge: anything may be behind it.",
  source: USB_IDS,
} as const;

export const FINGERPRINTS: readonly Fingerprint[] = [
  ...rows(
    0x09d8,
    [0x0410],
    { ...TWN4_KEYBOARD, confidence: "high", source: USB_IDS },
    // The same id was seen on a serial port: the interface decides, and not the id.
    { ...TWN4_SERIAL, confidence: "medium", source: "public configurations" },
  ),
  ...rows(
    0x09d8,
    [0x0420],
    { ...TWN4_SERIAL, confidence: "high", source: USB_IDS },
    { ...TWN4_KEYBOARD, confidence: "medium", source: "by interface" },
  ),
  ...rows(
    0x09d8,
    [0x0406],
    { ...TWN4_KEYBOARD, product: "Elatec TWN4 MIFARE NFC (keyboard)", confidence: "medium", source: USB_IDS },
    { ...TWN4_SERIAL, product: "Elatec TWN4 MIFARE NFC (serial)", confidence: "medium", source: USB_IDS },
    { ...CCID, product: "Elatec TWN4 MIFARE NFC (PC/SC)", confidence: "medium", source: USB_IDS },
  ),
  ...rows(0x09d8, [0x0427, 0x0428], { ...CCID, product: "Elatec TWN4 (PC/SC)" }),
  ...rows(
    0x09d8,
    [0x0320],
    {
      has: "keyboard",
      product: "Elatec TWN3 Multi125 (keyboard)",
      families: ["hid-keyboard"],
      confidence: "medium",
      source: USB_IDS,
    },
    {
      has: "serial",
      product: "Elatec TWN3 Multi125 (serial)",
      families: ["serial-line"],
      confidence: "medium",
      source: USB_IDS,
    },
  ),
  ...rows(0x0c27, [0x3bfa], {
    has: "keyboard",
    product: "rf IDEAS pcProx (keyboard)",
    families: ["hid-keyboard", "rfideas-sdk"],
    confidence: "high",
    note: "As rfideas-sdk it types nothing and shows its lights.",
    source: `${USB_IDS}; micolous/pcprox`,
  }),
  ...rows(0x0c27, [0x232a], {
    has: "serial",
    product: "rf IDEAS pcProx Plus (serial)",
    families: ["rfideas-acp", "serial-line"],
    confidence: "high",
    source: USB_IDS,
  }),
  ...rows(0x08ff, [0x0009], { ...SYCREADER, source: "rkblog.dev" }),
  ...rows(
    0xffff,
    [0x0035],
    { ...SYCREADER, note: "Nobody owns this vendor id; other devices may use it.", source: "techqa 67017165" },
    {
      has: "hid",
      product: "Sycreader card programmer",
      families: [],
      confidence: "medium",
      note: "It programs cards and types nothing: no reader for this.",
      source: "pyrfidhid 3",
    },
  ),
  ...rows(0x076b, [0x5427, 0x5422, 0x5022, 0x5023, 0x5321, 0x502a, 0x5a27], {
    ...CCID,
    product: "HID OMNIKEY (PC/SC)",
  }),
  ...rows(0x076b, [0x5428], {
    has: "keyboard",
    product: "HID OMNIKEY 5427CK (keyboard)",
    families: ["hid-keyboard"],
    confidence: "low",
    note: "The product id is not confirmed.",
    source: "general knowledge",
  }),
  ...rows(0x072f, [0x2200], {
    ...CCID,
    product: "ACS ACR122U (PC/SC)",
    note: "The kernel modules pn533_usb and nfc must not claim it.",
    source: `${USB_IDS}; ${LIBCCID}`,
  }),
  ...rows(0x072f, [0x221a], { ...CCID, product: "ACS ACR1251 (PC/SC)" }),
  ...rows(0x072f, [0x2224], { ...CCID, product: "ACS ACR1281 (PC/SC)" }),
  ...rows(0x072f, [0x223b], { ...CCID, product: "ACS ACR1252 (PC/SC)" }),
  ...rows(0x072f, [0x223e, 0x223f], { ...CCID, product: "ACS contactless reader (PC/SC)" }),
  ...rows(0x04e6, [0x5790], { ...CCID, product: "Identiv uTrust 3700F (PC/SC)" }),
  ...rows(0x0801, [0x0001], {
    has: "keyboard",
    product: "MagTek Mini Swipe (keyboard)",
    families: ["hid-keyboard"],
    confidence: "medium",
    note: "A magnetic stripe reader: its number stands between ; and =.",
    source: USB_IDS,
  }),
  ...rows(0x1a86, [0x7523], { ...BRIDGE, product: "WCH CH340 serial bridge" }),
  ...rows(0x0403, [0x6001], { ...BRIDGE, product: "FTDI FT232 serial bridge" }),
  ...rows(0x10c4, [0xea60], { ...BRIDGE, product: "Silicon Labs CP210x serial bridge" }),
  ...rows(0x067b, [0x2303], { ...BRIDGE, product: "Prolific PL2303 serial bridge" }),
];

/** A device of no row: by what it can do, and with no more confidence than that deserves. */
const UNKNOWN: Readonly<Record<Exclude<UsbFunction, "hid">, Guess>> = {
  ccid: { product: "a smart card reader", families: ["pcsc"], confidence: "medium" },
  serial: {
    product: "a serial device",
    families: ["serial-line", "twn4-simple", "rfideas-acp", "osdp"],
    confidence: "low",
  },
  keyboard: {
    product: "a keyboard",
    families: ["hid-keyboard"],
    confidence: "low",
    note: "Taken only if you name it: if people type on it, what they type would be read.",
  },
};

/** Undefined for a device that can be no reader. */
export function identify(vendorId: number, productId: number, functions: readonly UsbFunction[]): Guess | undefined {
  const known = FINGERPRINTS.filter(
    (row) => row.vendorId === vendorId && row.productId === productId && functions.includes(row.has),
  );
  const [best, ...more] = known;
  if (best !== undefined) {
    const families = [...new Set([best, ...more].flatMap((row) => row.families))];
    const { product, confidence, note } = best;
    return { product, families, confidence, ...(note === undefined ? {} : { note }) };
  }
  // A device with a keyboard beside other things is treated as the keyboard: the careful way.
  if (functions.includes("keyboard")) return UNKNOWN.keyboard;
  if (functions.includes("ccid")) return UNKNOWN.ccid;
  if (functions.includes("serial")) return UNKNOWN.serial;
  return undefined;
}
