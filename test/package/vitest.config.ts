import { defineConfig, mergeConfig } from "vitest/config";
import base from "../vitest.config.ts";

/** Packing and unpacking what is 110 MB large takes most of the time. */
const own = defineConfig({ test: { maxWorkers: 2, testTimeout: 600_000, hookTimeout: 600_000 } });

export default {
  ...mergeConfig(base, own),
  test: { ...mergeConfig(base, own).test, include: ["test/package/**/*.package.ts"] },
};
