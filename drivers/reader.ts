import type { Clock } from "./clock.ts";
import { type CodeTable, codedError } from "./coded-error.ts";
import type { Log } from "./log.ts";

/**
 * What a reader delivers for one presentation of a card, before any conversion.
 * `text`: the characters of a line or keyboard frame, framing and terminator removed (Latin-1).
 * `bits`: a UID or Wiegand word, left-aligned in `bytes`; `bitLength` may not be a multiple of 8.
 */
export type Read =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "bits"; readonly bytes: Uint8Array; readonly bitLength: number };

/** Keys of a reader's keypad in the order of pressing: `0`-`9`, `*` and `#`. They may be a PIN: never logged or stored. */
export interface Keys {
  readonly kind: "keys";
  readonly keys: string;
}

/**
 * A decoder turns a byte stream into reads. It never throws, never holds more than its cap, always resyncs,
 * and counts what it drops. The same bytes in any chunking give the same reads, as long as no time-out falls between.
 * Time is passed in as monotonic milliseconds.
 */
export interface Decoder {
  push(bytes: Uint8Array, nowMs: number): (Read | Keys)[];
  /** When `expire` should be called (monotonic ms), if anything waits for a time-out. */
  readonly deadline: number | undefined;
  /** Completes or drops what has waited too long. */
  expire(nowMs: number): (Read | Keys)[];
  /** Forgets a half frame, as after a re-open. */
  reset(): void;
  /** Saturating counters, by stable name: reads, and each kind of dropped input. */
  readonly counters: Readonly<Record<string, number>>;
}

/**
 * A decoder of a protocol in which we speak too: polls, lights, sounds. As pure as any decoder: it asks for time by
 * `deadline`, and what it has to say is fetched.
 */
export interface Protocol extends Decoder {
  /** The device was opened: forgets what was before and begins anew. */
  open(nowMs: number): void;
  /**
   * The next message to be written, if there is one to be written now. Fetched after each call of the others, and again
   * when the message before has been written, until there is none; a reply is due from `nowMs` on.
   */
  output(nowMs: number): Uint8Array | undefined;
  /** Lights and sounds; the newest signal replaces one that was not told yet. */
  signal(signal: Signal, nowMs: number): void;
  /**
   * What is still to be said before a device that answers is closed for good: it must not keep what was set for us alone.
   * Messages in their order, few, the rest of one that is half said first; none needs an answer.
   */
  farewell?(nowMs: number): readonly Uint8Array[];
  /** The reader has answered, and what it reads can arrive. */
  readonly online: boolean;
  /** Why the device is to be closed and opened again; until the next `open`. */
  readonly failure: ReaderError | undefined;
}

export type ReaderStatus = "closed" | "opening" | "ready" | "absent" | "failed";

export interface ReaderState {
  readonly status: ReaderStatus;
  /** Why the reader is not ready; undefined when it is. */
  readonly error?: ReaderError;
  /** Monotonic ms of the last change of `status`. */
  readonly since: number;
}

/** What a person at the reader is told. Lights and sounds for it: `readers/feedback.ts`. */
export const SIGNALS = [
  "accepted",
  "offline-accepted",
  "printed",
  "enter-pin",
  "printing-later",
  "see-panel",
  "no-jobs",
  "unknown-card",
  "denied",
  "printer-blocked",
  "fault",
] as const;
export type Signal = (typeof SIGNALS)[number];

export interface ReaderListener {
  /** `at` is the monotonic ms at which the last byte of the read arrived. */
  read(read: Read, at: number): void;
  /** Keys of the reader's keypad: `0`-`9`, `*`, `#`. */
  keys(keys: string, at: number): void;
  state(state: ReaderState): void;
}

/** A card reader. `start` never throws: an absent device is a state, and it is looked for until `stop`. */
export interface Reader {
  readonly name: string;
  readonly state: ReaderState;
  readonly counters: Readonly<Record<string, number>>;
  start(listener: ReaderListener): void;
  /** Lights and sounds, where the family can; never blocks and never throws. */
  signal(signal: Signal): void;
  /** Monotonic ms of the latest good read; undefined before the first. */
  readonly lastReadAt: number | undefined;
  /** The shape of what goes over the line, for `forMs` from now; masked, so that no card number can be told from it. */
  capture(forMs: number): void;
  /** Newest last, bounded. */
  readonly captured: readonly CapturedFrame[];
  /** Closes everything; resolves when no handle is left open. */
  stop(): Promise<void>;
}

