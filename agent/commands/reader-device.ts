import { stat } from "node:fs/promises";
import { join } from "node:path";
import { isNamed, serialPort } from "../../drivers/discovery/candidates.ts";
import { FAMILIES, type Family } from "../../drivers/discovery/fingerprints.ts";
import type { Config } from "../config/config.ts";
import { type TomlEntry, tomlText } from "../config/edit.ts";
import { READER_FAMILIES } from "../config/schema.ts";
import { CommandError, type Invocation, textOption, textOptions } from "./command.ts";
import { FAMILY_PROBES } from "./reader-families.ts";
import { configuredAs, type PluggedReader, pluggedReaders } from "./reader-list.ts";

/** What is to become a reader. */
export interface Device {
  readonly about: string;
  readonly nodes: readonly string[];
  /** To be tried in this order. */
  readonly families: readonly Family[];
  /** The keys that name the device; undefined where the family cannot be on it. */
  readonly entries: (family: Family) => readonly TomlEntry[] | undefined;
}

/** The device that the options name, or that the operator picks. */
export async function deviceOf(invocation: Invocation, config: Config, root: string): Promise<Device> {
  const family = familyOf(invocation);
  const [word, tcp, listen] = ["device", "tcp", "listen"].map((name) => textOption(invocation, name));
  if ([word, tcp, listen].filter((value) => value !== undefined).length > 1) {
    throw new CommandError("usage", "only one of --device, --tcp and --listen");
  }
  if (tcp !== undefined || listen !== undefined) {
    const allow = textOptions(invocation, "allow");
    const entries = [
      tcp === undefined ? tomlText("listen", listen ?? "") : tomlText("connect", tcp),
      ...(allow.length === 0 ? [] : [{ key: "allow", toml: JSON.stringify(allow) }]),
    ];
    return { about: tcp ?? listen ?? "", nodes: [], families: [family ?? "tcp-line"], entries: () => entries };
  }
  const plugged = await pluggedReaders(config.readers, root);
  const { candidate, configured } =
    word === undefined ? await picked(invocation, plugged) : await named(plugged, word, config, root);
  if (configured !== undefined) throw new CommandError("reader-configured", configured);
  const { guess, key, nodes } = candidate;
  if (family !== undefined && FAMILY_PROBES[family].device(candidate) === undefined) {
    throw new CommandError("usage", `${key} cannot be ${family}: ${guess.product}`);
  }
  // To a device of which we know nothing not one byte is written unless its family was named.
  const mayAsk = guess.confidence !== "low";
  const possible = guess.families.filter(
    (one) => READER_FAMILIES.includes(one) && (mayAsk || FAMILY_PROBES[one]?.listen !== undefined),
  );
  return {
    about: `${key}, ${guess.product}`,
    nodes,
    families: family === undefined ? possible : [family],
    entries: (one) => FAMILY_PROBES[one]?.device(candidate),
  };
}

function familyOf(invocation: Invocation): Family | undefined {
  const name = textOption(invocation, "family");
  const family = FAMILIES.find((one) => one === name);
  if (name !== undefined && (family === undefined || !READER_FAMILIES.includes(name))) {
    throw new CommandError("usage", `--family is one of ${READER_FAMILIES.join(", ")}`);
  }
  return family;
}

async function named(
  plugged: readonly PluggedReader[],
  word: string,
  { readers }: Config,
  root: string,
): Promise<Pick<PluggedReader, "candidate" | "configured">> {
  const fitting = plugged.filter(({ candidate }) => isNamed(candidate, word));
  const [reader, ...others] = fitting;
  if (reader === undefined) {
    // A serial port that no table knows, such as one of an RS-485 board.
    const isDevice = word.startsWith("/") && (await stat(join(root, word)).catch(() => undefined))?.isCharacterDevice();
    if (isDevice !== true) throw new CommandError("reader-not-plugged-in", word);
    const candidate = serialPort(word);
    return { candidate, configured: await configuredAs(candidate, readers, root) };
  }
  if (others.length === 0) return reader;
  const keys = fitting.map(({ candidate }) => candidate.key).join(", ");
  throw new CommandError("usage", `${word} may be any of ${keys}; name one of these`);
}

async function picked(invocation: Invocation, plugged: readonly PluggedReader[]): Promise<PluggedReader> {
  const free = plugged.filter(
    ({ candidate, configured }) => configured === undefined && candidate.guess.families.length > 0,
  );
  const sure = free.filter(({ candidate }) => candidate.guess.confidence !== "low");
  const [only, ...others] = sure;
  if (free.length === 0)
    throw new CommandError("reader-not-plugged-in", "nothing is plugged in that is not configured");
  // A guess of low confidence is never taken by itself.
  if (only !== undefined && others.length === 0 && (free.length === 1 || invocation.options.yes === true)) {
    invocation.terminal.note(`${only.candidate.key}: ${only.candidate.guess.product}`);
    return only;
  }
  if (invocation.options.yes === true) {
    throw new CommandError(
      "usage",
      `--yes needs --device here: ${free.map(({ candidate }) => candidate.key).join(", ")}`,
    );
  }
  for (const [index, { candidate }] of free.entries()) {
    const { guess, key, ids, serialNumber } = candidate;
    const identity = [ids, serialNumber].filter((part) => part !== undefined).join(" ");
    const note = guess.note === undefined ? "" : ` ${guess.note}`;
    invocation.terminal.note(
      `  ${index + 1}  ${key}  ${guess.product} ${identity} (confidence ${guess.confidence}).${note}`,
    );
  }
  const answer = await question(invocation, `Which one? (1-${free.length})`, "--device");
  const chosen = /^[0-9]{1,3}$/.test(answer) ? free[Number(answer) - 1] : undefined;
  if (chosen === undefined) throw new CommandError("usage", `the answer is a number from 1 to ${free.length}`);
  return chosen;
}

/** The answer of whoever sits there; where nobody does, it says which option would have answered. */
export async function question({ terminal, signal }: Invocation, text: string, option: string): Promise<string> {
  const answer = await terminal.ask?.(text, signal);
  if (answer === undefined) throw new CommandError("usage", `there is nobody to ask: use ${option}`);
  return answer.trim();
}
