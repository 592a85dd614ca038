import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SIGNALS, type Signal } from "../../../../drivers/reader.ts";
import { PATTERNS } from "../../../../drivers/readers/feedback.ts";
import { isContactless, PcscProtocol } from "../../../../drivers/readers/pcsc/protocol.ts";
import { RECORDED } from "./recorded.ts";

const ATR = "3b8f8001804f0ca000000306030001000000006a";
const CONTACT_ATR = "3b6500002063cb6800";
const ACR122 = `00${Buffer.from("ACS ACR122U PICC Interface 00 00").toString("hex")}`;
const OMNIKEY = `00${Buffer.from("HID Global OMNIKEY 5422 00 01").toString("hex")}`;

/** The machine with its own time: `told` in, `asked` out, both in hexadecimal. */
class Talk {
  readonly machine: PcscProtocol;
  readonly reads: string[] = [];
  readonly asked: string[] = [];
  now = 0;

  constructor(reader = OMNIKEY, allowRandomUid = false, repeatHoldMs = 0) {
    this.machine = new PcscProtocol({ allowRandomUid, repeatHoldMs });
    this.machine.open();
    this.#drain();
    this.told(reader);
  }

  told(...messages: readonly string[]): void {
    for (const message of messages) {
      for (const read of this.machine.push(Buffer.from(message, "hex"), this.now)) {
        if (read.kind === "bits") this.reads.push(`${Buffer.from(read.bytes).toString("hex")}/${read.bitLength}`);
      }
      this.#drain();
    }
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (let { deadline } = this.machine; deadline !== undefined && deadline <= end; { deadline } = this.machine) {
      this.now = Math.max(this.now, deadline);
      this.machine.expire(this.now);
      this.#drain();
      if (this.machine.deadline === deadline) break;
    }
    this.now = end;
    this.machine.expire(this.now);
    this.#drain();
  }

  signal(signal: Signal): void {
    this.machine.signal(signal, this.now);
    this.#drain();
  }

  #drain(): void {
    for (let out = this.machine.output(this.now); out !== undefined; out = this.machine.output(this.now)) {
      this.asked.push(Buffer.from(out).toString("hex"));
    }
  }
}

