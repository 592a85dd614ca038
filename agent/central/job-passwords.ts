import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject, randomBytes } from "node:crypto";
import { JobPassword } from "../protocol/schema.ts";
import { CentralError } from "./central-error.ts";

const [NONCE, TAG, PADDED] = [12, 16, 256];

/**
 * Job-passwords as they are stored. A hash would do for a PIN that is compared; this one must come out again, because the
 * printer chooses the hash that it wants. AES-256-GCM under a key that the `keys` folder alone holds, bound to its job.
 */
export class JobPasswords {
  readonly #key: Buffer;

  /** `siteKey`: a private key that only the central server has, and keeps as long as its site. */
  constructor(siteKey: KeyObject) {
    const secret = siteKey.export({ type: "pkcs8", format: "der" });
    this.#key = Buffer.from(hkdfSync("sha256", secret, "", "printgate central: job passwords", 32));
  }

  /** `job-password-invalid` */
  seal(jobId: string, password: string): Uint8Array {
    if (!JobPassword.safeParse(password).success) throw new CentralError("job-password-invalid");
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(Buffer.from(jobId));
    // All of one length: how long it is tells much of a PIN.
    const padded = Buffer.alloc(PADDED);
    padded[0] = password.length;
    padded.write(password, 1, "latin1");
    const sealed = Buffer.concat([nonce, cipher.update(padded), cipher.final(), cipher.getAuthTag()]);
    padded.fill(0);
    return sealed;
  }

  /** Undefined where it was sealed under another key, or for another job. */
  open(jobId: string, sealed: Uint8Array): string | undefined {
    if (sealed.length !== NONCE + PADDED + TAG) return undefined;
    const bytes = Buffer.from(sealed);
    const decipher = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAAD(Buffer.from(jobId)).setAuthTag(bytes.subarray(-TAG));
    try {
      const padded = Buffer.concat([decipher.update(bytes.subarray(NONCE, -TAG)), decipher.final()]);
      return padded.toString("latin1", 1, 1 + (padded[0] ?? 0));
    } catch {
      return undefined;
    }
  }
}
