import { type Command, CommandError } from "./command.ts";

export const command: Command = {
  summary: "find, add and trust printers",
  help: `
usage: printgate printer trust NAME [--replace] [--yes --expect HASH] [--dry-run]

trust     shows the TLS key of an ipps printer, asks, and pins it: \`key_pins\` in its [[printer]] table. From then on no other
          key is ever sent a job. A key that changed is shown beside the old one and taken with --replace only.
          Nothing else in the file changes. No printer is ever asked without encryption instead.

trust:
  --expect HASH  the key that it must have: sha256/..., as this command or \`printgate doctor\` shows it
  --yes          ask nothing; needs --expect
  --replace      the printer has a new key: the pins that it had are given up

  --dry-run      show what would be done, write nothing
  --config FILE  the configuration (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)
  --json         trust: {"written", "file", "name", "uri", "key", "pinned"}

Exit codes: 0 done, 1 not, 2 wrong usage.`,
  options: {
    config: { type: "string" },
    expect: { type: "string" },
    replace: { type: "boolean" },
    "dry-run": { type: "boolean" },
    yes: { type: "boolean" },
  },
  async run(invocation) {
    const [action, name, ...rest] = invocation.words;
    switch (action) {
      case "trust":
        if (name === undefined || rest.length > 0) throw new CommandError("usage", "printer trust takes one NAME");
        return (await import("./printer-trust.ts")).trustPrinter(invocation, name);
      default:
        throw new CommandError("usage", "say `printer trust NAME`");
    }
  },
};
