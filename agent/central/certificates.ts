import { createPublicKey, type KeyObject, randomBytes, webcrypto, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { installReflectMetadata } from "./reflect-metadata.ts";

const DAY_MS = 86_400_000;
/** The agent's clock may be behind the server's when both are new. */
const BACKDATE_MS = DAY_MS;
const AUTHORITY_MS = 3652 * DAY_MS;
const LEAF_MS = 364 * DAY_MS;
/** An agent renews its certificate when a third of this is left. */
export const AGENT_CERTIFICATE_MS = 90 * DAY_MS;

const EC = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };

/** 140 ms and 20 MiB: loaded only where a certificate is made. */
async function x509() {
  installReflectMetadata();
  return import("@peculiar/x509");
}

/** RFC 5280 4.1.2.2: positive, at most 20 octets. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

const privateCryptoKey = (key: KeyObject): webcrypto.CryptoKey => key.toCryptoKey(EC, true, ["sign"]);
const publicCryptoKey = (key: KeyObject): webcrypto.CryptoKey =>
  (key.type === "public" ? key : createPublicKey(key)).toCryptoKey(EC, true, ["verify"]);

export const AUTHORITY_NAME = "Printgate central server CA";
/** Issues certificates of agents alone: what it signs is never taken for the server. */
export const AGENTS_AUTHORITY_NAME = "Printgate agents CA";

export interface Authority {
  readonly key: KeyObject;
  /** PEM */
  readonly certificate: string;
}

/** A CA certificate (PEM) for this P-256 key: ten years, for leaf certificates only. */
export async function certifyAuthority(key: KeyObject, now: number, name: string): Promise<string> {
  const lib = await x509();
  const publicKey = publicCryptoKey(key);
  const certificate = await lib.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: `CN=${name}`,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now - BACKDATE_MS + AUTHORITY_MS),
      signingAlgorithm: SIGNING,
      keys: { privateKey: privateCryptoKey(key), publicKey },
      extensions: [
        new lib.BasicConstraintsExtension(true, 0, true),
        new lib.KeyUsagesExtension(lib.KeyUsageFlags.keyCertSign | lib.KeyUsageFlags.cRLSign, true),
        await lib.SubjectKeyIdentifierExtension.create(publicKey),
      ],
    },
    webcrypto,
  );
  return `${certificate.toString("pem")}\n`;
}

/** A server certificate (PEM) for this P-256 key: a year, for these host names and IP addresses. */
export async function certifyServer(
  authority: Authority,
  key: KeyObject,
  hosts: readonly string[],
  now: number,
): Promise<string> {
  const lib = await x509();
  const publicKey = publicCryptoKey(key);
  const issuer = new lib.X509Certificate(authority.certificate);
  const certificate = await lib.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: "CN=Printgate central server",
      issuer: issuer.subject,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now - BACKDATE_MS + LEAF_MS),
      signingAlgorithm: SIGNING,
      signingKey: privateCryptoKey(authority.key),
      publicKey,
      extensions: [
        new lib.BasicConstraintsExtension(false, undefined, true),
        new lib.KeyUsagesExtension(lib.KeyUsageFlags.digitalSignature, true),
        new lib.ExtendedKeyUsageExtension([lib.ExtendedKeyUsage.serverAuth]),
        new lib.SubjectAlternativeNameExtension(
          hosts.map((host) => ({ type: isIP(host) === 0 ? "dns" : "ip", value: host })),
        ),
        await lib.SubjectKeyIdentifierExtension.create(publicKey),
        await lib.AuthorityKeyIdentifierExtension.create(issuer),
      ],
    },
    webcrypto,
  );
  return `${certificate.toString("pem")}\n`;
}

/** A client certificate (PEM) for an agent's P-256 public key; its name is the agent's. */
export async function certifyAgent(
  authority: Authority,
  publicKey: KeyObject,
  name: string,
  now: number,
): Promise<string> {
  const lib = await x509();
  const key = publicCryptoKey(publicKey);
  const issuer = new lib.X509Certificate(authority.certificate);
  const certificate = await lib.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: `CN=${name}`,
      issuer: issuer.subject,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + AGENT_CERTIFICATE_MS),
      signingAlgorithm: SIGNING,
      signingKey: privateCryptoKey(authority.key),
      publicKey: key,
      extensions: [
        new lib.BasicConstraintsExtension(false, undefined, true),
        new lib.KeyUsagesExtension(lib.KeyUsageFlags.digitalSignature, true),
        new lib.ExtendedKeyUsageExtension([lib.ExtendedKeyUsage.clientAuth]),
        await lib.SubjectKeyIdentifierExtension.create(key),
        await lib.AuthorityKeyIdentifierExtension.create(issuer),
      ],
    },
    webcrypto,
  );
  return `${certificate.toString("pem")}\n`;
}

/** The P-256 public key of a certificate request that is signed with it; undefined for anything else. */
export async function keyOfRequest(der: Uint8Array): Promise<KeyObject | undefined> {
  const lib = await x509();
  try {
    const request = new lib.Pkcs10CertificateRequest(new Uint8Array(der));
    const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: "der", type: "spki" });
    if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return undefined;
    return (await request.verify(webcrypto)) ? key : undefined;
  } catch {
    // Whatever was wrong with it, the answer is the same; parsers' messages quote what they were given.
    return undefined;
  }
}

const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

/** Whether this authority issued the certificate, for a client. Dates and revocation are the caller's. */
export function issuedBy(authority: X509Certificate, certificate: X509Certificate): boolean {
  return (
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey) &&
    !certificate.ca &&
    (certificate.keyUsage ?? []).includes(CLIENT_AUTH)
  );
}

/** The host names and addresses of a certificate that `certifyServer` made. */
export function certifiedHosts(certificate: X509Certificate): readonly string[] {
  const names = certificate.subjectAltName ?? "";
  return names.split(", ").flatMap((name) => /^(?:DNS|IP Address):(.+)$/.exec(name)?.[1] ?? []);
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

export function isHost(text: string): boolean {
  return isIP(text) !== 0 || HOST_NAME.test(text);
}
