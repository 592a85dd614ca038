import fc from "fast-check";
import ipp from "ipp";
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
import type { IppAttribute, IppData } from "../../../../drivers/printers/ipp/message.ts";
import { GROUP, OPERATION, TAG } from "../../../../drivers/printers/ipp/tags.ts";
import { recordedReply } from "./messages.ts";

// npm `ipp` 2.0.1 is right for common attributes of these types; where it is wrong our own tests stand alone.
const SAME_IN_BOTH = new Set<number>([
  TAG.integer,
  TAG.boolean,
  TAG.rangeOfInteger,
  TAG.text,
  TAG.name,
  TAG.keyword,
  TAG.uri,
  TAG.charset,
  TAG.naturalLanguage,
  TAG.mimeMediaType,
  TAG.begCollection,
]);

/** Our value in the other's shape: a range is a pair, a collection an object, one value stands alone. */
function shaped(values: readonly { tag: number; value: IppData }[]): unknown {
  const all = values.map(({ value }) => {
    if (Array.isArray(value)) return members(value);
    if (typeof value === "object" && value !== null && "lower" in value) return [value.lower, value.upper];
    return value;
  });
  return all.length === 1 ? all[0] : all;
}

function members(attributes: readonly IppAttribute[]): unknown {
  return Object.fromEntries(attributes.map(({ name, values }) => [name, shaped(values)]));
}

const comparable = ({ values }: IppAttribute): boolean =>
  values.every(
    ({ tag, value }) => SAME_IN_BOTH.has(tag) && (!Array.isArray(value) || (value as IppAttribute[]).every(comparable)),
  );

describe("against npm ipp, for what it gets right", () => {
  test("a real reply reads the same in both", () => {
    const bytes = recordedReply();
    const theirs = ipp.parse(bytes)["printer-attributes-tag"] as Record<string, unknown>;
    const printer = decode(bytes).groups.find((group) => group.tag === GROUP.printer);
    const ours = (printer?.attributes ?? []).filter(comparable);
    expect(ours.length).toBeGreaterThan(60);
    for (const { name, values } of ours) expect([name, theirs[name]]).toEqual([name, shaped(values)]);
  });

  const ascii = (limit: number) => fc.stringMatching(new RegExp(`^[a-z0-9./-]{1,${limit}}$`));

  test("requests are the same octets in both", () => {
    const request = fc.record({
      id: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      user: fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((user) => user.isWellFormed()),
      path: ascii(30),
      jobId: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      format: fc.constantFrom("application/pdf", "application/octet-stream"),
      last: fc.boolean(),
      copies: fc.integer({ min: 1, max: 999 }),
      width: fc.integer({ min: 1, max: 100_000 }),
    });
    fc.assert(
      fc.property(request, ({ id, user, path, jobId, format, last, copies, width }) => {
        const printer = `ipp://localhost/${path}`;
        const theirs = ipp.serialize({
          version: "2.0",
          operation: "Send-Document",
          id,
          "operation-attributes-tag": {
            "attributes-charset": "utf-8",
            "attributes-natural-language": "en",
            "printer-uri": printer,
            "job-id": jobId,
            "requesting-user-name": user,
            "document-format": format,
            "last-document": last,
            "requested-attributes": ["job-id", "job-state"],
          },
          "job-attributes-tag": { copies, "media-col": { "media-size": { "x-dimension": width } } },
        });
        const ours = encode({
          version: 0x0200,
          code: OPERATION.sendDocument,
          requestId: id,
          groups: [
            operationGroup(
              uri("printer-uri", printer),
              integer("job-id", jobId),
              nameText("requesting-user-name", user),
              mediaType("document-format", format),
              boolean("last-document", last),
              keyword("requested-attributes", "job-id", "job-state"),
            ),
            {
              tag: GROUP.job,
              attributes: [
                integer("copies", copies),
                attribute("media-col", TAG.begCollection, [
                  attribute("media-size", TAG.begCollection, [integer("x-dimension", width)]),
                ]),
              ],
            },
          ],
          data: new Uint8Array(0),
        });
        expect(Buffer.from(ours).toString("hex")).toBe(theirs.toString("hex"));
      }),
      { numRuns: 100 },
    );
  });
});
