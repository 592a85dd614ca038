import type { Whereabouts } from "../../drivers/discovery/follow-machine.ts";
import type { Alert, PrinterFacts, Supply } from "../../drivers/printer-facts.ts";

const MAX_NOTES = 8;

/** Pure: what a person should look at, in words, the most urgent first; empty when all is well. */
export function printerNotes({ covers, alerts, supplies, inputs }: PrinterFacts): string[] {
  const open = covers.filter(({ state }) => state === "open" || state === "interlockOpen");
  const notes = [
    ...open.map(({ description }) => `${description ?? "a cover"} is open`),
    ...alerts.filter(({ severity }) => severity === "critical").map(alertInWords),
    ...supplies.filter(({ state }) => state === "empty").map(supplyInWords),
    ...inputs
      .filter(({ level }) => level.kind === "amount" && level.value === 0)
      .map(({ name, description, index, media }) => {
        const wanted = media === undefined ? "" : ` (${media})`;
        return `${name ?? description ?? `tray ${index}`}${wanted} has no paper`;
      }),
    ...supplies.filter(({ state }) => state === "low").map(supplyInWords),
    ...alerts.filter(({ severity }) => severity !== "critical").map(alertInWords),
  ];
  return notes.length <= MAX_NOTES
    ? notes
    : [...notes.slice(0, MAX_NOTES - 1), `and ${notes.length - MAX_NOTES + 1} more, in --json`];
}

/** `critical alert: jam, media path 1 ("Paper jam in the duplexer")`. */
export function alertInWords({ severity, code, group, groupIndex, description }: Alert): string {
  const kind = { critical: "critical alert", warning: "warning", binaryChange: "warning", other: "alert" }[severity];
  const part = group === undefined ? undefined : `${words(group)}${groupIndex === undefined ? "" : ` ${groupIndex}`}`;
  const what = [code === undefined ? undefined : words(code), part].filter((text) => text !== undefined).join(", ");
  const said = description === undefined ? "" : ` ("${description}")`;
  return `${kind}${what === "" ? "" : `: ${what}`}${said}`;
}

function supplyInWords({ description, colour, type, percent, state }: Supply): string {
  const kind = [colour, words(type ?? "supply")].filter((text) => text !== undefined).join(" ");
  return `${description ?? kind} is ${state}${percent === undefined ? "" : ` (${percent} %)`}`;
}

/** `inputMediaSupplyEmpty` as `input media supply empty`. */
function words(name: string): string {
  return name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
}

const NOT_FOLLOWED: Readonly<Record<NonNullable<Whereabouts["seen"]>["why"], string>> = {
  unproven:
    "Without a pinned key nothing proves that, so it is not followed. If it is the printer, write that into `uri`.",
  "other-key": "It has another key than the pinned one, so it is not followed. Find out who that is.",
  silent: "Nobody answers there.",
  "other-way":
    "Port or path are not the configured ones, so it is not followed. If it is the printer, write that into `uri`.",
  far: "No printer of this network has such an address, so it is not followed.",
  several: "Several say so, so none is followed. Find out which is the printer, and write its address into `uri`.",
};

/** Pure: where a printer was found by its uuid, and what to do; empty where it is at its configured address. */
export function whereaboutsInWords({ follows, seen }: Whereabouts): string[] {
  if (follows !== undefined)
    return [
      `its configured address does not answer; it is followed to ${follows.uri}, by its uuid and its pinned key. Write that into \`uri\`.`,
    ];
  return seen === undefined ? [] : [`one with its uuid says that it is at ${seen.uri}. ${NOT_FOLLOWED[seen.why]}`];
}
