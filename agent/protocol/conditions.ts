/**
 * What may keep a printer from putting out paper, under one name for both languages in which printers tell it:
 * printer-state-reasons over IPP (RFC 8011 5.4.12, PWG 5100.9; without their severity), and the bits of
 * hrPrinterDetectedErrorState over SNMP (RFC 2790) by the names that drivers/printers/snmp gives them.
 * What has no name here (paused, shut down, not accepting jobs, a maker's own errors) blocks always.
 */
export const CONDITIONS = {
  "paper-empty": { ipp: ["media-empty", "media-needed"], snmp: ["noPaper", "inputTrayEmpty"] },
  "paper-jam": { ipp: ["media-jam"], snmp: ["jammed"] },
  "cover-open": { ipp: ["cover-open", "door-open", "interlock-open"], snmp: ["doorOpen"] },
  "tray-missing": { ipp: ["input-tray-missing"], snmp: ["inputTrayMissing"] },
  "output-missing": { ipp: ["output-tray-missing"], snmp: ["outputTrayMissing"] },
  "output-full": { ipp: ["output-area-full"], snmp: ["outputFull"] },
  "supply-empty": { ipp: ["marker-supply-empty", "toner-empty"], snmp: ["noToner"] },
  "supply-missing": { ipp: ["marker-supply-missing"], snmp: ["markerSupplyMissing"] },
  offline: { ipp: [], snmp: ["offline"] },
  "paper-low": { ipp: ["media-low"], snmp: ["lowPaper"] },
  "supply-low": { ipp: ["marker-supply-low", "toner-low"], snmp: ["lowToner"] },
  "output-nearly-full": { ipp: ["output-area-almost-full"], snmp: ["outputNearFull"] },
  "service-needed": { ipp: ["service-needed"], snmp: ["serviceRequested"] },
  "maintenance-due": { ipp: [], snmp: ["overduePreventMaint"] },
} as const satisfies Readonly<Record<string, { readonly ipp: readonly string[]; readonly snmp: readonly string[] }>>;

export type Condition = keyof typeof CONDITIONS;

/** Where no policy says otherwise: what stops all paper by itself. */
export const BLOCKING_CONDITIONS = [
  "paper-empty",
  "paper-jam",
  "cover-open",
  "tray-missing",
  "output-missing",
  "output-full",
  "supply-empty",
  "supply-missing",
  "offline",
] as const satisfies readonly Condition[];

/** All of them, in the order of the table. */
export const CONDITION_NAMES = Object.keys(CONDITIONS) as [Condition, ...Condition[]];

const BY_WORD: ReadonlyMap<string, Condition> = new Map(
  CONDITION_NAMES.flatMap((name) =>
    [...CONDITIONS[name].ipp, ...CONDITIONS[name].snmp].map((word) => [word, name] as const),
  ),
);

/** What a printer-state-reason, with or without its severity, or an SNMP condition stands for. */
export function conditionOf(word: string): Condition | undefined {
  return BY_WORD.get(word) ?? BY_WORD.get(word.replace(/-(?:report|warning|error)$/, ""));
}
