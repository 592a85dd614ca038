import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SHIPPED_RULES } from "../../../build/udev-rules.ts";
import { FINGERPRINTS } from "../../../drivers/discovery/fingerprints.ts";
import { knownReaders, udevRules } from "../../../drivers/discovery/udev-rules.ts";

const TWN4 = { vendorId: 0x09d8, productId: 0x0410, about: "lobby", keyboard: true };

test("the shipped file is what the table of known readers gives: `node build/udev-rules.ts` writes it", async () => {
  expect(await readFile(SHIPPED_RULES, "utf8")).toBe(udevRules(knownReaders()));
});

test("every keyboard of the table that is surely a reader is in it, and no bridge that may be anything", () => {
  const shipped = udevRules(knownReaders());
  const typing = FINGERPRINTS.filter(({ has, confidence }) => has === "keyboard" && confidence !== "low");
  expect(typing.length).toBeGreaterThan(5);
  for (const { vendorId, productId } of typing) {
    const [vendor, product] = [vendorId, productId].map((id) => id.toString(16).padStart(4, "0"));
    expect(shipped).toContain(`ATTR{id/vendor}=="${vendor}", ATTR{id/product}=="${product}"`);
  }
  for (const bridge of ["0403", "1a86", "10c4", "067b", "5428"]) expect(shipped).not.toContain(`"${bridge}"`);
});

test("a reader that types has its keys, its reports and its device; one that does not, its device", () => {
  const named = (text: string) => text.split("\n").filter((line) => line.startsWith("SUBSYSTEM"));
  expect(named(udevRules([TWN4, { ...TWN4, about: "the same again" }]))).toEqual([
    'SUBSYSTEM=="input", KERNEL=="input[0-9]*", ATTR{id/bustype}=="0003", ATTR{id/vendor}=="09d8", ATTR{id/product}=="0410", ENV{PRINTGATE_READER}="keys"',
    'SUBSYSTEM=="hidraw", KERNELS=="0003:09D8:0410.*", ENV{PRINTGATE_READER}="reports"',
    'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="09d8", ATTR{idProduct}=="0410", ENV{PRINTGATE_READER}="device"',
  ]);
  expect(named(udevRules([{ ...TWN4, keyboard: false }]))).toEqual([
    'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="09d8", ATTR{idProduct}=="0410", ENV{PRINTGATE_READER}="device"',
  ]);
});

test("no name makes a rule: it stays one comment line, whatever is in it", () => {
  const lines = (text: string) => text.split("\n").length;
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (about) => {
      const rules = udevRules([{ ...TWN4, about }]);
      expect(lines(rules)).toBe(lines(udevRules([TWN4])));
      expect(rules).not.toMatch(/\\$/m);
    }),
  );
});

test("no rule is for any keyboard, and none makes a node readable for everybody", async () => {
  const shipped = await readFile(SHIPPED_RULES, "utf8");
  for (const line of shipped.split("\n").filter((one) => one.startsWith("SUBSYSTEM"))) {
    expect(line).toMatch(/ATTR\{id(?:\/vendor|Vendor)\}=="[0-9a-f]{4}"|KERNELS=="0003:[0-9A-F]{4}:[0-9A-F]{4}\.\*"/);
  }
  expect([...shipped.matchAll(/MODE:?="(\d+)"/g)].map(([, mode]) => mode)).toEqual(["0660"]);
});
