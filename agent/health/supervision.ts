import type { Clock } from "../../drivers/clock.ts";
import type { Log } from "../../drivers/log.ts";
import { type ServiceManager, statusLine } from "./service-manager.ts";
import { look, NO_PULSE, type Pulse, type Vital } from "./watchdog.ts";

/** How often systemd is told where it does not watch us. */
const BEAT_MS = 10_000;
/** Of the watchdog's time: a beat that is late because the machine is busy must not cost a restart. */
const BEATS = 3;

export interface Supervised {
  /** The verdict in words. */
  verdict(): string;
  vitals(): readonly Vital[];
}

/**
 * Tells systemd how the agent does, and that it lives: not merely that the event loop turns, but that each part of it makes
 * progress or has nothing to do. When one hangs, the watchdog is starved, and systemd starts the agent anew.
 */
export class Supervision {
  readonly #manager: ServiceManager;
  readonly #supervised: Supervised;
  readonly #clock: Clock;
  readonly #log: Log;
  #pulse: Pulse = NO_PULSE;
  #hanging = "";
  #told = "";
  #cancel: (() => void) | undefined;

  constructor(manager: ServiceManager, supervised: Supervised, clock: Clock, log: Log) {
    this.#manager = manager;
    this.#supervised = supervised;
    this.#clock = clock;
    this.#log = log;
  }

  /** The agent is ready. */
  begin(): void {
    this.#manager.notify("READY=1");
    this.#beat();
  }

  /** The agent is about to stop; systemd watches how long that takes, by TimeoutStopSec=. */
  end(): void {
    this.#cancel?.();
    this.#manager.notify("STOPPING=1\nSTATUS=Stopping");
  }

  #beat(): void {
    const { watchdogMs } = this.#manager;
    this.#cancel = this.#clock.after(watchdogMs === undefined ? BEAT_MS : watchdogMs / BEATS, () => this.#beat());
    const { pulse, hanging } = look(this.#pulse, this.#supervised.vitals(), this.#clock.monotonic());
    this.#pulse = pulse;
    const names = hanging.join(", ");
    if (names !== "" && names !== this.#hanging) {
      this.#log.error({ hanging }, "parts of the agent hang: it is to be started anew");
    }
    this.#hanging = names;
    if (names === "") this.#manager.notify("WATCHDOG=1");
    const words = names === "" ? this.#supervised.verdict() : `Hanging: ${names}`;
    if (words !== this.#told) this.#manager.notify(statusLine(words));
    this.#told = words;
  }
}
