import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { mkdir, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { replaceFile, syncFolder } from "../../storage/atomic-file.ts";
import { StorageError } from "../../storage/storage-error.ts";
import { EnrolmentError } from "./enrolment-error.ts";

const Pem = z.string().check(z.minLength(1), z.maxLength(16_384));
const Key = z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/));
const Url = z.string().check(z.regex(/^https:\/\/[^/]+$/), z.maxLength(300));

/** The device's own keys, PKCS #8 in PEM: P-256 for TLS, Ed25519 for signing, X25519 for what is sealed to it. */
export const DeviceKeys = z.strictObject({ tls: Pem, signing: Pem, sealing: Pem });
export type DeviceKeys = z.infer<typeof DeviceKeys>;

/** What the central server is trusted by. */
export const Trust = z.strictObject({ ca: Pem, keyPins: z.array(z.string()).check(z.minLength(2), z.maxLength(8)) });
export type Trust = z.infer<typeof Trust>;

/** What an approval brought. */
export const Granted = z.strictObject({
  name: z.string(),
  certificate: Pem,
  cardKey: Key,
  manifestKey: Key,
  policyRoot: z.optional(z.string()),
});
export type Granted = z.infer<typeof Granted>;

/** All that makes this device the agent that the central server knows. */
export const Identity = z.strictObject({
  version: z.literal(1),
  url: Url,
  trust: Trust,
  keys: DeviceKeys,
  granted: Granted,
  /** The TLS key and certificate that come next. Without the certificate, it was asked for and has not come. */
  next: z.optional(z.strictObject({ tls: Pem, certificate: z.optional(Pem) })),
});
export type Identity = z.infer<typeof Identity>;

export function newTlsKey(): string {
  return pem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
}

export function newDeviceKeys(): DeviceKeys {
  return {
    tls: newTlsKey(),
    signing: pem(generateKeyPairSync("ed25519").privateKey),
    sealing: pem(generateKeyPairSync("x25519").privateKey),
  };
}

const pem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();

/** Whether the certificate is for this key and this agent; whoever made it is not looked at. */
export function fits(certificate: string, tlsKey: string, name: string): boolean {
  try {
    const x509 = new X509Certificate(certificate);
    return x509.checkPrivateKey(createPrivateKey(tlsKey)) && x509.subject === `CN=${name}`;
  } catch {
    // Not a certificate, or not a key: the caller says so.
    return false;
  }
}

const FOLDER = "identity";
const [IDENTITY, UNFINISHED] = ["identity.json", "enrolment.json"];

/** STATE/identity, 0700: what this device is enrolled with, and an enrolment that is under way. Each file is replaced whole or not at all. */
export class IdentityFolder {
  readonly #stateDir: string;
  readonly path: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.path = join(stateDir, FOLDER);
  }

  /** `identity-missing`, `identity-readable-by-others`, `identity-damaged` */
  async load(): Promise<Identity> {
    const identity = await this.find();
    if (identity === undefined) throw new EnrolmentError("identity-missing", this.path);
    return identity;
  }

  /** Undefined where the agent is not enrolled. */
  async find(): Promise<Identity | undefined> {
    const identity = await this.#read(IDENTITY, Identity);
    if (identity === undefined) return undefined;
    const { keys, granted } = identity;
    if (!fits(granted.certificate, keys.tls, granted.name)) {
      throw new EnrolmentError("identity-damaged", `${join(this.path, IDENTITY)}: certificate and key do not fit`);
    }
    return identity;
  }

  async save(identity: Identity): Promise<void> {
    await this.#write(IDENTITY, identity);
  }

  /** What `saveUnfinished` kept, if anything. */
  unfinished<T>(schema: z.ZodMiniType<T>): Promise<T | undefined> {
    return this.#read(UNFINISHED, schema);
  }

  saveUnfinished(state: object): Promise<void> {
    return this.#write(UNFINISHED, state);
  }

  async dropUnfinished(): Promise<void> {
    await unlink(join(this.path, UNFINISHED)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw StorageError.from(cause, `remove ${join(this.path, UNFINISHED)}`);
    });
    await syncFolder(this.path);
  }

  async #read<T>(name: string, schema: z.ZodMiniType<T>): Promise<T | undefined> {
    const path = join(this.path, name);
    for (const place of [this.path, path]) {
      const info = await stat(place).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code === "ENOENT") return undefined;
        throw StorageError.from(cause, `read ${place}`);
      });
      if (info === undefined) return undefined;
      if ((info.mode & 0o077) !== 0) throw new EnrolmentError("identity-readable-by-others", place);
    }
    const text = await readFile(path, "utf8").catch((cause: unknown) => {
      throw StorageError.from(cause, `read ${path}`);
    });
    try {
      const parsed = schema.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    } catch {
      // Below: the parser's message quotes the file, which holds keys.
    }
    throw new EnrolmentError("identity-damaged", path);
  }

  async #write(name: string, content: object): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
      throw StorageError.from(cause, `make ${this.path}`);
    });
    // Made by root for the agent's user, it must be that user's.
    const owner = await stat(this.#stateDir);
    const folder = await stat(this.path);
    if ((folder.mode & 0o077) !== 0) throw new EnrolmentError("identity-readable-by-others", this.path);
    if (folder.uid !== owner.uid) {
      const { chown } = await import("node:fs/promises");
      await chown(this.path, owner.uid, owner.gid);
    }
    owner.mode = 0o600;
    await replaceFile(join(this.path, name), `${JSON.stringify(content, undefined, 1)}\n`, owner);
  }
}
