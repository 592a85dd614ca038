import type { Candidate } from "../../drivers/discovery/candidates.ts";
import type { Family } from "../../drivers/discovery/fingerprints.ts";
import type { DriverContext } from "../../drivers/reader.ts";
import type { Transport } from "../../drivers/transports/transport.ts";
import type { ReaderConfig } from "../config/config.ts";
import { type TomlEntry, tomlHex, tomlText } from "../config/edit.ts";

/**
 * How `printgate reader add` finds out whether a reader is of a family, and with which settings: a row each. Settings are in
 * the words of the configuration, and are tried through the configuration's own loader and the family's own driver.
 */
export interface FamilyProbe {
  /** The keys by which the configuration finds the device; undefined where the family cannot be on it. */
  readonly device: (candidate: Candidate) => readonly TomlEntry[] | undefined;
  /** Keys that must be right before anything is heard, such as the speed; the commonest first. */
  readonly lines: readonly (readonly TomlEntry[])[];
  /**
   * How a family that only speaks is listened to, and the ways in which what came may be meant, the strictest first.
   * Absent for a family that is asked: its driver tells by itself whether the reader answers.
   */
  readonly listen?: {
    readonly transport: (settings: ReaderConfig, context: DriverContext) => Promise<Transport>;
    readonly meanings: readonly (readonly TomlEntry[])[];
  };
}

const entry = (key: string, toml: string | number): TomlEntry => ({ key, toml: String(toml) });
const speeds = (...all: readonly number[]) => all.map((baud) => (baud === 9600 ? [] : [entry("baud_rate", baud)]));

const path = ({ path: found }: Candidate) => (found === undefined ? undefined : [tomlText("path", found)]);

/** Characters at the ends of a frame tell framing and checksum; `crlf` is the default and takes CR, LF and both. */
const LINE_MEANINGS = [
  [tomlText("preset", "id12")],
  [tomlText("preset", "magstripe")],
  [tomlText("framing", "stx-etx")],
  [],
  [tomlText("framing", "idle-gap")],
];

/** A stripe's sentinels first; then as it is; then as a reader that is set to France, whose digits are signs in the US. */
const KEYBOARD_MEANINGS = [[tomlText("sentinels", "track-2")], [], [tomlText("layout", "fr")]].flatMap((meaning) => [
  meaning,
  [...meaning, entry("terminators", '["tab"]')],
  [...meaning, entry("terminators", "[]")],
]);

const hidKeys = ({ hid }: Candidate) => {
  if (hid === undefined) return undefined;
  const { vendorId, productId, serialNumber, port } = hid;
  return [
    tomlHex("vendor_id", vendorId),
    tomlHex("product_id", productId),
    ...(serialNumber === undefined ? [] : [tomlText("serial_number", serialNumber)]),
    ...(port === undefined ? [] : [tomlText("port", port)]),
  ];
};

export const FAMILY_PROBES: Readonly<Record<Family, FamilyProbe>> = {
  "hid-keyboard": {
    device: hidKeys,
    lines: [[]],
    listen: {
      async transport(settings, context) {
        if (settings.family !== "hid-keyboard") throw new TypeError("the loader gave another family");
        return new (await import("../../drivers/transports/hid.ts")).HidTransport(settings, context);
      },
      meanings: KEYBOARD_MEANINGS,
    },
  },
  "serial-line": {
    device: path,
    lines: [
      ...speeds(9600, 115_200, 19_200, 38_400, 57_600),
      [entry("data_bits", 7), tomlText("parity", "even")],
      ...speeds(4800, 2400),
    ],
    listen: {
      async transport(settings, context) {
        if (settings.family !== "serial-line") throw new TypeError("the loader gave another family");
        const { withPreset } = await import("../../drivers/readers/line/presets.ts");
        const { SerialTransport } = await import("../../drivers/transports/serial.ts");
        return new SerialTransport({ path: settings.path, ...withPreset(settings) }, context.clock, context.log);
      },
      meanings: LINE_MEANINGS,
    },
  },
  "tcp-line": {
    // A network reader is not plugged in: its keys come from the command line.
    device: () => [],
    lines: [[]],
    listen: {
      async transport(settings, context) {
        if (settings.family !== "tcp-line") throw new TypeError("the loader gave another family");
        const { TcpConnect, TcpListen } = await import("../../drivers/transports/tcp.ts");
        if (settings.connect !== undefined) return new TcpConnect(settings.connect, context);
        return new TcpListen(settings.listen ?? { host: "", port: -1 }, settings.allow, context);
      },
      meanings: LINE_MEANINGS,
    },
  },
  "twn4-simple": {
    device: path,
    // How the reader's app was built cannot be asked, only tried.
    lines: [
      [],
      [entry("crc", "true")],
      [tomlText("mode", "binary")],
      [tomlText("mode", "binary"), entry("crc", "true")],
      [entry("baud_rate", 115_200)],
    ],
  },
  "rfideas-acp": { device: path, lines: speeds(9600, 115_200) },
  "rfideas-sdk": { device: hidKeys, lines: [[]] },
  // Its key is the operator's to give: --set scbk=..., or --set secure=false.
  osdp: { device: path, lines: speeds(9600, 115_200, 38_400, 19_200, 57_600) },
  pcsc: {
    // pcscd makes its names of what the device says of itself, and a number.
    device: ({ says, guess }) =>
      says !== undefined && guess.families.includes("pcsc") ? [tomlText("reader_name", says)] : undefined,
    lines: [[]],
  },
};
