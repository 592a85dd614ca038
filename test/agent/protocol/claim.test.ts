import { generateKeyPairSync } from "node:crypto";
import { rootCertificates } from "node:tls";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  approvalProof,
  claimKey,
  digestOf,
  fingerprintOf,
  isProof,
  newClaimCode,
  readClaimCode,
  requestProof,
  type Seen,
  sameFingerprint,
  shownClaimCode,
} from "../../../agent/protocol/claim.ts";
import { openSealed, rawOf, sealTo } from "../../../agent/protocol/sealed.ts";

const [ca = "", otherCa = ""] = rootCertificates;
const raw = (fill: number) => Buffer.alloc(32, fill).toString("base64url");
const SEEN: Seen = {
  tlsKey: Buffer.from("the agent's key"),
  signingKey: raw(1),
  sealingKey: raw(2),
  ca,
  keyPins: ["sha256/a", "sha256/b"],
};

describe("a claim code", () => {
  test("is read as people type it", () => {
    const code = newClaimCode();
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{10}$/);
    expect(readClaimCode(shownClaimCode(code).toLowerCase())).toBe(code);
    expect(readClaimCode(" oil0o-1lI00 ")).toBe("0110011100");
    for (const wrong of ["", "1234", "12345-6789U", "12345678901", "12345 6789!"]) {
      expect(readClaimCode(wrong)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (text) => (readClaimCode(text) ?? "0".repeat(10)).length === 10));
  });

  test("is never the same", () => {
    expect(new Set(Array.from({ length: 1000 }, newClaimCode)).size).toBe(1000);
  });

  test("proves nothing for another key, another code, another view, or other content", async () => {
    const code = "7K2QDM9XAB";
    const key = await claimKey(code, SEEN.tlsKey);
    const digest = digestOf(SEEN);
    const proof = requestProof(key, digest).toString("base64url");
    expect(isProof(proof, requestProof(key, digest))).toBe(true);
    expect(isProof(proof, requestProof(await claimKey("7K2QDM9XAC", SEEN.tlsKey), digest))).toBe(false);
    expect(isProof(proof, requestProof(await claimKey(code, Buffer.from("another")), digest))).toBe(false);
    expect(isProof(proof, requestProof(key, digestOf({ ...SEEN, ca: otherCa })))).toBe(false);
    // The agent's own proof does not come back as the server's.
    expect(isProof(proof, approvalProof(key, digest, Buffer.alloc(0)))).toBe(false);
    const approval = approvalProof(key, digest, Buffer.from("lobby")).toString("base64url");
    expect(isProof(approval, approvalProof(key, digest, Buffer.from("lobbz")))).toBe(false);
    expect(isProof("", requestProof(key, digest))).toBe(false);
  });
});

test("each thing that one side may have seen otherwise makes another digest, and so another fingerprint", async () => {
  const others: Seen[] = [
    { ...SEEN, tlsKey: Buffer.from("another key") },
    { ...SEEN, signingKey: raw(3) },
    { ...SEEN, sealingKey: raw(3) },
    { ...SEEN, ca: otherCa },
    { ...SEEN, keyPins: ["sha256/a", "sha256/c"] },
    { ...SEEN, keyPins: ["sha256/a"] },
    { ...SEEN, keyPins: ["sha256/asha256/b"] },
  ];
  const digests = [SEEN, ...others].map((seen) => digestOf(seen).toString("hex"));
  expect(new Set(digests).size).toBe(digests.length);
  expect(digestOf({ ...SEEN, keyPins: ["sha256/b", "sha256/a"], ca: `${ca}\n` })).toEqual(digestOf(SEEN));
  const fingerprint = await fingerprintOf(digestOf(SEEN));
  expect(fingerprint).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
  expect(await fingerprintOf(digestOf(others[0] ?? SEEN))).not.toBe(fingerprint);
  expect(sameFingerprint(fingerprint.toLowerCase().replaceAll("-", " "), fingerprint)).toBe(true);
  expect(sameFingerprint("", fingerprint)).toBe(false);
});

test("a sealed secret opens for its receiver and its purpose alone, and not when altered", () => {
  const [one, other] = [generateKeyPairSync("x25519"), generateKeyPairSync("x25519")];
  const receiver = rawOf(one.publicKey).toString("base64url");
  const secret = Buffer.from("thirty-two octets of a card key.");
  const sealed = sealTo(receiver, "card key", secret);
  expect(openSealed(one.privateKey, "card key", sealed)).toEqual(secret);
  expect(sealTo(receiver, "card key", secret)).not.toBe(sealed);
  expect(openSealed(other.privateKey, "card key", sealed)).toBeUndefined();
  expect(openSealed(one.privateKey, "documents", sealed)).toBeUndefined();
  const bytes = Buffer.from(sealed, "base64url");
  for (let at = 0; at < bytes.length; at++) {
    const altered = Buffer.from(bytes);
    // The top bit of an X25519 key is ignored (RFC 7748 5), but it is part of what the key is made from.
    altered[at] = (altered[at] ?? 0) ^ 0x80;
    expect(openSealed(one.privateKey, "card key", altered.toString("base64url")), `octet ${at}`).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (garbage) => {
      return openSealed(one.privateKey, "card key", Buffer.from(garbage).toString("base64url")) === undefined;
    }),
  );
});
