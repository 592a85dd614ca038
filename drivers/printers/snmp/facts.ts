import type { LifeCount } from "../../printer-counts.ts";
import type {
  Alert,
  Cover,
  InputTray,
  Level,
  OutputTray,
  PrinterFacts,
  SubunitStatus,
  Supply,
} from "../../printer-facts.ts";
import { ALERT_CODES, ALERT_GROUPS, SUPPLY_TYPES, UNITS } from "./names.ts";
import { decodeText } from "./text.ts";
import type { Row, TableShape } from "./walk.ts";

const PRINTER_MIB = "1.3.6.1.2.1.43";

/** Columns of prtGeneralTable, its row is the printer's: one GET, in the order in which `decodeFacts` expects them. */
export const GENERAL_COLUMNS = [
  `${PRINTER_MIB}.5.1.1.2`, // prtGeneralCurrentLocalization
  `${PRINTER_MIB}.5.1.1.10`, // prtConsoleLocalization
  `${PRINTER_MIB}.5.1.1.16`, // prtGeneralPrinterName
  `${PRINTER_MIB}.5.1.1.17`, // prtGeneralSerialNumber
] as const;

/** In the order in which they are read: what a verdict rests on comes before what a budget may cut off. */
export const TABLES = {
  inputs: { entry: `${PRINTER_MIB}.8.2.1`, columns: [8, 9, 10, 11, 12, 13, 18] },
  covers: { entry: `${PRINTER_MIB}.6.1.1`, columns: [2, 3] },
  localizations: { entry: `${PRINTER_MIB}.7.1.1`, columns: [4] },
  supplies: { entry: `${PRINTER_MIB}.11.1.1`, columns: [3, 4, 5, 6, 7, 8, 9] },
  colorants: { entry: `${PRINTER_MIB}.12.1.1`, columns: [4] },
  alerts: { entry: `${PRINTER_MIB}.18.1.1`, columns: [2, 4, 5, 6, 7, 8] },
  outputs: { entry: `${PRINTER_MIB}.9.2.1`, columns: [3, 4, 5, 6, 7, 12] },
  markers: { entry: `${PRINTER_MIB}.10.2.1`, columns: [3, 4] },
  console: { entry: `${PRINTER_MIB}.16.5.1`, columns: [2] },
} as const satisfies Readonly<Record<string, TableShape>>;
export type TableName = keyof typeof TABLES;

/** One reading, undecoded. */
export interface RawFacts {
  /** One per `GENERAL_COLUMNS`. */
  readonly general: readonly unknown[];
  readonly tables: Readonly<Record<TableName, readonly Row[]>>;
  readonly truncated: boolean;
}

/** Pure and total: whatever the values are, what cannot be read is left out. */
export function decodeFacts({ general, tables, truncated }: RawFacts): PrinterFacts {
  const charsets = new Map(tables.localizations.map(({ index, values }) => [index, decodeInteger(values[0])]));
  const charset = (localization: unknown) => charsets.get(String(decodeInteger(localization)));
  const [current, consoles, name, serial] = general;
  const own = charset(current);
  const colours = new Map(tables.colorants.map(({ index, values }) => [index, decodeText(values[0])]));
  return {
    ...some("name", decodeText(name)),
    ...some("serialNumber", decodeText(serial)),
    ...some(
      "lifeCount",
      tables.markers.map(lifeCountOf).find((count) => count !== undefined),
    ),
    supplies: tables.supplies.map((row) => supply(row, colours, own)),
    inputs: tables.inputs.map((row) => inputTray(row, own)),
    outputs: tables.outputs.map((row) => outputTray(row, own)),
    covers: tables.covers.map((row) => cover(row, own)),
    alerts: tables.alerts.map((row) => alert(row, own)),
    console: tables.console.flatMap(({ values }) => decodeText(values[0], charset(consoles)) ?? []),
    truncated,
  };
}

