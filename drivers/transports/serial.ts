import { readSync } from "node:fs";
import { access, stat } from "node:fs/promises";
import type { SerialPort } from "serialport";
import type { Clock } from "../clock.ts";
import { type Log, silentLog } from "../log.ts";
import { ReaderError } from "../reader.ts";
import { LineFaults, noFaults } from "./line-faults.ts";
import { openWithin } from "./open-within.ts";
import { watchPresence } from "./presence.ts";
import type { Transport, TransportListener } from "./transport.ts";

export interface SerialLine {
  readonly path: string;
  readonly baudRate: number;
  readonly dataBits: 7 | 8;
  readonly parity: "none" | "even" | "odd";
  readonly stopBits: 1 | 2;
}

const OPEN_MS = 5000;
const WRITE_MS = 10_000;
/** The library's read buffer is 64 KiB otherwise; a tap is some 20 bytes. */
const BUFFER_BYTES = 4096;

/**
 * A serial device, opened for us alone. `serialport` is loaded at the first open. A byte that came damaged is delivered as
 * `SUBSTITUTE` (line-faults.ts).
 */
export class SerialTransport implements Transport {
  readonly counters = noFaults();
  readonly #line: SerialLine;
  readonly #clock: Clock;
  readonly #log: Log;
  #port: SerialPort | undefined;
  #opening: Promise<unknown> = Promise.resolve();
  #closes = 0;
  #unwatch = () => {};

  constructor(line: SerialLine, clock: Clock, log: Log = silentLog) {
    this.#line = line;
    this.#clock = clock;
    this.#log = log;
  }

  describe(): string {
    return this.#line.path;
  }

