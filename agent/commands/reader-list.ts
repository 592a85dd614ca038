import { constants } from "node:fs";
import { access, realpath } from "node:fs/promises";
import { join } from "node:path";
import { type Candidate, candidatesOf } from "../../drivers/discovery/candidates.ts";
import { scanPlugged } from "../../drivers/discovery/usb.ts";
import { READER_CODES } from "../../drivers/reader.ts";
import type { Config, ReaderConfig } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { type AgentStatus, duration } from "../health/status.ts";
import { EXIT, type Invocation } from "./command.ts";
import { configOf, statusOf } from "./configured-agent.ts";

/** One row of what is plugged in. */
export interface PluggedReader {
  readonly candidate: Candidate;
  /** The name of the [[reader]] that means it. */
  readonly configured: string | undefined;
  /** What would have to be done, the most pressing first. */
  readonly next: readonly string[];
}

/** `root`: `/`, or a test's. */
export async function listReaders(invocation: Invocation, root = "/"): Promise<number> {
  const { terminal } = invocation;
  const config = await configOf(invocation).catch((error: unknown) => {
    if (!(error instanceof ConfigError)) throw error;
    terminal.note(`What is configured is not known: ${error.message}`);
    return undefined;
  });
  const status = config === undefined ? undefined : await statusOf(config);
  const plugged = await pluggedReaders(config?.readers ?? [], root);
  const configured = (config?.readers ?? []).map((reader) => configuredReader(reader, plugged, status));
  terminal.line(plugged.length === 0 ? "Nothing is plugged in that may be a reader." : "Plugged in:");
  for (const reader of plugged) for (const line of describe(reader)) terminal.line(`  ${line}`);
  if (config !== undefined) {
    terminal.line(configured.length === 0 ? "No reader is configured." : "Configured:");
    for (const { name, family, printer, state } of configured) {
      terminal.line(`  ${name.padEnd(14)}${family} at ${printer}: ${state}`);
    }
  }
  terminal.result({ plugged: plugged.map(shown), configured });
  return EXIT.ok;
}

export async function pluggedReaders(readers: Config["readers"], root: string): Promise<PluggedReader[]> {
  const found: PluggedReader[] = [];
  for (const candidate of candidatesOf(await scanPlugged(root))) {
    const configured = await configuredAs(candidate, readers, root);
    found.push({ candidate, configured, next: await nextSteps(candidate, configured, root) });
  }
  return found;
}

export async function configuredAs(
  candidate: Candidate,
  readers: Config["readers"],
  root: string,
): Promise<string | undefined> {
  for (const reader of readers) {
    if ("vendorId" in reader && isSelected(reader, candidate)) return reader.name;
    // The service's name begins as the device calls itself, and the configuration may say less of it.
    if ("readerName" in reader && isSmartCardReader(candidate, reader.readerName)) return reader.name;
    const path = serialPathOf(reader);
    if (path === undefined) continue;
    if (candidate.paths.includes(path)) return reader.name;
    // A name of the administrator's own, such as /dev/card-reader.
    const node = await realpath(join(root, path)).catch(() => undefined);
    if (candidate.paths.some((path) => join(root, path) === node)) return reader.name;
  }
  return undefined;
}

function isSmartCardReader({ says = "", guess }: Candidate, readerName: string): boolean {
  return guess.families.includes("pcsc") && says !== "" && (says.startsWith(readerName) || readerName.startsWith(says));
}

/** Absent for a family, and for a reader of such a family, that is not at a serial port. */
function serialPathOf(reader: ReaderConfig): string | undefined {
  return "path" in reader ? reader.path : undefined;
}

function isSelected(
  reader: Extract<ReaderConfig, { vendorId: number }>,
  { hid, serialNumber, port }: Candidate,
): boolean {
  return (
    reader.vendorId === hid?.vendorId &&
    reader.productId === hid.productId &&
    (reader.serialNumber === undefined || reader.serialNumber === serialNumber) &&
    (reader.port === undefined || reader.port === port)
  );
}

async function nextSteps(candidate: Candidate, configured: string | undefined, root: string): Promise<string[]> {
  const { guess, key, nodes, typesToConsole, heldByNfc } = candidate;
  const closed: string[] = [];
  for (const node of nodes) {
    const open = await access(join(root, node), constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    );
    if (!open) closed.push(node);
  }
  const taken = configured !== undefined;
  return [
    ...(heldByNfc ? [READER_CODES["reader-kernel-driver"].next] : []),
    ...(taken && typesToConsole
      ? ["Its keys reach the console too: install the udev rule for it (printgate reader udev-rules)."]
      : []),
    ...(closed.length > 0
      ? [`This user may not open ${closed.join(", ")}: install the udev rules, or join group dialout.`]
      : []),
    ...(taken || guess.families.length === 0 ? [] : [`To use it: printgate reader add --device ${key}`]),
  ];
}

function describe({ candidate, configured, next }: PluggedReader): string[] {
  const { key, guess, ids, says, serialNumber, nodes, path } = candidate;
  const families = guess.families.length === 0 ? "no reader" : guess.families.join(", ");
  const identity = [
    ids,
    serialNumber === undefined ? undefined : `serial number ${serialNumber}`,
    ...nodes,
    path === undefined || nodes.includes(path) ? undefined : path,
  ].filter((part) => part !== undefined);
  const lines = [
    identity.join(", "),
    says === undefined ? undefined : `calls itself "${says}"`,
    guess.note,
    configured === undefined ? undefined : `configured as ${configured}`,
    ...next.map((step) => `→ ${step}`),
  ].filter((line) => line !== undefined);
  return [
    `${key.padEnd(14)}${guess.product} (confidence ${guess.confidence}): ${families}`,
    ...lines.map((line) => `${" ".repeat(14)}${line}`),
  ];
}

function shown({ candidate, configured, next }: PluggedReader): object {
  const { key, guess, ids, says, serialNumber, nodes, path, port } = candidate;
  return { device: key, ...guess, ids, serialNumber, port, nodes, path, says, configured, next };
}

function configuredReader(reader: ReaderConfig, plugged: readonly PluggedReader[], status: AgentStatus | undefined) {
  const { name, family, printer } = reader;
  const device = plugged.find(({ configured }) => configured === name)?.candidate.key;
  const isPluggable = serialPathOf(reader) !== undefined || "vendorId" in reader;
  const where = device !== undefined ? `plugged in (${device}); ` : isPluggable ? "not plugged in; " : "";
  const running = status?.readers.find((reader) => reader.name === name);
  return {
    name,
    family,
    printer,
    device,
    state: stateOf(running, where, status !== undefined),
    status: running?.status,
  };
}

function stateOf(running: AgentStatus["readers"][number] | undefined, where: string, runs: boolean): string {
  if (running === undefined) {
    return `${where}${runs ? "the agent was started without it: restart it" : "the agent does not run"}`;
  }
  const { status, forMs, lastReadAgoMs, error, hint } = running;
  const parts = [
    `${status} for ${duration(forMs)}`,
    lastReadAgoMs === undefined ? undefined : `last card ${duration(lastReadAgoMs)} ago`,
    hint,
    error === undefined ? undefined : `${error.what} ${error.next}`,
  ];
  return parts.filter((part) => part !== undefined).join("; ");
}
