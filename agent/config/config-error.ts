import { type CodeTable, codedError } from "../../drivers/coded-error.ts";

export const CONFIG_CODES = {
  "config-not-found": {
    what: "There is no configuration file.",
    next: "Write one with `printgate config example`, or name yours with --config.",
  },
  "config-not-readable": {
    what: "The configuration file cannot be read.",
    next: "Check that it is a file, not larger than 1 MiB, and that this user may read it.",
  },
  "config-readable-by-others": {
    what: "The configuration file holds keys and other users of this machine can read or change it.",
    next: "Run the chmod command that is named, as the file's owner.",
  },
  "config-not-writable": {
    what: "The configuration file cannot be replaced; it is as it was.",
    next: "Run the command as the owner of the file and of its folder, or use --dry-run and add the lines by hand.",
  },
  "config-changed": {
    what: "The configuration file was changed by somebody else meanwhile; nothing was written.",
    next: "Look at the change, then run the command again.",
  },
  "config-syntax": {
    what: "The configuration file is not valid TOML.",
    next: "Correct the line that is named.",
  },
  "config-unknown-key": {
    what: "There is no such key.",
    next: "Correct its spelling or remove it; `printgate config example` shows all keys.",
  },
  "config-missing-key": {
    what: "A key that is needed is missing.",
    next: "Add it; `printgate config example` shows how it looks.",
  },
  "config-wrong-value": {
    what: "A key has a value that it cannot take.",
    next: "Correct the value; `printgate config example` shows what each key takes.",
  },
  "config-placeholder": {
    what: "A value of the example was not replaced.",
    next: "Put the real value there; `printgate config example` says what each key is for.",
  },
  "config-duplicate": {
    what: "Two readers or printers have the same name, or two readers use the same device.",
    next: "Give each its own name and device, or remove one of them.",
  },
  "config-unknown-printer": {
    what: "A reader belongs to a printer that is not configured.",
    next: "Correct the reader's `printer`, or add the [[printer]].",
  },
  "config-conflict": {
    what: "Two keys do not go together.",
    next: "Change one of them as the message says.",
  },
} as const satisfies CodeTable;

export type ConfigCode = keyof typeof CONFIG_CODES;

export interface ConfigProblem {
  readonly code: ConfigCode;
  readonly file: string;
  /** From 1; absent where no line is to blame. */
  readonly line?: number | undefined;
  /** As TOML spells it: `[[reader]] baud_rate`; empty for the file as a whole. */
  readonly key: string;
  /** What is wrong; holds no value of a secret key. */
  readonly message: string;
  /** The key or name that was probably meant, or the command to run. */
  readonly suggestion?: string | undefined;
}

/** `FILE:LINE: KEY: MESSAGE (SUGGESTION)` */
export function describeProblem({ file, line, key, message, suggestion }: ConfigProblem): string {
  const place = [line === undefined ? file : `${file}:${line}`, key].filter((part) => part !== "");
  return `${place.join(": ")}: ${message}${suggestion === undefined ? "" : ` (${suggestion})`}`;
}

/** Everything that is wrong with a configuration; `code` is the first problem's. */
export class ConfigError extends codedError(CONFIG_CODES) {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly [ConfigProblem, ...ConfigProblem[]]) {
    super(problems[0].code, problems.map(describeProblem).join("\n"));
    this.problems = problems;
  }
}
