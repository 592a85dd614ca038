import { type Command, CommandError } from "./command.ts";

export const command: Command = {
  summary: "find, add and trust printers",
  help: `
usage: printgate printer discover [--seconds N]
       printgate printer add [URI | PRINTER] [--name NAME] [--plain] [--snmp] [--yes --expect HASH] [--dry-run]
       printgate printer trust NAME [--replace] [--yes --expect HASH] [--dry-run]

discover  the printers that advertise themselves (_ipps._tcp and _ipp._tcp by multicast DNS) in the networks of this machine:
          name, model, address, uuid, formats, whether IPP and SNMP answer, and the TLS key. Nothing is changed.
add       asks the printer, shows its key, and writes a [[printer]] table at the end of the configuration. Nothing else in the
          file changes. PRINTER is the name, uuid, address or host that discover shows; without one you are asked.
trust     shows the TLS key of an ipps printer, asks, and pins it: \`key_pins\` in its [[printer]] table. From then on no other
          key is ever sent a job. A key that changed is shown beside the old one and taken with --replace only.
          Nothing else in the file changes. No printer is ever asked without encryption instead.

discover, add PRINTER:
  --seconds N    listen for so long (default 3, at most 60)
add:
  --name NAME    its name; default: the next free one of mfd-1, mfd-2, ...
  --plain        take ipp, which is not encrypted, of a printer that was discovered
  --tls-allow W  tls1.0, tls1.1 or rsa1024: a weakness that this printer is allowed, because it can do no better; may be repeated
  --snmp         ask it about paper, jams and covers by SNMP too: adds a [printer.snmp] table (2c, public)
add, trust:
  --expect HASH  the key that it must have: sha256/..., as these commands or \`printgate doctor\` shows it
  --yes          ask nothing; for ipps it needs --expect
  --replace      trust: the printer has a new key: the pins that it had are given up

  --dry-run      show what would be done, write nothing
  --config FILE  the configuration (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)
  --json         discover: {"printers": [{"name", "model", "location", "uuid", "formats", "host", "address", "ipps", "ipp",
                 "probes": [{"uri", "key", "state", "error"}], "snmp"}]}; add: {"written", "file", "name", "uri", "key", "toml"};
                 trust: {"written", "file", "name", "uri", "key", "pinned"}

Exit codes: 0 done, 1 not, 2 wrong usage.`,
  options: {
    config: { type: "string" },
    expect: { type: "string" },
    replace: { type: "boolean" },
    seconds: { type: "string" },
    name: { type: "string" },
    plain: { type: "boolean" },
    "tls-allow": { type: "string", multiple: true },
    snmp: { type: "boolean" },
    "dry-run": { type: "boolean" },
    yes: { type: "boolean" },
  },
  async run(invocation) {
    const [action, name, ...rest] = invocation.words;
    if (rest.length > 0) throw new CommandError("usage", `printer ${action} takes no more words`);
    switch (action) {
      case "discover":
        if (name !== undefined) throw new CommandError("usage", "printer discover takes no more words");
        return (await import("./printer-discover.ts")).discoverPrinters(invocation);
      case "add":
        return (await import("./printer-add.ts")).addPrinter(invocation, name);
      case "trust":
        if (name === undefined) throw new CommandError("usage", "printer trust takes one NAME");
        return (await import("./printer-trust.ts")).trustPrinter(invocation, name);
      default:
        throw new CommandError("usage", "say `printer discover`, `printer add` or `printer trust NAME`");
    }
  },
};
