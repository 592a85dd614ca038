import { createPublicKey, type KeyObject, sign } from "node:crypto";

/**
 * A PKCS #10 certificate request (RFC 2986) in DER, signed with the P-256 key that it is for. Written out here, because the library that
 * makes certificates at the central server takes 20 MiB, and a running agent renews its certificate without them.
 * Its subject is the same for every agent: the name is the server's to give.
 */
export function certificateRequest(key: KeyObject): Buffer {
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const information = sequence(VERSION_1, SUBJECT, spki, NO_ATTRIBUTES);
  return sequence(information, ECDSA_WITH_SHA256, bitString(sign("sha256", information, key)));
}

const [INTEGER, BIT_STRING, OBJECT_IDENTIFIER, UTF8_STRING, SEQUENCE, SET, CONTEXT_0] = [
  0x02, 0x03, 0x06, 0x0c, 0x30, 0x31, 0xa0,
] as const;

function tagged(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  // X.690 8.1.3: the length in one octet, or in as many as the first one says.
  const octets = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...octets]), content]);
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(SEQUENCE, Buffer.concat(parts));
}

/** Whole octets only: the first one counts the unused bits. */
function bitString(bytes: Uint8Array): Buffer {
  return tagged(BIT_STRING, Buffer.concat([Buffer.from([0]), bytes]));
}

const oid = (hex: string): Buffer => tagged(OBJECT_IDENTIFIER, Buffer.from(hex, "hex"));

const VERSION_1 = tagged(INTEGER, Buffer.from([0]));
/** 2.5.4.3, commonName */
const COMMON_NAME = oid("550403");
const SUBJECT = sequence(tagged(SET, sequence(COMMON_NAME, tagged(UTF8_STRING, Buffer.from("Printgate agent")))));
const NO_ATTRIBUTES = tagged(CONTEXT_0, Buffer.alloc(0));
/** 1.2.840.10045.4.3.2 (RFC 5758 3.2), without parameters */
const ECDSA_WITH_SHA256 = sequence(oid("2a8648ce3d040302"));
