import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JobTicket } from "../../../../drivers/job-ticket.ts";
import { PrinterError } from "../../../../drivers/printer.ts";
import {
  attribute,
  boolean,
  enumeration,
  integer,
  keyword,
  nameText,
  operationGroup,
  stringsOf,
  valuesOf,
} from "../../../../drivers/printers/ipp/attributes.ts";
import { decode, encode } from "../../../../drivers/printers/ipp/codec.ts";
import type { IppAttribute, IppData, IppGroup } from "../../../../drivers/printers/ipp/message.ts";
import { GROUP, TAG } from "../../../../drivers/printers/ipp/tags.ts";
import {
  checkedTicket,
  mapTicket,
  TICKET_ATTRIBUTES,
  ticketCapabilitiesOf,
  ticketRefusalOf,
} from "../../../../drivers/printers/ipp/ticket.ts";

const printerOf = (...attributes: IppAttribute[]): IppGroup => ticketCapabilitiesOf({ tag: GROUP.printer, attributes });
const size = (x: IppData, y: IppData) => {
  const dimension = (name: string, value: IppData) =>
    attribute(name, typeof value === "number" ? TAG.integer : TAG.rangeOfInteger, value);
  return [dimension("x-dimension", x), dimension("y-dimension", y)];
};

const OFFICE = printerOf(
  attribute("copies-supported", TAG.rangeOfInteger, { lower: 1, upper: 99 }),
  keyword("sides-supported", "one-sided", "two-sided-long-edge"),
  keyword("media-supported", "iso_a4_210x297mm", "na_letter_8.5x11in"),
  keyword("media-col-supported", "media-size", "media-source"),
  attribute(
    "media-size-supported",
    TAG.begCollection,
    size(21_000, 29_700),
    size({ lower: 9_000, upper: 30_500 }, { lower: 14_000, upper: 120_000 }),
  ),
  keyword("media-source-supported", "tray-1", "tray-2"),
  keyword("media-type-supported", "stationery"),
  keyword("print-color-mode-supported", "auto", "monochrome"),
  enumeration("print-quality-supported", 4, 5),
  enumeration("finishings-supported", 3, 4, 5, 20),
  enumeration("orientation-requested-supported", 3, 4),
  boolean("page-ranges-supported", true),
  keyword("print-scaling-supported", "auto", "fit"),
);

const job = (ticket: JobTicket, printer = OFFICE) => mapTicket(ticket, printer, false).job;
const unsupported = (ticket: JobTicket, printer = OFFICE) =>
  mapTicket(ticket, printer, false).unsupported.map(({ name, value }) => `${name} ${value}`);
const failure = (code: string, detail: string) => expect.objectContaining({ code, detail });
const refused = (detail: string) => failure("printer-ticket-unsupported", detail);

describe("a ticket that the printer can do", () => {
  test("becomes job attributes, each with its own tag", () => {
    const ticket: JobTicket = {
      copies: 2,
      sides: "two-sided-long-edge",
      media: "iso_a4_210x297mm",
      "print-color-mode": "monochrome",
      "print-quality": 5,
      finishings: [4, 5],
      "orientation-requested": 4,
      "page-ranges": [
        { lower: 1, upper: 3 },
        { lower: 7, upper: 7 },
      ],
      "print-scaling": "fit",
    };
    expect(mapTicket(ticket, OFFICE, false)).toEqual({
      operation: [boolean("ipp-attribute-fidelity", true)],
      job: [
        integer("copies", 2),
        keyword("sides", "two-sided-long-edge"),
        keyword("media", "iso_a4_210x297mm"),
        keyword("print-color-mode", "monochrome"),
        enumeration("print-quality", 5),
        enumeration("finishings", 4, 5),
        enumeration("orientation-requested", 4),
        attribute("page-ranges", TAG.rangeOfInteger, { lower: 1, upper: 3 }, { lower: 7, upper: 7 }),
        keyword("print-scaling", "fit"),
      ],
      unsupported: [],
    });
  });

  test("a media-col has its size by a listed size or within a range, and its source", () => {
    const sizeOf = (x: number, y: number) => ({ "media-size": { "x-dimension": x, "y-dimension": y } });
    expect(job({ "media-col": { ...sizeOf(21_000, 29_700), "media-source": "tray-2" } })).toEqual([
      attribute("media-col", TAG.begCollection, [
        attribute("media-size", TAG.begCollection, size(21_000, 29_700)),
        keyword("media-source", "tray-2"),
      ]),
    ]);
    expect(unsupported({ "media-col": sizeOf(30_500, 120_000) })).toEqual([]);
    expect(unsupported({ "media-col": sizeOf(30_501, 120_000) })).toEqual(["media-col.media-size 305.01x1200mm"]);
    // media-type is no member of this printer's media-col, whatever media-type-supported says.
    expect(unsupported({ "media-col": { "media-type": "stationery" } })).toEqual(["media-col.media-type stationery"]);
  });

  test("a medium that the printer lists as a name is sent as a name", () => {
    const printer = printerOf(nameText("media-supported", "letterhead"));
    expect(job({ media: "letterhead" }, printer)).toEqual([nameText("media", "letterhead")]);
  });

  test("no ticket asks for nothing", () => {
    expect(mapTicket(undefined, OFFICE, false)).toEqual({ operation: [], job: [], unsupported: [] });
  });
});

