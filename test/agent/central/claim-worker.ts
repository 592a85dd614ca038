import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { SqliteStore } from "../../../agent/central/sqlite-store.ts";
import { known } from "./store-agent.ts";

/** A process of its own that taps once for each line on standard input and prints the jobs it got. */
const [file = "", name = "", token = ""] = process.argv.slice(2);
const store = new SqliteStore(file);
const agent = await known(store, name);
process.stdout.write("ready\n");
for await (const _ of createInterface(process.stdin)) {
  const answer = await store.claim({
    agent,
    tapId: randomUUID(),
    tapHash: Buffer.alloc(32),
    credential: { kind: "card", token },
    reader: "front",
    printer: "mfd-1",
    now: 1,
    leaseUntil: 1000,
    limits: { jobs: 2, chunks: 100 },
  });
  const claims = answer.result === "accepted" ? answer.claims : [];
  process.stdout.write(`${JSON.stringify(claims.map(({ jobId }) => jobId))}\n`);
}
await store.close();
