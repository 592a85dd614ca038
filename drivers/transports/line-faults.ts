import type { DynamicLibrary } from "node:ffi";
import type { Log } from "../log.ts";

/**
 * What stands for a byte that came damaged. SUB is the character for this purpose (ECMA-48: "in the place of a character that
 * has been found to be invalid or in error"); no line of text holds it, and it fails the checksum of a binary frame.
 */
export const SUBSTITUTE = 0x1a;

// Linux, asm-generic/termbits-common.h and ioctls.h; x86 and ARM alike.
const IGNBRK = 0x01;
const BRKINT = 0x02;
const IGNPAR = 0x04;
const PARMRK = 0x08;
const INPCK = 0x10;
const ISTRIP = 0x20;
const CLEARED = IGNBRK | BRKINT | IGNPAR | ISTRIP;
const SET = PARMRK | INPCK;
const TCSANOW = 0;
const TCIFLUSH = 0;
const TIOCGICOUNT = 0x545dn;
/** More than a `struct termios` has in any libc; `c_iflag` comes first. */
const TERMIOS_BYTES = 256;
/** `struct serial_icounter_struct`: 20 ints, of which these are looked at. */
const ICOUNT_BYTES = 80;
const ICOUNT = { framingErrors: 6, overruns: 7, parityErrors: 8, breaks: 9, bufferOverruns: 10 } as const;

export interface FaultCounters {
  /** Bytes that came damaged: with a wrong parity or stop bit, or a break. */
  lineFaults: number;
  /** What the kernel counts, where its driver does. */
  parityErrors: number;
  framingErrors: number;
  breaks: number;
  /** Bytes were lost because nobody fetched them in time. */
  overruns: number;
  /** Opens after which damaged bytes cannot be told from good ones. */
  faultsHidden: number;
}

export const noFaults = (): FaultCounters => ({
  lineFaults: 0,
  parityErrors: 0,
  framingErrors: 0,
  breaks: 0,
  overruns: 0,
  faultsHidden: 0,
});

/**
 * Undoes the marks of PARMRK (termios(3)): FF 00 and a byte is that byte, damaged; FF FF is FF. A damaged byte becomes
 * `SUBSTITUTE`.
 */
export class Marks {
  faults = 0;
  #half: "none" | "mark" | "fault" = "none";

  push(bytes: Uint8Array): Uint8Array {
    if (this.#half === "none" && !bytes.includes(0xff)) return bytes;
    const plain: number[] = [];
    for (const byte of bytes) {
      if (this.#half === "fault") {
        this.#half = "none";
        this.faults += 1;
        plain.push(SUBSTITUTE);
      } else if (this.#half === "mark") {
        this.#half = byte === 0 ? "fault" : "none";
        if (byte !== 0) plain.push(byte);
      } else if (byte === 0xff) this.#half = "mark";
      else plain.push(byte);
    }
    return Uint8Array.from(plain);
  }
}

/**
 * The faults of one open serial line. `serialport` 13 opens with IGNPAR and without INPCK (its serialport_unix.cpp), and then
 * Linux hands out a byte with a wrong parity or stop bit as if it were good (n_tty.c, 8250_port.c, ftdi_sio.c): a card number
 * becomes another one.
 */
export class LineFaults {
  readonly #counters: FaultCounters;
  readonly #marks: Marks | undefined;
  readonly #counts: (() => Int32Array | undefined) | undefined;
  #before: Int32Array | undefined;

  /** `counts`: the kernel's `serial_icounter_struct`, asked before each piece; undefined where it does not count. */
  constructor(counters: FaultCounters, marked: boolean, counts?: () => Int32Array | undefined) {
    this.#counters = counters;
    this.#marks = marked ? new Marks() : undefined;
    this.#counts = counts;
    this.#before = counts?.();
  }