describe("what the printer cannot do", () => {
  test.each<[JobTicket, string]>([
    [{ copies: 100 }, "copies 100"],
    [{ sides: "two-sided-short-edge" }, "sides two-sided-short-edge"],
    [{ media: "iso_a3_297x420mm" }, "media iso_a3_297x420mm"],
    [{ "print-color-mode": "color" }, "print-color-mode color"],
    [{ "print-quality": 3 }, "print-quality draft"],
    [{ finishings: [4, 8, 2_000_000] }, "finishings saddle-stitch, finishings 2000000"],
    [{ "orientation-requested": 6 }, "orientation-requested reverse-portrait"],
    [{ "print-scaling": "fill" }, "print-scaling fill"],
    [{ "media-col": { "media-source": "tray-9" } }, "media-col.media-source tray-9"],
  ])("%j holds the job, unless it may be dropped", (ticket, detail) => {
    expect(() => checkedTicket(ticket, OFFICE, false)).toThrow(refused(detail));
    expect(() => checkedTicket({ ...ticket, unsupported: "hold" }, OFFICE, false)).toThrow(refused(detail));
    const { operation } = checkedTicket({ ...ticket, unsupported: "drop" }, OFFICE, false);
    expect(operation).toEqual([boolean("ipp-attribute-fidelity", false)]);
  });

  test("of finishings and of a media-col only what it cannot do is dropped", () => {
    expect(job({ finishings: [4, 8], unsupported: "drop" })).toEqual([enumeration("finishings", 4)]);
    const both = { "media-source": "tray-1", "media-type": "labels" };
    expect(job({ "media-col": both, unsupported: "drop" })).toEqual([
      attribute("media-col", TAG.begCollection, [keyword("media-source", "tray-1")]),
    ]);
  });

  test("copies of 1 only, and page ranges of none", () => {
    const printer = printerOf(integer("copies-supported", 1), boolean("page-ranges-supported", false));
    expect(job({ copies: 1 }, printer)).toEqual([integer("copies", 1)]);
    const pages = [
      { lower: 2, upper: 4 },
      { lower: 6, upper: 6 },
    ];
    expect(unsupported({ copies: 2, "page-ranges": pages }, printer)).toEqual(["copies 2", "page-ranges 2-4,6"]);
  });

  test("a printer that does not know the attribute does one copy on one side without finishing all the same", () => {
    const ticket: JobTicket = { copies: 1, sides: "one-sided", finishings: [3] };
    expect(checkedTicket(ticket, printerOf(), false).job).toEqual([]);
    // One that knows it, and prints on both sides only, does not.
    expect(unsupported(ticket, printerOf(keyword("sides-supported", "two-sided-long-edge")))).toEqual([
      "sides one-sided",
    ]);
    expect(unsupported({ copies: 2 }, printerOf())).toEqual(["copies 2"]);
  });
});

