import { X509Certificate } from "node:crypto";
import { KEY_PIN, type PeerAddress, type PeerTrust } from "../../drivers/transports/tls.ts";
import { LinkError } from "./link-error.ts";

export interface LinkSettings {
  /** `https://HOST[:PORT]`, nothing else. */
  readonly url: string;
  /** The enrolment's CA, PEM. */
  readonly ca: string;
  /** Two or more: the key in use and a spare one, so that a lost key does not lock every agent out. */
  readonly keyPins: readonly string[];
  /** RFC 6750 2.1. It goes into the authorization header and nowhere else. */
  readonly bearerKey: string;
}

const invalid = (detail: string): LinkError => new LinkError("link-settings-invalid", detail);

/** Throws `link-settings-invalid`, which names the setting and never quotes the key. */
export function checkedSettings(settings: LinkSettings): { peer: PeerAddress; trust: PeerTrust; origin: string } {
  const { ca, keyPins, bearerKey } = settings;
  const url = URL.parse(settings.url);
  if (url === null) throw invalid("url: it is no URL");
  if (url.protocol !== "https:") throw invalid("url: it must begin with https:");
  if (url.username !== "" || url.password !== "") throw invalid("url: it must hold no user name and no password");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") throw invalid("url: nothing may follow the host");
  if (!isCertificate(ca)) throw invalid("ca: it is no PEM certificate");
  if (!keyPins.every((pin) => KEY_PIN.test(pin))) throw invalid("keyPins: a pin looks like sha256/BASE64");
  if (new Set(keyPins).size < 2) throw invalid("keyPins: two different ones are needed");
  if (!/^[A-Za-z0-9._~+/-]{16,500}=*$/.test(bearerKey)) throw invalid("bearerKey: it is no bearer key");
  return {
    // An IPv6 address stands in brackets in a URL, and only there.
    peer: { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: url.port === "" ? 443 : Number(url.port) },
    trust: { ca, keyPins: [...keyPins] },
    origin: url.origin,
  };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== "";
  } catch {
    // The caller says so.
    return false;
  }
}
