// USB HID Usage Tables, page 0x07 (keyboard/keypad). A reader sends key positions of the layout that it was set to.

const A = 0x04;
const DIGIT_1 = 0x1e;
const KEYPAD_1 = 0x59;

const PLAIN = new Map<number, string>();
const SHIFTED = new Map<number, string>();

function row(first: number, plain: string, shifted: string): void {
  for (let i = 0; i < plain.length; i += 1) {
    PLAIN.set(first + i, plain.charAt(i));
    SHIFTED.set(first + i, shifted.charAt(i));
  }
}

row(A, "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
row(DIGIT_1, "1234567890", "!@#$%^&*()");
row(0x2b, "\t -=[]\\#;'`,./", '\t _+{}|~:"~<>?');
// The keypad gives digits whatever Num Lock says: its lamp is the host's, and the host does not see these reports.
row(0x54, "/*-+", "/*-+");
row(KEYPAD_1, "1234567890.\\", "1234567890.|");
row(0x67, "=", "=");
row(0x85, ",", ",");

/** The character of a key; undefined for keys that have none. */
export function characterOf(usage: number, shift: boolean): string | undefined {
  return (shift ? SHIFTED : PLAIN).get(usage);
}

/** Caps Lock, Scroll Lock, Num Lock: they type nothing and mean nothing here. */
export const LOCK_KEYS: ReadonlySet<number> = new Set([0x39, 0x47, 0x53]);
