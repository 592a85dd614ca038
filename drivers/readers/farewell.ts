import type { Clock } from "../clock.ts";
import { ReaderError } from "../reader.ts";
import { openWithin } from "../transports/open-within.ts";
import type { Transport } from "../transports/transport.ts";

/** One message after the other; rejects at the first that the device does not take. */
export async function sayAll(transport: Transport, messages: readonly Uint8Array[]): Promise<void> {
  for (const message of messages) await transport.write(message);
}

/** Whether it was done within `ms`; what comes of it later is nobody's. */
export function inTime(clock: Clock, ms: number, doing: Promise<unknown>): Promise<boolean> {
  const late = () => new ReaderError("reader-deaf");
  return openWithin(clock, ms, doing, () => {}, late).then(
    () => true,
    () => false,
  );
}
