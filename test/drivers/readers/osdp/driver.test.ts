import { expect, test } from "vitest";
import { type Log, silentLog } from "../../../../drivers/log.ts";
import { openReader } from "../../../../drivers/readers/open-reader.ts";
import type { OsdpSettings } from "../../../../drivers/readers/osdp/settings.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { OsdpPd } from "../../../sim/osdp-pd.ts";
import { Recorder, turns } from "../scripted-transport.ts";
import { SCBK, SETTINGS } from "./line.ts";
import { PdTransport } from "./pd-transport.ts";

const OSDP: OsdpSettings = { ...SETTINGS, family: "osdp", name: "door", repeatHoldMs: 1500, maxReadsPer10s: 5 };

async function opened(settings: Partial<OsdpSettings> = {}) {
  const clock = new FakeClock();
  const pd = new OsdpPd({ scbk: SCBK });
  const transport = new PdTransport(pd);
  const told = new Recorder();
  const logged: [object, string][] = [];
  const log: Log = {
    ...silentLog,
    info: (...entry) => logged.push(entry),
    warn: (...entry) => logged.push(entry),
    child: () => log,
  };
  const reader = await openReader({ ...OSDP, ...settings }, { clock, log, random: () => 0, transport });
  const run = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      await turns();
      clock.advance(10);
    }
    await turns();
  };
  reader.start(told);
  await run(500);
  return { clock, pd, transport, told, logged, reader, run };
}

test("cards, keys and signals go through the session, and nothing is left of it", async () => {
  const { reader, pd, told, run, transport, clock } = await opened();
  expect(told.states).toEqual(["opening", "ready"]);
  pd.card();
  pd.card();
  pd.keys("12#");
  await run(500);
  expect(told.texts).toEqual(["bb032180"]);
  expect(told.pressed).toBe("12#");
  reader.signal("accepted");
  await run(100);
  expect(pd.shown).toHaveLength(2);
  expect(reader.counters).toMatchObject({ reads: 2, repeats: 1, signals: 1, channels: 1 });
  await reader.stop();
  expect([transport.isOpen, clock.pending]).toEqual([false, 0]);
});

test("a reader whose key is another is a failed one, tried again ever more slowly", async () => {
  const { reader, told, pd, run } = await opened({ scbk: SCBK.map((byte) => ~byte) });
  await run(100_000);
  expect(told.states).toEqual(["opening", "failed: reader-secure-channel-failed"]);
  // At 0, 1, 3, 10, 20 s ...: opened anew, and mended where that can be.
  expect(pd.done.filter((code) => code === 0x76).length).toBeLessThan(10);
  expect(told.texts).toEqual([]);
  await reader.stop();
});

test("what the reader is, and its trouble, is logged; without a channel it is said at once what that means", async () => {
  const { reader, logged, pd, run } = await opened({ secure: false, scbk: undefined });
  pd.reply(0x48, Uint8Array.of(1, 0));
  pd.reply(0x48, Uint8Array.of(0, 0));
  await run(1000);
  await reader.stop();
  const said = logged.map(([, message]) => message);
  expect(said[0]).toContain("without a secure channel");
  expect(logged).toContainEqual([
    { vendor: "332211", model: 0x99, version: 1, serial: "01020304", firmware: "11.12.13" },
    "OSDP reader",
  ]);
  expect(logged).toContainEqual([{ tampered: true, powerFailed: false }, "the OSDP reader reports trouble"]);
  expect(said).toContain("the OSDP reader reports no trouble");
});

test("a reader that says the same of itself at every poll is logged once: a log must not fill", async () => {
  const { reader, logged, pd, run } = await opened();
  for (let i = 0; i < 20; i += 1) pd.reply(0x48, Uint8Array.of(1, 0));
  pd.reply(0x48, Uint8Array.of(0, 0));
  await run(3000);
  await reader.stop();
  const trouble = logged.filter(([, message]) => message.includes("trouble")).map(([fields]) => fields);
  expect(trouble).toEqual([
    { tampered: true, powerFailed: false },
    { tampered: false, powerFailed: false },
  ]);
  expect(reader.counters.tampered).toBe(20);
});

test("one with neither path nor address fails as a state, it does not throw", async () => {
  const reader = await openReader(OSDP, { clock: new FakeClock(), log: silentLog, random: () => 0 });
  const told = new Recorder();
  reader.start(told);
  await told.inState("absent: reader-absent");
  await reader.stop();
});
