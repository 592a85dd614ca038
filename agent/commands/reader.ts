import { type Command, CommandError } from "./command.ts";
import { KEYSET_HELP, keysetReader } from "./reader-keyset.ts";

export const command: Command = {
  summary: "find, add and watch card readers",
  help: `
usage: printgate reader list
       printgate reader add [--device DEVICE | --tcp HOST:PORT | --listen HOST:PORT [--allow NETWORK]...]
       printgate reader capture NAME [--seconds N]
       printgate reader udev-rules
       printgate reader keyset NAME

list     what is plugged in and may be a reader, what is configured, how it does, and what to do next.
         Without a readable configuration it shows what is plugged in.
add      takes a reader into the configuration: asks for a card, finds out what the reader sends and how, asks for the card
         again, and writes a [[reader]] table at the end of the file. Nothing else in the file changes.
         Whoever knows the numbers that the central server has for three cards is led to the pipeline, too.
capture  shows the shape of what goes over a reader's line while the agent runs: a d for each character of a decimal number,
         h of a hexadecimal one, a of another word, p of signs, x for any other byte. No card number can be told from it.
udev-rules
         prints the rules that keep the keys of known and configured readers from the console and give the agent its rights;
         the first lines say where to put them. A new keyboard reader needs them before it can be added or read.
keyset   gives an OSDP reader its own key:
${KEYSET_HELP}

add:
  --device DEVICE     what \`reader list\` shows: a USB socket (1-1.2), a node (/dev/ttyUSB0), ids (09d8:0410), a serial number
  --tcp HOST:PORT     a network reader that the agent connects to
  --listen HOST:PORT  a network reader that connects to the agent; --allow says from where
  --family FAMILY     do not find out, it is this one
  --set KEY=VALUE     a key of the [[reader]] table, such as baud_rate=115200; may be repeated
  --name NAME         its name; default: the next free one of reader-1, reader-2, ...
  --printer NAME      the printer that it releases on; default: the only one
  --wait N            seconds to wait for each card (default 60)
  --show              show the card's number. Without it only its shape is shown
  --dry-run           print the table, write nothing
  --yes               ask nothing and wait for no card: the table is made from the other options
capture:
  --seconds N         for how long (default 60, at most 600)

  --config FILE       the configuration (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml)
  --json              list: {"plugged": [...], "configured": [...]}; add: {"written", "file", "name", "family", "toml"};
                      capture: one line {"number", "atMs", "direction", "length", "shape"} for each frame;
                      udev-rules: {"rules", "configured"}

A keyboard of an unknown kind, and a serial bridge, behind which anything may be, are taken only if you name them.
Exit codes: 0 done, 1 not, 2 wrong usage.`,
  options: {
    config: { type: "string" },
    device: { type: "string" },
    tcp: { type: "string" },
    listen: { type: "string" },
    allow: { type: "string", multiple: true },
    family: { type: "string" },
    set: { type: "string", multiple: true },
    name: { type: "string" },
    printer: { type: "string" },
    wait: { type: "string" },
    seconds: { type: "string" },
    show: { type: "boolean" },
    "dry-run": { type: "boolean" },
    yes: { type: "boolean" },
  },
  async run(invocation) {
    const [action, ...rest] = invocation.words;
    if (action === "capture") return (await import("./reader-capture.ts")).captureReader(invocation, rest);
    if (action === "keyset") {
      const [name, ...more] = rest;
      if (name === undefined || more.length > 0) throw new CommandError("usage", "reader keyset takes one NAME");
      return keysetReader(invocation, name);
    }
    if (rest.length > 0) throw new CommandError("usage", `reader ${action} takes no more words`);
    switch (action) {
      case "list":
        return (await import("./reader-list.ts")).listReaders(invocation);
      case "udev-rules":
        return (await import("./reader-udev.ts")).printRules(invocation);
      case "add":
        return (await import("./reader-add.ts")).addReader(invocation);
      default:
        throw new CommandError(
          "usage",
          "say `reader list`, `reader add`, `reader capture NAME`, `reader udev-rules` or `reader keyset NAME`",
        );
    }
  },
};
