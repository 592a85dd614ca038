import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Answer, parseAnswer } from "../../../../drivers/readers/rfideas-acp/answer.ts";
import { AnswerLines } from "../../../../drivers/readers/rfideas-acp/lines.ts";

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

test.each([
  // The two examples of the manuals, and what a public emulator says of an empty queue.
  ["{0x1000,2,0x0000,80;0x000000801DD1910B2F04}", 196_608, 2, 0, 80, "000000801DD1910B2F04"],
  ["{0x00BB,1,0x0000,80;0x000000801CD1931B2F14}", 8976, 1, 0, 80, "000000801CD1931B2F14"],
  ["{0x0000,0,0x00,0;0x00}", 0, 0, 0, undefined, ""],
  // H10301, facility code 118, card number 1603: with its parity bits, and without.
  ["{0x0000,0,0x0018,26;0x02EC0C86}", 0, 0, 1152, 26, "BB032180"],
  ["{0x0001,0,0x0018,26;0x0000000002ec0c86}", 48, 0, 1152, 26, "BB032180"],
  ["{0x0000,0,0x0000,24;0x760643}", 0, 0, 0, 24, "760643"],
  ["{0x0000,0,0x0000,37;0x1007600C86}", 0, 0, 0, 37, "803B006430"],
  ["{0x0000,0,0x0000,1;0x1}", 0, 0, 0, 1, "80"],
  ["{0x0000,0,0x0000,26;0x0}", 0, 0, 0, 26, "00000000"],
  // Emptied: the count is 0, whatever the digits.
  ["{0x0005,0,0x0003,0;0x000000801DD1910B2F04}", 240, 0, 144, undefined, ""],
] as const)("%s", (line, ageMs, overrun, lockoutMs, bitLength, id) => {
  const card = bitLength === undefined ? undefined : { bitLength, bytes: bytes(id) };
  expect(parseAnswer(line)).toEqual({ kind: "queued", ageMs, overrun, lockoutMs, card });
});

test.each<[string, Answer]>([
  ["", { kind: "nothing" }],
  ["OK", { kind: "nothing" }],
  ["{OK}", { kind: "nothing" }],
  ["RF IDeas>", { kind: "nothing" }],
  ["RF IDeas>RF IDeas>", { kind: "nothing" }],
  ["RF IDeas>rfid:qid.id", { kind: "echo" }],
  ["rfid:cmd.echo=0", { kind: "echo" }],
  ["rfid:dev.luid=1", { kind: "echo" }],
  ["Error#1", { kind: "error", number: 1 }],
  ['RF IDeas>Error#1 Try "rfid:help"', { kind: "error", number: 1 }],
  ["rfid:out.led=9Error#4", { kind: "error", number: 4 }],
  ["{0x0000,0,0x0000,24;0x1760643}", { kind: "malformed" }],
  ["{0x0000,0,0x0000,999;0x00}", { kind: "malformed" }],
  ["{0x0000,0,0x0000;0x00}", { kind: "malformed" }],
  ["{-1,0,0x0000,26;0x00}", { kind: "malformed" }],
  ["1603", { kind: "unexpected" }],
  ["{3}", { kind: "unexpected" }],
  ["x{0x0000,0,0x0000,24;0x760643}", { kind: "unexpected" }],
])("%j", (line, answer) => expect(parseAnswer(line)).toEqual(answer));

test.each(["RF IDeas>", "RF Ideas>", "rfid:qid.id", "RF IDeas>rfid:qid.id"])("%j glued before an answer", (before) => {
  expect(parseAnswer(`${before}{0x0000,0,0x0000,24;0x760643}`)).toMatchObject({ card: { bytes: bytes("760643") } });
});

describe("lines", () => {
  const split = (text: string) => {
    const lines = new AnswerLines();
    return { found: [...Buffer.from(text, "latin1")].flatMap((byte) => lines.next(byte) ?? []), lines };
  };

  test("end at CR, LF or both; empty ones and NUL are nothing", () => {
    expect(split("\r\na\rb\n\0c\r\n\n").found).toEqual([{ line: "a" }, { line: "b" }, { line: "c" }]);
  });

  test("with a byte that is no character, or without end, are dropped whole", () => {
    const { found } = split(`{0x00\xff}\r${"7".repeat(100_000)}\r\x1b[A\rok\r`);
    expect(found).toEqual([{ flaw: "garbled" }, { flaw: "oversize" }, { flaw: "garbled" }, { line: "ok" }]);
  });

  test("a NUL in the middle is a digit that is missing, and the rest would be another number", () => {
    const { found } = split("\0{0x0001,0,0x0000,32;0x04A2B3C4}\0\r{0x0001,0,0x0000,32;0x04A2\x003C4}\rok\r");
    expect(found).toEqual([{ line: "{0x0001,0,0x0000,32;0x04A2B3C4}" }, { flaw: "garbled" }, { line: "ok" }]);
  });

  test("a prompt waits for nothing", () => {
    expect(split("RF IDeas>").lines.inLine).toBe(false);
    expect(split("{0x").lines.inLine).toBe(true);
  });
});

test("any card comes back, left-aligned, whatever leading zeros", () => {
  const card = fc.integer({ min: 1, max: 255 }).chain((bits) =>
    fc.record({
      bits: fc.constant(bits),
      number: fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }),
      zeros: fc.nat(3),
    }),
  );
  fc.assert(
    fc.property(card, ({ bits, number, zeros }) => {
      const digits = number.toString(16);
      const id = digits.padStart(Math.min(64, digits.length + zeros), "0");
      const answer = parseAnswer(`{0x0000,0,0x0000,${bits};0x${id}}`);
      if (answer.kind !== "queued" || answer.card === undefined) throw new Error(answer.kind);
      const binary = [...answer.card.bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
      expect(BigInt(`0b${binary.slice(0, bits)}`)).toBe(number);
      expect(binary.slice(bits)).toMatch(/^0{0,7}$/);
    }),
  );
});

test("any line: no throw", () => {
  const line = fc.stringMatching(/^(RF IDeas>)?[{}0-9xA-F,;#rfid:.=Eo ]{0,100}$/);
  fc.assert(fc.property(line, (text) => void parseAnswer(text)));
});