  /** Never rejects: a line whose faults stay hidden is still a line. To be called before the first byte is read. */
  static async watch(fd: number, counters: FaultCounters, log: Log): Promise<LineFaults> {
    try {
      const libc = await theLibc();
      mark(libc, fd);
      return new LineFaults(counters, true, () => countsOf(libc, fd));
    } catch (error) {
      counters.faultsHidden += 1;
      log.warn({ err: error }, "damaged bytes of the serial line cannot be told from good ones");
      return new LineFaults(counters, false);
    }
  }

  /** The bytes as they were sent, `SUBSTITUTE` for each that cannot be trusted. */
  take(bytes: Uint8Array): Uint8Array {
    const lost = this.#count();
    const plain = this.#marks?.push(bytes) ?? bytes;
    if (this.#marks !== undefined) {
      this.#counters.lineFaults += this.#marks.faults;
      this.#marks.faults = 0;
    }
    // Where in them bytes are missing cannot be known; without an end that can be trusted, what follows is spoilt too.
    return lost ? new Uint8Array(plain.length).fill(SUBSTITUTE) : plain;
  }

  /** Whether bytes were lost since the last call. */
  #count(): boolean {
    const before = this.#before;
    const now = before === undefined ? undefined : this.#counts?.();
    if (before === undefined || now === undefined) return false;
    this.#before = now;
    // The kernel's counters wrap around at 32 bits.
    const risen = (index: number) => ((now[index] ?? 0) - (before[index] ?? 0)) >>> 0;
    this.#counters.parityErrors += risen(ICOUNT.parityErrors);
    this.#counters.framingErrors += risen(ICOUNT.framingErrors);
    this.#counters.breaks += risen(ICOUNT.breaks);
    const overruns = risen(ICOUNT.overruns) + risen(ICOUNT.bufferOverruns);
    this.#counters.overruns += overruns;
    return overruns > 0;
  }
}

interface Libc {
  tcgetattr(fd: number, termios: Buffer): number;
  tcsetattr(fd: number, when: number, termios: Buffer): number;
  tcflush(fd: number, queue: number): number;
  ioctl(fd: number, request: bigint, argument: Buffer): number;
}

let loaded: { readonly functions: Libc; readonly lib: DynamicLibrary } | undefined;

async function theLibc(): Promise<Libc> {
  const { dlopen } = await import("node:ffi");
  // The functions hold as long as the library does.
  loaded ??= dlopen(null, {
    tcgetattr: { arguments: ["i32", "pointer"], return: "i32" },
    tcsetattr: { arguments: ["i32", "i32", "pointer"], return: "i32" },
    tcflush: { arguments: ["i32", "i32"], return: "i32" },
    // Variadic in C, which is no difference on x86-64 and on 64-bit ARM Linux.
    ioctl: { arguments: ["i32", "u64", "pointer"], return: "i32" },
  });
  return loaded.functions;
}

/** @throws when the line does not take it. */
function mark(libc: Libc, fd: number): void {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  if (libc.tcgetattr(fd, termios) !== 0) throw new TypeError("tcgetattr failed");
  termios.writeUInt32LE(((termios.readUInt32LE() & ~CLEARED) | SET) >>> 0);
  if (libc.tcsetattr(fd, TCSANOW, termios) !== 0) throw new TypeError("tcsetattr failed");
  // It succeeds when any part of what was asked could be done.
  const now = Buffer.alloc(TERMIOS_BYTES);
  if (libc.tcgetattr(fd, now) !== 0 || (now.readUInt32LE() & (CLEARED | SET)) !== SET) {
    throw new TypeError("the device does not mark damaged bytes");
  }
  // What came before has no marks.
  libc.tcflush(fd, TCIFLUSH);
}

/** Undefined where the driver does not count, such as that of pseudo-terminals. */
function countsOf(libc: Libc, fd: number): Int32Array | undefined {
  const counts = Buffer.alloc(ICOUNT_BYTES);
  if (libc.ioctl(fd, TIOCGICOUNT, counts) !== 0) return undefined;
  return Int32Array.from({ length: ICOUNT_BYTES / 4 }, (_, i) => counts.readInt32LE(4 * i));
}
