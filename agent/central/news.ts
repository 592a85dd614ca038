import type { Clock } from "../../drivers/clock.ts";
import { codeOf } from "../../drivers/coded-error.ts";
import type { Log } from "../../drivers/log.ts";
import type { EventHub } from "./event-hub.ts";
import type { Store } from "./store.ts";

/** How soon what an administrator did beside the server is told; looking costs some microseconds and no disk. */
export const LOOK_MS = 200;

/** Watches the database for what other processes do to it (`printgate central ...`), and tells the agents that follow. */
export class News {
  readonly #store: Store;
  readonly #hub: EventHub;
  readonly #clock: Clock;
  readonly #log: Log;
  #cancel: () => void = () => {};
  #seen = Number.NaN;
  #policy = "";
  #stopped = false;

  constructor(store: Store, hub: EventHub, clock: Clock, log: Log) {
    this.#store = store;
    this.#hub = hub;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    if (this.#stopped) return;
    this.#cancel = this.#clock.after(LOOK_MS, () => void this.look().then(() => this.start()));
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Never rejects. */
  async look(): Promise<void> {
    try {
      const changes = await this.#store.changes();
      if (changes === this.#seen) return;
      const first = Number.isNaN(this.#seen);
      this.#seen = changes;
      const name = await this.#store.policyName();
      const policy = name === undefined ? "" : `${name.root}.${name.version}`;
      if (!first && name !== undefined && policy !== this.#policy) this.#hub.tell("policy", name);
      this.#policy = policy;
    } catch (error) {
      this.#log.error({ code: codeOf(error), error: String(error) }, "the database could not be looked at");
    }
  }
}
