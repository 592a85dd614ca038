import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CARD_TARGETS } from "./cards.ts";
import { Corpus, fuzz, Random, type Target } from "./engine.ts";
import { IPP_TARGETS } from "./ipp.ts";
import { OSDP_TARGETS } from "./osdp.ts";
import { POLLED_TARGETS } from "./polled.ts";
import { READER_TARGETS } from "./readers.ts";

const committed = new Corpus(join(import.meta.dirname, "corpus"));
const folder = mkdtempSync(join(tmpdir(), "printgate-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe.each([...READER_TARGETS, ...OSDP_TARGETS, ...POLLED_TARGETS, ...IPP_TARGETS, ...CARD_TARGETS])(
  "$name",
  (target) => {
    test("takes its seeds and every input that was a finding once", () => {
      for (const input of [...target.seeds, ...committed.inputs(target.name)]) target.run(input, new Random(1));
    });

    test("takes a thousand mutations", () => {
      const { finding } = fuzz(target, new Corpus(folder), 20_261_125, (runs) => runs >= 1000);
      expect(finding?.error).toBeUndefined();
    });
  },
);

test("a broken promise is found, and kept for the next run", () => {
  const fragile: Target = {
    name: "fragile",
    seeds: [Buffer.from("harmless")],
    run(input) {
      if (input.includes(0xff)) throw new Error("broke");
      return String(input.length);
    },
  };
  const corpus = new Corpus(folder);
  const { finding } = fuzz(fragile, corpus, 1, (runs) => runs > 100_000);
  expect(finding?.error.message).toBe("broke");
  expect(readdirSync(join(folder, "fragile"))).toHaveLength(1);
  expect(corpus.inputs("fragile")[0]).toEqual(Uint8Array.from(finding?.input ?? []));
});
