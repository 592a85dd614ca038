import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { silentLog } from "../../../../drivers/log.ts";
import { type Read, SIGNALS } from "../../../../drivers/reader.ts";
import { durationMs, PATTERNS } from "../../../../drivers/readers/feedback.ts";
import { openReader } from "../../../../drivers/readers/open-reader.ts";
import { RfIdeasSdk } from "../../../../drivers/readers/rfideas-sdk/protocol.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { FACTORY, PcProx, PcProxCable, type PcProxCard } from "../../../sim/pcprox.ts";
import { Recorder, turns } from "../scripted-transport.ts";
import { RECORDED } from "./recorded.ts";

const H10301: PcProxCard = { word: 0x2ec0c86n, bits: 26 };
const OTHER: PcProxCard = { word: 0x0ca0a73n, bits: 26 };

async function plugged(device = new PcProx(), cable = new PcProxCable(device), repeatHoldMs = 0) {
  const clock = new FakeClock();
  const told = new Recorder();
  const reader = await openReader(
    {
      family: "rfideas-sdk",
      name: "front",
      repeatHoldMs,
      maxReadsPer10s: 1000,
      vendorId: 0x0c27,
      productId: 0x3bfa,
    },
    { clock, log: silentLog, random: () => 0, transport: cable },
  );
  reader.start(told);
  const settle = async () => {
    for (let i = 0; i < 8; i += 1) await turns();
  };
  /** Time passes as on a real machine: what is due is said before more of it passes. */
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += 50) {
      clock.advance(50);
      await settle();
    }
  };
  await settle();
  return { clock, told, reader, device, cable, pass, settle };
}

const hex = ({ bytes, bitLength }: Extract<Read, { kind: "bits" }>) =>
  `${Buffer.from(bytes).toString("hex")}/${bitLength}`;

/** Drives the machine with replies alone; what it says is returned with them, `>` out and `<` in. */
function recite(replies: readonly string[]): { said: string[]; reads: string[] } {
  const machine = new RfIdeasSdk({ repeatHoldMs: 0 });
  const said: string[] = [];
  const reads: string[] = [];
  let now = 0;
  machine.open(now);
  for (const reply of replies) {
    for (let message = machine.output(now); message !== undefined; message = machine.output(now)) {
      if (message.length > 0) said.push(Buffer.from(message).toString("hex"));
    }
    for (const read of machine.push(Buffer.from(reply, "hex"), now)) if (read.kind === "bits") reads.push(hex(read));
    while (machine.deadline !== undefined && machine.deadline > now && machine.online) now = machine.deadline;
  }
  return { said, reads };
}

describe("byte for byte", () => {
  test("the session of the protocol description: identified, halted, a card polled", () => {
    expect(recite(RECORDED.replies)).toEqual({ said: RECORDED.said, reads: RECORDED.reads });
  });

  test("the dump of a reader whose keystrokes were halted is put back as it was", async () => {
    const dump = "030500101ab32884";
    const { device, reader } = await plugged(new PcProx([dump, FACTORY[1], FACTORY[2]]));
    expect(reader.counters).toMatchObject({ foundHalted: 1 });
    await reader.stop();
    expect(device.pages[0]).toBe(dump);
  });

  test.each([
    [{ word: 0x2ec0c86n, bits: 26 }, "bb032180/26"],
    [{ word: 0x60ec00c87n, bits: 35 }, "c1d80190e0/35"],
    [{ word: 0x400076000c86n, bits: 48 }, "400076000c86/48"],
    [{ word: 0x10932c05a5n, bits: 37 }, "8499602d28/37"],
    [{ word: 0x04a2b3c4n, bits: 32 }, "04a2b3c4/32"],
    [{ word: 0xffffffffffffffffn, bits: 64 }, "ffffffffffffffff/64"],
  ] as const)("the bits of a card, first one first: %#", async (card, read) => {
    const { device, told, reader, pass } = await plugged();
    device.card = card;
    await pass(300);
    const [bytes, bits] = read.split("/");
    expect([told.texts, String(card.bits)]).toEqual([[bytes], bits]);
    await reader.stop();
  });
});

