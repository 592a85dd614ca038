import { createHmac } from "node:crypto";

/**
 * The card token: HMAC-SHA-256 of the card number (UTF-8) under the site's key, as 64 lower-case hex digits.
 * It is the only form of a card that leaves the process.
 */
export function cardToken(siteKey: Uint8Array, cardNumber: string): string {
  return createHmac("sha256", siteKey).update(cardNumber, "utf8").digest("hex");
}
