import { mkdir, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { DEFAULT_SETTINGS } from "../protocol/policy.ts";
import { syncFolder } from "../storage/atomic-file.ts";
import { StorageError } from "../storage/storage-error.ts";
import { CentralError } from "./central-error.ts";
import { isHost } from "./certificates.ts";
import { Documents } from "./documents.ts";
import { completeKeys, createKeys, readKeys, refuseReadableByOthers, type SiteKeys } from "./keys.ts";
import { signedPolicy } from "./policy-book.ts";
import { firstRoot, makeEd25519, makeRootKeys, writeRootKeys } from "./root-keys.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Store } from "./store.ts";

/**
 * A central server's folder, mode 0700:
 * `central.db` (and SQLite's -wal, -shm), `documents/`, `keys/`, and at first `root-keys/`, which belong elsewhere.
 */
const placesOf = (dataDir: string) => ({
  root: resolve(dataDir),
  keys: join(resolve(dataDir), "keys"),
  database: join(resolve(dataDir), "central.db"),
  documents: join(resolve(dataDir), "documents"),
  rootKeys: join(resolve(dataDir), ROOT_KEYS_FOLDER),
});

/** Where `init` leaves the root keys, to be taken away. */
export const ROOT_KEYS_FOLDER = "root-keys";

export interface Site {
  readonly keysFolder: string;
  readonly keys: SiteKeys;
  readonly store: Store;
  readonly documents: Documents;
}

/** Makes a new site. The keys come last: with them, and only with them, the site is there. `central-exists`, `host-invalid`. */
export async function createSite(dataDir: string, hosts: readonly string[], now: number): Promise<void> {
  const bad = hosts.find((host) => !isHost(host));
  if (bad !== undefined || hosts.length === 0) throw new CentralError("host-invalid", bad ?? "none");
  const places = placesOf(dataDir);
  const failed = (cause: unknown): never => {
    throw StorageError.from(cause, `make ${places.root}`);
  };
  await mkdir(places.root, { recursive: true, mode: 0o700 }).catch(failed);
  await refuseReadableByOthers(places.root);
  if ((await readdir(places.root).catch(failed)).includes("keys"))
    throw new CentralError("central-exists", places.root);
  await mkdir(places.documents, { recursive: true, mode: 0o700 }).catch(failed);
  const [rootKeys, policyKey] = [makeRootKeys(), makeEd25519()];
  await writeRootKeys(places.rootKeys, rootKeys);
  const store = new SqliteStore(places.database);
  try {
    const name = { root: 1, version: 1 };
    const envelope = signedPolicy({ ...name, settings: DEFAULT_SETTINGS, issuedAt: now }, policyKey);
    const by = { actor: "init", at: now };
    await store.beginPolicies(by, firstRoot(rootKeys, policyKey, now), { ...name, envelope });
  } finally {
    await store.close();
  }
  await syncFolder(places.root);
  await createKeys(places.keys, hosts, now, policyKey);
}

/** Opens a site; the caller closes its store. `central-missing`, `central-readable-by-others`, `central-keys-unusable`. */
export async function openSite(dataDir: string, now: number): Promise<Site> {
  const places = placesOf(dataDir);
  await refuseReadableByOthers(places.root);
  await refuseReadableByOthers(places.keys);
  await completeKeys(places.keys, now);
  const keys = await readKeys(places.keys);
  return {
    keysFolder: places.keys,
    keys,
    store: new SqliteStore(places.database),
    documents: new Documents(places.documents),
  };
}
