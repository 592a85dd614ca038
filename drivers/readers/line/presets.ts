import type { LineSettings, PresetName, SerialChoices, SerialSettings } from "./settings.ts";

/** What `generic` says holds wherever neither the configuration nor the preset says more. */
export const GENERIC: LineSettings & SerialSettings = {
  framing: "crlf",
  idleGapMs: 100,
  maxLength: 128,
  minLength: 4,
  checksum: "none",
  statusLetter: false,
  sentinels: "keep",
  baudRate: 9600,
  dataBits: 8,
  parity: "none",
  stopBits: 1,
};

/**
 * Settings of readers that are often met. Sources: ID-12: ID Innovations datasheet, ASCII output; RDM6300 is the same without
 * CR LF. FAT820W: GIGA-TMS, FAT820W manual 1.3, page 13, "Notice Message". Magnetic stripe: MagTek, port-powered swipe reader
 * manual: 9600 baud 8N1, CR after each message, no STX, ETX or LRC; 79 + 40 + 107 characters on three tracks (ISO/IEC 7811-2)
 * and their sentinels.
 */
export const PRESETS: Readonly<Record<PresetName, Partial<LineSettings & SerialSettings>>> = {
  generic: GENERIC,
  "stx-etx": { framing: "stx-etx" },
  id12: { framing: "stx-etx", checksum: "id12", minLength: 12, maxLength: 12 },
  fat820w: { framing: "stx-etx", statusLetter: true },
  magstripe: { sentinels: "track-2", maxLength: 256 },
};

/** A setting that is given wins over the preset's, and that over `generic`. */
export function withPreset(choices: SerialChoices): LineSettings & SerialSettings {
  const preset = PRESETS[choices.preset ?? "generic"];
  const names = Object.keys(GENERIC) as (keyof typeof GENERIC)[];
  // Each name gets a value of its own type from one of three tables of the same types.
  return Object.fromEntries(names.map((name) => [name, choices[name] ?? preset[name] ?? GENERIC[name]])) as never;
}