/** One piece of what went over a reader's line, as `readers/capture.ts` masks it. */
export interface CapturedFrame {
  /** From 1, since the capture began: a gap tells of frames that made room for newer ones. */
  readonly number: number;
  /** Monotonic ms. */
  readonly at: number;
  readonly direction: "in" | "out";
  /** Bytes, before anything was cut off. */
  readonly length: number;
  /** `STX hhhhhhhhhhhh CR`: d for each character of a decimal run, h hexadecimal, a alphanumeric, p signs, x other bytes. */
  readonly shape: string;
}

/** What every driver is given. */
export interface DriverContext {
  readonly clock: Clock;
  readonly log: Log;
  /** 0 ≤ x < 1, for jitter only. */
  readonly random: () => number;
}

export const READER_CODES = {
  "reader-absent": {
    what: "The reader's device is not there.",
    next: "Check that the reader is plugged in and powered; it is opened as soon as it appears.",
  },
  "reader-open-failed": {
    what: "The reader's device is there but cannot be opened.",
    next: "Check that no other program holds it and that the agent's user may read and write the device.",
  },
  "reader-lost": {
    what: "The reader went away while it was open.",
    next: "Check its cable and power; it is re-opened by itself.",
  },
  "reader-unreachable": {
    what: "The network reader does not answer.",
    next: "Check its address, port and network cable; the agent keeps trying.",
  },
  "reader-silent-peer": {
    what: "The network reader stopped answering on an open connection.",
    next: "Check its power and network cable; the agent connects again by itself.",
  },
  "reader-deaf": {
    what: "The reader is connected but does not answer.",
    next: "It is opened anew, then powered on and reset by itself. If it stays deaf, check baud rate and address, then replug it.",
  },
  "reader-secure-channel-failed": {
    what: "The reader and the agent could not agree on a secure channel; nothing that it sends is accepted.",
    next: "Check `scbk`. If the reader is new or was reset, give it the key: `printgate reader keyset NAME`. If not, find out who is on its line.",
  },
  "reader-keyset-failed": {
    what: "The reader did not take its own key, or does not use it.",
    next: "Set it to installation mode as its manual says, and try again; it may need a restart.",
  },
  "reader-ambiguous": {
    what: "More than one reader fits what the configuration says of this one.",
    next: "Say more of the one that is meant, so that no card prints at the wrong printer.",
  },
  "reader-setup-failed": {
    what: "The reader does not take the settings that it must have to be read safely.",
    next: "Unplug it and plug it in again. If it stays so, its model or firmware cannot be used with this family: use another one.",
  },
  "reader-kernel-driver": {
    what: "The reader is there, but a driver of the kernel holds it, so that PC/SC does not see it.",
    next: "As root, write `blacklist pn533_usb` to /etc/modprobe.d/printgate-nfc.conf, run `modprobe -r pn533_usb`, and replug the reader.",
  },
  "pcsc-service-missing": {
    what: "The PC/SC service (pcscd) does not run, or does not let the agent in.",
    next: "Install pcscd and libccid, look at `systemctl status pcscd.socket`, and let the agent's group in by the polkit rule.",
  },
  "pcsc-library-missing": {
    what: "The npm package pcsc-mini, which family pcsc needs, cannot be loaded on this machine.",
    next: "Install the packages pcsc-mini and libpcsclite1. There is no build for 32-bit ARM: use a 64-bit system, or the reader's keyboard mode.",
  },
  "reader-listen-failed": {
    what: "The agent cannot listen on the address configured for the reader.",
    next: "Check the `listen` address and that no other program uses the port.",
  },
  "reader-source-refused": {
    what: "A host that is not on the reader's allow-list connected.",
    next: "If it is the reader, add its address to `allow`; otherwise find out who it is.",
  },
  "reader-not-inhibited": {
    what: "The reader is not used, because what it types would reach the console too: an input node is not `inhibited`.",
    next: "Install systemd/60-printgate-readers.rules in /etc/udev/rules.d, with the lines that `printgate reader udev-rules` prints for a reader it does not name; then plug the reader in again. Linux must be 5.11 or later.",
  },
  "reader-not-a-keyboard": {
    what: "The device is no keyboard (HID usage page 1, usage 6) whose keys can be made out.",
    next: "Choose the family that fits the device, or set the reader to keyboard mode.",
  },
} as const satisfies CodeTable;

export class ReaderError extends codedError(READER_CODES) {}
