import type { DriverContext } from "../reader.ts";
import type { Transport } from "../transports/transport.ts";

export interface ReaderContext extends DriverContext {
  /** In place of the family's own, for tests and the virtual reader. */
  readonly transport?: Transport;
}
