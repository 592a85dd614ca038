import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  attribute,
  boolean,
  integer,
  keyword,
  mediaType,
  nameText,
  operationGroup,
  uri,
} from "../../../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import type { IppAttribute, IppGroup, IppMessage } from "../../../../drivers/printers/ipp/message.ts";
import { IppCodecError } from "../../../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION, TAG } from "../../../../drivers/printers/ipp/tags.ts";
import { anyMessage, recordedReply } from "./messages.ts";

const NOTHING = new Uint8Array(0);
const PRINTER = uri("printer-uri", "ipp://10.0.0.5/ipp/print");

function request(code: number, ...groups: IppGroup[]): IppMessage {
  return { version: 0x0200, code, requestId: 1, groups, data: NOTHING };
}

/** What an error is of: its code and where. */
function failure(bytes: Uint8Array): { code: string; offset: number } {
  try {
    decode(bytes);
  } catch (error) {
    if (error instanceof IppCodecError) return { code: error.code, offset: error.offset };
    throw error;
  }
  throw new Error("decoded");
}

const HEADER = "0200000000000001";
const hex = (text: string) => Buffer.from(text.replace(/\s/g, ""), "hex");

describe("vectors: the octets on the wire are exactly these", () => {
  const vectors: [string, IppMessage, string][] = [
    [
      "Get-Printer-Attributes",
      request(
        OPERATION.getPrinterAttributes,
        operationGroup(
          PRINTER,
          keyword("requested-attributes", "printer-state", "printer-state-reasons", "printer-is-accepting-jobs"),
        ),
      ),
      "0200000b0000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e45000b7072696e7465722d75726900186970703a2f2f31302e302e302e352f6970702f7072696e744400147265717565737465642d61747472696275746573000d7072696e7465722d737461746544000000157072696e7465722d73746174652d726561736f6e7344000000197072696e7465722d69732d616363657074696e672d6a6f627303",
    ],
    [
      "Create-Job with nested collections",
      request(
        OPERATION.createJob,
        operationGroup(PRINTER, nameText("requesting-user-name", "alice"), nameText("job-name", "rel-1")),
        {
          tag: GROUP.job,
          attributes: [
            integer("copies", 2),
            keyword("sides", "two-sided-long-edge"),
            attribute("media-col", TAG.begCollection, [
              attribute("media-size", TAG.begCollection, [
                integer("x-dimension", 21000),
                integer("y-dimension", 29700),
              ]),
              keyword("media-source", "main"),
            ]),
          ],
        },
      ),
      "020000050000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e45000b7072696e7465722d75726900186970703a2f2f31302e302e302e352f6970702f7072696e7442001472657175657374696e672d757365722d6e616d650005616c6963654200086a6f622d6e616d65000572656c2d3102210006636f706965730004000000024400057369646573001374776f2d73696465642d6c6f6e672d656467653400096d656469612d636f6c00004a0000000a6d656469612d73697a6534000000004a0000000b782d64696d656e73696f6e2100000004000052084a0000000b792d64696d656e73696f6e21000000040000740437000000004a0000000c6d656469612d736f7572636544000000046d61696e370000000003",
    ],
    [
      "Send-Document",
      request(
        OPERATION.sendDocument,
        operationGroup(
          PRINTER,
          integer("job-id", 42),
          nameText("requesting-user-name", "alice"),
          mediaType("document-format", "application/pdf"),
          boolean("last-document", true),
        ),
      ),
      "020000060000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e45000b7072696e7465722d75726900186970703a2f2f31302e302e302e352f6970702f7072696e742100066a6f622d696400040000002a42001472657175657374696e672d757365722d6e616d650005616c69636549000f646f63756d656e742d666f726d6174000f6170706c69636174696f6e2f70646622000d6c6173742d646f63756d656e7400010103",
    ],
    [
      "a busy reply",
      request(0x0507, operationGroup(attribute("status-message", TAG.text, "busy"))),
      "020005070000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e41000e7374617475732d6d65737361676500046275737903",
    ],
    [
      "Fetch-Job, an operation that only other software knows",
      request(
        0x0043,
        operationGroup(
          uri("printer-uri", "ipps://infra.example/ipp/print/q"),
          integer("job-id", 7),
          uri("output-device-uuid", "urn:uuid:01234567-89ab-cdef-0123-456789abcdef"),
        ),
      ),
      "020000430000000101470012617474726962757465732d6368617273657400057574662d3848001b617474726962757465732d6e61747572616c2d6c616e67756167650002656e45000b7072696e7465722d7572690020697070733a2f2f696e6672612e6578616d706c652f6970702f7072696e742f712100066a6f622d69640004000000074500126f75747075742d6465766963652d75756964002d75726e3a757569643a30313233343536372d383961622d636465662d303132332d34353637383961626364656603",
    ],
  ];

  test.each(vectors)("%s", (_name, message, wire) => {
    expect(Buffer.from(encode(message)).toString("hex")).toBe(wire);
    expect(decode(hex(wire))).toEqual({ ...message, data: Buffer.alloc(0) });
  });

  test("a real reply of ippeveprinter decodes whole and encodes to the same octets", () => {
    const bytes = recordedReply();
    const reply = decode(bytes);
    expect(reply).toMatchObject({ version: 0x0200, code: 0, requestId: 1 });
    expect(reply.groups.map((group) => [group.tag, group.attributes.length])).toEqual([
      [GROUP.operation, 2],
      [GROUP.printer, 103],
    ]);
    expect(Buffer.from(encode(reply)).equals(bytes)).toBe(true);
  });
});

