import { execFileSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyPinOf } from "../../drivers/transports/tls.ts";

/** PEM texts, and the pin of the leaf's key. `cert` may hold a chain. */
export interface ServerIdentity {
  readonly cert: string;
  readonly key: string;
  readonly pin: string;
}

export interface LeafOptions {
  /** Names and addresses that the certificate is for. */
  readonly hosts?: readonly string[];
  /** Days from now; negative ones are in the past. */
  readonly fromDay?: number;
  readonly toDay?: number;
}

const CONFIG = `
[ca]
default_ca = test
[test]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = none
[none]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
`;

/** A certificate authority made with openssl. Its certificates are for `localhost` and 127.0.0.1 unless told otherwise. */
export class Authority {
  readonly pem: string;
  readonly #name: string;
  readonly #key: string;

  constructor(name = "Test CA") {
    const { pem, key } = newAuthority(name);
    this.#name = name;
    this.pem = pem;
    this.#key = key;
  }

  issue(options: LeafOptions = {}): ServerIdentity {
    return issueWith(this.pem, this.#key, options);
  }

  /** A leaf that names this authority as its issuer and brings its genuine certificate along, but another key signed it. */
  forge(options: LeafOptions = {}): ServerIdentity {
    const impostor = newAuthority(this.#name);
    const leaf = issueWith(impostor.pem, impostor.key, options);
    return { ...leaf, cert: `${leaf.cert}\n${this.pem}` };
  }
}

function inDirectory<T>(work: (path: (name: string) => string, openssl: (...words: string[]) => void) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "printgate-ca-"));
  try {
    writeFileSync(join(directory, "config"), CONFIG);
    writeFileSync(join(directory, "index.txt"), "");
    const openssl = (...words: string[]) => {
      execFileSync("openssl", words, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
    };
    return work((name) => join(directory, name), openssl);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function newAuthority(name: string): { pem: string; key: string } {
  return inDirectory((path, openssl) => {
    const key = newKey();
    writeFileSync(path("key"), key);
    const words = ["req", "-x509", "-new", "-config", "config", "-extensions", "authority", "-key", "key"];
    openssl(...words, "-subj", `/CN=${name}`, "-days", "100", "-out", "cert");
    return { pem: readFileSync(path("cert"), "utf8"), key };
  });
}

/** `YYYYMMDDHHMMSSZ`, as openssl takes it. */
const day = (offset: number): string =>
  `${new Date(Date.now() + offset * 86_400_000).toISOString().replace(/\D/g, "").slice(0, 14)}Z`;

function issueWith(caCert: string, caKey: string, options: LeafOptions): ServerIdentity {
  const { hosts = ["localhost", "127.0.0.1"], fromDay = -1, toDay = 30 } = options;
  return inDirectory((path, openssl) => {
    const key = newKey();
    writeFileSync(path("key"), key);
    writeFileSync(path("ca"), caCert);
    writeFileSync(path("ca.key"), caKey);
    const names = hosts.map((host) => `${isIP(host) === 0 ? "DNS" : "IP"}:${host}`);
    writeFileSync(path("extensions"), `subjectAltName = ${names.join(",")}\nauthorityKeyIdentifier = none\n`);
    openssl("req", "-new", "-config", "config", "-key", "key", "-subj", "/CN=server", "-out", "request");
    const ca = ["ca", "-batch", "-notext", "-config", "config", "-cert", "ca", "-keyfile", "ca.key"];
    const dates = ["-startdate", day(fromDay), "-enddate", day(toDay)];
    openssl(...ca, ...dates, "-extfile", "extensions", "-in", "request", "-out", "cert");
    const cert = readFileSync(path("cert"), "utf8");
    return { cert, key, pin: keyPinOf(new X509Certificate(cert)) };
  });
}
