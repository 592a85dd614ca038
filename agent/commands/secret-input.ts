import { text } from "node:stream/consumers";
import { CommandError } from "./command.ts";

const [ETX, EOT, BACKSPACE, DELETE] = ["\u0003", "\u0004", "\b", "\u007f"];

/**
 * What must show neither in the process list nor on the screen: from a terminal it is typed twice without an echo,
 * else it is all of standard input.
 */
export async function readSecret(what: string): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).trim();
  const [first = "", second] = await typed([`${what}: `, `${what} again: `]);
  if (first !== second) throw new CommandError("usage", "these are not the same");
  return first;
}

/** A line for each prompt. Ctrl-C and Ctrl-D give up; the terminal is left as it was before. */
function typed(prompts: readonly string[]): Promise<string[]> {
  const { stdin, stderr } = process;
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    let line = "";
    const end = (givenUp: boolean) => {
      stdin.off("data", take);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
      if (givenUp) reject(new CommandError("usage", "given up"));
      else resolve(lines);
    };
    const take = (keys: Buffer) => {
      for (const key of keys.toString("utf8")) {
        if (key === ETX || key === EOT) return end(true);
        if (key === "\r" || key === "\n") {
          lines.push(line);
          line = "";
          const prompt = prompts[lines.length];
          if (prompt === undefined) return end(false);
          stderr.write(`\n${prompt}`);
        } else line = key === BACKSPACE || key === DELETE ? line.slice(0, -1) : line + key;
      }
    };
    // Before the prompt: nothing that is typed after it may be echoed.
    stdin.setRawMode(true);
    stdin.on("data", take);
    stderr.write(prompts[0] ?? "");
  });
}
