import { networkInterfaces } from "node:os";
import type { MulticastDns } from "multicast-dns";
import type { Clock } from "../clock.ts";
import { type Service, ServiceCollector } from "./dns-sd.ts";

export interface BrowseOptions {
  readonly types: readonly string[];
  readonly forMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** IPv4 addresses of the interfaces; by default every one of this machine but the loopback, which only tests use. */
  readonly interfaces?: readonly string[];
  /** 5353 except in tests. */
  readonly port?: number;
}

/** RFC 6762 5.2 doubles the gap from one second; questions are few here and people wait, so it begins earlier. */
const ASK_AGAIN_MS = [250, 1000, 2000, 4000, 8000];

/** Why nothing can be heard, by the system's code: another program has the port for itself, or there is no network. */
export class BrowseError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`multicast DNS: ${code}`);
    this.name = "BrowseError";
    this.code = code;
  }
}

/** Listens and asks on each interface for `forMs`. Rejects with `BrowseError` if not one of them works. */
export async function browse(options: BrowseOptions): Promise<readonly Service[]> {
  const { types, forMs, clock, signal, interfaces = outwardInterfaces(), port = 5353 } = options;
  if (interfaces.length === 0) throw new BrowseError("ENETUNREACH");
  // Only here: no other command and not the agent needs it.
  const { default: multicastDns } = await import("multicast-dns");
  const collector = new ServiceCollector(types);
  const failed = new Map<string, string>();
  // A socket for each: one alone would send its questions to the network of the default route only.
  const sockets = interfaces.map((address) => {
    // Bound to any address, because on Linux a socket bound to one hears no multicast.
    const socket = multicastDns({ port, interface: address, bind: "0.0.0.0" });
    socket.on("response", (packet: Readonly<Record<string, unknown>>) => {
      for (const part of [packet.answers, packet.additionals]) if (Array.isArray(part)) collector.push(part);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => failed.set(address, error.code ?? error.name));
    socket.on("warning", () => {}); // a packet that is none, an interface that went
    return socket;
  });
  const ask = () => {
    for (const socket of sockets) socket.query([...collector.browse, ...collector.missing], () => {});
  };
  try {
    ask();
    await new Promise<void>((resolve) => {
      const cancels = ASK_AGAIN_MS.map((at) => clock.after(at, ask));
      const end = () => {
        for (const cancel of cancels) cancel();
        resolve();
      };
      cancels.push(clock.after(forMs, end));
      signal.addEventListener("abort", end, { once: true });
      if (signal.aborted) end();
    });
    if (failed.size === sockets.length) throw new BrowseError([...failed.values()][0] ?? "unknown");
    return collector.services;
  } finally {
    await Promise.all(sockets.map(closed));
  }
}

function closed(socket: MulticastDns): Promise<void> {
  return new Promise((resolve) => socket.destroy(resolve));
}

function outwardInterfaces(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((addresses = []) => {
    const first = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
    return first === undefined ? [] : [first.address];
  });
}
