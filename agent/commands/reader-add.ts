import { type Clock, systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import type { Read } from "../../drivers/reader.ts";
import { openReader } from "../../drivers/readers/open-reader.ts";
import type { Transport } from "../../drivers/transports/transport.ts";
import type { Config, ReaderConfig } from "../config/config.ts";
import { type TomlEntry, tableToml, tomlText, withTable } from "../config/edit.ts";
import { CommandError, EXIT, type Invocation, secondsOption, textOption, textOptions } from "./command.ts";
import { ConfigFile } from "./config-file.ts";
import { keptFromConsole } from "./reader-console.ts";
import { answers, type Heard, hear, isPlausible, meaningOf, nextRead, type Wait } from "./reader-detect.ts";
import { type Device, deviceOf, question } from "./reader-device.ts";
import { FAMILY_PROBES } from "./reader-families.ts";
import { learnedPipeline } from "./reader-learn.ts";
import { isSameRead, shapeOf, shapeOfHeard } from "./reader-shape.ts";

/** What a test puts in the place of the machine. */
export interface AddSurroundings {
  readonly root: string;
  readonly clock: Clock;
  readonly transport?: (settings: ReaderConfig) => Transport;
}

const REAL: AddSurroundings = { root: "/", clock: systemClock };

/** The configuration, and what a new [[reader]] at its end would make of it. */
class Draft {
  readonly file: ConfigFile;
  readonly #fixed: readonly TomlEntry[];
  readonly #last: readonly TomlEntry[];

  constructor(file: ConfigFile, fixed: readonly TomlEntry[], last: readonly TomlEntry[]) {
    this.file = file;
    this.#fixed = fixed;
    this.#last = last;
  }

  /** What the operator set by hand wins. */
  table(entries: readonly TomlEntry[]): string {
    const byKey = new Map([...this.#fixed, ...entries, ...this.#last].map((entry) => [entry.key, entry]));
    return tableToml("reader", [...byKey.values()]);
  }

  /** The reader as the agent would have it. @throws ConfigError */
  async settings(entries: readonly TomlEntry[]): Promise<ReaderConfig> {
    const { readers } = await this.file.check(withTable(this.file.text, this.table(entries)));
    const added = readers.at(-1);
    if (added === undefined) throw new TypeError("the table that was added is not there");
    return added;
  }

  async write(entries: readonly TomlEntry[]): Promise<void> {
    await this.file.replace(withTable(this.file.text, this.table(entries)));
  }
}

export async function addReader(invocation: Invocation, surroundings: AddSurroundings = REAL): Promise<number> {
  const { terminal } = invocation;
  const configured = await ConfigFile.of(invocation);
  const { file, config } = configured;
  const device = await deviceOf(invocation, config, surroundings.root);
  const name = await nameOf(invocation, config);
  const draft = new Draft(
    configured,
    [
      tomlText("name", name),
      tomlText("family", device.families[0] ?? ""),
      tomlText("printer", await printerOf(invocation, config)),
    ],
    textOptions(invocation, "set").map(setting),
  );
  // Keeps the process alive while it waits for a card, whatever the reader's transport does.
  const alive = setInterval(() => {}, 2 ** 30);
  const restore = await keptFromConsole(device.nodes, surroundings.root);
  let written = false;
  try {
    const entries = await entriesOf(invocation, draft, device, surroundings);
    const toml = draft.table(entries);
    terminal.line(toml);
    if (invocation.options["dry-run"] !== true) {
      await draft.write(entries);
      written = true;
      terminal.note(`Added to ${file}. Restart the agent to use it: systemctl restart printgate`);
    }
    const { family } = await draft.settings(entries);
    terminal.result({ written, file, name, family, toml });
    return EXIT.ok;
  } finally {
    clearInterval(alive);
    // A keyboard that was not taken types again.
    if (!written) await restore();
  }
}

/** The keys that name, printer and hand-made settings leave open: device, family, and how it speaks. */
async function entriesOf(
  invocation: Invocation,
  draft: Draft,
  device: Device,
  surroundings: AddSurroundings,
): Promise<readonly TomlEntry[]> {
  if (invocation.options.yes === true) {
    const [family] = device.families;
    if (family === undefined) throw new CommandError("usage", "--yes needs --family here");
    return [tomlText("family", family), ...(device.entries(family) ?? [])];
  }
  const wait: Wait = {
    context: { clock: surroundings.clock, log: silentLog, random: Math.random },
    waitMs: secondsOption(invocation, "wait", 60, 3600) * 1000,
    signal: invocation.signal,
  };
  const found = await detect(invocation, draft, device, surroundings, wait);
  const again = `Understood: ${found.about}. Take the card away. Tap the same card once more.`;
  const confirmation = await nextRead(found.settings, contextOf(wait, surroundings, found.settings), () =>
    invocation.terminal.note(again),
  );
  stopIfAborted(invocation);
  if (confirmation === undefined) throw new CommandError("reader-unheard", "the second time");
  if (!isSameRead(found.read, confirmation)) {
    throw new CommandError("reader-unconfirmed", `first ${shapeOf(found.read)}, then ${shapeOf(confirmation)}`);
  }
  invocation.terminal.note("The second read is the same.");
  if (invocation.terminal.ask === undefined) return found.entries;
  const pipeline = await learnedPipeline(invocation, found.read, (prompt) =>
    nextRead(found.settings, contextOf(wait, surroundings, found.settings), () => invocation.terminal.note(prompt)),
  );
  stopIfAborted(invocation);
  return pipeline === undefined ? found.entries : [...found.entries, tomlText("pipeline", pipeline)];
}

interface Found {
  readonly entries: readonly TomlEntry[];
  readonly settings: ReaderConfig;
  readonly read: Read;
  readonly about: string;
}

/** The families in turn: those that are asked answer by themselves, those that only speak need a card. */
async function detect(
  invocation: Invocation,
  draft: Draft,
  device: Device,
  surroundings: AddSurroundings,
  wait: Wait,
): Promise<Found> {
  let heardAnything = false;
  for (const family of device.families) {
    const probe = FAMILY_PROBES[family];
    const own = device.entries(family);
    if (own === undefined) continue;
    for (const line of probe.lines) {
      const entries = [tomlText("family", family), ...own, ...line];
      const settings = await draft.settings(entries);
      const at = line.length === 0 ? family : `${family}, ${line.map(({ key, toml }) => `${key} ${toml}`).join(", ")}`;
      if (probe.listen === undefined) {
        invocation.terminal.note(`Asking it as ${at} ...`);
        const reader = await openReader(settings, contextOf(wait, surroundings, settings).context);
        const answered = await answers(reader, wait);
        stopIfAborted(invocation);
        if (!answered) continue;
        const read = await nextRead(settings, contextOf(wait, surroundings, settings), () =>
          invocation.terminal.note("It answers. Tap a card now."),
        );
        if (read === undefined) throw new CommandError("reader-unheard", at);
        tell(invocation, read);
        return { entries, settings, read, about: at };
      }
      const transport = surroundings.transport?.(settings) ?? (await probe.listen.transport(settings, wait.context));
      const heard = await hear(transport, wait, () => invocation.terminal.note(`Listening as ${at}. Tap a card now.`));
      stopIfAborted(invocation);
      // A reader at another speed would still be heard, as noise.
      if (heard.length === 0) throw new CommandError("reader-unheard", at);
      heardAnything = true;
      const found = await meant(draft, entries, probe.listen.meanings, heard);
      if (found !== undefined) {
        tell(invocation, found.read);
        return found;
      }
      const what = family === "hid-keyboard" ? `${heard.length} key report(s)` : shapeOfHeard(heard);
      invocation.terminal.note(`What came makes no sense that way: ${what}`);
    }
  }
  if (heardAnything) throw new CommandError("reader-not-understood", device.about);
  throw new CommandError("reader-unheard", device.about);
}

/** The first meaning in which all that came makes sense. */
async function meant(
  draft: Draft,
  entries: readonly TomlEntry[],
  meanings: readonly (readonly TomlEntry[])[],
  heard: readonly Heard[],
): Promise<Found | undefined> {
  for (const meaning of meanings) {
    const all = [...entries, ...meaning];
    const settings = await draft.settings(all);
    const { reads, flaws } = await meaningOf(settings, heard);
    const [read] = reads;
    if (read === undefined || flaws.length > 0 || !isPlausible(read)) continue;
    return {
      entries: all,
      settings,
      read,
      about: all
        .slice(1)
        .map(({ key, toml }) => `${key} = ${toml}`)
        .join(", "),
    };
  }
  return undefined;
}

function tell({ terminal, options }: Invocation, read: Read): void {
  terminal.note(`Read: ${shapeOf(read)}`);
  if (options.show !== true) return;
  terminal.note(`  ${read.kind === "text" ? JSON.stringify(read.text) : Buffer.from(read.bytes).toString("hex")}`);
}

function contextOf(wait: Wait, { transport }: AddSurroundings, settings: ReaderConfig): Wait {
  if (transport === undefined) return wait;
  return { ...wait, context: { ...wait.context, transport: transport(settings) } };
}

function stopIfAborted({ signal }: Invocation): void {
  if (signal.aborted) throw new CommandError("reader-unheard", "stopped");
}

async function printerOf(invocation: Invocation, { printers }: Config): Promise<string> {
  const names = printers.map(({ name }) => name);
  const named = textOption(invocation, "printer");
  const [only, ...others] = names;
  if (named === undefined && only !== undefined && others.length === 0) return only;
  const chosen = named ?? (await question(invocation, `Which printer? (${names.join(", ")})`, "--printer"));
  if (names.includes(chosen)) return chosen;
  throw new CommandError("usage", `there is no printer ${JSON.stringify(chosen)}; there is ${names.join(", ")}`);
}

async function nameOf(invocation: Invocation, { readers }: Config): Promise<string> {
  const taken = new Set(readers.map(({ name }) => name));
  const named = textOption(invocation, "name");
  if (named !== undefined && taken.has(named)) throw new CommandError("reader-configured", named);
  let free = 1;
  while (taken.has(`reader-${free}`)) free += 1;
  return named ?? `reader-${free}`;
}

/** `KEY=VALUE`: a value that TOML reads as it is, or else text. */
function setting(text: string): TomlEntry {
  const [, key, value] = /^([a-z0-9_]+)\s*=\s*([\x20-\x7e]*)$/.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new CommandError("usage", "--set takes KEY=VALUE");
  const plain = /^(?:true|false|[0-9]+|0x[0-9A-Fa-f]+|\[[^\r\n]*\]|"[^"\\]*"|'[^']*')$/.test(value);
  return plain ? { key, toml: value } : tomlText(key, value);
}
