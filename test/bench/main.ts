import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "../../build/bundle.ts";
import { measureBigDocument } from "./big-document.ts";
import { measureCups } from "./cups.ts";
import { measureAddedRoundTrip, measureLatency } from "./latency.ts";
import { measurePolicy } from "./policy.ts";
import { BenchPrinter } from "./printer.ts";
import { ROOT } from "./processes.ts";
import { measureReaders } from "./readers.ts";
import { measureResident, measureStart } from "./resident.ts";
import { type Measured, report } from "./table.ts";

/** What `--only` chooses from, in the order in which it is measured. */
const NAMES = ["readers", "start", "policy", "tap", "delay", "cups", "big", "memory"] as const;
type Name = (typeof NAMES)[number];

const FULL = {
  reads: 2000,
  starts: 10,
  taps: 300,
  delayed: 60,
  releases: 12,
  mebibytes: 200,
  runs: 3,
  many: 10_000,
  idle: 30,
  policies: 30,
};
const QUICK = {
  reads: 400,
  starts: 3,
  taps: 60,
  delayed: 20,
  releases: 3,
  mebibytes: 64,
  runs: 1,
  many: 1_000,
  idle: 5,
  policies: 5,
};

const { values } = parseArgs({
  options: {
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    profile: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const only = values.only?.split(",") ?? NAMES;
const unknown = only.filter((name) => !(NAMES as readonly string[]).includes(name));
if (values.help || unknown.length > 0) {
  process.stdout.write(`usage: npm run bench [-- --json FILE] [-- --quick] [-- --only ${NAMES.join(",")}]

  --json FILE    also write the figures there
  --quick        fewer of everything: to see that it runs, not to know the figures
  --only NAMES   measure these alone; the figures of the others are null
  --profile DIR  the agent writes CPU profiles there, which costs it some time
`);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const counts = values.quick ? QUICK : FULL;
const chosen = (name: Name) => only.includes(name);
const progress = (what: string) => process.stderr.write(`bench: ${what}\n`);

// In the checkout, so that the bundle finds its native addons, and on its disk rather than on a tmpfs.
await mkdir(join(ROOT, "dist"), { recursive: true });
const folder = await mkdtemp(join(ROOT, "dist", "bench-"));
// An interrupted run leaves nothing behind either: the processes end with this one.
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const printer = await BenchPrinter.start();
try {
  progress("bundling");
  await bundle(join(folder, "bundle"));
  const nodeOptions = values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${resolve(values.profile)}`];
  const common = { folder, bundle: join(folder, "bundle"), printer, nodeOptions };
  const measured: { -readonly [K in keyof Measured]: Measured[K] } = {};
  if (chosen("readers")) {
    progress(`${counts.reads} reads of each reader family`);
    measured.readers = await measureReaders(counts.reads);
  }
  if (chosen("start")) {
    progress(`${counts.starts} starts`);
    measured.startMs = await measureStart(common, counts.starts);
  }
  if (chosen("policy")) {
    progress(`${counts.policies} policies`);
    measured.policyMs = await measurePolicy(common, counts.policies);
  }
  if (chosen("tap")) {
    progress(`${counts.taps} taps by turns with the floor`);
    measured.latency = await measureLatency(common, counts.taps);
  }
  if (chosen("delay")) {
    progress(`${counts.delayed} taps each with 0, 20 and 50 ms added to the central server's answers`);
    measured.added = await measureAddedRoundTrip(common, counts.delayed);
  }
  if (chosen("cups")) {
    progress(`${counts.releases} releases by CUPS`);
    const cups = await measureCups(printer, counts.releases);
    if (cups !== undefined) measured.cups = cups;
  }
  if (chosen("big")) {
    progress(`a document of ${counts.mebibytes} MiB, ${counts.runs} times`);
    measured.big = await measureBigDocument(common, counts.mebibytes, counts.runs);
  }
  if (chosen("memory")) {
    progress(`${counts.idle} s idle, then ${counts.many} taps, twice`);
    measured.resident = await measureResident(common, counts.many, counts.idle);
  }
  const { table, json } = report(measured);
  process.stdout.write(`${table}\n`);
  if (values.json !== undefined) {
    const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: availableParallelism(), node: process.version };
    await writeFile(values.json, `${JSON.stringify({ ...json, quick: values.quick, machine }, undefined, 2)}\n`);
  }
} finally {
  await printer.stop();
  await rm(folder, { recursive: true, force: true });
  await rmdir(join(ROOT, "dist")).catch(() => {}); // stays if a build is in it
}
