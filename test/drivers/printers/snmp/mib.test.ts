import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeErrorState, decodePoll, ERROR_BITS } from "../../../../drivers/printers/snmp/mib.ts";

describe("hrPrinterDetectedErrorState", () => {
  test.each([
    ["", []],
    ["00", []],
    ["40", ["noPaper"]],
    ["0400", ["jammed"]],
    ["8004", ["lowPaper", "inputTrayEmpty"]],
    ["0002", ["overduePreventMaint"]],
    ["0001", []],
    ["04000000ff", ["jammed"]],
  ])("octets %j", (hex, bits) => {
    expect(decodeErrorState(Buffer.from(hex, "hex"))).toEqual(bits);
  });

  test("an INTEGER is taken as the octets that it stands for", () => {
    expect(decodeErrorState(0)).toEqual([]);
    expect(decodeErrorState(4)).toEqual(["jammed"]);
    expect(decodeErrorState(0x8004)).toEqual(["lowPaper", "inputTrayEmpty"]);
    for (const odd of [-1, 0x10000, 1.5, Number.NaN]) expect(decodeErrorState(odd)).toBeUndefined();
  });

  test("hexadecimal text is read as such once it is longer than two octets, other text is refused", () => {
    expect(decodeErrorState(Buffer.from("0400"))).toEqual(["jammed"]);
    expect(decodeErrorState(Buffer.from("0x40"))).toEqual(["noPaper"]);
    expect(decodeErrorState(Buffer.from("04 00 "))).toEqual(["jammed"]);
    expect(decodeErrorState(Buffer.from("no error"))).toBeUndefined();
  });

  test("what is no error state at all is undefined", () => {
    for (const odd of [undefined, null, "04", {}, true]) expect(decodeErrorState(odd)).toBeUndefined();
  });

  test("every set of bits survives encoding, whatever follows it", () => {
    fc.assert(
      fc.property(fc.subarray([...ERROR_BITS]), fc.uint8Array({ maxLength: 4 }), (bits, rest) => {
        const octets = [0, 0];
        for (const bit of bits) {
          const at = ERROR_BITS.indexOf(bit);
          octets[at >> 3] = (octets[at >> 3] ?? 0) | (0x80 >> (at & 7));
        }
        // A zero octet, so that the whole cannot be taken for text.
        expect(decodeErrorState(Uint8Array.of(...octets, 0, ...rest))).toEqual(bits);
      }),
    );
  });
});

describe("decodePoll", () => {
  test("names the enumerations and leaves out what has no name", () => {
    expect(decodePoll([2, 3, Buffer.of(0)])).toEqual({ device: "running", printer: "idle", errors: [] });
    expect(decodePoll([9, Buffer.of(3), null])).toEqual({ device: undefined, printer: undefined, errors: undefined });
    expect(decodePoll([])).toEqual({ device: undefined, printer: undefined, errors: undefined });
  });

  test("never throws, and never invents a name", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.anything(), fc.integer(), fc.uint8Array()), { maxLength: 4 }), (values) => {
        for (const name of decodePoll(values).errors ?? []) expect(ERROR_BITS).toContain(name);
      }),
    );
  });
});
