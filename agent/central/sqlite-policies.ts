import { RootEnvelope } from "../protocol/root.ts";
import { Envelope } from "../protocol/schema.ts";
import { CentralError } from "./central-error.ts";
import type { Sqlite } from "./sqlite.ts";
import type { PolicyName, SignedPolicy } from "./store.ts";

/** Root documents and policies, as they were signed. Every method is called within a transaction, or reads alone. */
export class SqlitePolicies {
  readonly #db: Sqlite;

  constructor(db: Sqlite) {
    this.#db = db;
  }

  /** What is in force; undefined in a site that is older than policies. */
  name(): PolicyName | undefined {
    return this.#db.get<PolicyName>("SELECT root, version FROM policies ORDER BY root DESC, version DESC LIMIT 1");
  }

  policy({ root, version }: PolicyName): SignedPolicy | undefined {
    const sql = "SELECT envelope FROM policies WHERE root = ? AND version = ?";
    const row = this.#db.get<{ envelope: string }>(sql, root, version);
    const parsed = Envelope.safeParse(row && JSON.parse(row.envelope));
    return parsed.success ? { root, version, envelope: parsed.data } : undefined;
  }

  root(version: number): RootEnvelope | undefined {
    const row = this.#db.get<{ envelope: string }>("SELECT envelope FROM roots WHERE version = ?", version);
    const parsed = RootEnvelope.safeParse(row && JSON.parse(row.envelope));
    return parsed.success ? parsed.data : undefined;
  }

  newestRoot(): number {
    return this.#db.get<{ version: number | null }>("SELECT max(version) AS version FROM roots")?.version ?? 0;
  }

  /** For a site that is just being made: what an earlier try left is no site's. */
  clear(): void {
    this.#db.run("DELETE FROM policies");
    this.#db.run("DELETE FROM roots");
  }

  addRoot(version: number, envelope: RootEnvelope, at: number): void {
    if (version !== this.newestRoot() + 1) throw new CentralError("root-not-next", `root ${version}`);
    const sql = "INSERT INTO roots (version, envelope, added_at) VALUES (?, ?, ?)";
    this.#db.run(sql, version, JSON.stringify(envelope), at);
  }

  addPolicy({ root, version, envelope }: SignedPolicy, at: number): void {
    const sql = "INSERT INTO policies (root, version, envelope, added_at) VALUES (?, ?, ?, ?)";
    this.#db.run(sql, root, version, JSON.stringify(envelope), at);
  }
}
