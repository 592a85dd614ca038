import type { Qmp } from "./qmp.ts";

/** QEMU drops what does not fit into the 16 places of its keyboard's queue; a press and a release take one each. */
export const LONGEST_CARD = 7;

/** A card, as a reader types it: its characters and Enter, in one command. */
export async function typeCard(qmp: Qmp, card: string): Promise<void> {
  if (card.length > LONGEST_CARD || !/^[0-9a-z]+$/.test(card)) throw new Error(`cannot type ${card}`);
  const events = [...card, "ret"].flatMap((qcode) =>
    [true, false].map((down) => ({ type: "key", data: { down, key: { type: "qcode", data: qcode } } })),
  );
  await qmp.execute("input-send-event", { events });
}

/** HID 1.11 appendix B.1, with the feature report 2 of two bytes in the one with ids; in hex. */
const MODIFIERS_AND_KEYS = "050719e029e71500250175019508810295017508810395067508150026ff000507190029ff8100";
export const BOOT_KEYBOARD = `05010906a101${MODIFIERS_AND_KEYS}c0`;
export const REPORT_ID_KEYBOARD = `05010906a1018501${MODIFIERS_AND_KEYS}85020600ff0901150026ff0075089502b102c0`;
/** A boot keyboard that also has a feature report of eight bytes without an id, as a pcProx. */
export const FEATURE_KEYBOARD = `05010906a101${MODIFIERS_AND_KEYS}0600ff0901150026ff0075089508b102c0`;

/** The reports of a boot keyboard that types a card and Enter, in hex: a press and a release for each key. */
export function reportsOf(card: string): string[] {
  const usages = [...card].map((character) =>
    /[a-z]/.test(character) ? character.charCodeAt(0) - 0x61 + 0x04 : "1234567890".indexOf(character) + 0x1e,
  );
  return [...usages, 0x28].flatMap((usage) => [`0000${usage.toString(16).padStart(2, "0")}0000000000`, "0".repeat(16)]);
}
