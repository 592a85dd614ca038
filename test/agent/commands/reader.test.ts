import { expect, test } from "vitest";
import { command } from "../../../agent/commands/reader.ts";
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
