import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import { CommandError, EXIT, type Invocation } from "./command.ts";
import { configOf } from "./configured-agent.ts";

/** What `printgate reader --help` says of it. */
export const KEYSET_HELP = `printgate reader keyset NAME [--config FILE]
  Gives the OSDP reader NAME the key that stands in its \`scbk\`. The reader must be new, or set to installation mode, so that
  it takes the default key; the new key travels under that one, so do this where nobody else can reach the reader's line,
  and never because a reader that had its key refuses it all at once. The agent must not run: it holds the line.`;

/** `printgate reader keyset NAME`. Rejects with the reader's error when it cannot be done. */
export async function keysetReader(invocation: Invocation, name: string): Promise<number> {
  const { readers } = await configOf(invocation);
  const reader = readers.find((candidate) => candidate.name === name);
  if (reader === undefined) throw new CommandError("usage", `there is no [[reader]] of this name: ${name}`);
  if (reader.family !== "osdp")
    throw new CommandError("usage", `${name} is a ${reader.family} reader; only osdp has a key`);
  const { keyset } = await import("../../drivers/readers/osdp/keyset.ts");
  const context = { clock: systemClock, log: silentLog, random: Math.random };
  // A pending timer of the clock does not keep the process alive.
  const alive = setInterval(() => {}, 60_000);
  try {
    const { outcome } = await keyset(reader, context);
    invocation.terminal.line(
      outcome === "given"
        ? `${name} has taken its key, and proven it.`
        : `${name} has this key already; nothing was written.`,
    );
    invocation.terminal.result({ reader: name, outcome });
    return EXIT.ok;
  } finally {
    clearInterval(alive);
  }
}