describe("job-password", () => {
  const encryptions = (...offered: string[]) =>
    printerOf(integer("job-password-supported", 8), keyword("job-password-encryption-supported", ...offered));
  const sent = (printer: IppGroup, secure = false, password = "1234") => {
    const { attributes } = { attributes: checkedTicket({ "job-password": password }, printer, secure).operation };
    const group = { tag: GROUP.operation, attributes };
    const octets = valuesOf(group, "job-password")[0];
    expect(octets?.tag).toBe(TAG.octetString);
    return [
      stringsOf(group, "job-password-encryption")[0],
      octets?.value instanceof Uint8Array && Buffer.from(octets.value).toString("hex"),
    ];
  };

  // Each was computed with `printf 1234 | openssl dgst -ALGORITHM`.
  test.each([
    [
      "sha2-512",
      "d404559f602eab6fd602ac7680dacbfaadd13630335e951f097af3900e9de176b6db28512f2e000b9d04fba5133e8b1c6e8df59db3a8ab9d60be4b97cc9e81db",
    ],
    [
      "sha3-512",
      "d760688da522b4dc3350e6fb68961b0934f911c7d0ff337438cabf4608789ba94ce70b6601d7e08a279ef088716c4b1913b984513fea4c557d404d0598d4f2f1",
    ],
    ["sha2-384", "504f008c8fcf8b2ed5dfcde752fc5464ab8ba064215d9c5b5fc486af3d9ab8c81b14785180d2ad7cee1ab792ad44798c"],
    ["sha3-384", "0bf2c5eed2dc859ca9707ae59a18b5097d580ce705808b80830c5cf5832405073e3fa3491ed7071a2362048edff48295"],
    ["sha2-512_256", "3bb20e367b1a988158e3dbbed06bf6415beea23f56bbb15dbf346505edc7e7df"],
    ["sha2-256", "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"],
    ["sha3-256", "1d6442ddcfd9db1ff81df77cbefcd5afcc8c7ca952ab3101ede17a84b866d3f3"],
  ])("%s", (name, digest) => {
    expect(sent(encryptions("none", "md5", "sha", name))).toEqual([name, digest]);
  });

  test("takes the strongest that is offered, in whatever order", () => {
    const all = ["none", "sha2-256", "sha3-256", "sha2-512_256", "sha3-384", "sha2-384", "sha3-512", "sha2-512"];
    expect(sent(encryptions(...all))[0]).toBe("sha2-512");
    expect(sent(encryptions("sha2-256", "sha2-384", "md5"))[0]).toBe("sha2-384");
    expect(sent(encryptions("sha2-256", "sha2-512_256"))[0]).toBe("sha2-512_256");
  });

  test("goes in clear over TLS alone, and only where there is no hash", () => {
    expect(sent(encryptions("none"), true)).toEqual(["none", Buffer.from("1234").toString("hex")]);
    expect(sent(encryptions("none", "sha2-256"), true)[0]).toBe("sha2-256");
    const clear = () => sent(encryptions("none"), false);
    expect(clear).toThrow(refused("job-password (the printer takes it unencrypted only)"));
    const weak = () => sent(encryptions("sha", "md5", "sha2-224", "sha2-512_224"), true);
    expect(weak).toThrow(refused("job-password (the printer offers no safe hash)"));
  });

  test("that the printer cannot take is never dropped, and the error tells nothing of it", () => {
    const ticket: JobTicket = { copies: 200, "job-password": "987654321", unsupported: "drop" };
    const length = "job-password (the printer takes no password of this length)";
    expect(() => checkedTicket(ticket, encryptions("sha2-256"), true)).toThrow(refused(length));
    expect(() => checkedTicket(ticket, OFFICE, true)).toThrow(refused("job-password (the printer has none)"));
    const digits = { ...encryptions("sha2-256") };
    const configured = keyword("job-password-repertoire-configured", "iana_us-ascii_digits");
    const printer = printerOf(...digits.attributes, configured);
    expect(() => sent(printer, true, "abcd")).toThrow(refused("job-password (the printer takes digits only)"));
    const range = attribute("job-password-length-supported", TAG.rangeOfInteger, { lower: 5, upper: 8 });
    expect(() => sent(printerOf(...digits.attributes, range))).toThrow(refused(length));
  });
});

