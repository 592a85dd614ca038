import fc from "fast-check";
import { expect, test } from "vitest";
import { packetShape } from "../../../../drivers/readers/osdp/shape.ts";
import { bytes, transcript } from "./line.ts";

const shape = packetShape("crc16");

test("headers are shown, and of the rest how much it is", () => {
  expect(shape(bytes("ff530108000660d866"))).toBe("POLL to 1 #2 +0");
  expect(shape(bytes("ff53811000065000011a00bb032180cc84"))).toBe("RAW from 1 #2 +8");
  expect(shape(bytes("ff53811e000e0218508e5e40be47912f9d98ea59c4c0b6d5515ded299d9737"))).toBe(
    "RAW from 1 #2 scs 18 +20",
  );
  expect(shape(bytes("ff53810e0007530004313233347085ff5381"))).toBe("KEYPAD from 1 #3 +6 | xxx");
});

test("a piece of a packet, and one that is damaged, show nothing but their length", () => {
  const raw = bytes("ff53811000065000011a00bb032180cc84");
  for (let from = 0; from <= raw.length; from += 1) {
    for (let to = from + 1; to <= raw.length; to += 1) {
      if (from <= 1 && to === raw.length) continue;
      expect(shape(raw.subarray(from, to))).toMatch(/^x+$/);
    }
  }
});

test("no byte of a card, a PIN, a cryptogram or a key can be told from it", () => {
  for (const { from, text } of ["osdp-plain", "osdp-sc-scbkd-keyset"].flatMap(transcript)) {
    if (from !== "note") expect(shape(bytes(text))).toMatch(/^[A-Z_]+ (to|from) 1 #[0-3]( scs 1[1-8])? \+[0-9]+$/);
  }
});

test("any bytes: no throw, and of bounded length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (noise) => {
      expect(shape(noise).length).toBeLessThan(200);
    }),
  );
});
