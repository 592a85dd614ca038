import { configPath, loadConfig } from "../config/config.ts";
import { CONFIG_CODES, ConfigError, describeProblem } from "../config/config-error.ts";
import { exampleToml } from "../config/example.ts";
import { type Command, CommandError, EXIT, type Invocation, textOption } from "./command.ts";

export const command: Command = {
  summary: "check a configuration, or print an annotated example",
  help: `
usage: printgate config check [FILE]
       printgate config example

check    reads FILE and tells everything that is wrong with it, each with its line.
         Without FILE: --config, else $PRINTGATE_CONFIG, else /etc/printgate/printgate.toml.
         Nothing is connected to; \`printgate doctor\` does that.
example  prints every key with its meaning, unit and default, as a file to begin with.

  --config FILE  the same as FILE
  --json         check: {"ok", "file", "printers", "readers"} or {"ok", "file", "problems": [{"code", "file", "line",
                 "key", "message", "suggestion"}]}; example: {"toml"}

Exit codes: 0 the configuration is good, 1 it is not, 2 wrong usage.`,
  options: { config: { type: "string" } },
  async run(invocation) {
    const [action, ...rest] = invocation.words;
    switch (action) {
      case "check":
        return check(invocation, rest);
      case "example":
        if (rest.length > 0) throw new CommandError("usage", "config example takes no more words");
        invocation.terminal.line(exampleToml().trimEnd());
        invocation.terminal.result({ toml: exampleToml() });
        return EXIT.ok;
      default:
        throw new CommandError("usage", "say `config check` or `config example`");
    }
  },
};

async function check(invocation: Invocation, words: readonly string[]): Promise<number> {
  const option = textOption(invocation, "config");
  if (words.length + (option === undefined ? 0 : 1) > 1) throw new CommandError("usage", "config check takes one FILE");
  const file = configPath(words[0] ?? option, process.env);
  const { terminal } = invocation;
  try {
    const { printers, readers } = await loadConfig(file);
    terminal.line(`${file}: good (printers: ${names(printers)}; readers: ${names(readers)})`);
    terminal.result({
      ok: true,
      file,
      printers: printers.map(({ name }) => name),
      readers: readers.map(({ name }) => name),
    });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) terminal.line(describeProblem(problem));
    for (const code of new Set(error.problems.map((problem) => problem.code)))
      terminal.line(`  ${CONFIG_CODES[code].next}`);
    terminal.result({ ok: false, file, problems: error.problems });
    return EXIT.failed;
  }
}

function names(list: readonly { readonly name: string }[]): string {
  return list.map(({ name }) => name).join(", ") || "none";
}
