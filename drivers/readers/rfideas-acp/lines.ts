const LF = 0x0a;
const CR = 0x0d;
/** The longest line that we ask for is some 90 characters. */
const MAX_LINE = 256;

export const LINE_FLAWS = ["garbled", "oversize"] as const;
export type LineFlaw = (typeof LINE_FLAWS)[number];

/** Splits at CR and LF. A line with anything in it that is not printable ASCII is dropped whole; NUL is ignored around it. */
export class AnswerLines {
  #line = "";
  #flaw: LineFlaw | undefined;
  /** A NUL came after the last character: only the end may follow. */
  #skipped = false;

  /** Characters of a line that has not ended, except where they are a prompt, which never ends. */
  get inLine(): boolean {
    return this.#flaw !== undefined || (this.#line !== "" && !this.#line.endsWith(">"));
  }

  next(byte: number): { readonly line: string } | { readonly flaw: LineFlaw } | undefined {
    if (byte === CR || byte === LF) {
      const line = this.#line;
      const flaw = this.#flaw;
      this.reset();
      if (flaw !== undefined) return { flaw };
      return line === "" ? undefined : { line };
    }
    if (this.#flaw !== undefined) return undefined;
    if (byte === 0) this.#skipped = this.#line !== "";
    else if (byte < 0x20 || byte > 0x7e || this.#skipped) this.#flaw = "garbled";
    else if (this.#line.length === MAX_LINE) this.#flaw = "oversize";
    else this.#line += String.fromCharCode(byte);
    return undefined;
  }

  reset(): void {
    this.#line = "";
    this.#flaw = undefined;
    this.#skipped = false;
  }
}
