import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";

/**
 * A secret for one receiver: X25519 with a key made for this once, HKDF-SHA-256, AES-256-GCM. As octets: the sender's public key (32),
 * the tag (16), the ciphertext. The key is used once, so the nonce may be all zeros. It says nothing of who sealed it.
 */
const [KEY, TAG] = [32, 16];
const NONCE = Buffer.alloc(12);

export const x25519FromRaw = (raw: string): KeyObject =>
  createPublicKey({ key: { kty: "OKP", crv: "X25519", x: raw }, format: "jwk" });

/** `purpose` binds the secret to what it is for: another purpose does not open it. */
export function sealTo(receiver: string, purpose: string, secret: Uint8Array): string {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  const sender = rawOf(publicKey);
  const shared = diffieHellman({ privateKey, publicKey: x25519FromRaw(receiver) });
  const cipher = createCipheriv("aes-256-gcm", keyOf(shared, sender, receiver, purpose), NONCE);
  const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
  return Buffer.concat([sender, cipher.getAuthTag(), ciphertext]).toString("base64url");
}

/** The secret, or undefined: sealed for somebody else or for something else, or altered. */
export function openSealed(receiverKey: KeyObject, purpose: string, sealed: string): Buffer | undefined {
  const bytes = Buffer.from(sealed, "base64url");
  if (bytes.length < KEY + TAG) return undefined;
  const [sender, tag] = [bytes.subarray(0, KEY), bytes.subarray(KEY, KEY + TAG)];
  try {
    const publicKey = x25519FromRaw(sender.toString("base64url"));
    const shared = diffieHellman({ privateKey: receiverKey, publicKey });
    const receiver = rawOf(createPublicKey(receiverKey)).toString("base64url");
    const decipher = createDecipheriv("aes-256-gcm", keyOf(shared, sender, receiver, purpose), NONCE);
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(bytes.subarray(KEY + TAG)), decipher.final()]);
  } catch {
    // The caller says what could not be opened; why is nobody's business.
    return undefined;
  }
}

/** The raw 32 octets of an Ed25519 or X25519 public key. */
export function rawOf(publicKey: KeyObject): Buffer {
  const { x } = publicKey.export({ format: "jwk" });
  if (x === undefined) throw new TypeError("not an Ed25519 or X25519 key");
  return Buffer.from(x, "base64url");
}

function keyOf(shared: Buffer, sender: Uint8Array, receiver: string, purpose: string): Buffer {
  const salt = Buffer.concat([sender, Buffer.from(receiver, "base64url")]);
  return Buffer.from(hkdfSync("sha256", shared, salt, `printgate sealed: ${purpose}`, 32));
}
