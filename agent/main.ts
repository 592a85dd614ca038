#!/usr/bin/env node
import { parseArgs } from "node:util";
import { CodedError } from "../drivers/coded-error.ts";
import { type Command, CommandError, EXIT, type Terminal } from "./commands/command.ts";
import { VERSION } from "./version.ts";

const COMMANDS: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  run: () => import("./commands/run.ts"),
  enrol: () => import("./commands/enrol.ts"),
  demo: () => import("./commands/demo.ts"),
  central: () => import("./commands/central.ts"),
  config: () => import("./commands/config.ts"),
  status: () => import("./commands/status.ts"),
  doctor: () => import("./commands/doctor.ts"),
  reader: () => import("./commands/reader.ts"),
  printer: () => import("./commands/printer.ts"),
  policy: () => import("./commands/policy.ts"),
  card: () => import("./commands/card.ts"),
  ledger: () => import("./commands/ledger.ts"),
};

const SUMMARIES: Readonly<Record<string, string>> = {
  run: "run the agent",
  enrol: "make this device an agent of a central server",
  demo: "try everything on this machine, with a virtual printer and reader",
  central: "the built-in central server and its administration",
  config: "check a configuration, or print an annotated example",
  status: "what the running agent, its readers and its printers are doing",
  doctor: "check everything the agent needs, one by one, and say what to do",
  reader: "find, add and watch card readers",
  printer: "find, add and trust printers",
  policy: "what the central server allows, as this agent obeys it",
  card: "convert a raw read into a card number",
  ledger: "what the agent did with each claimed job",
};

const GLOBAL_OPTIONS = {
  help: { type: "boolean", short: "h" },
  json: { type: "boolean" },
} as const;

function terminal(json: boolean): Terminal {
  const out = (text: string) => process.stdout.write(`${text}\n`);
  const err = (text: string) => process.stderr.write(`${text}\n`);
  return {
    json,
    line: json ? err : out,
    note: err,
    result: (value) => json && out(JSON.stringify(value)),
    ...(process.stdin.isTTY ? { ask } : {}),
  };
}

async function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
  const { createInterface } = await import("node:readline");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = new Promise<string | undefined>((resolve) => {
    // Ctrl-C at the question is a signal to the command, as anywhere else.
    lines.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    lines.once("close", () => resolve(undefined));
    lines.question(`${question} `, { signal }, resolve);
    signal.addEventListener("abort", () => lines.close(), { once: true });
  });
  return answer.finally(() => lines.close());
}

function overview(): string {
  const rows = Object.entries(SUMMARIES).map(([name, summary]) => `  ${name.padEnd(10)}${summary}`);
  return [
    "usage: printgate COMMAND [ARGS]",
    "",
    ...rows,
    "",
    "  --help     for any command: what it takes",
    "  --json     for any command: the answer as JSON alone on stdout",
    "  --version  the version",
    "",
    "Exit codes: 0 done, 1 failed, 2 wrong usage.",
  ].join("\n");
}

async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  const json = argv.includes("--json");
  const io = terminal(json);
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    io.line(overview());
    return name === undefined ? EXIT.usage : EXIT.ok;
  }
  if (name === "--version") {
    io.line(VERSION);
    io.result({ version: VERSION });
    return EXIT.ok;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) throw new CommandError("usage", `there is no command "${name}"`);
  const { command } = await load();
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: rest, options: { ...command.options, ...GLOBAL_OPTIONS }, allowPositionals: true });
  } catch (error) {
    throw new CommandError("usage", error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (parsed.values.help === true) {
    io.line(`printgate ${name}: ${command.summary}\n\n${command.help.trim()}`);
    return EXIT.ok;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  return command.run({ options: parsed.values, words: parsed.positionals, terminal: io, signal: stop.signal });
}

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // `| head`: whoever read has seen enough; what the command does goes on.
    if (error.code !== "EPIPE") throw error;
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof CodedError)) throw error;
  const { code, detail, row } = error;
  process.stderr.write(`printgate: ${error.message}\n  ${row.what}\n  ${row.next}\n`);
  if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: { code, detail, ...row } })}\n`);
  process.exitCode = error.code === "usage" ? EXIT.usage : EXIT.failed;
}
