import { access, readdir, readFile, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { ReaderError } from "../reader.ts";
import { BootReports, keyboardReports } from "./hid-report.ts";
import { openWithin } from "./open-within.ts";
import { watchPresence } from "./presence.ts";
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

/**
 * One USB keyboard-emulating reader through hidraw. Its keys are kept from the console and everything else that listens
 * to keyboards by the kernel's `inhibited` attribute, which leaves hidraw alone. `node-hid` is loaded at the first open.
 */
export class HidTransport implements Transport {
  readonly counters = { notInhibited: 0, handleCloseFailed: 0 };
  readonly #selector: HidSelector;
  readonly #context: HidContext;
  readonly #surroundings: HidSurroundings;
  #handle: HidHandle | undefined;
  #opening: Promise<unknown> = Promise.resolve();
  #closes = 0;
  #unwatch = () => {};

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
    // Before the first key can be read, so that no key goes both ways longer than it has to.
    for (const path of found.paths) await this.#inhibit(path);
    const shown = await this.#isShown(found.path);
    if (closes !== this.#closes) {
      await this.#discard(handle);
      throw new ReaderError("reader-open-failed", `${this.describe()}: closed while opening`);
    }
    this.#handle = handle;
    handle.on("data", (report) => {
      const keys = found.reports === undefined ? report : found.reports.translate(report);
      if (this.#handle === handle && keys !== undefined) listener.data(keys);
    });
    const lost = (reason: string) => {
      if (this.#handle !== handle) return;
      this.#handle = undefined;
      this.#unwatch();
      // The descriptor stays open after an unplug, and the next plug gets another hidraw number until it is closed.
      void this.#discard(handle).then(() =>
        listener.closed(new ReaderError("reader-lost", `${this.describe()}: ${reason}`)),
      );
    };
    handle.on("error", (error) => lost(error.message));
    if (shown) {
      const isThere = () => this.#isShown(found.path);
      this.#unwatch = watchPresence(clock, isThere, () => lost("its device is gone"));
    }
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
    this.#unwatch();
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

  #isShown(path: string): Promise<boolean> {
    return access(this.#deviceDirectory(path)).then(
      () => true,
      () => false,
    );
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

  /** Linux 5.11 or later; the kernel forgets it at each plug-in, so a udev rule sets it first and we check. */
  async #inhibit(path: string): Promise<void> {
    const directory = `${this.#deviceDirectory(path)}/input`;
    try {
      const inputs = (await readdir(directory)).filter((name) => name.startsWith("input"));
      for (const input of inputs) {
        const file = `${directory}/${input}/inhibited`;
        if ((await readFile(file, "latin1")).trim() !== "1") await writeFile(file, "1");
      }
    } catch (error) {
      this.counters.notInhibited += 1;
      const reason = error instanceof Error && "code" in error ? error.code : String(error);
      this.#context.log.warn(
        { path, reason },
        "the reader's keys may also reach the console: install the udev rule that inhibits its input device",
      );
    }
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
