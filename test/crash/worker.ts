import { FaultBench } from "./fault-bench.ts";
import { KillBench } from "./kill-bench.ts";
import type { Batch, Outcome } from "./plan.ts";

/** What a worker tells of one release of its batch; `failed`: the harness itself did not get through. */
export type WorkerNews =
  | { readonly type: "outcome"; readonly index: number; readonly outcome: Outcome }
  | { readonly type: "failed"; readonly index: number; readonly error: string }
  | { readonly type: "done" };

/** One release after the other, on one site; a site on which something failed makes room for a new one. */
export async function work(batch: Batch, tell: (news: WorkerNews) => void): Promise<void> {
  if (batch.type === "faults") {
    const start = () => FaultBench.start(batch.make);
    await each(batch.releases, start, (bench, plan) => bench.release(plan), tell);
  } else
    await each(
      batch.releases,
      () => KillBench.start(),
      (bench, plan) => bench.release(plan),
      tell,
    );
}

async function each<B extends { stop(): Promise<void> }, P>(
  plans: readonly P[],
  start: () => Promise<B>,
  release: (bench: B, plan: P) => Promise<Outcome>,
  tell: (news: WorkerNews) => void,
): Promise<void> {
  let bench: B | undefined;
  for (const [index, plan] of plans.entries()) {
    try {
      bench ??= await start();
      tell({ type: "outcome", index, outcome: await release(bench, plan) });
    } catch (error) {
      tell({ type: "failed", index, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      await bench?.stop().catch(() => {}); // what went wrong has been told
      bench = undefined;
    }
  }
  await bench?.stop();
  tell({ type: "done" });
}

/** As a process of its own: batches come in, news goes out, until the line is closed. */
if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  process.on("message", (batch) => {
    void work(batch as Batch, (news) => process.send?.(news));
  });
}
