import { emitKeypressEvents } from "node:readline";
import { Demo } from "../demo/demo.ts";
import { MFD_FAULT_NAMES, MFD_FAULTS } from "../demo/mfd-faults.ts";
import { type Command, CommandError, EXIT, type Terminal, textOption } from "./command.ts";

export const command: Command = {
  summary: "try everything on this machine, with a virtual printer and reader",
  help: `
usage: printgate demo [--once] [--printer URI [--key-pin PIN]]

Starts the built-in central server, a virtual MFD, the agent and a virtual reader, leaves a sample PDF for a sample
person, and waits: Enter taps the card, other keys break things. Everything lives in a temporary folder that is
removed at the end.

  --once         tap once, check that what the MFD wrote is byte for byte what was submitted, and end
  --printer URI  a real IPP printer instead of the virtual MFD: ipp://HOST[:PORT]/PATH, or with --key-pin ipps://
  --key-pin PIN  for ipps: sha256/BASE64 of the printer's key
  --json         with --once: { "outcome", "jobs": [{ "id", "sha256Submitted", "sha256Printed" }], "timelineMs" };
                 sha256Printed is null with --printer, because a real printer does not tell what it printed

Exit code 0 when the job was printed, and with the virtual MFD only when the bytes are equal.`,
  options: { once: { type: "boolean" }, printer: { type: "string" }, "key-pin": { type: "string" } },
  async run(invocation) {
    const { terminal, signal, options } = invocation;
    const once = options.once === true;
    if (terminal.json && !once) throw new CommandError("usage", "--json goes with --once");
    if (!once && !process.stdin.isTTY) throw new CommandError("usage", "without a keyboard, use --once");
    const printerUri = textOption(invocation, "printer");
    const printerKeyPin = textOption(invocation, "key-pin");
    const demo = await Demo.start({ printerUri, printerKeyPin, say: terminal.line });
    try {
      await demo.submit();
      return once ? await tapOnce(demo, terminal, signal) : await play(demo, terminal, signal);
    } finally {
      await demo.stop();
    }
  },
};

async function tapOnce(demo: Demo, terminal: Terminal, signal: AbortSignal): Promise<number> {
  const result = await demo.tap(signal);
  terminal.result(result);
  const printed = result.outcome === "printed" && result.jobs.length === 1;
  if (demo.mfd === undefined) {
    terminal.line(
      printed ? "The printer says that it printed the job." : `The job was not printed: ${result.outcome}.`,
    );
    return printed ? EXIT.ok : EXIT.failed;
  }
  const equal = result.jobs.every(({ sha256Submitted, sha256Printed }) => sha256Submitted === sha256Printed);
  terminal.line(
    printed && equal ? "Printed, byte for byte what was submitted." : `NOT as submitted: ${result.outcome}.`,
  );
  return printed && equal ? EXIT.ok : EXIT.failed;
}

const KEYS = `
  Enter  tap the card          u  unplug or plug the reader     p  take the paper out or put it in
  s      submit another PDF    j  jam the printer or clear it   b  make the printer busy or free
  n      cut the network to the central server or heal it       f  the printer's next fault, of its script of them
  h      heal the printer                                       q  quit
`;

/** Until q, Ctrl-C or a signal. */
async function play(demo: Demo, terminal: Terminal, signal: AbortSignal): Promise<number> {
  const { stdin } = process;
  terminal.line(KEYS);
  const toggles = togglesOf(demo);
  let work: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    const press = (_text: string, key: { name?: string; ctrl?: boolean }) => {
      if (key.name === "q" || (key.ctrl === true && key.name === "c")) return resolve();
      work = work.then(() => act(key.name ?? "")).catch(reject);
    };
    const act = async (key: string): Promise<void> => {
      if (key === "return" || key === "enter") await demo.tap(signal);
      else if (key === "s") await demo.submit();
      else if (Object.hasOwn(toggles, key)) terminal.line(`              ${await toggles[key]?.()}`);
      else terminal.line(KEYS);
    };
    emitKeypressEvents(stdin);
    stdin.setRawMode(true);
    stdin.on("keypress", press);
    signal.addEventListener("abort", () => resolve(), { once: true });
  }).finally(() => {
    stdin.setRawMode(false);
    stdin.pause();
  });
  await work;
  return EXIT.ok;
}

/** Each turns one trouble on or off and says what is now. */
function togglesOf({ site, mfd }: Demo): Readonly<Record<string, () => string | Promise<string>>> {
  const on = new Set<string>();
  let faults = 0;
  const printer = (key: string, begin: () => void, begun: string, end: () => void, ended: string) => () => {
    if (mfd === undefined) return "a real printer is jammed by hand";
    const begins = !on.delete(key);
    if (begins) on.add(key);
    if (begins) begin();
    else end();
    return begins ? begun : ended;
  };
  return {
    u() {
      if (site.reader.plugged) site.reader.unplug();
      else site.reader.plug();
      return site.reader.plugged ? "the reader is plugged in; the agent finds it by itself" : "the reader is unplugged";
    },
    async n() {
      if (site.networkCut) await site.healNetwork();
      else await site.cutNetwork();
      return site.networkCut ? "the central server cannot be reached" : "the central server can be reached";
    },
    f() {
      const name = MFD_FAULT_NAMES[faults++ % MFD_FAULT_NAMES.length];
      if (mfd === undefined || name === undefined) return "a real printer has faults of its own";
      for (const fault of MFD_FAULTS[name].faults) mfd.inject(fault);
      return `from now on: the printer ${MFD_FAULTS[name].what} (${name})`;
    },
    async h() {
      await mfd?.heal();
      on.clear();
      return "the printer is well";
    },
    j: printer(
      "jam",
      () => mfd?.jam(),
      "paper is jammed in the printer",
      () => mfd?.clearJam(),
      "the jam is cleared",
    ),
    p: printer(
      "paper",
      () => mfd?.paperOut(),
      "the printer is out of paper",
      () => mfd?.paperIn(),
      "there is paper again",
    ),
    b: printer(
      "busy",
      () => mfd?.busy(true),
      "somebody copies at the printer",
      () => mfd?.busy(false),
      "the printer is free",
    ),
  };
}