describe("what the decoder refuses, with the place", () => {
  test("the 12 octets on which another parser loops for ever", () => {
    expect(failure(hex("02000000000000010121fff7"))).toEqual({ code: "ipp-truncated", offset: 12 });
  });

  test("every truncation of a real reply", () => {
    const bytes = recordedReply();
    for (let length = 0; length < bytes.length; length++) {
      expect(failure(bytes.subarray(0, length)).code).toBe("ipp-truncated");
    }
  });

  test.each([
    ["group tag 0", "00 03", "ipp-bad-tag", 8],
    ["an attribute before any group", "21 0001 61 0004 00000001 03", "ipp-bad-tag", 8],
    ["a further value as the first thing of a group", "01 21 0000 0004 00000001 03", "ipp-bad-tag", 9],
    [
      "a further value that would belong to the group before",
      "01 21 0001 61 0004 00000001 02 21 0000 0004 00000001 03",
      "ipp-bad-tag",
      20,
    ],
    ["a collection that is not closed", "01 34 0001 61 0000 03", "ipp-bad-tag", 15],
    [
      "a collection that the next group cuts",
      "01 34 0001 61 0000 4a 0000 0001 62 21 0000 0004 00000001 02 03",
      "ipp-bad-tag",
      30,
    ],
    ["a member value before its name", "01 34 0001 61 0000 21 0000 0004 00000001 37 0000 0000 03", "ipp-bad-tag", 15],
    ["a member without a value", "01 34 0001 61 0000 4a 0000 0001 62 37 0000 0000 03", "ipp-bad-tag", 21],
    ["a member with an empty name", "01 34 0001 61 0000 4a 0000 0000 21 0000 0004 00000001", "ipp-bad-length", 15],
    ["a name inside of a collection", "01 34 0001 61 0000 4a 0001 62 0001 62", "ipp-bad-length", 15],
    ["the end of a collection outside of one", "01 37 0001 61 0000 03", "ipp-bad-tag", 13],
    ["a member name outside of a collection", "01 4a 0001 61 0001 62 03", "ipp-bad-tag", 13],
    ["a collection with octets of its own", "01 34 0001 61 0001 00 37 0000 0000 03", "ipp-bad-length", 13],
    ["an integer of 2 octets", "01 21 0001 61 0002 0001 03", "ipp-bad-length", 13],
    ["an enum of 5", "01 23 0001 61 0005 0000000001 03", "ipp-bad-length", 13],
    ["a boolean of 4", "01 22 0001 61 0004 00000001 03", "ipp-bad-length", 13],
    ["a boolean that is neither", "01 22 0001 61 0001 02 03", "ipp-bad-value", 13],
    ["a range of 4", "01 33 0001 61 0004 00000001 03", "ipp-bad-length", 13],
    ["a resolution of 8", "01 32 0001 61 0008 0000000100000001 03", "ipp-bad-length", 13],
    ["a dateTime of 4", "01 31 0001 61 0004 00000001 03", "ipp-bad-length", 13],
    ["an out-of-band value with a value", "01 13 0001 61 0001 00 03", "ipp-bad-length", 13],
    ["a language that is longer than the value", "01 35 0001 61 0006 ffff 656e 0000 03", "ipp-bad-length", 13],
    ["text with language of 1 octet", "01 36 0001 61 0001 00 03", "ipp-bad-length", 13],
    ["a value that ends after the message", "01 44 0001 61 7fff 61 03", "ipp-truncated", 15],
  ])("%s", (_name, body, code, offset) => {
    expect(failure(hex(HEADER + body))).toEqual({ code, offset });
  });

  test("collections 17 deep, and not 16", () => {
    const nested = (depth: number) =>
      hex(
        `${HEADER}01 34 0001 61 0000 ${"4a0000000162 3400000000".repeat(depth - 1)} ${"3700000000".repeat(depth)} 03`,
      );
    expect(decode(nested(16)).groups).toHaveLength(1);
    expect(failure(nested(17)).code).toBe("ipp-too-large");
    expect(failure(nested(60_000)).code).toBe("ipp-too-large");
  });

  test("20001 attributes, and not 20000", () => {
    const many = (count: number) => hex(`${HEADER}01 ${"1300016100 00".repeat(count)} 03`);
    expect(decode(many(20_000)).groups[0]?.attributes).toHaveLength(20_000);
    expect(failure(many(20_001)).code).toBe("ipp-too-large");
  });

  test("more than 1 MiB of attributes, though a document may be as long as it likes", () => {
    const value = `300000 7fff ${"00".repeat(0x7fff)}`;
    const start = `${HEADER}01 30 0001 61 0000`;
    expect(failure(hex(`${start} ${value.repeat(33)} 03`)).code).toBe("ipp-too-large");
    expect(decode(Buffer.concat([hex(`${start} 03`), Buffer.alloc(2 ** 21)])).data).toHaveLength(2 ** 21);
  });
});