describe("what is set, and put back", () => {
  test("keystrokes are halted and no bit is stripped while it is read; after a stop all is as it was", async () => {
    const { device, told, reader, cable } = await plugged();
    expect([told.states.at(-1), device.types, device.pages[0], device.suspended]).toEqual([
      "ready",
      false,
      "030500101ab32884",
      false,
    ]);
    await reader.stop();
    expect([device.types, device.pages, device.suspended, cable.isOpen]).toEqual([true, [...FACTORY], false, false]);
    expect(device.eepromWrites).toBe(0);
  });

  test("at whatever message it is stopped or lost, EEPROM is untouched and the pages are put back", async () => {
    for (let cut = 0; cut < 40; cut += 1) {
      const device = new PcProx();
      const cable = new PcProxCable(device);
      const held = Promise.withResolvers<void>();
      let messages = 0;
      const write = cable.write.bind(cable);
      cable.write = async (report) => {
        messages += 1;
        if (messages === cut) await held.promise;
        await write(report);
      };
      const { reader, pass } = await plugged(device, cable);
      device.card = H10301;
      reader.signal("denied");
      await pass(600);
      const stopped = reader.stop();
      held.resolve();
      await stopped;
      expect([cut, device.pages, device.suspended, device.eepromWrites]).toEqual([cut, [...FACTORY], false, 0]);
    }
  });

  test("a crash leaves it halted; the next run says so, reads as ever, and a power cycle restores it", async () => {
    const first = await plugged();
    const { device } = first;
    first.cable.fault = () => {
      throw new Error("the process is gone");
    };
    await first.reader.stop();
    expect(device.types).toBe(false);
    const second = await plugged(device, new PcProxCable(device));
    device.card = H10301;
    await second.pass(300);
    expect([second.told.texts, second.reader.counters.foundHalted]).toEqual([["bb032180"], 1]);
    await second.reader.stop();
    expect(device.types).toBe(false);
    device.powerCycle();
    expect([device.types, device.pages]).toEqual([true, [...FACTORY]]);
  });

  test("opened again, it knows its own settings from the reader's, and puts the reader's back", async () => {
    const { device, cable, reader, pass } = await plugged();
    reader.signal("fault");
    await pass(100);
    let failing = true;
    cable.fault = () => {
      if (failing) throw new Error("a bad cable");
      return undefined;
    };
    await pass(500);
    failing = false;
    await pass(2000);
    expect([cable.opens, reader.state.status, reader.counters.foundHalted]).toEqual([2, "ready", 0]);
    expect(device.lamps).toBe("own");
    await reader.stop();
    expect(device.pages).toEqual([...FACTORY]);
  });

  test.each(["refusesHalt", "refusesBits"] as const)("a reader that %s is not read", async (refuses) => {
    const device = new PcProx();
    device[refuses] = true;
    device.card = H10301;
    const { told, reader, pass } = await plugged(device);
    await pass(900);
    expect([told.states.at(-1), told.texts]).toEqual(["failed: reader-setup-failed", []]);
    await reader.stop();
  });

  test("a command that the reader took for a page is not put back: it could be taken for one", async () => {
    const { told, reader, device } = await plugged(new PcProx(["90ff00101ab32804", FACTORY[1], FACTORY[2]]));
    expect([told.states.at(-1), device.set.some((report) => report.startsWith("90ff"))]).toEqual([
      "failed: reader-setup-failed",
      false,
    ]);
    await reader.stop();
  });
});

describe("cards", () => {
  test("a card that lies there is one read, missed once or not; taken away and back it is two", async () => {
    const { device, told, reader, pass } = await plugged();
    device.card = H10301;
    await pass(10_000);
    device.card = undefined;
    await pass(250);
    device.card = H10301;
    await pass(5000);
    expect(told.texts).toEqual(["bb032180"]);
    device.card = undefined;
    await pass(1000);
    device.card = H10301;
    await pass(500);
    expect(told.texts).toEqual(["bb032180", "bb032180"]);
    expect(reader.counters).toMatchObject({ reads: 2 });
    await reader.stop();
  });

  test("a card that lies there and is not seen for a moment is one tap", async () => {
    const { device, told, reader, pass } = await plugged(undefined, undefined, 1500);
    device.card = H10301;
    await pass(5000);
    device.card = undefined;
    await pass(1000);
    device.card = H10301;
    await pass(1000);
    expect(told.texts).toEqual(["bb032180"]);
    device.card = undefined;
    await pass(2000);
    device.card = H10301;
    await pass(500);
    expect(told.texts).toEqual(["bb032180", "bb032180"]);
    await reader.stop();
  });

  test("a card that lies there when the reader is opened is no tap: nobody may stand there", async () => {
    const device = new PcProx();
    device.card = H10301;
    const { told, reader, pass } = await plugged(device);
    await pass(2000);
    expect([told.texts, reader.counters.presentAtOpen]).toEqual([[], 1]);
    device.card = undefined;
    await pass(1000);
    device.card = H10301;
    await pass(500);
    expect(told.texts).toEqual(["bb032180"]);
    await reader.stop();
  });

  test("another card right after it is another read, within one poll", async () => {
    const { device, told, reader, pass } = await plugged();
    device.card = H10301;
    await pass(300);
    device.card = OTHER;
    await pass(250);
    expect(told.texts).toEqual(["bb032180", "32829cc0"]);
    await reader.stop();
  });

  test.each([
    ["badLength", "1a1b000000000000"],
    ["badLength", "4141000000000000"],
    ["badLength", "0000000000000000"],
    ["garbled", "1818000000000000"],
    ["wrongSize", "1a1a0000000000"],
  ] as const)("a length that does not fit is %s, and the card is read at the next poll", async (counter, reply) => {
    const { device, told, reader, cable, pass } = await plugged();
    device.card = H10301;
    let asked = "";
    let spoiled = false;
    cable.fault = (report) => {
      if (report.length > 0) asked = Buffer.from(report).toString("hex");
      else if (asked.startsWith("8e") && !spoiled) {
        spoiled = true;
        return Buffer.from(reply, "hex");
      }
      return undefined;
    };
    await pass(250);
    expect([told.texts, reader.counters[counter]]).toEqual([[], 1]);
    await pass(250);
    expect(told.texts).toEqual(["bb032180"]);
    await reader.stop();
  });
});

