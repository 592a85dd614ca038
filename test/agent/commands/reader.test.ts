import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command } from "../../../agent/commands/reader.ts";
import { SAMPLE } from "../config/sample.ts";
import { FakeTerminal, invocation } from "./terminal.ts";

test.each([[[]], [["find"]], [["list", "all"]], [["add", "one"]], [["capture"]], [["capture", "a", "b"]]])(
  "%j is wrong usage",
  async (words) => {
    await expect(command.run(invocation(new FakeTerminal(), words))).rejects.toMatchObject({ code: "usage" });
  },
);

test.each([["0"], ["601"], ["soon"], ["-1"]])("a capture for %s s is wrong usage", async (seconds) => {
  const run = command.run(invocation(new FakeTerminal(), ["capture", "front"], { seconds }));
  await expect(run).rejects.toMatchObject({ code: "usage" });
});

test("every option is in the help", () => {
  for (const option of Object.keys(command.options)) expect(command.help).toContain(`--${option} `);
});

test("the udev rules are for known readers and for those that are configured, and for no keyboard besides", async () => {
  const folder = await mkdtemp(join(tmpdir(), "udev-rules-"));
  try {
    const config = join(folder, "printgate.toml");
    await writeFile(config, SAMPLE.replace("0x0410", "0xabcd"), { mode: 0o600 });
    const terminal = new FakeTerminal();
    expect(await command.run(invocation(terminal, ["udev-rules"], { config }))).toBe(0);
    expect(terminal.text).toContain("# 09d8:abcd [[reader]] usb");
    expect(terminal.text).toMatch(/SUBSYSTEM=="input".*09d8.*abcd/);
    expect(terminal.text).toContain("09d8:0410");
    expect(terminal.results).toMatchObject([{ configured: ["[[reader]] usb"] }]);
    const bare = new FakeTerminal();
    expect(await command.run(invocation(bare, ["udev-rules"], { config: join(folder, "none") }))).toBe(0);
    expect(bare.lines.join("\n")).toContain("09d8:0410");
    expect(bare.text).not.toContain("abcd");
  } finally {
    await rm(folder, { recursive: true });
  }
});
