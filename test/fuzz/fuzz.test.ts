import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Corpus, fuzz, Random, type Target } from "./engine.ts";
import { TARGETS } from "./targets.ts";

const committed = new Corpus(join(import.meta.dirname, "corpus"));
const folder = mkdtempSync(join(tmpdir(), "printgate-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

const targets = (await Promise.all(Object.values(TARGETS).map((load) => load()))).flat();

describe.each(targets)("$name", (target) => {
  afterAll(() => target.close?.());

  test("takes its seeds and every input that was a finding once", async () => {
    for (const input of [...target.seeds, ...committed.inputs(target.name)]) await target.run(input, new Random(1));
  });

  const { triedInTests = 1000 } = target;
  test(`takes ${triedInTests} mutations`, async () => {
    const { finding } = await fuzz(target, new Corpus(folder), 20_261_125, (runs) => runs >= triedInTests);
    expect(finding?.error).toBeUndefined();
  });
});

test("a broken promise is found, and kept for the next run", async () => {
  const fragile: Target = {
    name: "fragile",
    seeds: [Buffer.from("harmless")],
    run(input) {
      if (input.includes(0xff)) throw new Error("broke");
      return String(input.length);
    },
  };
  const corpus = new Corpus(folder);
  const { finding } = await fuzz(fragile, corpus, 1, (runs) => runs > 100_000);
  expect(finding?.error.message).toBe("broke");
  expect(readdirSync(join(folder, "fragile"))).toHaveLength(1);
  expect(corpus.inputs("fragile")[0]).toEqual(Uint8Array.from(finding?.input ?? []));
});
