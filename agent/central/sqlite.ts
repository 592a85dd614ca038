import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { CentralError } from "./central-error.ts";
import { STEPS } from "./sqlite-schema.ts";

/** How long one process waits while another (the server, a command of the administrator) writes. */
const BUSY_MS = 5000;

/** One connection to the database: durable, with every statement prepared once. */
export class Sqlite {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  static open(file: string): Sqlite {
    return mapped(() => {
      // SQLite gives -wal and -shm the mode of the database file.
      if (file !== ":memory:") closeSync(openSync(file, "a", 0o600));
      const db = new DatabaseSync(file, { timeout: BUSY_MS, enableForeignKeyConstraints: true, defensive: true });
      const opened = new Sqlite(db);
      try {
        // FULL: in WAL mode it is what makes a commit survive a power cut.
        db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF");
        opened.#migrate(file);
      } catch (error) {
        db.close();
        throw error;
      }
      return opened;
    });
  }

  #migrate(file: string): void {
    this.atomic(() => {
      const version = this.get<{ user_version: number }>("PRAGMA user_version")?.user_version ?? 0;
      if (version > STEPS.length) throw new CentralError("central-data-newer", file);
      if (version === STEPS.length) return;
      for (const step of STEPS.slice(version)) this.#db.exec(step);
      this.#db.exec(`PRAGMA user_version = ${STEPS.length}`);
    });
  }

  /** The first row. The tables are STRICT, so a row's types are those of its columns. */
  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return mapped(() => this.#prepared(sql).get(...values) as Row | undefined);
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return mapped(() => this.#prepared(sql).all(...values) as Row[]);
  }

  /** The number of rows that changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return mapped(() => Number(this.#prepared(sql).run(...values).changes));
  }

  /** All of `work` or nothing of it. IMMEDIATE: the write lock is taken before the first read, so nothing read is stale. */
  atomic<T>(work: () => T): T {
    this.run("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.run("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.run("ROLLBACK");
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function mapped<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    // What is neither SQLite's nor the file system's is a coded error already, or a defect of ours.
    if (!(error instanceof Error && "code" in error)) throw error;
    if (error.code !== "ERR_SQLITE_ERROR" && !("syscall" in error)) throw error;
    // SQLite's text names tables and columns, never values.
    throw new CentralError("central-data-unusable", error.message, { cause: error });
  }
}
