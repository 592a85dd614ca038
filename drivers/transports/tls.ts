import { createHash, type X509Certificate } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";

/** `sha256/` and the base64 of SHA-256 over a TLS public key (SubjectPublicKeyInfo, DER). */
export function keyPinOf(certificate: Pick<X509Certificate, "publicKey">): string {
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return `sha256/${createHash("sha256").update(spki).digest("base64")}`;
}

export const KEY_PIN = /^sha256\/[A-Za-z0-9+/]{43}=$/;

/** Thrown when the peer's key is not pinned; `seen` is what a technician may compare and accept. */
export class KeyPinMismatch extends Error {
  readonly seen: string;

  constructor(seen: string) {
    super("the peer's key is not pinned");
    this.name = "KeyPinMismatch";
    this.seen = seen;
  }
}

/** Thrown when chain, dates or host name of the peer's certificate do not verify; `code` is OpenSSL's or Node's. */
export class CertificateUntrusted extends Error {
  readonly code: string;

  constructor(code: string, cause: Error) {
    super(cause.message, { cause });
    this.name = "CertificateUntrusted";
    this.code = code;
  }
}

/** Thrown when `timeoutMs` is over before the connection is there. */
export class ConnectTimeout extends Error {
  readonly code = "ETIMEDOUT";

  constructor() {
    super("connecting took too long");
    this.name = "ConnectTimeout";
  }
}

export interface PeerTrust {
  /** PEM. With it chain, dates and host name are verified as well; without it the pinned key alone is trusted. */
  readonly ca?: string;
  /** The leaf's key must be one of these; an empty list trusts nobody. */
  readonly keyPins: readonly string[];
}

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

/** A fresh TCP connection, or a rejection when `timeoutMs` is over or `signal` aborts. */
export function openTcp(peer: PeerAddress, timeoutMs: number, signal?: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host: peer.host, port: peer.port, noDelay: true });
  return settled(socket, "connect", timeoutMs, signal, () => undefined);
}

/**
 * A TLS 1.2+ connection whose leaf key is pinned, checked before a single byte of the application is written.
 * Sessions are never resumed: on a resumed session Node calls no `checkServerIdentity` and shows no peer certificate.
 * Rejects with `CertificateUntrusted`, `KeyPinMismatch`, `ConnectTimeout`, or the socket's own error.
 */
export function openTls(
  peer: PeerAddress,
  trust: PeerTrust,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<TLSSocket> {
  const options: ConnectionOptions = {
    host: peer.host,
    port: peer.port,
    minVersion: "TLSv1.2",
    ALPNProtocols: ["http/1.1"],
    // RFC 6066 3: an IP address is no SNI name.
    ...(isIP(peer.host) === 0 ? { servername: peer.host } : {}),
    ...(trust.ca === undefined ? { rejectUnauthorized: false } : { ca: trust.ca, rejectUnauthorized: true }),
  };
  const socket = connectTls(options);
  socket.setNoDelay(true);
  const check = () => {
    const certificate = socket.getPeerX509Certificate();
    const seen = certificate === undefined ? "none" : keyPinOf(certificate);
    return trust.keyPins.includes(seen) ? undefined : new KeyPinMismatch(seen);
  };
  return settled(socket, "secureConnect", timeoutMs, signal, check).catch((error: unknown) => {
    // Node sets it to the reason when verification fails, and only then; the types know neither null nor a code.
    const reason: unknown = socket.authorizationError;
    const untrusted = trust.ca !== undefined && typeof reason === "string" && error instanceof Error;
    throw untrusted ? new CertificateUntrusted(reason, error) : error;
  });
}

function settled<S extends Socket>(
  socket: S,
  ready: "connect" | "secureConnect",
  timeoutMs: number,
  signal: AbortSignal | undefined,
  check: () => Error | undefined,
): Promise<S> {
  // Node reports a broken TLS record but leaves the socket open: whoever uses it next would wait for ever. And an error
  // between here and the consumer's own listener must not become an uncaught exception.
  socket.on("error", () => socket.destroy());
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      release();
      socket.destroy();
      reject(error);
    };
    const aborted = () => fail(new Error("connecting was given up"));
    const timer = setTimeout(() => fail(new ConnectTimeout()), timeoutMs);
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      socket.off("error", fail);
    };
    if (signal?.aborted === true) return aborted();
    signal?.addEventListener("abort", aborted, { once: true });
    socket.once("error", fail);
    socket.once(ready, () => {
      const wrong = check();
      if (wrong !== undefined) return fail(wrong);
      release();
      resolve(socket);
    });
  });
}
