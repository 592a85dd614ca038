import { expect, it } from "vitest";
import { cardToken } from "../../../agent/cards/token.ts";
import { CardToken } from "../../../agent/protocol/schema.ts";

it("is HMAC-SHA-256 in lower-case hex (RFC 4231, test case 2)", () => {
  const token = cardToken(Buffer.from("Jefe"), "what do ya want for nothing?");
  expect(token).toBe("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  expect(CardToken.safeParse(token).success).toBe(true);
});

it("hashes a card number as UTF-8", () => {
  const key = new Uint8Array(32);
  expect(cardToken(key, "é")).not.toBe(cardToken(key, "e"));
});