describe("job-release-action", () => {
  const printer = (byDefault: string, ...offered: string[]) =>
    printerOf(
      keyword("job-release-action-default", byDefault),
      keyword("job-release-action-supported", ...offered),
      integer("job-password-supported", 8),
      keyword("job-password-encryption-supported", "sha2-256"),
    );
  const action = (ticket: JobTicket | undefined, of: IppGroup) =>
    mapTicket(ticket, of, true).operation.find(({ name }) => name === "job-release-action");

  test("is none, said only where the printer would wait", () => {
    expect(action(undefined, printer("button-press", "none", "button-press"))).toEqual(
      keyword("job-release-action", "none"),
    );
    expect(action({ copies: 1 }, printer("none", "none", "button-press"))).toBeUndefined();
    expect(action(undefined, printer("button-press", "button-press"))).toBeUndefined();
    expect(action(undefined, OFFICE)).toBeUndefined();
  });

  test("is the password where there is one", () => {
    const ticket = { "job-password": "1234" };
    expect(action(ticket, printer("button-press", "none", "job-password"))).toEqual(
      keyword("job-release-action", "job-password"),
    );
    expect(action(ticket, printer("button-press", "none", "button-press"))).toBeUndefined();
  });
});

describe("the printer's reply", () => {
  const reply = (code: number, ...groups: IppGroup[]) => ({
    ...{ version: 0x0200, requestId: 1, data: new Uint8Array() },
    code,
    groups: [operationGroup(), ...groups],
  });
  const named = (...names: string[]): IppGroup => ({
    tag: GROUP.unsupported,
    attributes: names.map((name) => attribute(name, TAG.unsupported, null)),
  });
  const ticket: JobTicket = { sides: "two-sided-long-edge", finishings: [4] };
  const of = (message: ReturnType<typeof reply>, asked: JobTicket | undefined = ticket) =>
    ticketRefusalOf(message, asked, mapTicket(asked, OFFICE, false));

  test("that it ignored a value of the ticket holds the job, unless it may be dropped", () => {
    const ignored = reply(0x0001, named("finishings", "job-name"));
    expect(of(ignored)).toEqual(refused("finishings staple"));
    expect(of(reply(0x0002, named("sides")))).toEqual(refused("sides two-sided-long-edge"));
    expect(of(ignored, { ...ticket, unsupported: "drop" })).toBeUndefined();
    expect(of(reply(0x0001))).toEqual(refused("the printer does not say what"));
  });

  test("that it ignored something else does not", () => {
    expect(of(reply(0x0000))).toBeUndefined();
    expect(of(reply(0x0001, named("requesting-user-name")))).toBeUndefined();
    expect(ticketRefusalOf(reply(0x0001), undefined, mapTicket(undefined, OFFICE, false))).toBeUndefined();
  });

  test("a refusal for the ticket's sake is told as that", () => {
    expect(of(reply(0x040b, named("sides", "finishings")))).toEqual(
      refused("sides two-sided-long-edge, finishings staple"),
    );
    expect(of(reply(0x040e), { ...ticket, unsupported: "drop" })).toEqual(refused("the printer does not say what"));
    expect(of(reply(0x0400, named("sides")))).toBeUndefined();
  });

  test("a password that it ignored holds the job whatever may be dropped, and is not in the error", () => {
    const secret: JobTicket = { "job-password": "1234", unsupported: "drop" };
    const printer = printerOf(
      integer("job-password-supported", 8),
      keyword("job-password-encryption-supported", "none"),
    );
    const mapped = mapTicket(secret, printer, true);
    const error = ticketRefusalOf(reply(0x0001, named("job-password")), secret, mapped);
    expect(error).toEqual(refused("job-password"));
  });
});

