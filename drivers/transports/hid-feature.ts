import type { HidTransport } from "./hid.ts";
import type { Transport, TransportListener } from "./transport.ts";

/** Written, it asks for a feature report, which comes as data: a device that is asked answers at once. */
export const READ_FEATURE = new Uint8Array(0);

const REPORT_BYTES = 8;
const NO_REPORT_ID = 0;
/** A control transfer takes a few milliseconds; the kernel gives up after 5 s by itself. */
const REPORT_MS = 2000;

/**
 * A USB keyboard reader spoken to by its feature reports, of eight bytes and without a report id: `write` sets one, and
 * `write(READ_FEATURE)` gets one. `HidTransport` finds the device and keeps its keys from the console. What it types is
 * counted and goes nowhere.
 */
export class HidFeatureTransport implements Transport {
  readonly #hid: HidTransport;
  readonly #counts = { keyboardReports: 0 };
  #listener: TransportListener | undefined;

  constructor(hid: HidTransport) {
    this.#hid = hid;
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#hid.counters, ...this.#counts };
  }

  describe(): string {
    return this.#hid.describe();
  }

  async open(listener: TransportListener): Promise<void> {
    this.#listener = listener;
    await this.#hid.open({
      data: () => {
        this.#counts.keyboardReports += 1;
      },
      closed: (error) => listener.closed(error),
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    const listener = this.#listener;
    if (bytes.length > 0) {
      const report = Buffer.from([NO_REPORT_ID, ...bytes]);
      await this.#hid.within(REPORT_MS, (handle) => handle.sendFeatureReport(report));
      return;
    }
    const report = await this.#hid.within(REPORT_MS, (handle) =>
      handle.getFeatureReport(NO_REPORT_ID, 1 + REPORT_BYTES),
    );
    // Another `open` may have come meanwhile; its device was not asked.
    if (listener === this.#listener) listener?.data(report.subarray(1));
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    await this.#hid.close();
  }
}
