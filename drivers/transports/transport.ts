import type { ReaderError } from "../reader.ts";

export interface TransportListener {
  data(bytes: Uint8Array): void;
  /** Called once per successful `open`, unless `close` was called first. */
  closed(error: ReaderError): void;
}

/**
 * Bytes in and out of a device; injected into drivers so that tests need no hardware.
 * `open` rejects with a `ReaderError` and leaves nothing open then; it may be called again after `closed` or `close`.
 */
export interface Transport {
  open(listener: TransportListener): Promise<void>;
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** For people: `/dev/ttyUSB0`, `tcp 10.0.0.7:7778`, `usb 09d8:0410`. */
  describe(): string;
}
