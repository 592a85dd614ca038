import { BlockList, createServer, isIP, isIPv4, type Server, type Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { ReaderError } from "../reader.ts";
import { openWithin } from "./open-within.ts";
import { openTcp, type PeerAddress } from "./tls.ts";
import type { Transport, TransportListener } from "./transport.ts";

/** `restarted`: what follows comes from a new connection, half a frame of the old one is to be forgotten. */
export type TcpListener = TransportListener & { restarted?(): void };

export interface TcpContext {
  readonly clock: Clock;
  readonly log: Log;
}

export interface TcpOptions {
  /** Beyond it the connection is paused, so a flood costs neither memory nor much time. */
  readonly maxBytesPerSecond?: number;
}

/** A reader sends some 20 bytes per tap; a serial device server at 115200 baud passes on 11.5 kB/s at most. */
const MAX_BYTES_PER_SECOND = 64 * 1024;
const OPEN_MS = 5000;
const WRITE_MS = 10_000;
// After this long without a byte the kernel probes every second, ten times: a dead peer is found after 25 s.
const KEEP_ALIVE_AFTER_MS = 15_000;
const PROBE_EVERY_MS = 1000;
const PROBES = 10;
const REFUSAL_LOG_MS = 60_000;

/** We connect to the reader. */
export class TcpConnect implements Transport {
  readonly counters: Readonly<Record<string, number>>;
  readonly #peer: PeerAddress;
  readonly #context: TcpContext;
  readonly #intake: Intake;
  #giveUp = new AbortController();
  #socket: Socket | undefined;

  constructor(peer: PeerAddress, context: TcpContext, options: TcpOptions = {}) {
    this.#peer = peer;
    this.#context = context;
    this.#intake = new Intake(context.clock, options.maxBytesPerSecond ?? MAX_BYTES_PER_SECOND);
    this.counters = this.#intake.counters;
  }

  describe(): string {
    return `tcp ${this.#peer.host}:${this.#peer.port}`;
  }

  async open(listener: TransportListener): Promise<void> {
    const giveUp = new AbortController();
    this.#giveUp = giveUp;
    let socket: Socket;
    try {
      socket = await openTcp(this.#peer, OPEN_MS, giveUp.signal);
    } catch (error) {
      throw new ReaderError("reader-unreachable", `${this.describe()}: ${reasonOf(error)}`, { cause: error });
    }
    if (giveUp.signal.aborted) {
      socket.destroy();
      throw new ReaderError("reader-unreachable", `${this.describe()}: closed while connecting`);
    }
    this.#socket = socket;
    this.#intake.take(socket, listener, (loss) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      listener.closed(loss);
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    await send(this.#socket, bytes, this.#context.clock);
  }

  async close(): Promise<void> {
    this.#giveUp.abort();
    const socket = this.#socket;
    this.#socket = undefined;
    await destroyed(socket);
  }
}

/**
 * The reader connects to us. Only listed sources may; of these the newest connection is the reader's, because one that
 * lost its power comes back while the old connection still looks alive. A lost connection does not close the transport.
 */
export class TcpListen implements Transport {
  readonly #at: PeerAddress;
  readonly #allow: readonly string[];
  readonly #context: TcpContext;
  readonly #intake: Intake;
  readonly #counts = { connections: 0, replaced: 0, disconnected: 0, sourceRefused: 0 };
  #server: Server | undefined;
  #socket: Socket | undefined;
  #refusalLoggedAt = Number.NEGATIVE_INFINITY;

  constructor(at: PeerAddress, allow: readonly string[], context: TcpContext, options: TcpOptions = {}) {
    this.#at = at;
    this.#allow = allow;
    this.#context = context;
    this.#intake = new Intake(context.clock, options.maxBytesPerSecond ?? MAX_BYTES_PER_SECOND);
  }

  get counters(): Readonly<Record<string, number>> {
    return { ...this.#counts, connected: this.#socket === undefined ? 0 : 1, ...this.#intake.counters };
  }

  /** The port in use, while open. */
  get port(): number | undefined {
    const address = this.#server?.address();
    return typeof address === "object" ? address?.port : undefined;
  }

  describe(): string {
    return `tcp listen ${this.#at.host}:${this.#at.port}`;
  }

  async open(listener: TcpListener): Promise<void> {
    const allowed = allowList(this.#allow);
    const server = createServer((socket) => this.#connected(socket, allowed, listener));
    this.#server = server;
    const listening = new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      // A server that is closed before it listens tells neither `listening` nor `error`.
      server.once("close", () => reject(new Error("closed while opening")));
      server.listen({ host: this.#at.host, port: this.#at.port }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    const failed = (error: unknown) =>
      new ReaderError("reader-listen-failed", `${this.describe()}: ${reasonOf(error)}`, { cause: error });
    try {
      const late = () => new Error("took too long");
      await openWithin(this.#context.clock, OPEN_MS, listening, () => server.close(), late);
    } catch (error) {
      if (this.#server === server) this.#server = undefined;
      server.close();
      throw failed(error);
    }
    if (this.#server !== server) {
      server.close();
      throw failed(new Error("closed while opening"));
    }
    server.on("error", (error) => {
      if (this.#server !== server) return;
      void this.close().then(() => listener.closed(failed(error)));
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    await send(this.#socket, bytes, this.#context.clock);
  }

  async close(): Promise<void> {
    const server = this.#server;
    const socket = this.#socket;
    this.#server = undefined;
    this.#socket = undefined;
    const closed = server === undefined ? undefined : new Promise<void>((resolve) => server.close(() => resolve()));
    await destroyed(socket);
    await closed;
  }

  #connected(socket: Socket, allowed: BlockList, listener: TcpListener): void {
    const source = socket.remoteAddress;
    if (this.#server === undefined || source === undefined || !isListed(allowed, source)) {
      // Never an uncaught error, however the other side ends it.
      socket.on("error", () => {});
      socket.resetAndDestroy();
      if (this.#server !== undefined && source !== undefined) this.#refused(source);
      return;
    }
    this.#counts.connections += 1;
    const old = this.#socket;
    this.#socket = socket;
    if (old !== undefined) {
      this.#counts.replaced += 1;
      old.destroy();
    }
    listener.restarted?.();
    this.#intake.take(socket, listener, (loss) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#counts.disconnected += 1;
      if (loss.code === "reader-silent-peer") {
        this.#context.log.warn({ code: loss.code, source }, loss.row.what);
      }
    });
  }

  /** One line a minute, or whoever knocks could fill the disk. */
  #refused(source: string): void {
    this.#counts.sourceRefused += 1;
    const now = this.#context.clock.monotonic();
    if (now - this.#refusalLoggedAt < REFUSAL_LOG_MS) return;
    this.#refusalLoggedAt = now;
    const { code, row } = new ReaderError("reader-source-refused");
    this.#context.log.warn({ code, source, sourceRefused: this.#counts.sourceRefused }, row.what);
  }
}

/** What comes in on the connections of one reader, one after the other, at a bounded rate over all of them. */
class Intake {
  readonly counters = { bytes: 0, throttled: 0 };
  readonly #clock: Clock;
  readonly #maxPerSecond: number;
  #windowStart = Number.NEGATIVE_INFINITY;
  #inWindow = 0;

  constructor(clock: Clock, maxPerSecond: number) {
    this.#clock = clock;
    this.#maxPerSecond = maxPerSecond;
  }

  /** `lost` is called once, however the connection ends. */
  take(socket: Socket, listener: TransportListener, lost: (loss: ReaderError) => void): void {
    let cancelResume = () => {};
    let failure: Error | undefined;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS, PROBE_EVERY_MS, PROBES);
    socket.on("data", (bytes: Buffer) => {
      listener.data(bytes);
      const restMs = this.#restAfter(bytes.length);
      if (restMs <= 0 || socket.destroyed) return;
      this.counters.throttled += 1;
      socket.pause();
      cancelResume = this.#clock.after(restMs, () => socket.resume());
    });
    // A reader that closes its half has nothing more to say.
    socket.on("end", () => socket.destroy());
    socket.on("error", (error) => {
      failure = error;
    });
    socket.on("close", () => {
      cancelResume();
      lost(lossOf(failure));
    });
  }

  /** For how long to read no more, in ms. */
  #restAfter(length: number): number {
    const now = this.#clock.monotonic();
    this.counters.bytes += length;
    if (now - this.#windowStart >= 1000) {
      this.#windowStart = now;
      this.#inWindow = 0;
    }
    this.#inWindow += length;
    if (this.#inWindow <= this.#maxPerSecond) return 0;
    return this.#windowStart + (1000 * this.#inWindow) / this.#maxPerSecond - now;
  }
}

const SILENT: ReadonlySet<string> = new Set(["ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN"]);

/** What the end of a connection means; without an error the reader closed it. */
export function lossOf(error: Error | undefined): ReaderError {
  const reason = error === undefined ? "closed by the reader" : reasonOf(error);
  return new ReaderError(SILENT.has(reason) ? "reader-silent-peer" : "reader-lost", reason, { cause: error });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}

/**
 * The sources that may connect: IP addresses and CIDR ranges; none listed means this machine alone.
 * Throws `reader-listen-failed` for an entry that is neither.
 */
export function allowList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries.length === 0 ? ["127.0.0.0/8", "::1"] : entries) {
    const [address = "", prefix, ...rest] = entry.split("/");
    const family = isIP(address);
    const bits = prefix === undefined ? undefined : Number(prefix);
    const tooMany = bits !== undefined && (!/^\d{1,3}$/.test(prefix ?? "") || bits > (family === 4 ? 32 : 128));
    if (family === 0 || rest.length > 0 || tooMany) {
      throw new ReaderError("reader-listen-failed", `allow: "${entry}" is neither an IP address nor a CIDR range`);
    }
    const type = family === 4 ? "ipv4" : "ipv6";
    if (bits === undefined) list.addAddress(address, type);
    else list.addSubnet(address, bits, type);
  }
  return list;
}

/** Knows an IPv4 address in its IPv6 form (RFC 4291 2.5.5.2), which is how a dual-stack socket names it. */
export function isListed(list: BlockList, source: string): boolean {
  const [address = ""] = source.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  return list.check(plain, isIPv4(plain) ? "ipv4" : "ipv6");
}

/** Resolves when the kernel has the bytes. Keep-alive does not watch a connection with bytes under way, so a timer does. */
function send(socket: Socket | undefined, bytes: Uint8Array, clock: Clock): Promise<void> {
  if (socket === undefined) return Promise.reject(new ReaderError("reader-lost", "not connected"));
  return new Promise((resolve, reject) => {
    const cancel = clock.after(WRITE_MS, () => {
      const silent = Object.assign(new Error("the reader takes no bytes"), { code: "ETIMEDOUT" });
      reject(lossOf(silent));
      socket.destroy(silent);
    });
    socket.write(bytes, (error) => {
      cancel();
      if (error === null || error === undefined) resolve();
      else reject(lossOf(error));
    });
  });
}

function destroyed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined || socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    socket.destroy();
  });
}
