import { readFile } from "node:fs/promises";
import { systemClock } from "../../drivers/clock.ts";
import { KEY_PIN } from "../../drivers/transports/tls.ts";
import { ConfigError } from "../config/config-error.ts";
import { bootId } from "../link/boot.ts";
import { Enrolling } from "../link/enrolment/enrolling.ts";
import { IdentityFolder } from "../link/enrolment/identity.ts";
import { addressOf } from "../link/settings.ts";
import { shownClaimCode } from "../protocol/claim.ts";
import { type Command, CommandError, EXIT, type Invocation, textOption, textOptions } from "./command.ts";
import { configOf } from "./configured-agent.ts";

const DEFAULT_STATE = "/var/lib/printgate";

export const command: Command = {
  summary: "make this device an agent of a central server",
  help: `
usage: printgate enrol --server https://HOST:PORT [--ca FILE --key-pin PIN ...] [--again] [--config FILE | --state DIR]

Makes this device's keys, asks the central server for a certificate, shows a claim code and a fingerprint, and waits until
a person has run, at the central server,
  printgate central agent approve CODE --name NAME
and has compared the fingerprint. Keys, certificate and what the server is trusted by are then in STATE/identity.
Started again after an interruption, it goes on where it stopped. Run it as the agent's user, or as root.

  --server URL   the central server
  --ca FILE      its CA certificate (PEM), brought here by a way that you trust; with --key-pin nothing else is believed
  --key-pin PIN  a key that it may have, sha256/BASE64; may be repeated
  --again        this device is enrolled already, and is to get new keys
  --config FILE  the configuration that names the state folder (default: $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml,
                 else ${DEFAULT_STATE} is the state folder)
  --state DIR    the state folder, whatever the configuration says
  --json         two lines: { "state": "waiting", "claimCode", "fingerprint" }, then { "state": "enrolled", "name",
                 "certificateUntil" }

Exit code 0 when the device is enrolled.`,
  options: {
    server: { type: "string" },
    ca: { type: "string" },
    "key-pin": { type: "string", multiple: true },
    again: { type: "boolean" },
    config: { type: "string" },
    state: { type: "string" },
  },
  async run(invocation) {
    const { terminal, options, signal } = invocation;
    const server = textOption(invocation, "server");
    if (server === undefined) throw new CommandError("usage", "--server is needed");
    const url = addressOf(server).origin;
    const preset = await presetOf(invocation);
    const enrolling = new Enrolling({
      folder: new IdentityFolder(await stateOf(invocation)),
      ...{ url, again: options.again === true, boot: await bootId(), clock: systemClock, signal },
      ...(preset === undefined ? {} : { preset }),
      shown({ code, fingerprint }) {
        terminal.line(`server       ${url}`);
        terminal.line(`claim code   ${shownClaimCode(code)}`);
        terminal.line(`fingerprint  ${fingerprint}`);
        terminal.line(
          `At the central server, within 15 minutes: printgate central agent approve ${shownClaimCode(code)} --name NAME`,
        );
        terminal.result({ state: "waiting", claimCode: shownClaimCode(code), fingerprint });
      },
      trouble: ({ code, detail }) => terminal.note(`${code}: ${detail}; tried again`),
    });
    // Timers of the wait do not keep a process alive.
    const alive = setInterval(() => {}, 2 ** 30);
    try {
      const { granted } = await enrolling.run();
      const { X509Certificate } = await import("node:crypto");
      const until = new X509Certificate(granted.certificate).validToDate.toISOString();
      terminal.line(`enrolled as ${granted.name}; certificate until ${until.slice(0, 10)}, renewed by itself`);
      terminal.note("Start the agent, or start it anew: systemctl restart printgate");
      terminal.result({ state: "enrolled", name: granted.name, certificateUntil: until });
      return EXIT.ok;
    } finally {
      clearInterval(alive);
    }
  },
};

async function presetOf(invocation: Invocation): Promise<{ ca: string; keyPins: readonly string[] } | undefined> {
  const file = textOption(invocation, "ca");
  const keyPins = textOptions(invocation, "key-pin");
  if (file === undefined && keyPins.length === 0) return undefined;
  if (file === undefined || keyPins.length === 0) throw new CommandError("usage", "--ca and --key-pin go together");
  if (!keyPins.every((pin) => KEY_PIN.test(pin))) throw new CommandError("usage", "--key-pin takes sha256/BASE64");
  const ca = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new CommandError("usage", `--ca: ${file} cannot be read (${cause.code})`, { cause });
  });
  return { ca, keyPins };
}

/** A device is enrolled before anything is configured, too. */
async function stateOf(invocation: Invocation): Promise<string> {
  const state = textOption(invocation, "state");
  if (state !== undefined) return state;
  try {
    return (await configOf(invocation)).agent.stateDir;
  } catch (error) {
    const none = error instanceof ConfigError && error.code === "config-not-found";
    if (none && textOption(invocation, "config") === undefined) return DEFAULT_STATE;
    throw error;
  }
}
