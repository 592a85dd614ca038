import { expect, test } from "vitest";
import type { Protocol } from "../../../drivers/reader.ts";
import { AcpProtocol } from "../../../drivers/readers/rfideas-acp/protocol.ts";
import { SimpleProtocol } from "../../../drivers/readers/twn4-simple/protocol.ts";
import { RECORDED as ACP } from "./rfideas-acp/recorded.ts";
import { RECORDED as SIMPLE } from "./twn4-simple/recorded.ts";

const common = { pollMs: 100, repeatHoldMs: 0 };
const simple = { ...common, mode: "ascii", crc: false, tagTypes: [], beepVolume: 100, allowRandomUid: false } as const;

test.each<[string, Protocol, typeof SIMPLE | typeof ACP]>([
  ["twn4-simple", new SimpleProtocol(simple), SIMPLE],
  ["rfideas-acp", new AcpProtocol({ ...common, beep: true }), ACP],
])("%s: the recorded conversation, byte for byte in both directions", (_, protocol, { said, replies, reads }) => {
  let now = 1_000_000;
  protocol.open(now);
  const got = replies.map((reply, index) => {
    const { deadline } = protocol;
    now = Math.max(now, deadline ?? now);
    expect(Buffer.from(protocol.output(now) ?? []).toString("latin1")).toBe(said[index]);
    return protocol.push(Buffer.from(reply, "latin1"), now);
  });
  expect(got.slice(0, -1).flat()).toEqual([]);
  const shown = got.flat().map((read) => {
    if (read.kind !== "bits") throw new Error(read.kind);
    return `${Buffer.from(read.bytes).toString("hex")}/${read.bitLength}`;
  });
  expect(shown).toEqual(reads);
});
