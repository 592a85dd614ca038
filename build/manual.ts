/** What a command says of itself: `printgate COMMAND --help`; the overview has no name. */
export interface Help {
  readonly name: string;
  readonly text: string;
}

/** A line of text as roff takes it: no escape, and no request at its beginning. */
function roff(line: string): string {
  return line
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replace(/^\./, "\\&.");
}

/** Pure: the man page, printgate(1), made of the help texts; `date` as YYYY-MM-DD. */
export function manPage(overview: string, commands: readonly Help[], version: string, date: string): string {
  const asIs = (text: string) => [".nf", ...text.trim().split("\n").map(roff), ".fi"];
  const sections = commands.flatMap(({ name, text }) => [`.SH PRINTGATE ${name.toUpperCase()}`, ...asIs(text)]);
  return [
    `.TH PRINTGATE 1 "${date}" "printgate ${version}" "Printgate"`,
    ".SH NAME",
    "printgate \\- releases held print jobs when a card is tapped at the printer",
    ".SH SYNOPSIS",
    ".B printgate",
    ".I COMMAND",
    "[ARGS]",
    ".SH DESCRIPTION",
    ...asIs(overview),
    ...sections,
    ".SH FILES",
    ".TP",
    ".I /etc/printgate/printgate.toml",
    roff("The agent's configuration. It holds keys: owner printgate, mode 0600."),
    ".TP",
    ".I /usr/share/doc/printgate/examples/printgate.toml",
    "Every key of it with its meaning, unit and default.",
    ".TP",
    ".I /var/lib/printgate",
    "What the agent keeps: the ledger of released jobs, and the control socket.",
    ".TP",
    ".I /var/lib/printgate\\-central",
    "What the built\\-in central server keeps, its keys among it.",
    "",
  ].join("\n");
}

/** Pure: the words that may follow `printgate COMMAND`, from its usage lines: `user disable|enable NAME` gives `user`. */
export function subCommands({ name, text }: Help): readonly (readonly string[])[] {
  const prefix = `printgate ${name} `;
  const paths: string[][] = [];
  for (const line of text.split("\n")) {
    const usage = line.replace(/^(?:usage:)?\s+/, "");
    if (!usage.startsWith(prefix)) continue;
    const words = usage.slice(prefix.length).split(" ");
    const end = words.findIndex((word) => !/^[a-z][a-z|-]*$/.test(word));
    let ways: string[][] = [[]];
    for (const word of words.slice(0, end === -1 ? words.length : end)) {
      ways = ways.flatMap((way) => word.split("|").map((one) => [...way, one]));
    }
    paths.push(...ways.filter((way) => way.length > 0));
  }
  return paths;
}

/** Pure: what bash completes after `printgate`, made of the help texts. */
export function bashCompletion(commands: readonly Help[]): string {
  const cases: string[] = [];
  for (const help of commands) {
    const next = new Map<string, Set<string>>();
    for (const path of subCommands(help)) {
      path.forEach((word, at) => {
        const before = [help.name, ...path.slice(0, at)].join(" ");
        next.set(before, (next.get(before) ?? new Set()).add(word));
      });
    }
    const options = [...new Set([...help.text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([option]) => option))];
    const all = [...new Set([...options, "--help", "--json"])].sort().join(" ");
    for (const [before, words] of next) cases.push(`    "${before}") words="${[...words].sort().join(" ")} ${all}" ;;`);
    cases.push(`    "${help.name}"*) words="${all}" ;;`);
  }
  const names = commands.map(({ name }) => name).join(" ");
  return `# bash completion for printgate, made of its help texts

_printgate() {
  local current=\${COMP_WORDS[COMP_CWORD]} path= word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) path=\${path:+$path }$word ;; esac
  done
  case \${COMP_WORDS[COMP_CWORD-1]} in
    --config | --file | --data) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case $path in
    "") words="${names} --help --version" ;;
${cases.join("\n")}
    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _printgate printgate
`;
}