describe("a card", () => {
  test("is asked for its UID and let go: byte for byte", () => {
    const [ready, ...rest] = RECORDED.told;
    const talk = new Talk(ready);
    expect(talk.machine.online).toBe(true);
    talk.told(...rest);
    expect([talk.asked, talk.reads]).toEqual([[...RECORDED.asked], [...RECORDED.reads]]);
  });

  test.each([
    ["4 bytes", "04a2b3c4", "04a2b3c4/32"],
    ["7 bytes", "04a2b3c4d5e680", "04a2b3c4d5e680/56"],
    ["8 bytes", "e004010012345678", "e004010012345678/64"],
    ["10 bytes", "04a2b3c4d5e680112233", "04a2b3c4d5e680112233/80"],
  ])("with a UID of %s is one read, and another one when it comes back", (_, uid, read) => {
    const talk = new Talk();
    for (let i = 0; i < 2; i += 1) talk.told(`01${ATR}`, `04${uid}9000`, "03");
    expect(talk.reads).toEqual([read, read]);
  });

  test.each([
    ["sw6a81", "046a81", ATR],
    ["sw6300", "046300", ATR],
    ["swOther", "046e00", ATR],
    ["contactCards", "046a81", CONTACT_ATR],
    ["badLength", "0404a2b39000", ATR],
    ["badLength", "049000", ATR],
    ["badLength", `04${"aa".repeat(256)}9000`, ATR],
    ["torn", "05", ATR],
    ["torn", "0490", ATR],
    ["randomUid", "0408a2b3c49000", ATR],
  ] as const)("is no read but %s for %s", (counter, answer, atr) => {
    const talk = new Talk();
    talk.told(`01${atr}`, answer);
    expect([talk.reads, talk.machine.counters[counter]]).toEqual([[], 1]);
    talk.told("03", `01${ATR}`, "0404a2b3c49000");
    expect(talk.reads).toEqual(["04a2b3c4/32"]);
  });

  test("with a random UID is read where that is allowed; 08 begins a longer UID of a card", () => {
    const talk = new Talk(OMNIKEY, true);
    talk.told(`01${ATR}`, "0408a2b3c49000");
    expect(talk.reads).toEqual(["08a2b3c4/32"]);
    const strict = new Talk();
    strict.told(`01${ATR}`, "0408a2b3c4d5e6809000");
    expect(strict.reads).toEqual(["08a2b3c4d5e680/56"]);
  });

  test("that is lost for a moment is one read, however long it lies there; another one is never held back", () => {
    const talk = new Talk(OMNIKEY, false, 1500);
    const lay = (uid: string) => talk.told(`01${ATR}`, `04${uid}9000`);
    lay("04a2b3c4");
    for (let i = 0; i < 5; i += 1) {
      talk.pass(5000);
      talk.told("03");
      talk.pass(1000);
      lay("04a2b3c4");
    }
    expect(talk.reads).toEqual(["04a2b3c4/32"]);
    talk.told("03");
    lay("04d5e6f7");
    talk.told("03");
    talk.pass(1500);
    lay("04d5e6f7");
    expect(talk.reads).toEqual(["04a2b3c4/32", "04d5e6f7/32", "04d5e6f7/32"]);
  });

  test("that was gone before its answer came is another read when it is back later", () => {
    const talk = new Talk(OMNIKEY, false, 1500);
    talk.told(`01${ATR}`, "03", "0404a2b3c49000");
    talk.pass(1500);
    talk.told(`01${ATR}`, "0404a2b3c49000");
    expect(talk.reads).toEqual(["04a2b3c4/32", "04a2b3c4/32"]);
  });

  test("that does not answer is counted; one that is gone before its answer is still read", () => {
    const talk = new Talk();
    talk.told("02", "03", `01${ATR}`, "03", "0404a2b3c49000");
    expect([talk.reads, talk.machine.counters.mute]).toEqual([["04a2b3c4/32"], 1]);
  });

  test("that was torn off is tried again three times, and again when it was taken away", () => {
    const talk = new Talk();
    talk.told(`01${ATR}`, "05");
    talk.asked.length = 0;
    talk.pass(299);
    expect(talk.asked).toEqual([]);
    talk.pass(1);
    expect(talk.asked).toEqual(["04"]);
    talk.told("06");
    talk.pass(300);
    talk.told(`01${ATR}`, "0404a2b3c49000");
    expect(talk.reads).toEqual(["04a2b3c4/32"]);
    talk.told("03");
    for (let i = 0; i < 10; i += 1) {
      talk.told("06");
      talk.pass(1000);
    }
    expect(talk.asked.filter((asked) => asked === "04")).toHaveLength(5);
    expect(talk.machine.deadline).toBeUndefined();
  });

  test("whose UID never comes: deaf", () => {
    const talk = new Talk();
    talk.told(`01${ATR}`);
    talk.pass(4999);
    expect(talk.machine.failure).toBeUndefined();
    talk.pass(1);
    expect([talk.machine.failure?.code, talk.machine.online]).toEqual(["reader-deaf", false]);
  });
});

