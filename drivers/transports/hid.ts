import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { ReaderError } from "../reader.ts";
import { BootReports, keyboardReports } from "./hid-report.ts";
import { type Inhibition, inhibit } from "./inhibit.ts";
import { openWithin } from "./open-within.ts";
import type { Transport, TransportListener } from "./transport.ts";

/** The reader that is meant. There is no way to ask for any keyboard: it would log what people type. */
export interface HidSelector {
  readonly vendorId: number;
  readonly productId: number;
  readonly serialNumber?: string | undefined;
  /** The USB socket: the kernel's HID_PHYS up to its slash. */
  readonly port?: string | undefined;
}

/** The part of node-hid that we use. */
export interface HidLibrary {
  setDriverType(type: "hidraw" | "libusb"): void;
  devicesAsync(vendorId: number, productId: number): Promise<HidDevice[]>;
  readonly HIDAsync: { open(path: string): Promise<HidHandle> };
}

export interface HidDevice {
  readonly vendorId: number;
  readonly productId: number;
  readonly path?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly interface: number;
  readonly usagePage?: number | undefined;
  readonly usage?: number | undefined;
}

export interface HidHandle {
  on(event: "data", listener: (report: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  write(bytes: Buffer): Promise<number>;
  /** Both with the report id before the report; 0 where there is none. */
  sendFeatureReport(bytes: Buffer): Promise<number>;
  getFeatureReport(reportId: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

export interface HidContext {
  readonly clock: Clock;
  readonly log: Log;
}

export interface HidSurroundings {
  readonly load: () => Promise<HidLibrary>;
  /** `/sys/class/hidraw` on a real machine. */
  readonly sysfs: string;
}

const REAL: HidSurroundings = { load: async () => (await import("node-hid")).default, sysfs: "/sys/class/hidraw" };

const GENERIC_DESKTOP = 1;
const KEYBOARD = 6;
const OPEN_MS = 5000;
const WRITE_MS = 10_000;
/** The nodes of a composite device come one after another: one that comes after the open is found by the first check. */
const FIRST_CHECK_MS = 2000;
const CHECK_MS = 30_000;

/**
 * One USB keyboard-emulating reader through hidraw. Its keys are kept from the console (`inhibit.ts`), or it is not read at
 * all: card numbers at a login prompt are seen by everyone and end up in logs. `node-hid` is loaded at the first open.
 */
export class HidTransport implements Transport {
  readonly counters = { notInhibited: 0, inhibitRepaired: 0, handleCloseFailed: 0 };
  readonly #selector: HidSelector;
  readonly #context: HidContext;
  readonly #surroundings: HidSurroundings;
  #handle: HidHandle | undefined;
  #opening: Promise<unknown> = Promise.resolve();
  #closes = 0;
  #cancelCheck = () => {};

  constructor(selector: HidSelector, context: HidContext, surroundings: Partial<HidSurroundings> = {}) {
    this.#selector = selector;
    this.#context = context;
    this.#surroundings = { ...REAL, ...surroundings };
  }

  describe(): string {
    const hex = (id: number) => id.toString(16).padStart(4, "0");
    return `usb ${hex(this.#selector.vendorId)}:${hex(this.#selector.productId)}`;
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
    const { clock } = this.#context;
    const late = () => new ReaderError("reader-open-failed", `${this.describe()}: took too long`);
    const found = await openWithin(clock, OPEN_MS, this.#find(), () => {}, late);
    const opening = openHandle(found.library, found.path);
    const handle = await openWithin(clock, OPEN_MS, opening, (opened) => void this.#discard(opened), late);
    // Before the first key is read, so that no key goes both ways longer than it has to.
    const refusal = closes === this.#closes ? await this.#refusal(found.paths) : undefined;
    if (closes !== this.#closes || refusal !== undefined) {
      await this.#discard(handle);
      throw refusal ?? new ReaderError("reader-open-failed", `${this.describe()}: closed while opening`);
    }
    this.#handle = handle;
    this.#check(FIRST_CHECK_MS, handle, found.paths, listener);
    handle.on("data", (report) => {
      const keys = found.reports === undefined ? report : found.reports.translate(report);
      if (this.#handle === handle && keys !== undefined) listener.data(keys);
    });
    handle.on("error", (error) => {
      // node-hid 3.4 gives an Error without a message at an unplug.
      const reason = error.message || "no more reports";
      this.#lose(handle, listener, new ReaderError("reader-lost", `${this.describe()}: ${reason}`));
    });
  }

  #lose(handle: HidHandle, listener: TransportListener, error: ReaderError): void {
    if (this.#handle !== handle) return;
    this.#handle = undefined;
    this.#cancelCheck();
    // The descriptor stays open after an unplug, and the next plug gets another hidraw number until it is closed.
    void this.#discard(handle).then(() => listener.closed(error));
  }

  /** An output report; the first byte is the report id, 0 where there is none. */
  async write(bytes: Uint8Array): Promise<void> {
    await this.within(WRITE_MS, (handle) => handle.write(Buffer.from(bytes)));
  }

  /** What `use` makes of the open device within `ms`; a device that refuses or does not end it is deaf. */
  async within<T>(ms: number, use: (handle: HidHandle) => Promise<T>): Promise<T> {
    const handle = this.#handle;
    if (handle === undefined) throw new ReaderError("reader-lost", `${this.describe()}: not open`);
    const deaf = (reason: string, cause?: unknown) =>
      new ReaderError("reader-deaf", `${this.describe()}: ${reason}`, { cause });
    const using = use(handle).catch((error: unknown) => {
      throw deaf(error instanceof Error ? error.message : String(error), error);
    });
    return openWithin(
      this.#context.clock,
      ms,
      using,
      () => {},
      () => deaf("does not answer"),
    );
  }

  async close(): Promise<void> {
    this.#closes += 1;
    const handle = this.#handle;
    this.#handle = undefined;
    this.#cancelCheck();
    await this.#opening;
    if (handle !== undefined) await this.#discard(handle);
  }

  /** The device nodes of the selected reader's keyboards: one to read, all to be inhibited. */
  async #find(): Promise<{
    library: HidLibrary;
    path: string;
    paths: readonly string[];
    reports: BootReports | undefined;
  }> {
    const { vendorId, productId, serialNumber, port } = this.#selector;
    const library = await this.#surroundings.load();
    // libusb would detach the kernel's driver and not give it back; the choice holds for the whole process.
    library.setDriverType("hidraw");
    const listed = await library.devicesAsync(vendorId, productId);
    const selected: HidDevice[] = [];
    for (const device of listed) {
      const { path } = device;
      if (path === undefined || device.vendorId !== vendorId || device.productId !== productId) continue;
      if (serialNumber !== undefined && device.serialNumber !== serialNumber) continue;
      if (port !== undefined && !(await this.#isAt(path, port))) continue;
      selected.push(device);
    }
    if (selected.length === 0) throw new ReaderError("reader-absent", this.describe());
    const keyboards = selected
      .filter(({ usagePage, usage }) => usagePage === GENERIC_DESKTOP && usage === KEYBOARD)
      .sort((a, b) => a.interface - b.interface);
    // A device is listed once for each of its collections.
    const paths = [...new Set(keyboards.map(({ path }) => path ?? ""))];
    const [path] = paths;
    if (path === undefined) throw new ReaderError("reader-not-a-keyboard", this.describe());
    const reports = await this.#reports(path);
    // Two readers of one kind: a guess would let one card print at two printers.
    const alike = keyboards.filter((other) => other.interface === keyboards[0]?.interface && other.path !== path);
    if (alike.length > 0) {
      const detail = `${this.describe()}: ${alike.length + 1} readers fit, set the serial number or port of the one meant`;
      throw new ReaderError("reader-open-failed", detail);
    }
    return { library, path, paths, reports };
  }

  #deviceDirectory(path: string): string {
    return `${this.#surroundings.sysfs}/${basename(path)}/device`;
  }

  async #isAt(path: string, port: string): Promise<boolean> {
    const uevent = await this.#read(`${this.#deviceDirectory(path)}/uevent`);
    const phys = /^HID_PHYS=(.*)$/m.exec(uevent?.toString() ?? "")?.[1];
    return phys === port || phys?.startsWith(`${port}/`) === true;
  }

  /** Without a descriptor the reports are taken for a boot keyboard's. */
  async #reports(path: string): Promise<BootReports | undefined> {
    const descriptor = await this.#read(`${this.#deviceDirectory(path)}/report_descriptor`);
    if (descriptor === undefined) return undefined;
    const reports = keyboardReports(descriptor);
    if (reports === undefined) {
      throw new ReaderError("reader-not-a-keyboard", `${this.describe()}: its report descriptor has no keys`);
    }
    return new BootReports(reports);
  }

  /** A file of sysfs; undefined, said in the log, where it cannot be read. */
  async #read(file: string): Promise<Buffer | undefined> {
    try {
      return await readFile(file);
    } catch (error) {
      this.#context.log.debug({ err: error }, "cannot read what the kernel says of the reader");
      return undefined;
    }
  }

  /** Why the device must not be read; undefined once none of its keys can reach the console. */
  async #refusal(paths: readonly string[]): Promise<ReaderError | undefined> {
    for (const path of paths) {
      const outcome = await this.#inhibit(this.#deviceDirectory(path));
      switch (outcome.is) {
        case "inhibited":
          this.counters.inhibitRepaired += outcome.repaired;
          break;
        case "gone":
          return new ReaderError("reader-absent", `${this.describe()}: ${path} is not in sysfs`);
        case "open":
          this.counters.notInhibited += 1;
          return new ReaderError("reader-not-inhibited", `${this.describe()}: ${outcome.reason}`);
      }
    }
    return undefined;
  }

  #inhibit(device: string): Promise<Inhibition> {
    return new Promise((resolve) => {
      const overdue: Inhibition = { is: "open", reason: `${device}: checking took too long` };
      const cancel = this.#context.clock.after(OPEN_MS, () => resolve(overdue));
      void inhibit(device).then((outcome) => {
        cancel();
        resolve(outcome);
      });
    });
  }

  /** The kernel forgets the attribute whenever it makes the input anew, as after a reset; and anybody with rights may clear it. */
  #check(afterMs: number, handle: HidHandle, paths: readonly string[], listener: TransportListener): void {
    this.#cancelCheck = this.#context.clock.after(afterMs, () => {
      void this.#refusal(paths).then((refusal) => {
        if (this.#handle !== handle) return;
        if (refusal === undefined) this.#check(CHECK_MS, handle, paths, listener);
        // Of a device that has gone the handle tells, too, but not always.
        else if (refusal.code === "reader-absent") {
          this.#lose(handle, listener, new ReaderError("reader-lost", `${this.describe()}: its device is gone`));
        } else this.#lose(handle, listener, refusal);
      });
    });
  }

  async #discard(handle: HidHandle): Promise<void> {
    try {
      await handle.close();
    } catch (error) {
      this.counters.handleCloseFailed += 1;
      this.#context.log.warn({ err: error }, "closing the HID device failed");
    }
  }
}

async function openHandle(library: HidLibrary, path: string): Promise<HidHandle> {
  try {
    return await library.HIDAsync.open(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ReaderError("reader-open-failed", `${path}: ${reason}`, { cause: error });
  }
}
