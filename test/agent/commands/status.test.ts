import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command } from "../../../agent/commands/status.ts";
import { ControlSocket } from "../../../agent/health/control-socket.ts";
import type { AgentStatus } from "../../../agent/health/status.ts";
import { SAMPLE } from "../config/sample.ts";
import { FakeTerminal, invocation } from "./terminal.ts";

test("a reader that has been quiet for long is hinted at, its counters are told, and the agent is ready all the same", async () => {
  const folder = await mkdtemp(join(tmpdir(), "status-"));
  const config = join(folder, "printgate.toml");
  await writeFile(config, SAMPLE.replace("[central]", `state_dir = "${folder}"\n\n[central]`), { mode: 0o600 });
  const front = { name: "front", family: "tcp-line", printer: "mfd-1", status: "ready", forMs: 60_000 } as const;
  const status: AgentStatus = {
    version: "1",
    name: "lobby",
    pid: 7,
    uptimeMs: 60_000,
    central: { status: "connected", counters: {} },
    readers: [
      { ...front, lastReadAgoMs: 5000, counters: { reads: 3, badChecksum: 1 } },
      { ...front, name: "side", hint: "no card for 9 h", counters: { reads: 0 } },
    ],
    printers: [],
    ledger: {
      health: { fresh: true, tornBytes: 0, damagedLines: 0, unknownRecords: 0 },
      open: 0,
      unreported: 0,
      inDoubt: 0,
    },
    taps: [],
    counters: {},
    memoryMiB: 50,
  };
  const socket = await ControlSocket.open(join(folder, "control.sock"), {
    status: () => status,
    capture: () => false,
    captured: () => undefined,
    policy: () => undefined,
  });
  try {
    const terminal = new FakeTerminal();
    expect(await command.run(invocation(terminal, [], { config }))).toBe(0);
    expect(terminal.lines).toEqual(
      expect.arrayContaining([
        "Ready",
        "reader   front (tcp-line at mfd-1): ready for 1 min, last card 5 s ago",
        "reader   side (tcp-line at mfd-1): ready for 1 min, no card yet",
        "  ? reader side: no card for 9 h",
      ]),
    );
    expect(terminal.results).toMatchObject([
      {
        verdict: { status: "ready" },
        readers: [{ counters: { reads: 3, badChecksum: 1 } }, { hint: "no card for 9 h" }],
      },
    ]);
  } finally {
    await socket.close();
    await rm(folder, { recursive: true });
  }
});
