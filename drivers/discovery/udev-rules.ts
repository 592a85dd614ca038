import { FINGERPRINTS, type Fingerprint } from "./fingerprints.ts";

/** A reader that the rules are for. `keyboard` where it types. */
export interface RuleReader {
  readonly vendorId: number;
  readonly productId: number;
  /** For the comment above its lines: product and source, or the name in the configuration. */
  readonly about: string;
  readonly keyboard: boolean;
}

const HEAD = `# Printgate's card readers: keys kept from the console, and what the agent's user may do with them.
#
# Made by build/udev-rules.ts from the table of known readers; for a reader that is not in it, \`printgate reader udev-rules\`
# prints this file with the configured ones. Install it as /etc/udev/rules.d/60-printgate-readers.rules, which takes the
# place of a file of that name in /usr/lib/udev/rules.d, then: udevadm control --reload && udevadm trigger
#
# Named readers only: never a rule for any keyboard. A keyboard on which people type would be dead, and its keys read.
# Serial readers need nothing here: their ports belong to group dialout (Debian's 50-udev-default.rules), and the agent's
# user is in it.

ACTION!="add|change", GOTO="printgate_readers_end"
`;

/**
 * What is done with a reader that a line below has found. `:=` so that no later rule opens it to more: what it delivers are
 * card numbers. sysfs attributes have no owner rules in udev, hence chgrp: group printgate may repair \`inhibited\`, and wake a
 * deaf reader by \`power/control\` and \`authorized\`.
 */
const TAIL = `
# The kernel delivers no key of an inhibited input device to anybody (5.11 or later); hidraw, which the agent reads, goes on.
ENV{PRINTGATE_READER}=="keys", ATTR{inhibited}="1", RUN+="/bin/chgrp printgate $sys$devpath/inhibited", RUN+="/bin/chmod g+w $sys$devpath/inhibited"
# Read and written (lights, sounds, settings) by the agent, and by nobody else but root.
ENV{PRINTGATE_READER}=="reports", GROUP:="printgate", MODE:="0660"
# A deaf reader is kept awake, or taken off the bus and put back.
ENV{PRINTGATE_READER}=="device", RUN+="/bin/chgrp printgate $sys$devpath/power/control $sys$devpath/authorized", RUN+="/bin/chmod g+w $sys$devpath/power/control $sys$devpath/authorized"

LABEL="printgate_readers_end"
`;

/** The text of a rules file for these readers; two that share their ids are one. */
export function udevRules(readers: readonly RuleReader[]): string {
  const byIds = new Map<string, RuleReader[]>();
  for (const reader of readers) {
    const ids = `${hex(reader.vendorId)}:${hex(reader.productId)}`;
    byIds.set(ids, [...(byIds.get(ids) ?? []), reader]);
  }
  return HEAD + [...byIds].map(([ids, same]) => lines(ids, same)).join("") + TAIL;
}

/** The readers of the table that the shipped file is for: what may be anything is not among them. */
export function knownReaders(table: readonly Fingerprint[] = FINGERPRINTS): RuleReader[] {
  return table
    .filter(({ confidence, families }) => confidence !== "low" && families.length > 0)
    .map(({ vendorId, productId, product, source, has }) => ({
      vendorId,
      productId,
      about: `${product}: ${source}`,
      keyboard: has === "keyboard",
    }));
}

/**
 * An input node is matched by its own id, which is the device's whatever driver made the node; a hidraw node by the HID
 * device above it, whose name is bus, vendor, product and a number. Bus 3 is USB.
 */
function lines(ids: string, readers: readonly RuleReader[]): string {
  const [vendor = "", product = ""] = ids.split(":");
  const about = readers.map((reader) => `# ${ids} ${printable(reader.about)}\n`).join("");
  const device = `SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="${vendor}", ATTR{idProduct}=="${product}", ENV{PRINTGATE_READER}="device"\n`;
  if (!readers.some(({ keyboard }) => keyboard)) return `\n${about}${device}`;
  const id = `ATTR{id/bustype}=="0003", ATTR{id/vendor}=="${vendor}", ATTR{id/product}=="${product}"`;
  const hidDevice = `0003:${ids.toUpperCase()}.*`;
  return `\n${about}SUBSYSTEM=="input", KERNEL=="input[0-9]*", ${id}, ENV{PRINTGATE_READER}="keys"
SUBSYSTEM=="hidraw", KERNELS=="${hidDevice}", ENV{PRINTGATE_READER}="reports"
${device}`;
}

/** udev writes ids in lower case, HID device names in upper case. */
function hex(id: number): string {
  return id.toString(16).padStart(4, "0");
}

/** In a comment of one line; a backslash at its end would join the next one to it. */
function printable(text: string): string {
  return text.replace(/[^ -[\]-~]/g, "?");
}
