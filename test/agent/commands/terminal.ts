import type { Invocation, Terminal } from "../../../agent/commands/command.ts";

/** A terminal that keeps what is written, and answers what is asked. */
export class FakeTerminal implements Terminal {
  readonly json = true;
  readonly lines: string[] = [];
  readonly notes: string[] = [];
  readonly results: unknown[] = [];
  readonly asked: string[] = [];
  readonly ask?: NonNullable<Terminal["ask"]>;
  /** Called with each note, so that a test can tap when it is told to. */
  onNote: (note: string) => void = () => {};

  constructor(answers?: readonly string[]) {
    if (answers === undefined) return;
    const left = [...answers];
    this.ask = async (question) => {
      this.asked.push(question);
      return left.shift();
    };
  }

  line(text: string): void {
    this.lines.push(text);
  }

  note(text: string): void {
    this.notes.push(text);
    this.onNote(text);
  }

  result(value: unknown): void {
    this.results.push(value);
  }

  get text(): string {
    return [...this.lines, ...this.notes].join("\n");
  }
}

export function invocation(
  terminal: Terminal,
  words: readonly string[],
  options: Invocation["options"] = {},
  signal = new AbortController().signal,
): Invocation {
  return { terminal, words, options, signal };
}
