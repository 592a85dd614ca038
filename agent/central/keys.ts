import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from "node:crypto";
import { link, mkdtemp, readdir, readFile, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { keyPinOf } from "../../drivers/transports/tls.ts";
import { replaceFile, syncFolder } from "../storage/atomic-file.ts";
import { StorageError } from "../storage/storage-error.ts";
import { CentralError } from "./central-error.ts";
import {
  AGENTS_AUTHORITY_NAME,
  AUTHORITY_NAME,
  type Authority,
  certifiedHosts,
  certifyAuthority,
  certifyServer,
} from "./certificates.ts";
import { isMissing } from "./documents.ts";

/** The server certificate is made anew, for the same key, when it ends within this time. */
export const RENEW_BEFORE_MS = 30 * 86_400_000;

const FILES = {
  authorityKey: "ca.key",
  authority: "ca.crt",
  serverKey: "server.key",
  server: "server.crt",
  /** The key that takes over when the server's is lost or stolen; agents pin it from the start. */
  backupKey: "backup.key",
  backupPublic: "backup.pub",
  /** Key and certificate of the CA of the agents' certificates, in one file. The server needs it whenever it answers. */
  agentsAuthority: "agents-ca.pem",
  manifestKey: "manifest.key",
  cardKey: "card.key",
  policyKey: "policy.key",
} as const;

/** What the running server and the administration need. */
export interface SiteKeys {
  /** PEM */
  readonly authority: string;
  readonly serverKey: string;
  readonly serverCertificate: string;
  /** `sha256/BASE64` of the server's key and of the backup key. */
  readonly keyPins: readonly [string, string];
  readonly agentsAuthority: Authority;
  /** Ed25519, private. */
  readonly manifestKey: KeyObject;
  /** 32 octets, base64url: the key of the card tokens. */
  readonly cardKey: string;
}

const pem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();
const p256 = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

async function newAgentsAuthority(now: number): Promise<string> {
  const key = p256();
  return `${pem(key)}${await certifyAuthority(key, now, AGENTS_AUTHORITY_NAME)}`;
}

/** Makes what a site of an earlier version lacks. Of two processes that do it at once, the first wins for both. */
export async function completeKeys(folder: string, now: number): Promise<void> {
  const path = join(folder, FILES.agentsAuthority);
  const there = await stat(path).catch((cause: unknown) => {
    if (!isMissing(cause)) throw StorageError.from(cause, `read ${path}`);
    return undefined;
  });
  if (there !== undefined) return;
  const made = join(folder, `.${randomBytes(8).toString("hex")}.pem`);
  await replaceFile(made, await newAgentsAuthority(now));
  await link(made, path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EEXIST") throw StorageError.from(cause, `make ${path}`);
  });
  await unlink(made);
  await syncFolder(folder);
}

/** Makes all keys of a site, whole or not at all: `folder` appears with its last file in it. */
export async function createKeys(
  folder: string,
  hosts: readonly string[],
  now: number,
  policyKey: KeyObject = generateKeyPairSync("ed25519").privateKey,
): Promise<void> {
  const [authorityKey, serverKey, backupKey] = [p256(), p256(), p256()];
  const authority = await certifyAuthority(authorityKey, now, AUTHORITY_NAME);
  const files: Record<string, string> = {
    [FILES.authorityKey]: pem(authorityKey),
    [FILES.authority]: authority,
    [FILES.serverKey]: pem(serverKey),
    [FILES.server]: await certifyServer({ key: authorityKey, certificate: authority }, serverKey, hosts, now),
    [FILES.backupKey]: pem(backupKey),
    [FILES.backupPublic]: createPublicKey(backupKey).export({ type: "spki", format: "pem" }).toString(),
    [FILES.agentsAuthority]: await newAgentsAuthority(now),
    [FILES.manifestKey]: pem(generateKeyPairSync("ed25519").privateKey),
    [FILES.policyKey]: pem(policyKey),
    [FILES.cardKey]: `${randomBytes(32).toString("base64url")}\n`,
  };
  const parent = dirname(folder);
  const unfinished = await mkdtemp(join(parent, ".keys-")); // mode 0700
  try {
    for (const [name, content] of Object.entries(files)) await replaceFile(join(unfinished, name), content);
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error instanceof StorageError ? error : StorageError.from(error, `make ${folder}`);
  }
  await syncFolder(parent);
}