  open(listener: TransportListener): Promise<void> {
    const opened = this.#open(listener);
    this.#opening = opened.catch(() => {
      // The caller of `open` has this error; `close` only waits.
    });
    return opened;
  }

  async #open(listener: TransportListener): Promise<void> {
    const closes = this.#closes;
    try {
      await access(this.#line.path);
    } catch (error) {
      throw new ReaderError("reader-absent", this.#line.path, { cause: error });
    }
    const late = () => new ReaderError("reader-open-failed", `${this.#line.path}: took too long`);
    const port = await openWithin(this.#clock, OPEN_MS, openPort(this.#line), discard, late);
    const faults = await this.#watchFaults(port);
    const node = await this.#node();
    if (closes !== this.#closes) {
      await closePort(port);
      throw new ReaderError("reader-open-failed", `${this.#line.path}: closed while opening`);
    }
    this.#port = port;
    const lost = (reason: string) => {
      if (this.#port !== port) return;
      this.#port = undefined;
      this.#unwatch();
      void closePort(port).then(() => listener.closed(new ReaderError("reader-lost", `${this.#line.path}: ${reason}`)));
    };
    port.on("data", (bytes: Buffer) => {
      if (this.#port === port) listener.data(faults?.take(bytes) ?? bytes);
    });
    port.on("end", () => lost("no more data"));
    port.on("error", (error: Error) => lost(error.message));
    // After an unplug the library closes the port by itself, with an error that has `disconnected`.
    port.on("close", (error?: Error | null) => lost(error?.message ?? "closed"));
    this.#unwatch = watchPresence(
      this.#clock,
      async () => (await this.#node()) === node,
      () => lost("another device, or none, has its name now"),
    );
  }

  /** Which device has the configured name; while we hold a device that is gone, its successor gets another number. */
  async #node(): Promise<number | undefined> {
    return (await stat(this.#line.path).catch(() => undefined))?.rdev;
  }

  async #watchFaults({ port }: SerialPort): Promise<LineFaults | undefined> {
    const fd = port !== undefined && isLinuxBinding(port) ? port.fd : null;
    return fd === null ? undefined : await LineFaults.watch(fd, this.counters, this.#log);
  }

  /** Resolves when the kernel has the bytes. */
  write(bytes: Uint8Array): Promise<void> {
    const port = this.#port;
    if (port === undefined) return Promise.reject(new ReaderError("reader-lost", this.#line.path));
    return new Promise((resolve, reject) => {
      const failed = (reason: string) => reject(new ReaderError("reader-lost", `${this.#line.path}: ${reason}`));
      const cancel = this.#clock.after(WRITE_MS, () => failed("takes no bytes"));
      port.write(Buffer.from(bytes), undefined, (error) => {
        cancel();
        if (error === null || error === undefined) resolve();
        else failed(error.message);
      });
    });
  }

  async close(): Promise<void> {
    this.#closes += 1;
    const port = this.#port;
    this.#port = undefined;
    this.#unwatch();
    await this.#opening;
    if (port !== undefined) await closePort(port);
  }
}

async function openPort({ path, baudRate, dataBits, parity, stopBits }: SerialLine): Promise<SerialPort> {
  try {
    const { SerialPort } = await import("serialport");
    const highWaterMark = BUFFER_BYTES;
    const port = new SerialPort({
      path,
      baudRate,
      dataBits,
      parity,
      stopBits,
      lock: true,
      autoOpen: false,
      highWaterMark,
    });
    await new Promise<void>((resolve, reject) => {
      port.open((error) => (error === null ? resolve() : reject(error)));
    });
    mendRead(port.port);
    return port;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ReaderError("reader-open-failed", reason, { cause: error });
  }
}

/** What serialport 13 holds on Linux beneath its stream. */
interface LinuxBinding {
  readonly fd: number | null;
  readonly poller: { once(event: "readable", run: (error: Error | null) => void): unknown };
  read(buffer: Buffer, offset: number, length: number): Promise<{ buffer: Buffer; bytesRead: number }>;
}

/**
 * Replaces the read of serialport 13 because of two defects. A line that hangs up during a read gives 0 bytes from then
 * on, and the library reads on for ever: the unplug goes unnoticed, and one core is busy; here 0 bytes are the end. And
 * its poller calls back without running what the promises wait for, so that on Node 26 a tap stays unread until
 * something else wakes the event loop; an immediate wakes it.
 */
function mendRead(binding: object | undefined): void {
  if (!isLinuxBinding(binding)) return;
  // After a read that did not fill its buffer there is nothing more: asking first whether there is would cost one vain read
  // for each answer of a reader that is polled several times a second.
  let drained = false;
  binding.read = async (buffer, offset, length) => {
    for (;;) {
      const { fd } = binding;
      // `canceled` tells the library that this is a close of ours and no loss.
      if (fd === null) throw Object.assign(new Error("closed"), { canceled: true });
      if (drained) {
        // Nothing may come between the look at `fd` and this: a close destroys the poller, and asking a destroyed one is a
        // segmentation fault.
        await readable(binding);
        drained = false;
        continue;
      }
      const bytesRead = readNow(fd, buffer, offset, length);
      if (bytesRead === 0) throw new Error("hung up");
      drained = bytesRead === undefined || bytesRead < length;
      if (bytesRead !== undefined) return { buffer, bytesRead };
    }
  };
}

function readable({ poller }: LinuxBinding): Promise<void> {
  return new Promise((resolve, reject) => {
    poller.once("readable", (error) => setImmediate(error === null ? resolve : () => reject(error)));
  });
}

/**
 * The number of bytes read; undefined when there are none yet. The descriptor does not block, so that the read costs less
 * here than on another thread and back.
 */
function readNow(fd: number, buffer: Buffer, offset: number, length: number): number | undefined {
  try {
    return readSync(fd, buffer, offset, length, null);
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "EAGAIN" || error.code === "EINTR"))
      return undefined;
    throw error;
  }
}

function isLinuxBinding(binding: object | undefined): binding is LinuxBinding {
  return binding !== undefined && "fd" in binding && "poller" in binding && "read" in binding;
}

/** Never rejects: a port that cannot be closed is one that is closed already. */
function closePort(port: SerialPort): Promise<void> {
  return new Promise((resolve) => {
    if (port.isOpen) port.close(() => resolve());
    else resolve();
  });
}

function discard(port: SerialPort): void {
  void closePort(port);
}
