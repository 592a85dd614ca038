import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Log, silentLog } from "../../../drivers/log.ts";
import { watchDevices } from "../../../drivers/readers/device-watch.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "dev-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test.each(["hidraw0", "ttyUSB0", "ttyACM1", "serial"])("%s appears", async (name) => {
  const changed = Promise.withResolvers<void>();
  const end = watchDevices(silentLog, directory)(changed.resolve);
  await writeFile(join(directory, name), "");
  await changed.promise;
  end();
});

test.each(["hidraw0", "ttyUSB0", "ttyACM1"])(
  "%s is given to the agent's user, a moment after it appeared",
  async (name) => {
    const node = join(directory, name);
    await writeFile(node, "", { mode: 0o600 });
    const changed = Promise.withResolvers<void>();
    const end = watchDevices(silentLog, directory)(changed.resolve);
    await chmod(node, 0o660);
    await changed.promise;
    end();
  },
);

test("neither other device nodes nor what is written to a console wakes anybody", async () => {
  await writeFile(join(directory, "tty1"), "");
  let changes = 0;
  const changed = Promise.withResolvers<void>();
  const end = watchDevices(
    silentLog,
    directory,
  )(() => {
    changes += 1;
    changed.resolve();
  });
  for (const name of ["sda", "loop0", "input", "null"]) await writeFile(join(directory, name), "");
  await writeFile(join(directory, "tty1"), "login: ", { flag: "a" });
  // The kernel tells in order: what came before this one has been told when it is.
  await writeFile(join(directory, "hidraw0"), "");
  await changed.promise;
  expect(changes).toBe(1);
  end();
});

test("where nothing can be watched it is said, and nothing breaks", () => {
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (_fields, message) => void warnings.push(message) };
  watchDevices(log, join(directory, "absent"))(() => {})();
  expect(warnings).toHaveLength(1);
});