/** Reads the keys; refuses them when others can. `central-keys-unusable`, `central-readable-by-others`. */
export async function readKeys(folder: string): Promise<SiteKeys> {
  await refuseReadableByOthers(folder);
  const names = await readdir(folder).catch((cause: unknown) => {
    throw StorageError.from(cause, `read ${folder}`);
  });
  for (const name of names) await refuseReadableByOthers(join(folder, name));
  const read = (name: string) => readFile(join(folder, name), "utf8");
  try {
    const serverCertificate = await read(FILES.server);
    const cardKey = (await read(FILES.cardKey)).trim();
    if (Buffer.from(cardKey, "base64url").length !== 32) throw new TypeError("the card key is not 32 octets");
    return {
      authority: await read(FILES.authority),
      serverKey: await read(FILES.serverKey),
      serverCertificate,
      keyPins: [
        keyPinOf(new X509Certificate(serverCertificate)),
        keyPinOf({ publicKey: createPublicKey(await read(FILES.backupPublic)) }),
      ],
      agentsAuthority: authorityOf(await read(FILES.agentsAuthority)),
      manifestKey: createPrivateKey(await read(FILES.manifestKey)),
      cardKey,
    };
  } catch (cause) {
    throw new CentralError("central-keys-unusable", folder, { cause });
  }
}

function authorityOf(file: string): Authority {
  const at = file.indexOf("-----BEGIN CERTIFICATE-----");
  const authority = { key: createPrivateKey(file.slice(0, at)), certificate: file.slice(at) };
  if (!new X509Certificate(authority.certificate).checkPrivateKey(authority.key)) {
    throw new TypeError("the agents' CA has another key");
  }
  return authority;
}

/** `central-keys-unusable` */
export async function readPolicyKey(folder: string): Promise<KeyObject> {
  try {
    return createPrivateKey(await readFile(join(folder, FILES.policyKey), "utf8"));
  } catch (cause) {
    throw new CentralError("central-keys-unusable", join(folder, FILES.policyKey), { cause });
  }
}

/** Puts another policy key in the place of the old one. */
export function replacePolicyKey(folder: string, policyKey: KeyObject): Promise<void> {
  return replaceFile(join(folder, FILES.policyKey), pem(policyKey));
}

/** Renews the server certificate if it ends soon; needs the CA's key. True if it did. */
export async function renewServerCertificate(folder: string, now: number): Promise<boolean> {
  const read = (name: string) => readFile(join(folder, name), "utf8");
  try {
    const old = new X509Certificate(await read(FILES.server));
    if (old.validToDate.getTime() - now > RENEW_BEFORE_MS) return false;
    const authority = {
      key: createPrivateKey(await read(FILES.authorityKey)),
      certificate: await read(FILES.authority),
    };
    const key = createPrivateKey(await read(FILES.serverKey));
    await replaceFile(join(folder, FILES.server), await certifyServer(authority, key, certifiedHosts(old), now));
    return true;
  } catch (cause) {
    throw new CentralError("central-keys-unusable", join(folder, FILES.server), { cause });
  }
}

export async function refuseReadableByOthers(path: string): Promise<void> {
  const { mode } = await stat(path).catch((cause: unknown) => {
    if (isMissing(cause)) throw new CentralError("central-missing", path, { cause });
    throw StorageError.from(cause, `read ${path}`);
  });
  if ((mode & 0o077) !== 0) throw new CentralError("central-readable-by-others", path);
}
