import fc from "fast-check";
import { expect, test } from "vitest";
import { binaryShape, FrameCapture, textShape } from "../../../drivers/readers/capture.ts";

test("a shape shows framing and kinds of characters", () => {
  expect(textShape(Buffer.from("\x02100086F44426\r\n\x03"))).toBe("STX hhhhhhhhhhhh CR LF ETX");
  expect(textShape(Buffer.from(";FC682D7A?\0\x1f\xff", "latin1"))).toBe("p hhhhhhhh p NUL x x");
  expect(binaryShape(Buffer.from("53010800"))).toBe("xxxxxxxx");
});

test("two reads of one form have one shape: no number can be told from it", () => {
  const some = (form: string) => (length: number) => fc.stringMatching(new RegExp(`^${form}{${length}}$`));
  const forms = [some("[0-9]"), (length: number) => some("[0-9A-F]")(length).map((hex) => `${hex}A`)];
  fc.assert(
    fc.property(
      fc
        .tuple(fc.constantFrom(...forms), fc.integer({ min: 1, max: 40 }))
        .chain(([form, length]) => fc.tuple(form(length), form(length))),
      ([one, other]) => textShape(Buffer.from(one)) === textShape(Buffer.from(other)),
    ),
  );
});

test("any bytes: bounded, and nothing but the shape's own words", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
      expect(textShape(bytes)).toMatch(/^((NUL|STX|ETX|TAB|LF|CR|[dhapx]+|\.\.\.)( |$))*$/);
      expect(textShape(bytes).length).toBeLessThan(500);
      expect(binaryShape(bytes).length).toBeLessThan(100);
    }),
  );
});

test("captures for as long as asked, the newest frames only, and begins anew each time", () => {
  const capture = new FrameCapture(textShape);
  capture.take("in", Buffer.from("1"), 0);
  expect(capture.frames).toEqual([]);
  capture.start(0, 1000);
  for (let at = 0; at < 100; at += 1) capture.take("in", Buffer.from("12"), at);
  expect(capture.frames).toHaveLength(64);
  expect(capture.frames.at(-1)).toEqual({ number: 100, at: 99, direction: "in", length: 2, shape: "dd" });
  capture.take("out", Buffer.from("3"), 1000);
  expect(capture.frames.at(-1)?.at).toBe(99);
  capture.start(2000, 1000);
  expect(capture.frames).toEqual([]);
});
