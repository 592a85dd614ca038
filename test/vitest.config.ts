import { defineConfig } from "vitest/config";

// The locked runtime is what ships; with another one the tests would say nothing about it.
if (Number.parseInt(process.versions.node, 10) < 26)
  throw new Error("run the tests with `npm test`: it uses the locked Node");

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    dangerouslyIgnoreUnhandledErrors: false,
    reporters: ["default", "./test/closing-line.ts"],
  },
});
