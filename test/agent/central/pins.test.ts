import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { generatePin, Pins } from "../../../agent/central/pins.ts";

const key = generateKeyPairSync("ed25519").privateKey;
const pins = new Pins(key);

test("the same PIN under the same salt gives the same hash; another PIN, salt or site does not", async () => {
  const stored = await pins.hash("2468");
  const again = await new Pins(key).compute("2468", stored);
  expect(Buffer.from(again.hash).equals(stored.hash)).toBe(true);
  const other = await Promise.all([
    pins.compute("2469", stored),
    pins.compute("02468", stored),
    pins.hash("2468"),
    new Pins(generateKeyPairSync("ed25519").privateKey).compute("2468", stored),
  ]);
  for (const { hash } of other) expect(Buffer.from(hash).equals(stored.hash)).toBe(false);
});

test("an unknown person's PIN is computed as a known one's is", async () => {
  const stored = await pins.hash("2468");
  const nobody = await pins.compute("2468");
  expect([nobody.cost, nobody.salt.length, nobody.hash.length]).toEqual([stored.cost, stored.salt.length, 32]);
});

test("hashing leaves the event loop free", async () => {
  let over = false;
  const hashed = Promise.all(Array.from({ length: 5 }, () => pins.compute("2468"))).then(() => {
    over = true;
  });
  let turns = 0;
  while (!over) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  await hashed;
  expect(turns).toBeGreaterThan(50);
});

test("what is no PIN or number is refused, and the refusal does not repeat it", async () => {
  for (const pin of ["", "123", "12345678901234567", "12a4", "1234\n", "١٢٣٤", " 1234"]) {
    const error: unknown = await pins.hash(pin).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "pin-invalid", message: "pin-invalid" });
  }
  for (const id of ["", "12345678901234567", "-1", "7\n"]) expect(() => pins.idToken(id)).toThrow(/^id-invalid$/);
});

test("numbers have tokens of their own site, one each", () => {
  expect(pins.idToken("7")).toMatch(/^[0-9a-f]{64}$/);
  expect(pins.idToken("7")).toBe(new Pins(key).idToken("7"));
  const others = [pins.idToken("07"), new Pins(generateKeyPairSync("ed25519").privateKey).idToken("7")];
  for (const other of others) expect(other).not.toBe(pins.idToken("7"));
  expect(pins.digest("x").equals(pins.digest("y"))).toBe(false);
});

test("generated PINs are six digits, spread evenly", () => {
  const digits = Array.from({ length: 2000 }, () => generatePin());
  expect(digits.every((pin) => /^[0-9]{6}$/.test(pin))).toBe(true);
  const seen = new Map<string, number>();
  for (const digit of digits.join("")) seen.set(digit, (seen.get(digit) ?? 0) + 1);
  expect(seen.size).toBe(10);
  for (const count of seen.values()) expect(count).toBeGreaterThan(900);
});
