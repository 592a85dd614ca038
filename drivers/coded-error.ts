/** One row of an area's error table: what happened, and the technician's next step. Both are one sentence. */
export interface CodeRow {
  readonly what: string;
  readonly next: string;
}

export type CodeTable = Readonly<Record<string, CodeRow>>;

/**
 * The base of every area's error class. Callers branch on `code`, never on the text.
 * `detail` names the particular (a host, a key, a number) and must never hold a secret.
 */
export abstract class CodedError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly detail: string;
  /** The row of the area's table for this code. */
  abstract readonly row: CodeRow;

  constructor(code: Code, detail = "", options?: { cause?: unknown }) {
    super(detail === "" ? code : `${code}: ${detail}`, options);
    this.name = new.target.name;
    this.code = code;
    this.detail = detail;
  }
}

/** The base of one area's error class, with its table: `class CardError extends codedError(CARD_CODES) {}`. */
export function codedError<const Table extends CodeTable>(table: Table) {
  return class extends CodedError<Extract<keyof Table, string>> {
    override get row(): CodeRow {
      // The code is one of the table's own keys, which its type says and an index signature does not.
      return table[this.code] as CodeRow;
    }
  };
}

/** The code of any thrown value; what is not a coded error is a defect of ours and says so. */
export function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : "internal-error";
}
