import { expect, test } from "vitest";
import { type Log, silentLog } from "../../../../drivers/log.ts";
import { openReader } from "../../../../drivers/readers/open-reader.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { Recorder, ScriptedTransport } from "../scripted-transport.ts";

test("a reader with the wrong layout is said once in ten minutes, without anything that it typed", async () => {
  const warnings: { fields: object; message: string }[] = [];
  const log: Log = {
    ...silentLog,
    warn: (fields, message) => void warnings.push({ fields, message }),
    child: () => log,
  };
  const clock = new FakeClock();
  const transport = new ScriptedTransport();
  const reader = await openReader(
    {
      family: "hid-keyboard",
      name: "front",
      repeatHoldMs: 0,
      maxReadsPer10s: 1000,
      vendorId: 0x09d8,
      productId: 0x0410,
      layout: "us",
      terminators: ["enter"],
      interKeyTimeoutMs: 250,
      maxFrameMs: 3000,
      maxLength: 128,
      minLength: 4,
    },
    { clock, log, random: () => 0, transport },
  );
  const told = new Recorder();
  reader.start(told);
  await transport.appear();
  // 04712 of a reader that is set to AZERTY: the digits with Shift.
  const card = [0x27, 0x21, 0x24, 0x1e, 0x1f].map((usage) => [0x02, usage]);
  const type = () => {
    for (const [modifiers = 0, usage = 0] of [...card, [0, 0x28]]) {
      transport.send(String.fromCharCode(modifiers, 0, usage, 0, 0, 0, 0, 0));
      transport.send("\0".repeat(8));
    }
  };
  for (let i = 0; i < 20; i += 1) type();
  expect(warnings).toEqual([
    { fields: { layout: "us", fits: ["fr"] }, message: expect.stringContaining("another keyboard layout") },
  ]);
  clock.advance(600_000);
  type();
  expect(warnings).toHaveLength(2);
  expect(reader.counters).toMatchObject({ symbolHeavy: 21, reads: 21 });
  expect(told.texts.at(-1)).toBe(")$&!@");
  expect(JSON.stringify(warnings)).not.toContain(")$&!@");
  await reader.stop();
});
