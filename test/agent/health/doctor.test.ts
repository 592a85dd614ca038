import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkStorage } from "../../../agent/health/doctor.ts";
import { systemClock } from "../../../drivers/clock.ts";

test("storage: tried in the state folder, nothing is left there, and a folder that is missing is not made", async () => {
  const folder = await mkdtemp(join(tmpdir(), "printgate-doctor-"));
  try {
    expect(await checkStorage(folder, systemClock)).toMatchObject({ evidence: expect.stringContaining("durable in") });
    expect(await checkStorage(join(folder, "state"), systemClock)).toMatchObject({ result: "warn" });
    expect(await readdir(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
