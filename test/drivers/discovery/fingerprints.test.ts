import { expect, test } from "vitest";
import { FINGERPRINTS, identify, type UsbFunction } from "../../../drivers/discovery/fingerprints.ts";

/** The first family and the confidence, for each row of the table of ids that readers are known by. */
test.each<[string, UsbFunction, string | undefined, string]>([
  ["09d8:0410", "keyboard", "hid-keyboard", "high"],
  ["09d8:0410", "serial", "twn4-simple", "medium"],
  ["09d8:0420", "serial", "twn4-simple", "high"],
  ["09d8:0406", "keyboard", "hid-keyboard", "medium"],
  ["09d8:0427", "ccid", "pcsc", "high"],
  ["09d8:0428", "ccid", "pcsc", "high"],
  ["09d8:0320", "keyboard", "hid-keyboard", "medium"],
  ["0c27:3bfa", "keyboard", "hid-keyboard", "high"],
  ["0c27:232a", "serial", "rfideas-acp", "high"],
  ["08ff:0009", "keyboard", "hid-keyboard", "medium"],
  ["ffff:0035", "keyboard", "hid-keyboard", "medium"],
  ["ffff:0035", "hid", undefined, "medium"],
  ["076b:5427", "ccid", "pcsc", "high"],
  ["076b:5a27", "ccid", "pcsc", "high"],
  ["076b:5428", "keyboard", "hid-keyboard", "low"],
  ["072f:2200", "ccid", "pcsc", "high"],
  ["072f:221a", "ccid", "pcsc", "high"],
  ["072f:223f", "ccid", "pcsc", "high"],
  ["04e6:5790", "ccid", "pcsc", "high"],
  ["0801:0001", "keyboard", "hid-keyboard", "medium"],
  ["1a86:7523", "serial", "serial-line", "low"],
  ["0403:6001", "serial", "serial-line", "low"],
  ["10c4:ea60", "serial", "serial-line", "low"],
  ["067b:2303", "serial", "serial-line", "low"],
  // Of no row: what it does tells a little, and a keyboard is never more than a keyboard.
  ["046d:c31c", "keyboard", "hid-keyboard", "low"],
  ["1234:5678", "ccid", "pcsc", "medium"],
  ["1234:5678", "serial", "serial-line", "low"],
])("%s as %s is %s, %s", (ids, has, family, confidence) => {
  const [vendorId = 0, productId = 0] = ids.split(":").map((id) => Number.parseInt(id, 16));
  const guess = identify(vendorId, productId, [has]);
  expect([guess?.families[0], guess?.confidence]).toEqual([family, confidence]);
});

test("what can be no reader is none, whatever its ids", () => {
  expect(identify(0x09d8, 0x0410, [])).toBeUndefined();
  expect(identify(0x046d, 0xc077, ["hid"])).toBeUndefined();
});

test("a device that is two things can be used as either", () => {
  expect(identify(0x09d8, 0x0420, ["keyboard", "serial"])?.families).toEqual([
    "twn4-simple",
    "serial-line",
    "hid-keyboard",
  ]);
  // With a keyboard in it, it is not taken by itself.
  expect(identify(0x1234, 0x5678, ["keyboard", "ccid"])).toMatchObject({
    confidence: "low",
    families: ["hid-keyboard"],
  });
});

test("each id has one row for each thing that it can be, and each row its source", () => {
  const keys = FINGERPRINTS.map(({ vendorId, productId, has }) => `${vendorId}:${productId} ${has}`);
  expect(new Set(keys).size).toBe(keys.length);
  expect(FINGERPRINTS.filter(({ source }) => source === "")).toEqual([]);
});
