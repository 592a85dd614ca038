import { readFileSync } from "node:fs";
import fc from "fast-check";
import type {
  IppAttribute,
  IppData,
  IppGroup,
  IppMessage,
  IppValue,
} from "../../../../drivers/printers/ipp/message.ts";
import { TAG } from "../../../../drivers/printers/ipp/tags.ts";

/** A whole Get-Printer-Attributes reply of ippeveprinter 2.4.2. */
export function recordedReply(): Buffer {
  const text = readFileSync(new URL("fixtures/get-printer-attributes.hex", import.meta.url), "latin1");
  return Buffer.from(text.replaceAll("\n", ""), "hex");
}

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const bytesUpTo = (maxLength: number) => fc.uint8Array({ maxLength });
const textUpTo = (maxLength: number) =>
  fc.string({ unit: "grapheme", maxLength }).filter((text) => text.isWellFormed());
const octets = (text: string) => Buffer.byteLength(text);

const tagged = (tag: number, data: fc.Arbitrary<IppData>): fc.Arbitrary<IppValue> =>
  data.map((value) => ({ tag, value }));

const text = (tag: number, limit: number) =>
  tagged(
    tag,
    textUpTo(20).filter((value) => octets(value) <= limit),
  );
const localized = fc.record({
  language: fc.constantFrom("en", "de-ch", ""),
  text: textUpTo(20).filter((t) => octets(t) < 255),
});

const simple: fc.Arbitrary<IppValue> = fc.oneof(
  tagged(TAG.noValue, fc.constant(null)),
  tagged(0x1f, fc.constant(null)),
  tagged(TAG.integer, int32),
  tagged(TAG.enum, int32),
  tagged(TAG.boolean, fc.boolean()),
  tagged(TAG.octetString, bytesUpTo(40)),
  tagged(TAG.dateTime, fc.uint8Array({ minLength: 11, maxLength: 11 })),
  tagged(TAG.resolution, fc.record({ cross: int32, feed: int32, units: fc.integer({ min: -128, max: 127 }) })),
  tagged(TAG.rangeOfInteger, fc.record({ lower: int32, upper: int32 })),
  tagged(TAG.textWithLanguage, localized),
  tagged(TAG.nameWithLanguage, localized),
  text(TAG.text, 1023),
  text(TAG.name, 255),
  text(TAG.keyword, 255),
  text(TAG.uri, 1023),
  text(TAG.charset, 63),
  text(TAG.mimeMediaType, 255),
  // Latin-1 under the name of UTF-8.
  tagged(TAG.text, fc.constant(Uint8Array.of(0x4d, 0xfc, 0x6c))),
  ...[0x20, 0x2f, 0x38, 0x40, 0x60, 0x7f, 0xff].map((tag) => tagged(tag, bytesUpTo(40))),
);

const name = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "media-col"),
  fc.stringMatching(/^[\x21-\x7e]{1,30}$/),
);

const { attribute } = fc.letrec<{ value: IppValue; attribute: IppAttribute }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    simple,
    tagged(TAG.begCollection, fc.array(tie("attribute"), { maxLength: 3 })),
  ),
  attribute: fc.record({ name, values: fc.array(tie("value"), { minLength: 1, maxLength: 3 }) }),
}));

const group: fc.Arbitrary<IppGroup> = fc.record({
  tag: fc.integer({ min: 1, max: 15 }).filter((tag) => tag !== 3),
  attributes: fc.array(attribute, { maxLength: 4 }),
});

export const anyMessage: fc.Arbitrary<IppMessage> = fc.record({
  version: fc.integer({ min: 0, max: 0xffff }),
  code: fc.integer({ min: 0, max: 0xffff }),
  requestId: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  groups: fc.array(group, { maxLength: 4 }),
  data: bytesUpTo(64),
});