/** An INTEGER, or its digits as text, as some agents send it. */
export function decodeInteger(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : undefined;
  if (!(value instanceof Uint8Array) || value.length > 16) return undefined;
  const digits = /^ *(-?\d{1,15})[ \0]*$/.exec(Buffer.from(value).toString("latin1"))?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function decodeLevel(value: unknown): Level {
  const level = decodeInteger(value);
  if (level === -1) return { kind: "unlimited" };
  if (level === -3) return { kind: "some" };
  return level === undefined || level < 0 ? { kind: "unknown" } : { kind: "amount", value: level };
}

/** How full it is, from 0 to 100. A capacity that is unknown leaves the level only where that is a percentage itself. */
function percentOf(level: Level, max: Level, unit: string | undefined): number | undefined {
  if (level.kind !== "amount") return undefined;
  if (max.kind === "amount" && max.value > 0) return Math.round(Math.min(1, level.value / max.value) * 100);
  return unit === "percent" && level.value <= 100 ? level.value : undefined;
}

/** What CUPS calls low and empty, in percent. */
const LOW = 5;
const EMPTY = 1;

function stateOf(level: Level, percent: number | undefined): Supply["state"] {
  if (level.kind === "unknown") return undefined;
  if (level.kind !== "amount") return "ok";
  if (level.value === 0) return "empty";
  if (percent === undefined) return "ok";
  return percent <= EMPTY ? "empty" : percent <= LOW ? "low" : "ok";
}

function supply(
  { values }: Row,
  colours: ReadonlyMap<string, string | undefined>,
  charset: number | undefined,
): Supply {
  const [colorant, kindOf, type, description, unitOf, maxOf, levelOf] = values;
  const level = decodeLevel(levelOf);
  const max = decodeLevel(maxOf);
  const unit = named(UNITS, unitOf);
  const kind = named({ 1: "other", 3: "consumed", 4: "receptacle" } as const, kindOf);
  const percent = percentOf(level, max, unit);
  return {
    ...some("type", named(SUPPLY_TYPES, type)),
    ...some("colour", colours.get(String(decodeInteger(colorant)))?.toLowerCase()),
    ...some("description", decodeText(description, charset)),
    ...some("kind", kind),
    level,
    max,
    ...some("unit", unit),
    // RFC 3805 prtMarkerSuppliesLevel: of a receptacle it is the room that remains.
    ...some("percent", percent === undefined || kind !== "receptacle" ? percent : 100 - percent),
    ...some("state", kind === "receptacle" ? undefined : stateOf(level, percent)),
  };
}

function inputTray({ index, values }: Row, charset: number | undefined): InputTray {
  const [unit, max, level, status, media, name, description] = values;
  return {
    index,
    ...some("name", decodeText(name)),
    ...some("description", decodeText(description, charset)),
    ...some("media", decodeText(media)),
    level: decodeLevel(level),
    max: decodeLevel(max),
    ...some("unit", named(UNITS, unit)),
    ...some("status", decodeStatus(status)),
  };
}

function outputTray({ index, values }: Row, charset: number | undefined): OutputTray {
  const [unit, max, remaining, status, name, description] = values;
  return {
    index,
    ...some("name", decodeText(name)),
    ...some("description", decodeText(description, charset)),
    remaining: decodeLevel(remaining),
    max: decodeLevel(max),
    ...some("unit", named(UNITS, unit)),
    ...some("status", decodeStatus(status)),
  };
}

const AVAILABILITY = ["idle", "onRequest", "standby", "broken", "active", "unknown", "busy"] as const;

/** RFC 3805 PrtSubUnitStatusTC: a sum of one availability and four flags. */
export function decodeStatus(value: unknown): SubunitStatus | undefined {
  const sum = decodeInteger(value);
  if (sum === undefined || sum < 0 || sum > 127) return undefined;
  const availability = AVAILABILITY[sum & 7];
  if (availability === undefined) return undefined;
  return {
    availability,
    nonCriticalAlerts: (sum & 8) !== 0,
    criticalAlerts: (sum & 16) !== 0,
    offline: (sum & 32) !== 0,
    transitioning: (sum & 64) !== 0,
  };
}

const COVER_STATES = { 3: "open", 4: "closed", 5: "interlockOpen", 6: "interlockClosed" } as const;

function cover({ values: [description, state] }: Row, charset: number | undefined): Cover {
  return { ...some("description", decodeText(description, charset)), state: named(COVER_STATES, state) ?? "other" };
}

/** 5 is a warning too, which the printer takes back by itself (RFC 3805 2.2.13.1). */
const SEVERITIES = { 3: "critical", 4: "warning", 5: "binaryChange" } as const;

function alert({ values }: Row, charset: number | undefined): Alert {
  const [severity, group, groupIndex, location, code, description] = values;
  const at = decodeInteger(groupIndex);
  const place = decodeInteger(location);
  return {
    severity: named(SEVERITIES, severity) ?? "other",
    ...some("group", named(ALERT_GROUPS, group)),
    // -1 and -2 stand for none and unknown.
    ...some("groupIndex", at !== undefined && at > 0 ? at : undefined),
    ...some("location", place !== undefined && place >= 0 ? place : undefined),
    ...some("code", named(ALERT_CODES, code)),
    ...some("description", decodeText(description, charset)),
  };
}

export function lifeCountOf({ values: [unitOf, count] }: Row): LifeCount | undefined {
  const value = decodeInteger(count);
  return value === undefined || value < 0 ? undefined : { value, ...some("unit", named(UNITS, unitOf)) };
}

function named<Name>(names: Readonly<Record<number, Name>>, value: unknown): Name | undefined {
  const key = decodeInteger(value);
  return key !== undefined && Object.hasOwn(names, key) ? names[key] : undefined;
}

/** The property, or none: absent is how these facts say that the printer does not tell. */
function some<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [K in Key]?: Value });
}
