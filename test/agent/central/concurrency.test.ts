import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { SqliteStore } from "../../../agent/central/sqlite-store.ts";
import { SiteFixture, tempFolder } from "./site-fixture.ts";
import { agentIn } from "./store-agent.ts";

test("three processes that tap at the same instant get each job exactly once", async () => {
  const folder = await tempFolder();
  const file = join(folder, "central.db");
  const store = new SqliteStore(file);
  const by = { actor: "test", at: 0 };
  const token = "a".repeat(64);
  await store.addUser(by, "anna", "Anna");
  await store.addCard(by, "anna", token);
  const ids = Array.from({ length: 90 }, () => randomUUID());
  for (const id of ids) {
    const document = { format: "application/pdf", size: 1, sha256: "", chunkSize: 4096, chunks: Buffer.alloc(32) };
    await store.addJob(by, { id, user: "anna", title: "", expiresAt: 100, ...document });
  }
  const names = ["lobby", "floor-2", "floor-3"];
  for (const name of names) await agentIn(store, name);
  const worker = new URL("./claim-worker.ts", import.meta.url).pathname;
  const workers = names.map((name) => {
    const child = spawn(process.execPath, [worker, file, name, token], { stdio: ["pipe", "pipe", "inherit"] });
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator](), ended: once(child, "exit") };
  });
  try {
    for (const { lines } of workers) expect((await lines.next()).value).toBe("ready");
    const got: string[] = [];
    for (let round = 0; got.length < ids.length; round++) {
      expect(round).toBeLessThan(15);
      for (const { child } of workers) child.stdin.write("tap\n");
      const answers = await Promise.all(workers.map(({ lines }) => lines.next()));
      for (const { value } of answers) got.push(...(JSON.parse(value ?? "[]") as string[]));
    }
    expect(got.sort()).toEqual(ids.toSorted());
    for (const { child } of workers) child.stdin.end();
    for (const { ended } of workers) expect(await ended).toEqual([0, null]);
  } finally {
    for (const { child } of workers) child.kill("SIGKILL");
    await store.close();
    await rm(folder, { recursive: true });
  }
});

test("two agents that tap at the same instant over HTTPS get each job exactly once", async () => {
  const site = await SiteFixture.start({ limits: { tapBurst: 1000 } });
  try {
    await site.admin.addUser("anna");
    await site.admin.addCard("anna", "4711");
    const ids = [];
    for (let n = 0; n < 30; n++) ids.push((await site.addDocument("anna", `document ${n}`)).id);
    const agents = [await site.addAgent("lobby"), await site.addAgent("floor-2")];
    const taps = agents.flatMap((agent) => Array.from({ length: 8 }, () => agent.tap("4711")));
    const got = (await Promise.all(taps)).flatMap(({ manifests }) => manifests.map(({ jobId }) => jobId));
    expect(got.sort()).toEqual(ids.sort());
    for (const agent of agents) agent.close();
  } finally {
    await site.stop();
  }
});