describe("what the decoder keeps as it is", () => {
  const first = (body: string) => decode(hex(`${HEADER}01 ${body} 03`)).groups[0]?.attributes[0];

  test("tags that nobody knows, with their octets", () => {
    expect(first("60 0001 61 0004 ff00fe80")).toEqual({
      name: "a",
      values: [{ tag: 0x60, value: Uint8Array.of(0xff, 0, 0xfe, 0x80) }],
    });
    expect(first("7f 0001 61 0005 4000000001")?.values[0]?.value).toEqual(Uint8Array.of(0x40, 0, 0, 0, 1));
  });

  test("groups that nobody knows", () => {
    expect(decode(hex(`${HEADER} 06 0f 03`)).groups.map((group) => group.tag)).toEqual([6, 15]);
  });

  test("a text that is Latin-1 although it claims UTF-8", () => {
    expect(first("41 0001 61 0003 4dfc6c")?.values[0]?.value).toEqual(Uint8Array.of(0x4d, 0xfc, 0x6c));
  });

  test("an attribute named __proto__", () => {
    expect(first("44 0009 5f5f70726f746f5f5f 0001 61")).toEqual(keyword("__proto__", "a"));
  });

  test("the document that follows", () => {
    expect([...decode(hex(`${HEADER}0103ff00`)).data]).toEqual([0xff, 0]);
  });
});

describe("what the encoder refuses", () => {
  const operation = (...attributes: IppAttribute[]) => request(1, { tag: GROUP.operation, attributes });

  test.each<[string, IppMessage]>([
    ["an integer beyond 32 bits", operation(integer("a", 2 ** 31))],
    ["a fraction", operation(integer("a", 0.5))],
    ["a number for a text", operation(attribute("a", TAG.text, 1))],
    ["a text beyond 1023 octets", operation(attribute("a", TAG.text, "ü".repeat(512)))],
    ["a name beyond 255 octets", operation(nameText("a", "x".repeat(256)))],
    ["a keyword beyond 255 octets", operation(keyword("a", "x".repeat(256)))],
    ["a lone surrogate", operation(nameText("a", "\ud800"))],
    ["octets beyond 1023", operation(attribute("a", TAG.octetString, new Uint8Array(1024)))],
    ["an unknown value beyond 32767 octets", operation(attribute("a", 0x60, new Uint8Array(32_768)))],
    ["an attribute without a value", operation({ name: "a", values: [] })],
    ["an empty name", operation(integer("", 1))],
    ["a name with a blank", operation(integer("a b", 1))],
    ["an out-of-band tag with a value", operation(attribute("a", TAG.noValue, 1))],
    ["a delimiter as value tag", operation(attribute("a", 0x03, 1))],
    ["the end of a collection as value", operation(attribute("a", TAG.endCollection, null))],
    ["a range for a resolution", operation(attribute("a", TAG.resolution, { lower: 1, upper: 2 }))],
    ["the end tag as group", request(1, { tag: GROUP.end, attributes: [] })],
    ["group tag 0x10", request(1, { tag: 0x10, attributes: [] })],
    ["a request id beyond 32 bits", { ...operation(), requestId: 2 ** 32 }],
    ["an operation beyond 16 bits", { ...operation(), code: 0x1_0000 }],
  ])("%s", (_name, message) => {
    expect(() => encode(message)).toThrow(IppCodecError);
  });
});

describe("properties", () => {
  test("what was encoded decodes to the same message", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const decoded = decode(encode(message));
        expect({ ...decoded, data: new Uint8Array(decoded.data) }).toEqual(message);
      }),
      { numRuns: 300 },
    );
  });

  test("every truncation of a message without data is refused as truncated", () => {
    fc.assert(
      fc.property(anyMessage, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (message, part) => {
        const bytes = encode({ ...message, data: NOTHING });
        expect(failure(bytes.subarray(0, Math.floor(part * bytes.length))).code).toBe("ipp-truncated");
      }),
      { numRuns: 300 },
    );
  });

  /** Either a message or the coded error; a loop would end this test by its deadline. */
  const survives = (bytes: Uint8Array) => {
    try {
      decode(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(IppCodecError);
    }
  };

  test("garbage gives a message or a coded error, nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        survives(garbage);
        survives(Buffer.concat([hex(`${HEADER}01`), garbage]));
      }),
      { numRuns: 1000 },
    );
  });

  test("so does any mutation of a real reply", () => {
    const reply = recordedReply();
    const mutation = fc.array(fc.tuple(fc.nat(reply.length - 1), fc.nat(4), fc.uint8Array({ maxLength: 4 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(mutation, (edits) => {
        let bytes: Buffer = Buffer.from(reply);
        for (const [at, cut, insert] of edits) {
          bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + cut)]);
        }
        survives(bytes);
      }),
      { numRuns: 500 },
    );
  });
});
