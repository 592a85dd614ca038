import { type CodeTable, codedError } from "../../drivers/coded-error.ts";
import { HttpClientDestroyed } from "../../drivers/transports/http-client.ts";
import { CertificateUntrusted, ConnectTimeout, KeyPinMismatch, KeyTooWeak } from "../../drivers/transports/tls.ts";

export const LINK_CODES = {
  "link-settings-invalid": {
    what: "The configuration of the central server cannot be used.",
    next: "Correct the named setting, or enrol the agent anew with `printgate enrol --again`.",
  },
  "link-unreachable": {
    what: "The central server cannot be reached, or the connection to it broke.",
    next: "Check network, name resolution and firewall, and that the central server runs.",
  },
  "link-timeout": {
    what: "The central server did not answer in time.",
    next: "Check the load of the central server and the network between; the next tap tries again.",
  },
  "link-no-tls": {
    what: "What answers at the central server's address speaks no TLS 1.2 or later.",
    next: "Check the port in the configured address and the TLS settings of the central server.",
  },
  "link-untrusted-certificate": {
    what: "The certificate of the central server is not trusted.",
    next: "Check this machine's clock, then the server's certificate: issuer, dates, its RSA key (2048 bits or more), and the host name in the address.",
  },
  "link-key-not-pinned": {
    what: "The central server's certificate is in order but its key is none of the pinned ones.",
    next: "If the server was given a new key on purpose, publish its pin in the policy, or enrol the agent anew; if not, somebody may be in between.",
  },
  "link-redirected": {
    what: "The central server sent the agent elsewhere, where it does not go.",
    next: "Enrol the agent at the address of the central server itself; no proxy in front of it may redirect.",
  },
  "link-bad-reply": {
    what: "The central server answered something that this agent does not understand.",
    next: "Bring agent and central server to the same version, and check that no proxy answers in the server's place.",
  },
  "link-reply-too-large": {
    what: "The central server answered more than the protocol allows.",
    next: "Bring agent and central server to the same version, and check that no proxy answers in the server's place.",
  },
  "link-refused": {
    what: "The central server does not know this agent's certificate.",
    next: "Check that the address is this agent's own central server; if it is, enrol it anew: `printgate enrol --again`.",
  },
  "link-revoked": {
    what: "A person has taken this agent's right to connect away.",
    next: "If it should be an agent again, enrol it anew: `printgate enrol --again`, and approve it with --replace.",
  },
  "link-cloned": {
    what: "Another device uses this agent's key: the SD card was copied. The central server refuses both.",
    next: "Find and wipe the copy, then enrol the right device anew: `printgate enrol --again`, and approve it with --replace.",
  },
  "link-certificate-expired": {
    what: "This agent's certificate has ended, as after months without power; it fetches the next one by itself.",
    next: "Wait a minute; if it stays, enrol the agent anew: `printgate enrol --again`.",
  },
  "link-claim-lost": {
    what: "The central server no longer holds this job for this agent.",
    next: "Nothing, if another agent or a person took the job; else compare the clocks of agent and central server.",
  },
  "link-rate-limited": {
    what: "The central server asked this agent to wait before it asks again.",
    next: "Wait; if it stays, look on the central server for what asks so often.",
  },
  "link-server-error": {
    what: "The central server failed while it answered.",
    next: "Read the log of the central server; the agent tries again.",
  },
  "link-nothing-there": {
    what: "The central server has nothing of that kind.",
    next: "Bring the central server to this version; a new one has a policy from the start.",
  },
  "link-given-up": {
    what: "The agent gave the request up: it is stopping, or nobody waits for the answer any more.",
    next: "Nothing.",
  },
} as const satisfies CodeTable;

export type LinkCode = keyof typeof LINK_CODES;

export class LinkError extends codedError(LINK_CODES) {
  /** How long the server asked to wait, in ms, when it did. */
  readonly retryAfterMs: number | undefined;
  /** The code of the server's problem, when it named one. */
  readonly problem: string | undefined;

  /** There is no `cause`: what parsers and HTTP clients put into theirs quotes the reply, which may hold anything. */
  constructor(code: LinkCode, detail = "", retryAfterMs?: number, problem?: string) {
    super(code, detail);
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }
}

/** OpenSSL's and Node's codes in words; the others speak for themselves. */
const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "it has expired",
  CERT_NOT_YET_VALID: "it is not valid yet",
  ERR_TLS_CERT_ALTNAME_INVALID: "it is for another host name",
  DEPTH_ZERO_SELF_SIGNED_CERT: "another CA issued it (it is self-signed)",
  SELF_SIGNED_CERT_IN_CHAIN: "another CA issued it",
  UNABLE_TO_GET_ISSUER_CERT: "another CA issued it",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "another CA issued it",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "another CA issued it",
  CERT_SIGNATURE_FAILURE: "it names the CA as its issuer, but another key signed it",
};

const systemCodeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "no code";

/** Why no connection came about. */
export function connectErrorOf(error: unknown): LinkError {
  if (error instanceof CertificateUntrusted) {
    const fault = CERTIFICATE_FAULTS[error.code];
    return new LinkError("link-untrusted-certificate", fault === undefined ? error.code : `${fault} (${error.code})`);
  }
  if (error instanceof KeyTooWeak) return new LinkError("link-untrusted-certificate", error.message);
  if (error instanceof KeyPinMismatch) return new LinkError("link-key-not-pinned", error.seen);
  if (error instanceof ConnectTimeout) return new LinkError("link-timeout", "while connecting");
  const code = systemCodeOf(error);
  if (code === "ETIMEDOUT") return new LinkError("link-timeout", "while connecting");
  // Alerts, plain text and unsupported versions all come as these.
  if (code.startsWith("ERR_SSL_")) return new LinkError("link-no-tls", code);
  return new LinkError("link-unreachable", code);
}

/** Why a request on a connection got no whole reply. */
export function exchangeErrorOf(error: unknown, answered: boolean): LinkError {
  if (error instanceof LinkError) return error;
  if (error instanceof HttpClientDestroyed) return new LinkError("link-given-up");
  const code = systemCodeOf(error);
  if (code.startsWith("HPE_")) return new LinkError("link-bad-reply", `no HTTP/1.1 (${code})`);
  return new LinkError("link-unreachable", answered ? `cut off inside the answer (${code})` : code);
}

/** The connection was gone, as it is when an idle one is closed by the server just before it is used again. */
export function isConnectionGone(error: Error): boolean {
  const code = systemCodeOf(error);
  return code === "ECONNRESET" || code === "EPIPE";
}
