import * as dgram from "node:dgram";
import { isIPv6 } from "node:net";
import type { Clock } from "../../clock.ts";
import type { Log } from "../../log.ts";
import type { SnmpAccess } from "./access.ts";
import { SnmpError } from "./connection.ts";
import { decodeTrapHeader, type TrapHeader } from "./trap-header.ts";

export interface TrapSource {
  readonly host: string;
  readonly access: SnmpAccess;
  /** A trap came that may be this printer's. */
  readonly trapped: () => void;
}

export interface TrapOptions {
  readonly host: string;
  readonly port: number;
  readonly sources: readonly TrapSource[];
  readonly clock: Clock;
  readonly log: Log;
}

/** The address may not be there yet when the Pi starts, or another program may hold the port. */
const RETRY_MS = 30_000;
/** Traps come in bursts, and one of each is enough; whoever forges them gains a poll in 10 s. */
const BURST = 5;
const REFILL_MS = 10_000;

/**
 * Hears SNMP traps, as "poll now" and nothing more: UDP's sender can be forged, so nothing that a trap says is believed,
 * nothing is answered, and no key is computed for one. (net-snmp's receiver computes one, from 1 MiB, for each engine id
 * that it is shown, and keeps it for ever.)
 */
export class TrapReceiver {
  readonly counters = { traps: 0, trapsRefused: 0, trapsLimited: 0, trapsMalformed: 0 };
  readonly #options: TrapOptions;
  #socket: dgram.Socket | undefined;
  #problem: SnmpError | undefined;
  #listening = false;
  #tokens = BURST;
  #filledAt: number;
  #running = false;
  #cancelRetry = (): void => {};

  constructor(options: TrapOptions) {
    this.#options = options;
    this.#filledAt = options.clock.monotonic();
  }

  /** Why it does not listen. */
  get problem(): SnmpError | undefined {
    return this.#problem;
  }

  /** The port that it listens on; undefined while it does not. */
  get port(): number | undefined {
    return this.#listening ? this.#socket?.address().port : undefined;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#open();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelRetry();
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#socket = undefined;
    this.#listening = false;
    await new Promise<void>((closed) => socket.close(closed));
  }

  #open(): void {
    const { host, port, clock, log } = this.#options;
    const socket = dgram.createSocket(isIPv6(host) ? "udp6" : "udp4");
    this.#socket = socket;
    socket.on("message", (datagram, { address }) => this.#heard(datagram, address));
    socket.on("listening", () => {
      this.#listening = true;
      this.#problem = undefined;
    });
    socket.on("error", (error) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#listening = false;
      socket.close();
      const detail = "code" in error ? String(error.code) : error.name;
      if (this.#problem === undefined) log.warn({ code: "snmp-traps-deaf", detail }, `no traps at ${host}:${port}`);
      this.#problem = new SnmpError("snmp-traps-deaf", `${host}:${port}, ${detail}`);
      this.#cancelRetry = clock.after(RETRY_MS, () => this.#open());
    });
    socket.bind(port, host);
  }

  #heard(datagram: Uint8Array, from: string): void {
    const header = decodeTrapHeader(datagram);
    if (header === undefined) {
      this.counters.trapsMalformed++;
      return;
    }
    const known = this.#options.sources.filter(({ access }) => sentBy(header, access));
    if (known.length === 0) {
      this.counters.trapsRefused++;
      return;
    }
    if (!this.#admit()) {
      this.counters.trapsLimited++;
      return;
    }
    this.counters.traps++;
    const address = from.replace(/^::ffff:/, "");
    const own = known.filter(({ host }) => host === address);
    // A printer may be known by its name, or send from another of its addresses.
    for (const { trapped } of own.length > 0 ? own : known) trapped();
  }

  #admit(): boolean {
    const now = this.#options.clock.monotonic();
    const filled = Math.floor((now - this.#filledAt) / REFILL_MS);
    if (filled > 0) {
      this.#tokens = Math.min(BURST, this.#tokens + filled);
      this.#filledAt += filled * REFILL_MS;
    }
    if (this.#tokens === 0) return false;
    this.#tokens--;
    return true;
  }
}

/** Printers that are polled by SNMPv1 may send traps of SNMPv2c, and the other way round. */
function sentBy(header: TrapHeader, access: SnmpAccess): boolean {
  if (header.version === "3") return access.version === "3" && access.user === header.user;
  return access.version !== "3" && access.community === header.community;
}