describe("any ticket at any printer", () => {
  const word = fc.constantFrom(
    "a",
    "b",
    "c",
    "media-size",
    "media-source",
    "media-type",
    "none",
    "sha2-256",
    "x".repeat(300),
  );
  const number = fc.oneof(fc.constantFrom(1, 2, 3, 4, 5), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
  const range = fc.record({ lower: number, upper: number });
  const data = (tag: number): fc.Arbitrary<IppData> => {
    switch (tag) {
      case TAG.integer:
      case TAG.enum:
        return number;
      case TAG.boolean:
        return fc.boolean();
      case TAG.rangeOfInteger:
        return range;
      case TAG.begCollection:
        return fc.tuple(number, fc.oneof(number, range)).map(([x, y]) => size(x, y));
      case TAG.octetString:
        return fc.uint8Array({ maxLength: 8 });
      case TAG.nameWithLanguage:
        return word.map((text) => ({ language: "en", text }));
      case TAG.noValue:
        return fc.constant(null);
      default:
        return word;
    }
  };
  const tags = [TAG.integer, TAG.enum, TAG.boolean, TAG.rangeOfInteger, TAG.begCollection, TAG.octetString];
  const value = fc
    .constantFrom(...tags, TAG.nameWithLanguage, TAG.noValue, TAG.keyword, TAG.name)
    .chain((tag) => data(tag).map((content) => ({ tag, value: content })));
  const capabilities = fc
    .array(
      fc.record({
        name: fc.constantFrom(...TICKET_ATTRIBUTES),
        values: fc.array(value, { minLength: 1, maxLength: 4 }),
      }),
      {
        maxLength: 19,
      },
    )
    .map((attributes) => printerOf(...attributes));
  const positive = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 2 ** 31 - 1 }));
  const short = fc.constantFrom("a", "b", "c");
  const ticket: fc.Arbitrary<JobTicket> = fc.record(
    {
      copies: positive,
      sides: short,
      media: short,
      "media-col": fc.record(
        {
          "media-size": fc.record({ "x-dimension": positive, "y-dimension": positive }),
          "media-source": short,
          "media-type": short,
        },
        { requiredKeys: [] },
      ),
      "print-color-mode": short,
      "print-quality": positive,
      finishings: fc.array(positive, { maxLength: 4 }),
      "orientation-requested": positive,
      "page-ranges": fc.array(fc.record({ lower: positive, upper: positive }), { maxLength: 3 }),
      "print-scaling": short,
      "job-password": fc.string({ maxLength: 300 }),
      unsupported: fc.constantFrom("hold", "drop"),
    },
    { requiredKeys: [] },
  );

  test("sends only what the printer listed, drops only by permission, encodes, never throws anything else", () => {
    fc.assert(
      fc.property(ticket, capabilities, fc.boolean(), (asked, printer, secure) => {
        const mapped = mapTicket(asked, printer, secure);
        for (const { name, values } of mapped.job) {
          const listed = valuesOf(printer, `${name}-supported`);
          expect(listed).not.toEqual([]);
          if (name === "media-col" || name === "page-ranges") continue;
          for (const sent of values) expect(isListed(listed, sent.value)).toBe(true);
        }
        const message = {
          ...{ version: 0x0200, code: 5, requestId: 1, data: new Uint8Array() },
          groups: [operationGroup(...mapped.operation), { tag: GROUP.job, attributes: mapped.job }],
        };
        expect(decode(encode(message)).groups).toEqual(message.groups);
        const password = mapped.unsupported.some(({ name }) => name === "job-password");
        const kept = asked.unsupported === "drop" ? password : mapped.unsupported.length > 0;
        let code: string | undefined;
        try {
          checkedTicket(asked, printer, secure);
        } catch (error) {
          if (!(error instanceof PrinterError)) throw error;
          code = error.code;
          expect(error.detail.length).toBeLessThanOrEqual(255);
        }
        expect(code).toBe(kept ? "printer-ticket-unsupported" : undefined);
        // Asked, and neither sent nor told as unsupported: only what the printer does anyway.
        const told = new Set(mapped.unsupported.map(({ name }) => name.replace(/\..*/, "")));
        for (const [name, wanted] of Object.entries(asked)) {
          if (name === "unsupported" || name === "job-password") continue;
          const isEmpty = Object.keys(wanted as object).length === 0 && typeof wanted === "object";
          const isSent = mapped.job.some((one) => one.name === name);
          const isNothing = (name === "copies" && wanted === 1) || (name === "finishings" && String(wanted) === "3");
          expect(isSent || told.has(name) || isEmpty || isNothing || mixesNone(wanted)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  const mixesNone = (wanted: unknown) => Array.isArray(wanted) && wanted.every((one) => one === 3);
  const isListed = (listed: readonly { value: IppData }[], wanted: IppData) =>
    listed.some(({ value: one }) => {
      if (one === wanted) return true;
      if (typeof one !== "object" || one === null) return false;
      if ("text" in one) return one.text === wanted;
      return "lower" in one && typeof wanted === "number" && one.lower <= wanted && wanted <= one.upper;
    });
});
