import { defineConfig, mergeConfig } from "vitest/config";
import base from "../vitest.config.ts";

/** One machine for all: most of the time is its boot. Its tests follow one another, as plugs and taps do. */
const own = defineConfig({ test: { maxWorkers: 1, testTimeout: 240_000, hookTimeout: 240_000, bail: 0 } });

export default { ...mergeConfig(base, own), test: { ...mergeConfig(base, own).test, include: ["test/vm/**/*.vm.ts"] } };
