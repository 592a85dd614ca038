import type { CommonSettings } from "../session.ts";
import type { Sentinels } from "../tracks.ts";

/** What the keys of a reader mean: a reader sends key positions for the layout that it is set to. */
export const LAYOUTS = ["us", "fr", "de"] as const;
export type LayoutName = (typeof LAYOUTS)[number];

export const TERMINATORS = ["enter", "keypad-enter", "tab"] as const;
export type Terminator = (typeof TERMINATORS)[number];

/**
 * `only`: every key is a keypad's, and nothing is a read. `shared`: a reader with a keypad of its own; keys that come further
 * apart than those of a card are a person's.
 */
export const KEYPADS = ["none", "only", "shared"] as const;
export type KeypadUse = (typeof KEYPADS)[number];

export interface KeyboardDecoderSettings {
  /** Default `us`. */
  readonly layout?: LayoutName | undefined;
  /** Default `none`. */
  readonly keypad?: KeypadUse | undefined;
  /** Default `keep`. */
  readonly sentinels?: Sentinels | undefined;
  /** The keys that end a read. Empty: a silence of `interKeyTimeoutMs` ends it. Default `enter`, `keypad-enter`. */
  readonly terminators: readonly Terminator[];
  /** The longest time between two keys of one read. Default 250. */
  readonly interKeyTimeoutMs: number;
  /** The longest time of a whole read, from its first key. Default 3000. */
  readonly maxFrameMs: number;
  /** Longer reads are dropped. Default 128. */
  readonly maxLength: number;
  /** Shorter reads are dropped. Default 4. */
  readonly minLength: number;
}

export interface HidKeyboardSettings extends CommonSettings, KeyboardDecoderSettings {
  readonly family: "hid-keyboard";
  /** USB ids, 0..0xffff. */
  readonly vendorId: number;
  readonly productId: number;
  /** Tells apart two readers of one kind that have serial numbers. */
  readonly serialNumber?: string | undefined;
  /** Tells apart two readers of one kind by USB socket: the kernel's HID_PHYS up to its slash, such as `usb-0000:01:00.0-1.2`. */
  readonly port?: string | undefined;
}
