import { expect, test } from "vitest";
import { silentLog } from "../../../drivers/log.ts";
import { openReader } from "../../../drivers/readers/open-reader.ts";
import { RECORDED_READS } from "../../bench/reads.ts";
import { FakeClock } from "../../sim/clock.ts";
import { Recorder, ScriptedTransport } from "./scripted-transport.ts";

test.each(RECORDED_READS)(
  "$name: the last piece completes the read, none before it does",
  async ({ settings, chunks, after, text }) => {
    const transport = new ScriptedTransport();
    const reader = await openReader(settings, { clock: new FakeClock(), log: silentLog, random: () => 0, transport });
    const told = new Recorder();
    reader.start(told);
    await transport.appear();
    const send = (chunk: Uint8Array) => transport.send(Buffer.from(chunk).toString("latin1"));
    for (let times = 0; times < 2; times += 1) {
      const before = Array.from({ length: times }, () => text);
      for (const chunk of chunks) {
        expect(told.texts).toEqual(before);
        send(chunk);
      }
      for (const chunk of after) send(chunk);
      expect(told.texts).toEqual([...before, text]);
    }
    await reader.stop();
  },
);
