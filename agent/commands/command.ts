import type { ParseArgsConfig } from "node:util";
import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** It ran and the answer is no: a check failed, something was not found, a job did not print. */
  failed: 1,
  /** The words of the command line are wrong; nothing was done. */
  usage: 2,
} as const;

/** Where a command writes. With `json`, only `result` reaches stdout and all else goes to stderr. */
export interface Terminal {
  readonly json: boolean;
  /** For people, on stdout; on stderr with --json. */
  line(text: string): void;
  /** Progress and warnings, always on stderr. */
  note(text: string): void;
  /** The one machine-readable answer; printed with --json only. */
  result(value: unknown): void;
  /** One line that a person types; undefined at the end of the input. Absent where nobody sits there. */
  readonly ask?: (question: string, signal: AbortSignal) => Promise<string | undefined>;
}

export interface Invocation {
  readonly options: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  readonly words: readonly string[];
  readonly terminal: Terminal;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** One sub-command, in a file of its own that `main.ts` imports only when it is called. */
export interface Command {
  readonly summary: string;
  /** Shown by --help below the summary: the usage lines and what the options mean. */
  readonly help: string;
  readonly options: NonNullable<ParseArgsConfig["options"]>;
  run(invocation: Invocation): Promise<number>;
}

export const COMMAND_CODES = {
  usage: {
    what: "The command was called with words that it does not know.",
    next: "Call it with --help to see what it takes.",
  },
  "policy-not-taken": {
    what: "This agent takes no policy: it was enrolled at a central server that had none.",
    next: "Enrol it again with `printgate enrol --again` when the central server has a policy.",
  },
  "agent-silent": {
    what: "The agent's control socket is there, but its answer is none.",
    next: "Look at its log; if it hangs, restart it.",
  },
  "agent-not-running": {
    what: "No agent answers on this machine's control socket.",
    next: "Start it with `printgate run`, or name its configuration with --config.",
  },
  "reader-not-plugged-in": {
    what: "No device that may be a reader fits.",
    next: "Look at `printgate reader list`, and name one of its devices with --device.",
  },
  "reader-configured": {
    what: "This device, or this name, is a configured reader already.",
    next: "Change its [[reader]] table, or remove it first.",
  },
  "reader-unheard": {
    what: "No card was read in time.",
    next: "Check that the reader's light or sound answers the card, that this is its port, and try again with another card.",
  },
  "reader-not-understood": {
    what: "The reader sends something, and it fits no framing and speed that is known.",
    next: "Look in its manual for speed and format, and give them with --family and --set; see `printgate reader add --help`.",
  },
  "reader-unconfirmed": {
    what: "The second read did not confirm the first; nothing was written.",
    next: "Tap the same card both times. A phone's number may change each time: take a card.",
  },
  "reader-unknown": {
    what: "The running agent has no reader of this name.",
    next: "Look at `printgate reader list`; after a change of the configuration restart the agent.",
  },
  "printer-not-configured": {
    what: "There is no printer of this name in the configuration.",
    next: "Correct the name, or add the printer with `printgate printer add`.",
  },
  "printer-not-encrypted": {
    what: "This printer's URI is ipp://, which has no encryption and so no key to trust.",
    next: "If it also answers ipps://, change its `uri`, then run the command again.",
  },
  "printer-key-changed": {
    what: "The printer shows another key than the one that is pinned for it; nothing was written.",
    next: "Find out why: a new certificate, a new printer, or somebody in between. Then call it again with --replace.",
  },
  "printer-key-unexpected": {
    what: "The printer's key is not the one that was expected; nothing was written.",
    next: "Compare the hash that is shown with the printer's own; if it is right, give it with --expect.",
  },
  "printer-key-declined": {
    what: "The printer's key was not accepted; nothing was written.",
    next: "Compare the fingerprint with the one on the printer's panel or web page, and answer yes when they are the same.",
  },
  "printer-configured": {
    what: "This printer, or this name, is configured already.",
    next: "Change its [[printer]] table, or give another name with --name.",
  },
  "printer-network-unheard": {
    what: "The network cannot be listened to for printers.",
    next: "EADDRINUSE: another program has UDP port 5353 for itself; ENETUNREACH: this machine has no network. A printer is also added by its URI.",
  },
  "printer-not-found": {
    what: "No printer that was discovered fits.",
    next: "Look at `printgate printer discover`; a printer in another network is added by its URI.",
  },
} as const satisfies CodeTable;

export class CommandError extends codedError(COMMAND_CODES) {}

/** A repeatable option. */
export function textOptions(invocation: Invocation, name: string): readonly string[] {
  const value = invocation.options[name];
  const values = Array.isArray(value) ? value : value === undefined ? [] : [value];
  return values.map((one) => {
    if (typeof one === "string") return one;
    throw new CommandError("usage", `--${name} takes a value`);
  });
}

/** Seconds, from 1 to `max`. */
export function secondsOption(invocation: Invocation, name: string, byDefault: number, max: number): number {
  const seconds = Number(textOption(invocation, name) ?? byDefault);
  if (seconds >= 1 && seconds <= max) return seconds;
  throw new CommandError("usage", `--${name} takes seconds from 1 to ${max}`);
}

/** The option as a string, or undefined; a repeated or bare one is a usage error. */
export function textOption(invocation: Invocation, name: string): string | undefined {
  const value = invocation.options[name];
  if (value === undefined || typeof value === "string") return value;
  throw new CommandError("usage", `--${name} takes one value`);
}
