import type { Transport, TransportListener } from "../../../../drivers/transports/transport.ts";
import type { OsdpPd } from "../../../sim/osdp-pd.ts";

/** A line with a reader at its end. */
export class PdTransport implements Transport {
  readonly pd: OsdpPd;
  isOpen = false;
  /** Runs what hands a reply over; a bench puts its stopwatch here. */
  handOver: (deliver: () => void) => void = queueMicrotask;
  #listener: TransportListener | undefined;

  constructor(pd: OsdpPd) {
    this.pd = pd;
  }

  describe(): string {
    return "line";
  }

  async open(listener: TransportListener): Promise<void> {
    this.#listener = listener;
    this.isOpen = true;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const replies = this.pd.push(bytes);
    this.handOver(() => {
      for (const reply of replies) this.#listener?.data(reply);
    });
  }

  async close(): Promise<void> {
    this.#listener = undefined;
    this.isOpen = false;
  }
}
