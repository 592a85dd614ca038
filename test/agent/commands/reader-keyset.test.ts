import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keysetReader } from "../../../agent/commands/reader-keyset.ts";
import { OsdpPd } from "../../sim/osdp-pd.ts";
import { SAMPLE } from "../config/sample.ts";

let folder: string;
let pd: OsdpPd;
let stop: () => Promise<unknown>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "keyset-"));
  pd = new OsdpPd({ address: 3, installing: true });
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      for (const reply of pd.push(bytes)) socket.write(reply);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const reader = `[[reader]]
name = "door"
family = "osdp"
printer = "mfd-1"
connect = "127.0.0.1:${port}"
address = 3
scbk = "${"5c".repeat(16)}"
`;
  await writeFile(join(folder, "printgate.toml"), SAMPLE + reader, { mode: 0o600 });
  stop = async () => {
    server.close();
    await once(server, "close");
  };
});
afterEach(async () => {
  await stop();
  await rm(folder, { recursive: true });
});

async function run(name: string) {
  const lines: string[] = [];
  const results: unknown[] = [];
  const exit = await keysetReader(
    {
      options: { config: join(folder, "printgate.toml") },
      words: ["keyset", name],
      terminal: {
        json: true,
        line: (text) => lines.push(text),
        note: (text) => lines.push(text),
        result: (value) => results.push(value),
      },
      signal: new AbortController().signal,
    },
    name,
  );
  return { exit, lines, results };
}

test("gives the configured key, and says when it is there already", async () => {
  expect(await run("door")).toEqual({
    exit: 0,
    lines: ["door has taken its key, and proven it."],
    results: [{ reader: "door", outcome: "given" }],
  });
  expect(Buffer.from(pd.scbk).toString("hex")).toBe("5c".repeat(16));
  expect((await run("door")).results).toEqual([{ reader: "door", outcome: "had" }]);
});

test("refuses a reader that is none, or has no key, before anything is said to any", async () => {
  await expect(run("dor")).rejects.toMatchObject({ code: "usage" });
  await expect(run("front")).rejects.toMatchObject({ code: "usage" });
  expect(pd.done).toEqual([]);
});
