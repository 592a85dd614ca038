import type { Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../clock.ts";
import { PrinterError } from "../../printer.ts";
import { KeyPinMismatch, KeyTooWeak, openTcp, openTls, type TlsRelaxation } from "../../transports/tls.ts";

export interface PrinterAddress {
  readonly secure: boolean;
  /** Without the brackets of an IPv6 address. */
  readonly host: string;
  readonly port: number;
  /** Of HTTP, such as `/ipp/print`. */
  readonly path: string;
  /** Of HTTP, such as `https://printer.example:631`. */
  readonly origin: string;
}

/** Reads `ipp://host[:631]/path` or `ipps://...` (RFC 3510, RFC 7472); undefined for anything else. */
export function printerAddress(uri: string): PrinterAddress | undefined {
  if (!URL.canParse(uri)) return undefined;
  const { protocol, hostname, port, pathname, search, hash, username, password } = new URL(uri);
  if (protocol !== "ipp:" && protocol !== "ipps:") return undefined;
  if (hostname === "" || `${username}${password}${hash}` !== "") return undefined;
  const secure = protocol === "ipps:";
  return {
    secure,
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? 631 : Number(port),
    path: `${pathname === "" ? "/" : pathname}${search}`,
    origin: `${secure ? "https" : "http"}://${hostname}:${port === "" ? 631 : port}`,
  };
}

/** Where the printer is if not at its configured address (drivers/discovery/follower.ts). */
export interface PrinterFollow {
  /** In place of the configured host, as if its name meant another address: whatever is said to the printer stays the same. */
  readonly host: string | undefined;
  readonly reached: () => void;
  readonly unreachable: () => void;
}

export interface ConnectionOptions {
  readonly follow?: PrinterFollow | undefined;
  readonly keyPins: readonly string[];
  readonly tlsAllow?: readonly TlsRelaxation[];
  readonly clock: Clock;
  readonly connectMs: number;
  /** How long a connection that was opened ahead of time waits for its document. */
  readonly spareMs: number;
}

/** Why there is no connection to a printer. */
export function unconnected(cause: unknown, { host, port }: PrinterAddress): PrinterError {
  const options = { cause, nothingSent: true };
  if (cause instanceof KeyPinMismatch) return new PrinterError("printer-key-unknown", cause.seen, options);
  if (cause instanceof KeyTooWeak) return new PrinterError("printer-tls-refused", cause.message, options);
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  // OpenSSL's message repeats addresses of its own memory; its code says the same.
  if (code.startsWith("ERR_SSL_")) return new PrinterError("printer-tls-refused", `${host}:${port} ${code}`, options);
  return new PrinterError(
    "printer-unreachable",
    `${host}:${port} ${cause instanceof Error ? cause.message : ""}`,
    options,
  );
}

/** Makes fresh connections to one printer, and keeps at most one ready for the next document. */
export class Connections {
  readonly #address: PrinterAddress;
  readonly #options: ConnectionOptions;
  readonly #closing = new AbortController();
  #spare: Spare | undefined;

  constructor(address: PrinterAddress, options: ConnectionOptions) {
    this.#address = address;
    this.#options = options;
  }

  /** Rejects with a `PrinterError` that has `nothingSent`. There is no way from ipps to ipp: the pinned key is the only trust. */
  async open(signal: AbortSignal = this.#closing.signal): Promise<Socket> {
    const { secure, port } = this.#address;
    const { connectMs, keyPins, tlsAllow = [], follow } = this.#options;
    const host = follow?.host ?? this.#address.host;
    try {
      const socket = secure
        ? await openTls({ host, port }, { keyPins, allow: tlsAllow }, connectMs, signal)
        : await openTcp({ host, port }, connectMs, signal);
      follow?.reached();
      return socket;
    } catch (cause) {
      const error = unconnected(cause, { ...this.#address, host });
      if (error.code === "printer-unreachable" && !signal.aborted) follow?.unreachable();
      throw error;
    }
  }

  /** Opens a connection for the next `take`, unless one is there. */
  prepare(): void {
    if (this.#spare !== undefined || this.#closing.signal.aborted) return;
    const spare = new Spare(
      this.#options,
      (signal) => this.open(signal),
      () => {
        if (this.#spare === spare) this.#spare = undefined;
      },
    );
    this.#spare = spare;
  }

  /** A connection that served nothing: the prepared one if it is still alive, else a new one. */
  async take(signal: AbortSignal): Promise<Socket> {
    const spare = this.#spare;
    this.#spare = undefined;
    return (await spare?.take(signal)) ?? (await this.open(signal));
  }

  /** Gives up what is being opened and what waits. */
  close(): void {
    this.#closing.abort();
    this.#spare?.drop();
  }
}

class Spare {
  readonly #giveUp = new AbortController();
  readonly #opening: Promise<Socket | undefined>;
  readonly #gone: () => void;
  #cancelTimer = () => {};
  #socket: Socket | undefined;
  readonly drop = () => {
    this.#cancelTimer();
    this.#giveUp.abort();
    this.#socket?.destroy();
    this.#gone();
  };

  constructor(options: ConnectionOptions, open: (signal: AbortSignal) => Promise<Socket>, gone: () => void) {
    this.#gone = gone;
    this.#opening = open(this.#giveUp.signal)
      .then(
        (socket) => this.#wait(socket, options),
        // Nobody waits for this one; whoever takes it opens anew and meets the error then.
        () => this.drop(),
      )
      .then(() => this.#socket);
  }

  #wait(socket: Socket, { clock, spareMs }: ConnectionOptions): void {
    this.#socket = socket;
    this.#cancelTimer = clock.after(spareMs, this.drop);
    for (const event of ENDS) socket.once(event, this.drop);
  }

  /** The connection if it came to be and nothing was heard from it since. */
  async take(signal: AbortSignal): Promise<Socket | undefined> {
    signal.addEventListener("abort", this.drop, { once: true });
    try {
      const socket = await this.#opening;
      // One turn of the event loop, so that an end that has already arrived is seen before the first byte leaves.
      await setImmediate();
      if (socket === undefined || this.#giveUp.signal.aborted) return undefined;
      // A server that speaks before it was asked (408) has given the connection up.
      if (socket.readableLength > 0) {
        this.drop();
        return undefined;
      }
      this.#cancelTimer();
      for (const event of ENDS) socket.off(event, this.drop);
      return socket;
    } finally {
      signal.removeEventListener("abort", this.drop);
    }
  }
}

const ENDS = ["error", "end", "close"] as const;
