import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { type Batch, faultBatches, killBatches, pairOf } from "./plan.ts";
import { isGood, Tally, table } from "./report.ts";
import type { WorkerNews } from "./worker.ts";

const RELEASES = 2400;
/** Of ten releases this many die with their agent. */
const KILLS_OF_TEN = 1;
/** Two sites on their clocks fill two cores; two agents that are killed mostly wait for the real one. */
const LANES: readonly Batch["type"][] = ["faults", "faults", "kills", "kills"];
const PROGRESS_MS = 10_000;

const HELP = `usage: npm run test:crash -- [--json FILE] [--releases N] [--seconds S]

Releases documents while the agent is killed and the printer fails, in every state of the release, and holds what the
agent says against what came out of the printer. Exit code 1 if something was printed twice or lost, a word was wrong,
or a pair of state and fault was not met.

  --json FILE    the figures; the table for people goes to the standard output all the same
  --releases N   ${RELEASES} by default
  --seconds S    begin nothing new after so long`;

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    releases: { type: "string", default: String(RELEASES) },
    seconds: { type: "string", default: "Infinity" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(`${HELP}\n`);
  process.exit(0);
}
const releases = Number(values.releases);
const seconds = Number(values.seconds);
if (!(releases >= 1 && seconds > 0)) {
  process.stderr.write(`${HELP}\n`);
  process.exit(2);
}

const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
const tally = new Tally();
const kills = Math.round((releases * KILLS_OF_TEN) / 10);
const queues = { faults: faultBatches(releases - kills), kills: killBatches(kills) };
for (const batch of [...queues.kills, ...queues.faults]) {
  for (const index of batch.releases.keys()) tally.expect(pairOf(batch, index));
}

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
const progress = setInterval(() => {
  process.stderr.write(`${elapsed().toFixed(0).padStart(5)} s  ${tally.runs} of ${releases} releases\n`);
}, PROGRESS_MS);

await Promise.all(LANES.map((first) => lane(first)));
clearInterval(progress);

const report = tally.report(elapsed());
process.stdout.write(`${table(report)}\n`);
if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
process.exitCode = isGood(report) ? 0 : 1;

/** One process that works through batches: of its own kind first, then of the other. */
async function lane(first: Batch["type"]): Promise<void> {
  const second = first === "faults" ? "kills" : "faults";
  const child = fork(new URL("worker.ts", import.meta.url), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  children.add(child);
  const gone = once(child, "exit");
  try {
    while (elapsed() < seconds) {
      const batch = queues[first].shift() ?? queues[second].shift();
      if (batch === undefined) break;
      await through(child, batch);
    }
  } finally {
    if (child.connected) child.disconnect();
    await gone;
    children.delete(child);
  }
}

function through(child: ChildProcess, batch: Batch): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error("a worker ended in the middle of its batch"));
    child.once("exit", ended);
    const hear = (message: unknown) => {
      const news = message as WorkerNews;
      if (news.type === "done") {
        child.off("message", hear);
        child.off("exit", ended);
        resolve();
      } else {
        const pair = pairOf(batch, news.index);
        const how = JSON.stringify({ ...("make" in batch ? batch.make : {}), ...batch.releases[news.index] });
        if (news.type === "outcome") tally.add(pair, how, news.outcome);
        else tally.failed(pair, how, news.error);
      }
    };
    child.on("message", hear);
    child.send(batch);
  });
}