describe("lamp and beeper of an ACR122U", () => {
  const QUIET = "ff00520000";

  test("no beep by itself: told by an escape command, or through the first card where that is forbidden", () => {
    const free = new Talk(ACR122);
    free.told("049000");
    expect(free.asked).toEqual(["00", `02${QUIET}`]);
    const bound = new Talk(ACR122);
    bound.told("05", `01${ATR}`, "0404a2b3c49000", "049000", "03", `01${ATR}`);
    expect(bound.asked).toEqual(["00", `02${QUIET}`, "01ffca000000", `01${QUIET}`, "01ffca000000"]);
    expect(bound.machine.counters).toMatchObject({ escapeRefused: 1, feedbackFailed: 0 });
  });

  test.each(SIGNALS)("%s: a flash and beep for each of the table, none of them longer than it has to be", (signal) => {
    const { count, colour, onMs } = PATTERNS[signal];
    const talk = new Talk(ACR122);
    talk.told("049000", `01${ATR}`, "0404a2b3c49000");
    talk.asked.length = 0;
    talk.signal(signal);
    for (let i = 0; i < 5; i += 1) {
      talk.told("049002");
      talk.pass(1000);
    }
    const state = { red: "50", green: "a0", amber: "f0" }[colour];
    expect(talk.asked).toEqual(Array<string>(count).fill(`01ff0040${state}040${onMs / 100}000101`));
    expect(talk.machine.failure).toBeUndefined();
  });

  test("a card between two flashes is asked first", () => {
    const talk = new Talk(ACR122);
    talk.told("049000");
    talk.signal("fault");
    talk.told(`01${ATR}`);
    talk.asked.length = 0;
    talk.pass(1000);
    talk.told("049002");
    expect(talk.asked[0]).toBe("01ffca000000");
  });

  test("without a card and without escape commands it is counted, and nothing else suffers", () => {
    const talk = new Talk(ACR122);
    talk.told("05");
    talk.signal("fault");
    talk.pass(10_000);
    expect([talk.machine.counters.feedbackFailed, talk.machine.failure]).toEqual([1, undefined]);
    talk.told(`01${ATR}`, "0404a2b3c49000");
    expect(talk.reads).toEqual(["04a2b3c4/32"]);
  });

  test("a reader of another kind gets not one byte", () => {
    const talk = new Talk();
    for (const signal of SIGNALS) talk.signal(signal);
    talk.pass(10_000);
    expect(talk.asked).toEqual(["00"]);
  });
});

test("contactless cards are known by their ATR", () => {
  expect(isContactless(Buffer.from(ATR, "hex"))).toBe(true);
  expect(isContactless(Buffer.from("3b8180018080", "hex"))).toBe(true);
  expect(isContactless(Buffer.from(CONTACT_ATR, "hex"))).toBe(false);
  expect(isContactless(new Uint8Array(0))).toBe(false);
});

test("any garbage in any order: nothing is thrown, everything stays bounded, the next card is read", () => {
  const happenings = fc.array(
    fc.oneof(
      fc.record({ say: fc.uint8Array({ maxLength: 300 }) }),
      fc.record({
        say: fc
          .tuple(fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 20 }))
          .map(([kind, body]) => Uint8Array.of(kind, ...body)),
      }),
      fc.record({
        say: fc.constantFrom(ACR122, `01${ATR}`, "0404a2b3c49000", "05").map((hex) => Buffer.from(hex, "hex")),
      }),
      fc.record({ wait: fc.integer({ min: 0, max: 4000 }) }),
      fc.record({ signal: fc.constantFrom(...SIGNALS) }),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(happenings, (all) => {
      const machine = new PcscProtocol({ allowRandomUid: false, repeatHoldMs: 0 });
      let now = 0;
      machine.open();
      const drain = () => {
        for (let i = 0; machine.output(now) !== undefined; i += 1) if (i > 20) throw new Error("talks without end");
      };
      for (const one of all) {
        drain();
        if ("say" in one) {
          for (const read of machine.push(one.say, now)) {
            if (read.kind !== "bits") throw new Error("no bits");
            expect([32, 56, 64, 80]).toContain(read.bitLength);
          }
        } else if ("wait" in one) {
          now += one.wait;
          machine.expire(now);
        } else machine.signal(one.signal, now);
      }
      machine.open();
      const reads = RECORDED.told.flatMap((message) => {
        drain();
        return machine.push(Buffer.from(message, "hex"), now);
      });
      expect(reads).toHaveLength(1);
    }),
  );
});
