/** Where something stands in the data: keys of tables and indexes of arrays. */
export type KeyPath = readonly PropertyKey[];

/** Offsets into the text; `end` is after the last character. */
export interface ValueSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * The lines of all keys and table headers of a valid TOML document, because the parser does not tell them.
 * It tracks headers and skips over values; keys inside inline tables and elements of arrays have the line of the key
 * that holds them.
 */
export class KeyLines {
  readonly #toml: string;
  readonly #lines = new Map<string, number>();
  readonly #spans = new Map<string, ValueSpan>();
  /** How many tables each array of tables has so far. */
  readonly #counts = new Map<string, number>();
  #at = 0;
  #counted = 0;
  #newlines = 0;

  constructor(toml: string) {
    this.#toml = toml;
    let table: KeyPath = [];
    for (;;) {
      this.#skip(/[\s]*(?:#[^\n]*\s*)*/y);
      if (this.#at >= toml.length) return;
      const line = this.#line();
      if (this.#take("[[")) table = this.#arrayTable(this.#key());
      else if (this.#take("[")) table = this.#resolve(this.#key());
      else {
        const path = [...table, ...this.#key()];
        this.#note(path, line);
        this.#skip(/[ \t]*=[ \t]*/y);
        const start = this.#at;
        this.#spans.set(text(path), { start, end: this.#value() });
        continue;
      }
      this.#note(table, line);
      this.#skip(/[^\n]*/y);
    }
  }

  /** The line (from 1) of the key at `path`, or of the nearest thing around it; undefined for the document itself. */
  of(path: KeyPath): number | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.#lines.get(text(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  /** Where the value of the key at `path` stands in the text; undefined where it has no line of its own, as in an inline table. */
  span(path: KeyPath): ValueSpan | undefined {
    return this.#spans.get(text(path));
  }

  #note(path: KeyPath, line: number): void {
    // `[a.b]` and `a.b = 1` also make `a`, on the same line.
    for (let length = path.length; length > 0; length -= 1) {
      const key = text(path.slice(0, length));
      if (!this.#lines.has(key)) this.#lines.set(key, line);
    }
  }

  #arrayTable(keys: readonly string[]): KeyPath {
    const array = [...this.#resolve(keys.slice(0, -1)), keys.at(-1) ?? ""];
    const count = this.#counts.get(text(array)) ?? 0;
    this.#counts.set(text(array), count + 1);
    return [...array, count];
  }

  /** TOML 1.0, Array of Tables: a header refers to the array's most recently defined table. */
  #resolve(keys: readonly string[]): KeyPath {
    let path: KeyPath = [];
    for (const key of keys) {
      path = [...path, key];
      const count = this.#counts.get(text(path));
      if (count !== undefined) path = [...path, count - 1];
    }
    return path;
  }

  #line(): number {
    for (; this.#counted < this.#at; this.#counted += 1) if (this.#toml[this.#counted] === "\n") this.#newlines += 1;
    return this.#newlines + 1;
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#toml)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #take(start: string): boolean {
    const there = this.#toml.startsWith(start, this.#at);
    if (there) this.#at += start.length;
    return there;
  }

  #key(): string[] {
    const keys: string[] = [];
    do {
      this.#skip(/[ \t]*/y);
      const quoted = this.#skip(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y);
      keys.push(quoted === "" ? this.#skip(/[A-Za-z0-9_-]*/y) : quoted.slice(1, -1));
      this.#skip(/[ \t]*/y);
    } while (this.#take("."));
    return keys;
  }

  /** To the end of the line on which the value ends. Returns the end of the value itself, before blanks and a comment. */
  #value(): number {
    let depth = 0;
    let end = this.#at;
    while (this.#at < this.#toml.length) {
      if (this.#skip(/#[^\n]*|[ \t\r]+/y) !== "") continue;
      if (this.#take('"""')) this.#skip(/(?:[^\\"]|\\[\s\S]|"(?!""))*"{3,5}/y);
      else if (this.#take("'''")) this.#skip(/(?:[^']|'(?!''))*'{3,5}/y);
      else if (this.#skip(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y) === "") {
        const character = this.#toml[this.#at];
        if (character === "\n" && depth === 0) return end;
        if (character === "[" || character === "{") depth += 1;
        if (character === "]" || character === "}") depth -= 1;
        this.#at += 1;
      }
      end = this.#at;
    }
    return end;
  }
}

function text(path: KeyPath): string {
  return JSON.stringify(path.map(String));
}
