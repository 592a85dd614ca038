import type { SnmpConnection } from "./connection.ts";
import { SnmpError } from "./connection.ts";

/** Columns of one table of the Printer MIB; `entry` is the object identifier before the column's number. */
export interface TableShape {
  readonly entry: string;
  /** At most 10: one request asks for one row of all of them. */
  readonly columns: readonly number[];
}

/** The values of one row, in the order of the shape's columns. `index`: what follows hrDeviceIndex. */
export interface Row {
  readonly index: string;
  readonly values: readonly unknown[];
}

/** What one reading may cost, over all of its tables. A printer that answers for ever ends here. */
export class Budget {
  #requests: number;
  #octets: number;
  readonly #overdue: () => boolean;
  /** Something was left unread: rows of a table, or all that came after the budget was spent. */
  truncated = false;

  constructor(requests: number, octets: number, overdue: () => boolean) {
    this.#requests = requests;
    this.#octets = octets;
    this.#overdue = overdue;
  }

  /** False: no further request. */
  ask(): boolean {
    if (this.#requests <= 0 || this.#octets <= 0 || this.#overdue()) {
      this.truncated = true;
      return false;
    }
    this.#requests--;
    return true;
  }

  take(value: unknown): void {
    this.#octets -= value instanceof Uint8Array ? value.length : 8;
  }
}

/** Rows of one table beyond these are not read. */
const MAX_ROWS = 32;
/** hrDeviceIndex is followed by one number (a tray, a supply) or two. */
const INDEX = /^\d{1,10}(?:\.\d{1,10})?$/;

/**
 * Reads the printer's part of a table, row by row, by GETNEXT: some printers answer GETBULK badly, and an answer of 10
 * values fits every agent. Columns may have gaps. Rows come in the order of their index.
 */
export async function walkTable(
  connection: SnmpConnection,
  { entry, columns }: TableShape,
  device: string,
  budget: Budget,
): Promise<readonly Row[]> {
  const rows = new Map<string, unknown[]>();
  let cursors = columns.map((column, at) => ({ at, prefix: `${entry}.${column}.${device}.`, oid: "" }));
  while (cursors.length > 0 && budget.ask()) {
    const answers = await nextOf(
      connection,
      cursors.map(({ oid, prefix }) => oid || prefix.slice(0, -1)),
      budget,
    );
    cursors = cursors.flatMap((cursor, i) => {
      const { at, prefix } = cursor;
      const answer = answers[i];
      if (answer === undefined || !answer.oid.startsWith(prefix)) return [];
      const index = answer.oid.slice(prefix.length);
      if (!INDEX.test(index)) return [];
      const row = rows.get(index) ?? columns.map(() => undefined);
      if (!rows.has(index)) {
        if (rows.size >= MAX_ROWS) {
          budget.truncated = true;
          return [];
        }
        rows.set(index, row);
      }
      // An agent that goes in a circle would otherwise be followed for the whole budget.
      if (row[at] !== undefined) return [];
      row[at] = answer.value;
      budget.take(answer.value);
      return [{ ...cursor, oid: answer.oid }];
    });
  }
  return [...rows]
    .map(([index, values]) => ({ index, values }))
    .sort((a, b) => a.index.localeCompare(b.index, "en", { numeric: true }));
}

/** An agent that cannot answer several at once (an error such as tooBig, or fewer than asked for) is asked one by one. */
async function nextOf(connection: SnmpConnection, oids: readonly string[], budget: Budget) {
  try {
    return await connection.next(oids);
  } catch (error) {
    if (!(error instanceof SnmpError) || error.code !== "snmp-bad-answer" || oids.length === 1) throw error;
  }
  const answers: ({ readonly oid: string; readonly value: unknown } | undefined)[] = [];
  for (const oid of oids) {
    if (!budget.ask()) break;
    answers.push((await connection.next([oid]))[0]);
  }
  return answers;
}
