import type { LifeCount } from "./printer-counts.ts";

/**
 * What a printer tells of itself by the Printer MIB (RFC 3805), for people and for the verdict. A property that the
 * printer does not tell, or fills with nonsense, is absent. Texts hold no control character and are at most 80 long.
 */
export interface PrinterFacts {
  readonly name?: string;
  readonly serialNumber?: string;
  readonly lifeCount?: LifeCount;
  readonly supplies: readonly Supply[];
  readonly inputs: readonly InputTray[];
  readonly outputs: readonly OutputTray[];
  readonly covers: readonly Cover[];
  readonly alerts: readonly Alert[];
  /** What its panel shows, line by line. */
  readonly console: readonly string[];
  /** There was more than the bounds of a reading take. */
  readonly truncated: boolean;
}

/** A level or a capacity. The three that are no amount (RFC 3805: -1, -2, -3) mean different things, so they stay apart. */
export type Level =
  | { readonly kind: "amount"; readonly value: number }
  /** -1: not limited by this printer. */
  | { readonly kind: "unlimited" }
  /** -2. */
  | { readonly kind: "unknown" }
  /** -3: not none, but how much is not known. */
  | { readonly kind: "some" };

export interface Supply {
  /** `tonerCartridge`, `wasteToner` ... */
  readonly type?: string;
  readonly colour?: string;
  readonly description?: string;
  /** `receptacle`: it fills up, and `level` is the room that is left in it. */
  readonly kind?: "consumed" | "receptacle" | "other";
  readonly level: Level;
  readonly max: Level;
  readonly unit?: string;
  /** 0 to 100: how full it is, a receptacle too. Absent where that cannot be computed from what the printer says. */
  readonly percent?: number;
  /** Of what is consumed. Absent where it is not known, and of every receptacle: no two makers report those alike. */
  readonly state?: "ok" | "low" | "empty";
}

/** RFC 3805 PrtSubUnitStatusTC. */
export interface SubunitStatus {
  readonly availability: "idle" | "onRequest" | "standby" | "broken" | "active" | "unknown" | "busy";
  readonly nonCriticalAlerts: boolean;
  readonly criticalAlerts: boolean;
  readonly offline: boolean;
  readonly transitioning: boolean;
}

export interface InputTray {
  /** What its alerts call it: prtInputIndex. */
  readonly index: string;
  readonly name?: string;
  readonly description?: string;
  readonly media?: string;
  readonly level: Level;
  readonly max: Level;
  readonly unit?: string;
  readonly status?: SubunitStatus;
}

export interface OutputTray {
  readonly index: string;
  readonly name?: string;
  readonly description?: string;
  /** The room that is left. */
  readonly remaining: Level;
  readonly max: Level;
  readonly unit?: string;
  readonly status?: SubunitStatus;
}

export interface Cover {
  readonly description?: string;
  readonly state: "open" | "closed" | "interlockOpen" | "interlockClosed" | "other";
}

export interface Alert {
  readonly severity: "critical" | "warning" | "binaryChange" | "other";
  /** The part that it is about: `input`, `markerSupplies` ... */
  readonly group?: string;
  /** Which of them; as `index` of a tray. */
  readonly groupIndex?: number;
  /** The maker's number of a place inside. */
  readonly location?: number;
  /** A name of the IANA registry, `jam`, `inputMediaSupplyEmpty` ... Absent for a code without one: the severity counts alone. */
  readonly code?: string;
  readonly description?: string;
}
