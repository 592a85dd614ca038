import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { bootId } from "../../../agent/link/boot.ts";

test("a boot has one id, which is not the kernel's own", async () => {
  const boot = await bootId();
  expect(boot).toMatch(/^[0-9a-f]{32}$/);
  expect(await bootId()).toBe(boot);
  const kernels = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim().replaceAll("-", "");
  expect(boot).not.toBe(kernels);
});
