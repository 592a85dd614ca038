import { execFileSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { keyOfRequest } from "../../../../agent/central/certificates.ts";
import { certificateRequest } from "../../../../agent/link/enrolment/csr.ts";

const key = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

test("openssl takes the request, verifies its signature, and finds the key in it", () => {
  const own = key();
  const der = certificateRequest(own);
  const words = ["req", "-inform", "DER", "-verify", "-noout", "-subject", "-pubkey"];
  const said = execFileSync("openssl", words, { input: der, stdio: ["pipe", "pipe", "pipe"] }).toString();
  expect(said).toContain("Printgate agent");
  expect(said).toContain(createPublicKey(own).export({ type: "spki", format: "pem" }).toString().trim());
});

test("the server finds the key; a request that is altered anywhere has none", async () => {
  const own = key();
  const der = certificateRequest(own);
  expect((await keyOfRequest(der))?.equals(createPublicKey(own))).toBe(true);
  const lastOfKey = der.indexOf(createPublicKey(own).export({ type: "spki", format: "der" })) + 90;
  for (const at of [lastOfKey, 30, der.length - 3]) {
    const altered = Buffer.from(der);
    altered[at] = (altered[at] ?? 0) ^ 1;
    expect(await keyOfRequest(altered), `octet ${at}`).toBeUndefined();
  }
  for (const garbage of ["", "30", "3003020100", "ff".repeat(300)]) {
    expect(await keyOfRequest(Buffer.from(garbage, "hex"))).toBeUndefined();
  }
});

test("another kind of key is refused", async () => {
  const rsa = execFileSync(
    "openssl",
    ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-outform", "DER", "-keyout", "/dev/null"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  expect(await keyOfRequest(rsa)).toBeUndefined();
});