describe("a reader that does not answer", () => {
  test("is lost when a feature report fails, and read again when it is back", async () => {
    const { told, cable, reader, device, pass } = await plugged();
    cable.unplug();
    await pass(50);
    expect(told.states.at(-1)).toBe("absent: reader-lost");
    await pass(1000);
    expect([told.states.at(-1), device.types]).toEqual(["ready", false]);
    await reader.stop();
    expect(device.pages).toEqual([...FACTORY]);
  });

  test("is deaf after two seconds without an answer", () => {
    const machine = new RfIdeasSdk({ repeatHoldMs: 0 });
    machine.open(0);
    machine.output(0);
    machine.output(0);
    expect(machine.deadline).toBe(2000);
    machine.expire(1999);
    expect(machine.failure).toBeUndefined();
    machine.expire(2000);
    expect([machine.failure?.code, machine.deadline, machine.output(2000)]).toEqual([
      "reader-deaf",
      undefined,
      undefined,
    ]);
  });
});

test.each(SIGNALS)(
  "%s: as many flashes as the table says, then the reader's own lights, and cards are read meanwhile",
  async (signal) => {
    const { device, told, reader, pass, clock } = await plugged();
    const pattern = PATTERNS[signal];
    const seen: string[] = [];
    reader.signal(signal);
    device.card = H10301;
    const end = clock.monotonic() + durationMs(pattern) + 500;
    while (clock.monotonic() < end) {
      await pass(50);
      if (seen.at(-1) !== device.lamps) seen.push(device.lamps);
    }
    expect(seen.filter((lamps) => lamps === pattern.colour)).toHaveLength(pattern.count);
    expect([seen.at(-1), told.texts]).toEqual(["own", ["bb032180"]]);
    await reader.stop();
  },
);

/** Anything that a device may say and a session may do, in any order. */
const happenings = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ say: fc.uint8Array({ minLength: 0, maxLength: 12 }) }) },
    { weight: 6, arbitrary: fc.record({ say: fc.uint8Array({ minLength: 8, maxLength: 8 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        say: fc
          .constantFrom(...FACTORY, "1a1a000000000000", "00".repeat(8), "90ff".repeat(4))
          .map((page) => Buffer.from(page, "hex")),
      }),
    },
    fc.record({ wait: fc.integer({ min: 0, max: 3000 }) }),
    fc.record({ signal: fc.constantFrom(...SIGNALS) }),
    fc.constant({ open: true }),
    fc.constant({ farewell: true }),
  ),
  { maxLength: 200 },
);

test("any garbage: nothing is thrown, everything stays bounded, and EEPROM is never written", () => {
  fc.assert(
    fc.property(happenings, (all) => {
      const machine = new RfIdeasSdk({ repeatHoldMs: 0 });
      let now = 0;
      const check = (message: Uint8Array) => {
        expect([0, 8]).toContain(message.length);
        // Whether it is a command or the content of a page: a reader that took one for the other must come to no harm.
        if (message[0] === 0x90) expect(Buffer.from(message).toString("hex")).toBe("9000000000000000");
      };
      const drain = () => {
        for (let i = 0; i < 20; i += 1) {
          const message = machine.output(now);
          if (message === undefined) return;
          check(message);
        }
        throw new Error("talks without end");
      };
      machine.open(now);
      for (const one of all) {
        drain();
        if ("say" in one) {
          for (const read of machine.push(one.say, now)) {
            if (read.kind !== "bits") throw new Error("no bits");
            expect(read.bitLength).toBeLessThanOrEqual(64);
            expect(read.bytes.length).toBe(Math.ceil(read.bitLength / 8));
          }
        } else if ("wait" in one) {
          now += one.wait;
          machine.expire(now);
        } else if ("signal" in one) machine.signal(one.signal, now);
        else if ("open" in one) machine.open(now);
        else for (const message of machine.farewell()) check(message);
      }
      for (const value of Object.values(machine.counters)) expect(Number.isSafeInteger(value)).toBe(true);
    }),
  );
});
