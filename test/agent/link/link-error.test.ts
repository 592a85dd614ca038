import { expect, test } from "vitest";
import { connectErrorOf } from "../../../agent/link/link-error.ts";
import { KeyTooWeak } from "../../../drivers/transports/tls.ts";

test("a central server whose key is too weak is told apart from one that does not answer", () => {
  expect(connectErrorOf(new KeyTooWeak(1024))).toMatchObject({
    code: "link-untrusted-certificate",
    detail: "the peer's RSA key has 1024 bits",
  });
});
