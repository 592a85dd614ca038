import { join } from "node:path";
import { parseArgs } from "node:util";
import { Corpus, fuzz } from "./engine.ts";
import { TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    target: { type: "string", default: "readers" },
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const load = Object.hasOwn(TARGETS, values.target) ? TARGETS[values.target] : undefined;
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (values.help || load === undefined || !(seconds > 0) || !Number.isSafeInteger(seed)) {
  process.stdout.write(`usage: npm run fuzz -- [--target ${Object.keys(TARGETS).join("|")}] [--seconds N] [--seed N] [--json FILE]

Throws mutated input at everything of the target, for N seconds in all, each part for its share. A finding ends it with
exit code 1, and is kept in test/fuzz/corpus: commit it, the tests try it from then on.
`);
  process.exit(values.help ? 0 : 2);
}

const targets = await load();
const corpus = new Corpus(join(import.meta.dirname, "corpus"));
const rows: object[] = [];
for (const target of targets) {
  const until = performance.now() + (seconds * 1000) / targets.length;
  const result = await fuzz(target, corpus, seed, (runs) => runs % 64 === 0 && performance.now() > until);
  await target.close?.();
  const { runs, behaviours, finding, grownMiB, slowestMs } = result;
  const row = {
    target: target.name,
    runs,
    behaviours,
    grownMiB: Math.round(grownMiB),
    slowestMs: Math.round(slowestMs),
  };
  rows.push(finding === undefined ? row : { ...row, error: finding.error.message, file: finding.file });
  process.stdout.write(
    `${target.name.padEnd(24)}${String(runs).padStart(9)} runs ${String(behaviours).padStart(5)} behaviours  slowest ${slowestMs.toFixed(1)} ms  grew ${grownMiB.toFixed(1)} MiB\n`,
  );
  if (finding !== undefined) {
    process.stdout.write(`FINDING (seed ${seed}): ${finding.error.stack}\n  kept as ${finding.file}\n`);
    process.exitCode = 1;
    break;
  }
}
if (values.json !== undefined)
  (await import("node:fs")).writeFileSync(values.json, `${JSON.stringify({ seed, rows })}\n`);
