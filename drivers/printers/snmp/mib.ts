/** Object identifiers and value decoding of the Host Resources MIB (RFC 2790), as a printer fills it (RFC 3805 2.2.13). */

/** Column of hrDeviceTable that names each device's type; the row's index is the printer's hrDeviceIndex. */
export const HR_DEVICE_TYPE = "1.3.6.1.2.1.25.3.2.1.2";
export const HR_DEVICE_PRINTER = "1.3.6.1.2.1.25.3.1.5";

/** The columns of one health poll, in the order in which `decodePoll` expects their values. */
export const POLL_COLUMNS = [
  "1.3.6.1.2.1.25.3.2.1.5", // hrDeviceStatus
  "1.3.6.1.2.1.25.3.5.1.1", // hrPrinterStatus
  "1.3.6.1.2.1.25.3.5.1.2", // hrPrinterDetectedErrorState
] as const;

const DEVICE_STATUS = { 1: "unknown", 2: "running", 3: "warning", 4: "testing", 5: "down" } as const;
const PRINTER_STATUS = { 1: "other", 2: "unknown", 3: "idle", 4: "printing", 5: "warmup" } as const;

export type DeviceStatus = (typeof DEVICE_STATUS)[keyof typeof DEVICE_STATUS];
export type PrinterStatus = (typeof PRINTER_STATUS)[keyof typeof PRINTER_STATUS];

/**
 * Asked for with each poll, after `POLL_COLUMNS`: when one of them moves, the tables of the Printer MIB have changed
 * (RFC 3805 prtGeneralConfigChanges and prtAlertCriticalEvents). Supplies and levels move neither.
 */
export const CHANGE_COLUMNS = ["1.3.6.1.2.1.43.5.1.1.1", "1.3.6.1.2.1.43.5.1.1.18"] as const;

/** The named bits of hrPrinterDetectedErrorState; bit 0 is the most significant bit of the first octet. */
export const ERROR_BITS = [
  "lowPaper",
  "noPaper",
  "lowToner",
  "noToner",
  "doorOpen",
  "jammed",
  "offline",
  "serviceRequested",
  "inputTrayMissing",
  "outputTrayMissing",
  "markerSupplyMissing",
  "outputNearFull",
  "outputFull",
  "inputTrayEmpty",
  "overduePreventMaint",
] as const;
export type ErrorBit = (typeof ERROR_BITS)[number];

/** What one answered poll says; a column that the agent lacks, or fills with nonsense, is undefined. */
export interface Poll {
  readonly device: DeviceStatus | undefined;
  readonly printer: PrinterStatus | undefined;
  readonly errors: readonly ErrorBit[] | undefined;
}

/** `values`: one per `POLL_COLUMNS`; undefined where the agent answered noSuchInstance and the like. Never throws. */
export function decodePoll(values: readonly unknown[]): Poll {
  const [device, printer, errors] = values;
  return {
    device: named(DEVICE_STATUS, device),
    printer: named(PRINTER_STATUS, printer),
    errors: decodeErrorState(errors),
  };
}

function named<Name>(names: Readonly<Record<number, Name>>, value: unknown): Name | undefined {
  return typeof value === "number" && Object.hasOwn(names, value) ? names[value] : undefined;
}

/**
 * Decodes hrPrinterDetectedErrorState. By RFC 2790 it is an OCTET STRING that may be cut after its last set bit, so any
 * length is legal. Some agents send an INTEGER, or the octets as hexadecimal text. `undefined`: not an error state at all.
 */
export function decodeErrorState(value: unknown): readonly ErrorBit[] | undefined {
  const octets = errorOctets(value);
  return octets && ERROR_BITS.filter((_, bit) => ((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

function errorOctets(value: unknown): Uint8Array | readonly number[] | undefined {
  if (typeof value === "number") {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff) return undefined;
    return value > 0xff ? [value >> 8, value & 0xff] : [value];
  }
  if (!(value instanceof Uint8Array)) return undefined;
  // Two octets hold every bit that has a name. Only a longer value can be told apart as text.
  if (value.length > 2 && value.every((octet) => octet >= 0x20 && octet < 0x7f)) {
    const hex = /^(?:0x)?([0-9a-f]{2}) ?([0-9a-f]{2})?$/i.exec(
      Buffer.from(value.subarray(0, 16)).toString("latin1").trim(),
    );
    return hex?.slice(1).map((pair) => Number.parseInt(pair ?? "00", 16));
  }
  return value;
}
