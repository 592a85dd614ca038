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
  "agent-silent": {
    what: "The agent's control socket is there, but its answer is none.",
    next: "Look at its log; if it hangs, restart it.",
  },
  "agent-not-running": {
    what: "No agent answers on this machine's control socket.",
    next: "Start it with `printgate run`, or name its configuration with --config.",
  },
} as const satisfies CodeTable;

export class CommandError extends codedError(COMMAND_CODES) {}

/** The option as a string, or undefined; a repeated or bare one is a usage error. */
export function textOption(invocation: Invocation, name: string): string | undefined {
  const value = invocation.options[name];
  if (value === undefined || typeof value === "string") return value;
  throw new CommandError("usage", `--${name} takes one value`);
}
