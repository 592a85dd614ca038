import { createPrivateKey, X509Certificate } from "node:crypto";
import { KEY_PIN, type PeerAddress, type PeerTrust } from "../../drivers/transports/tls.ts";
import { LinkError } from "./link-error.ts";

export interface LinkSettings {
  /** `https://HOST[:PORT]`, nothing else. */
  readonly url: string;
  /** The enrolment's CA, PEM. */
  readonly ca: string;
  /** Two or more: the key in use and a spare one, so that a lost key does not lock every agent out. */
  readonly keyPins: readonly string[];
  /** What this agent shows. */
  readonly client: ClientIdentity;
  /** 32 hex digits, of `bootId`. */
  readonly boot: string;
}

/** PEM: a certificate of the central server's agents' CA, and its key. */
export interface ClientIdentity {
  readonly certificate: string;
  readonly key: string;
}

const invalid = (detail: string): LinkError => new LinkError("link-settings-invalid", detail);

/** Throws `link-settings-invalid`, which names the setting and never quotes a key. */
export function checkedSettings(settings: LinkSettings): { peer: PeerAddress; trust: PeerTrust; origin: string } {
  const { ca, keyPins, client, boot } = settings;
  const { peer, origin } = addressOf(settings.url);
  if (!isCertificate(ca)) throw invalid("ca: it is no PEM certificate");
  if (!keyPins.every((pin) => KEY_PIN.test(pin))) throw invalid("keyPins: a pin looks like sha256/BASE64");
  if (new Set(keyPins).size < 2) throw invalid("keyPins: two different ones are needed");
  if (!isPair(client)) throw invalid("client: it is no certificate with its key");
  if (!/^[0-9a-f]{32}$/.test(boot)) throw invalid("boot: it is no boot id");
  return { peer, trust: { ca, keyPins: [...keyPins] }, origin };
}

/** Where a central server's URL leads. Throws `link-settings-invalid`. */
export function addressOf(text: string): { peer: PeerAddress; origin: string } {
  const url = URL.parse(text);
  if (url === null) throw invalid("url: it is no URL");
  if (url.protocol !== "https:") throw invalid("url: it must begin with https:");
  if (url.username !== "" || url.password !== "") throw invalid("url: it must hold no user name and no password");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") throw invalid("url: nothing may follow the host");
  return {
    // An IPv6 address stands in brackets in a URL, and only there.
    peer: { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: url.port === "" ? 443 : Number(url.port) },
    origin: url.origin,
  };
}

function isPair({ certificate, key }: ClientIdentity): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    // As below.
    return false;
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== "";
  } catch {
    // The caller says so.
    return false;
  }
}
