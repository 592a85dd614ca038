import { createHmac, hkdfSync, type KeyObject, randomBytes, randomInt, scrypt } from "node:crypto";
import { PersonalId, Pin } from "../protocol/schema.ts";
import { CentralError } from "./central-error.ts";

/**
 * What one guess costs: 16 MiB and one core for some 50 ms here, some 100 ms on a Raspberry Pi 4. No cost makes four
 * digits strong against whoever has the hashes, so they are keyed too: without the `keys` folder they tell nothing.
 */
const COST = { N: 2 ** 14, r: 8, p: 1 } as const;
const HASH_BYTES = 32;

/** How a PIN is stored: the hash, and all that it takes to compute it again. */
export interface PinHash {
  readonly hash: Uint8Array;
  readonly salt: Uint8Array;
  /** scrypt's N, r and p (RFC 7914 2). */
  readonly cost: PinCost;
}
export type PinCost = Readonly<Record<"N" | "r" | "p", number>>;

/** The secrets of people who type, in the only forms that are stored. Never waits on the event loop's thread. */
export class Pins {
  readonly #key: Buffer;
  /** Of nobody: an unknown person must cost what a known one does. */
  readonly #nobody = { salt: randomBytes(16), cost: COST };
  #last: Promise<unknown> = Promise.resolve();

  /** `siteKey`: a private key that only the central server has, and keeps as long as its site. */
  constructor(siteKey: KeyObject) {
    const secret = siteKey.export({ type: "pkcs8", format: "der" });
    this.#key = Buffer.from(hkdfSync("sha256", secret, "", "printgate central: what people type", 32));
  }

  /** A keyed hash of a message of which a PIN is part: SHA-256 alone would let whoever reads it try all PINs. */
  digest(message: string): Buffer {
    return createHmac("sha256", this.#key).update("message\0").update(message).digest();
  }

  /** The form in which a person's number is stored and looked up: hex, as a card token is. */
  idToken(id: string): string {
    if (!PersonalId.safeParse(id).success) throw new CentralError("id-invalid");
    return createHmac("sha256", this.#key).update("id\0").update(id).digest("hex");
  }

  /** For storing; `pin-invalid`. */
  async hash(pin: string): Promise<PinHash> {
    if (!Pin.safeParse(pin).success) throw new CentralError("pin-invalid");
    return this.compute(pin, { salt: randomBytes(16), cost: COST });
  }

  /** As stored ones are computed, one after the other: guesses must not take the threads that read documents. */
  compute(pin: string, of: Omit<PinHash, "hash"> = this.#nobody): Promise<PinHash> {
    const { salt, cost } = of;
    const keyed = createHmac("sha256", this.#key).update("pin\0").update(pin).digest();
    const computed = this.#last.then(
      () =>
        new Promise<PinHash>((resolve, reject) => {
          const options = { ...cost, maxmem: 256 * cost.N * cost.r };
          scrypt(keyed, salt, HASH_BYTES, options, (error, hash) => {
            keyed.fill(0);
            if (error === null) resolve({ hash, salt, cost });
            else reject(error);
          });
        }),
    );
    this.#last = computed.catch(() => {}); // its caller has the error
    return computed;
  }
}

const GENERATED_DIGITS = 6;

/** Digits of a fresh PIN, each as likely as any other. */
export function generatePin(atLeast = 0): string {
  return Array.from({ length: Math.max(atLeast, GENERATED_DIGITS) }, () => randomInt(10)).join("");
}
