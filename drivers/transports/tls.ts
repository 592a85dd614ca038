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

/** What a peer may be allowed by name because it can do no better; each is a risk (drivers/transports/README.md). */
export const TLS_RELAXATIONS = ["tls1.0", "tls1.1", "rsa1024"] as const;
export type TlsRelaxation = (typeof TLS_RELAXATIONS)[number];

const MIN_RSA_BITS = 2048;
const MIN_RSA_BITS_RELAXED = 1024;

/** Thrown when the peer's RSA key has too few bits, which OpenSSL does not look at where no chain is verified. */
export class KeyTooWeak extends Error {
  readonly bits: number;

  constructor(bits: number) {
    super(`the peer's RSA key has ${bits} bits`);
    this.name = "KeyTooWeak";
    this.bits = bits;
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
  /** Nothing by default. */
  readonly allow?: readonly TlsRelaxation[];
  /** PEM: what this side shows where the peer asks for a certificate. */
  readonly client?: { readonly certificate: string; readonly key: string };
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
 * A TLS 1.2+ connection (older only where the peer is allowed it by name) whose leaf key is pinned, checked before a single byte of the application is written.
 * Sessions are never resumed: on a resumed session Node calls no `checkServerIdentity` and shows no peer certificate.
 * Rejects with `CertificateUntrusted`, `KeyPinMismatch`, `KeyTooWeak`, `ConnectTimeout`, or the socket's own error.
 */
export function openTls(
  peer: PeerAddress,
  trust: PeerTrust,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<TLSSocket> {
  const { ca, allow = [], client } = trust;
  const socket = connectTls({
    ...connectionOptions(peer, allow),
    ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
    ...(ca === undefined ? { rejectUnauthorized: false } : { ca, rejectUnauthorized: true }),
  });
  socket.setNoDelay(true);
  const check = () => {
    const certificate = socket.getPeerX509Certificate();
    const seen = certificate === undefined ? "none" : keyPinOf(certificate);
    if (!trust.keyPins.includes(seen)) return new KeyPinMismatch(seen);
    return certificate === undefined ? undefined : weakness(certificate, allow);
  };
  return settled(socket, "secureConnect", timeoutMs, signal, check).catch((error: unknown) => {
    // Node sets it to the reason when verification fails, and only then; the types know neither null nor a code.
    const reason: unknown = socket.authorizationError;
    const untrusted = trust.ca !== undefined && typeof reason === "string" && error instanceof Error;
    throw untrusted ? new CertificateUntrusted(reason, error) : error;
  });
}

/** What a peer shows of itself before anybody trusts it. */
export interface SeenPeer {
  readonly keyPin: string;
  /** Such as `rsa 2048` or `ec prime256v1`. */
  readonly keyType: string;
  /** As in the certificate, on one line; the peer may have written anything into it. */
  readonly subject: string;
  /** SHA-256 of the certificate, as printers show it on their panels and pages. */
  readonly fingerprint: string;
  readonly issuer: string;
  readonly validFrom: string;
  readonly validTo: string;
  /** Such as `TLSv1.3`. */
  readonly protocol: string;
  readonly cipher: string;
}

/**
 * Looks at a peer's key and certificate and closes at once: not one byte of the application is written. Rejects as `openTls`
 * does, except that any key will do; also with `KeyTooWeak`.
 */
export async function inspectTls(
  peer: PeerAddress,
  allow: readonly TlsRelaxation[],
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<SeenPeer> {
  const socket = connectTls({ ...connectionOptions(peer, allow), rejectUnauthorized: false });
  const check = () => {
    const certificate = socket.getPeerX509Certificate();
    return certificate === undefined ? new Error("the peer has no certificate") : weakness(certificate, allow);
  };
  await settled(socket, "secureConnect", timeoutMs, signal, check);
  try {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new Error("the peer has no certificate");
    const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
    const size = asymmetricKeyDetails?.modulusLength ?? asymmetricKeyDetails?.namedCurve ?? "";
    return {
      keyPin: keyPinOf(certificate),
      keyType: `${asymmetricKeyType ?? "unknown"} ${size}`.trim(),
      subject: oneLine(certificate.subject),
      fingerprint: certificate.fingerprint256,
      issuer: oneLine(certificate.issuer),
      validFrom: certificate.validFromDate.toISOString(),
      validTo: certificate.validToDate.toISOString(),
      protocol: socket.getProtocol() ?? "unknown",
      cipher: socket.getCipher().name,
    };
  } finally {
    // A proper good-bye: small servers log a torn connection, and some wait for the rest of it.
    socket.end(() => socket.destroy());
  }
}

function connectionOptions({ host, port }: PeerAddress, allow: readonly TlsRelaxation[]): ConnectionOptions {
  const minVersion = allow.includes("tls1.0") ? "TLSv1" : allow.includes("tls1.1") ? "TLSv1.1" : "TLSv1.2";
  return {
    host,
    port,
    minVersion,
    ALPNProtocols: ["http/1.1"],
    // OpenSSL 3 has TLS 1.0 and 1.1 only at security level 0, because their handshake is signed with MD5 and SHA-1.
    ...(minVersion === "TLSv1.2" ? {} : { ciphers: "DEFAULT@SECLEVEL=0" }),
    // RFC 6066 3: an IP address is no SNI name.
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

function weakness({ publicKey }: X509Certificate, allow: readonly TlsRelaxation[]): KeyTooWeak | undefined {
  const bits = publicKey.asymmetricKeyDetails?.modulusLength;
  const least = allow.includes("rsa1024") ? MIN_RSA_BITS_RELAXED : MIN_RSA_BITS;
  return bits === undefined || bits >= least ? undefined : new KeyTooWeak(bits);
}

/** Names of a certificate come with a line for each part, and may hold anything. */
function oneLine(name: string | undefined): string {
  const line = (name ?? "").replace(/\s*\n\s*/g, ", ").replace(/[^\x20-\x7e\u00a1-\ud7ff]/g, "?");
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
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
