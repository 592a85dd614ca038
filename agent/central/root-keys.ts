import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { rawFromPublicKey } from "../protocol/envelope.ts";
import { ROOT_SCHEMA, type Root, type RootEnvelope, sealRoot } from "../protocol/root.ts";
import { replaceFile, syncFolder } from "../storage/atomic-file.ts";
import { StorageError } from "../storage/storage-error.ts";
import { CentralError } from "./central-error.ts";
import { refuseReadableByOthers } from "./keys.ts";

/** Three keys, two of which sign: one may be lost, and one alone in wrong hands can do nothing. */
const ROOT_KEYS = 3;
const THRESHOLD = 2;

const FILE = /^root-[0-9]{1,3}\.key$/;

export const makeEd25519 = (): KeyObject => generateKeyPairSync("ed25519").privateKey;
export const makeRootKeys = (): KeyObject[] => Array.from({ length: ROOT_KEYS }, makeEd25519);

export const rawPublic = (key: KeyObject): string => rawFromPublicKey(createPublicKey(key));

/** Writes root keys as `root-1.key` and so on; their place is a medium that is taken away. */
export async function writeRootKeys(folder: string, keys: readonly KeyObject[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw StorageError.from(cause, `make ${folder}`);
  });
  await refuseReadableByOthers(folder);
  for (const [index, key] of keys.entries()) {
    await replaceFile(join(folder, `root-${index + 1}.key`), key.export({ type: "pkcs8", format: "pem" }).toString());
  }
  await syncFolder(folder);
}

/** The root keys in these folders; there may be more than are needed. `root-keys-unusable` */
export async function readRootKeys(folders: readonly string[]): Promise<KeyObject[]> {
  const keys: KeyObject[] = [];
  for (const folder of folders) {
    try {
      const names = (await readdir(folder)).filter((name) => FILE.test(name));
      for (const name of names) {
        const key = createPrivateKey(await readFile(join(folder, name)));
        if (key.asymmetricKeyType !== "ed25519") throw new TypeError("not an Ed25519 key");
        keys.push(key);
      }
    } catch (cause) {
      throw new CentralError("root-keys-unusable", folder, { cause });
    }
  }
  return keys;
}

/** The first root document of a site. */
export function firstRoot(rootKeys: readonly KeyObject[], policyKey: KeyObject, now: number): RootEnvelope {
  const root = rootDocument(1, rootKeys.map(rawPublic), THRESHOLD, [rawPublic(policyKey)], now);
  return sealRoot(root, rootKeys);
}

/**
 * The root document after `current`, with new policy keys and, where given, new root keys. `offline` are what was found of
 * the current root keys. `root-keys-missing`
 */
export function nextRoot(
  current: Root,
  offline: readonly KeyObject[],
  policyKey: KeyObject,
  newRootKeys: readonly KeyObject[] | undefined,
  now: number,
): { readonly root: Root; readonly envelope: RootEnvelope } {
  const signers = offline.filter((key) => current.rootKeys.includes(rawPublic(key)));
  if (new Set(signers.map(rawPublic)).size < current.threshold) {
    throw new CentralError("root-keys-missing", `${signers.length} of ${current.threshold}`);
  }
  const keys = newRootKeys?.map(rawPublic) ?? current.rootKeys;
  const threshold = newRootKeys === undefined ? current.threshold : THRESHOLD;
  const root = rootDocument(current.version + 1, keys, threshold, [rawPublic(policyKey)], now);
  return { root, envelope: sealRoot(root, [...signers, ...(newRootKeys ?? [])]) };
}

function rootDocument(
  version: number,
  rootKeys: readonly string[],
  threshold: number,
  policyKeys: readonly string[],
  now: number,
): Root {
  const issuedAt = new Date(now).toISOString();
  const keys = { rootKeys: [...rootKeys], threshold, policyKeys: [...policyKeys] };
  return { kind: "root", schema: ROOT_SCHEMA, version, issuedAt, ...keys };
}
