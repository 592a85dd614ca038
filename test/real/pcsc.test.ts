import { readdir } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../drivers/clock.ts";
import { silentLog } from "../../drivers/log.ts";
import type { Reader } from "../../drivers/reader.ts";
import { openReader } from "../../drivers/readers/open-reader.ts";
import type { PcscSettings } from "../../drivers/readers/pcsc/settings.ts";
import { Recorder } from "../drivers/readers/scripted-transport.ts";
import { Pcscd } from "./pcscd.ts";
import { until } from "./until.ts";

const FIRST = "Virtual PCD 00 00";
const SECOND = "Virtual PCD 00 01";

let pcscd: Pcscd;
const readers: Reader[] = [];

beforeAll(async () => {
  pcscd = await Pcscd.prepare();
  // Read once, when libpcsclite first looks for the service; so it is the same one for all tests here.
  process.env.PCSCLITE_CSOCK_NAME = pcscd.socket;
});
afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.stop()));
  await pcscd.kill("SIGTERM");
});
afterAll(() => pcscd.stop());

async function opened(readerName: string, settings: Partial<PcscSettings> = {}) {
  const reader = await openReader(
    {
      family: "pcsc",
      name: "front",
      readerName,
      allowRandomUid: false,
      repeatHoldMs: 0,
      maxReadsPer10s: 100,
      ...settings,
    },
    { clock: systemClock, log: silentLog, random: () => 0 },
  );
  readers.push(reader);
  const told = new Recorder();
  reader.start(told);
  return { reader, told };
}

test("a card's UID is a read, each time that it comes, and the card is asked nothing else", async () => {
  await pcscd.start();
  const { told } = await opened(FIRST);
  await told.inState("ready");
  const first = pcscd.insert("04a2b3c49000");
  expect(await told.untilReads(1)).toEqual(["04a2b3c4"]);
  await first.remove();
  const second = pcscd.insert("04a2b3c49000");
  expect(await told.untilReads(2)).toEqual(["04a2b3c4", "04a2b3c4"]);
  await second.remove();
  const third = pcscd.insert("04a2b3c4d5e6809000");
  expect((await told.untilReads(3))[2]).toBe("04a2b3c4d5e680");
  expect([first, second, third].map(({ apdus }) => apdus)).toEqual(Array(3).fill(["ffca000000"]));
});

test("a card that lies there already is read; one on another reader is not", async () => {
  await pcscd.start();
  const other = pcscd.insert("0411111a9000", { slot: 1 });
  const card = pcscd.insert("04a2b3c49000");
  const { told } = await opened(FIRST);
  expect(await told.untilReads(1)).toEqual(["04a2b3c4"]);
  const second = await opened(SECOND);
  expect(await second.told.untilReads(1)).toEqual(["0411111a"]);
  expect([other.apdus.length, card.apdus.length, told.reads.length]).toEqual([1, 1, 1]);
});

test("a random UID, a refusal and a UID of an odd length are counted, and none is a read", async () => {
  await pcscd.start();
  const { reader, told } = await opened(FIRST);
  await told.inState("ready");
  for (const [answer, counter] of [
    ["08a2b3c49000", "randomUid"],
    ["6a81", "sw6a81"],
    ["04a2b39000", "badLength"],
  ] as const) {
    const card = pcscd.insert(answer);
    await until(counter, () => reader.counters[counter] === 1);
    await card.remove();
  }
  expect(told.texts).toEqual([]);
});

test("a name that fits two readers opens neither, and one that fits none says which there are", async () => {
  await pcscd.start();
  const two = await opened("Virtual PCD");
  await two.told.inState("failed: reader-ambiguous");
  expect(two.reader.state.error?.detail).toContain(`${FIRST}, ${SECOND}`);
  const none = await opened("ACS ACR122U");
  await none.told.inState("absent: reader-absent");
  expect(none.reader.state.error?.detail).toContain(FIRST);
});

test("a service that is killed is missed, and the reader read again when it is back", async () => {
  const { reader, told } = await opened(FIRST);
  await told.inState("absent: pcsc-service-missing");
  await pcscd.start();
  await told.inState("ready");
  for (let i = 0; i < 2; i += 1) {
    const card = pcscd.insert("04a2b3c49000");
    await told.untilReads(i + 1);
    await pcscd.kill();
    await told.inState("absent: pcsc-service-missing");
    await card.remove();
    await pcscd.start();
    await told.inState("ready");
  }
  expect(reader.counters).toMatchObject({ lost: 2, connectFailed: 0 });
  // pcsc-mini 0.1.3 throws, where nobody can catch it, when a client of a dead service is collected.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 5; i += 1) {
    collect();
    await new Promise(setImmediate);
  }
}, 40_000);

test("a stop leaves nothing open, with a card on the reader and without", async () => {
  await pcscd.start();
  const open = async () => (await readdir("/proc/self/fd")).length;
  const once = await opened(FIRST);
  await once.told.inState("ready");
  await once.reader.stop();
  const before = await open();
  for (let i = 0; i < 3; i += 1) {
    const { reader, told } = await opened(FIRST);
    await told.inState("ready");
    const card = pcscd.insert("04a2b3c49000");
    await told.untilReads(1);
    await reader.stop();
    await card.remove();
  }
  await until("as few descriptors as before", async () => (await open()) <= before);
});
