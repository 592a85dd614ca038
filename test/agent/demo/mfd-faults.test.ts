import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type MfdOptions, VirtualMfd } from "../../../agent/demo/mfd.ts";
import { MFD_FAULT_NAMES, MFD_FAULTS, WireFaults } from "../../../agent/demo/mfd-faults.ts";
import { silentLog } from "../../../drivers/log.ts";
import { PrinterError } from "../../../drivers/printer.ts";
import { IppPrinter } from "../../../drivers/printers/ipp/printer.ts";
import { OPERATION, STATUS } from "../../../drivers/printers/ipp/tags.ts";
import { FakeClock } from "../../sim/clock.ts";

let clock: FakeClock;
let mfd: VirtualMfd;
let printer: IppPrinter;
let jobs = 0;
const never = new AbortController().signal;

async function start(options: Partial<MfdOptions> = {}): Promise<void> {
  mfd = await VirtualMfd.start({ clock, pages: 4, printMs: 400, ...options });
  printer = new IppPrinter({ name: "mfd", uri: mfd.uri, keyPins: [], clock, log: silentLog });
}

beforeEach(async () => {
  clock = new FakeClock(500);
  await start();
});
afterEach(async () => {
  await printer.stop();
  await mfd.stop();
  expect(mfd.failures).toEqual([]);
});

const request = () => ({ name: `job-${++jobs}`, user: "ada", format: "application/pdf" });
const body = (size: number) => ({
  size,
  async *chunks() {
    for (let at = 0; at < size; at += 1000) yield Buffer.alloc(Math.min(1000, size - at), 0x20);
  },
});
async function print(size = 5000) {
  const asked = request();
  const job = await printer.createJob(asked, never);
  return printer.send(job, asked, body(size), never);
}
/** Its code; fails if it does not fail. */
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: unknown) => (error instanceof PrinterError ? error.code : String(error)),
  );
/** Moves the clock on until the work ends. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  let over = false;
  const mark = () => {
    over = true;
  };
  work.then(mark, mark);
  for (let idle = 0; !over; idle++) {
    await turn();
    if (idle % 50 === 49) clock.advance(500);
  }
  return work;
}

describe("on the wire", () => {
  test.each(["corrupt", "wrong-id", "endless-header", "endless-body"] as const)(
    "%s: a bad reply, once",
    async (does) => {
      mfd.inject({ does, meets: ["state"], times: 1 });
      expect(await codeOf(printer.state(never))).toBe("printer-bad-reply");
      expect(await printer.state(never)).toMatchObject({ state: "idle" });
    },
  );

  test.each(["deaf", "mute"] as const)("%s: no answer; the job is made only by the one that hears", async (does) => {
    await printer.state(never);
    mfd.inject({ does, meets: ["create"], times: 1 });
    const asked = request();
    expect(await inTime(codeOf(printer.createJob(asked, never)))).toBe("printer-timeout");
    expect(mfd.jobNamed(asked.name) !== undefined).toBe(does === "mute");
  });

  test("hang-up: done, and the connection closed in place of the answer", async () => {
    await printer.state(never);
    mfd.inject({ does: "hang-up", meets: ["create"], times: 1 });
    const asked = request();
    expect(await codeOf(printer.createJob(asked, never))).toBe("printer-broken-connection");
    expect(mfd.jobNamed(asked.name)).toBeDefined();
  });

  test("one-byte: slow, and right", async () => {
    mfd.inject({ does: "one-byte" });
    expect(await printer.state(never)).toMatchObject({ state: "idle" });
  });

  test("status: nothing is done", async () => {
    mfd.inject({ does: "status", code: STATUS.temporaryError, meets: ["create"], forMs: 1000 });
    const asked = request();
    expect(await codeOf(printer.createJob(asked, never))).toBe("printer-unavailable");
    expect(mfd.jobNamed(asked.name)).toBeUndefined();
    clock.advance(1000);
    expect(await printer.createJob(asked, never)).toMatchObject({ name: asked.name });
  });

  test("reset in the middle of a document: an honest printer prints none of it", async () => {
    mfd.inject({ does: "reset", meets: ["document"], times: 1, afterBytes: 2500 });
    expect(await codeOf(print())).toBe("printer-broken-connection");
    await vi.waitFor(() => expect(mfd.cuts).toMatchObject([{ size: 2500 }]), { interval: 2 });
    clock.advance(1000);
    expect(mfd.prints).toEqual([]);
  });

  test("reset, on a printer that prints cut documents: its beginning comes out, and counts as cut", async () => {
    mfd.inject({ does: "print-cut-documents" });
    mfd.inject({ does: "reset", meets: ["document"], times: 1, afterBytes: 2500 });
    expect(await codeOf(print())).toBe("printer-broken-connection");
    await vi.waitFor(() => expect(mfd.cuts).toHaveLength(1), { interval: 2 });
    await vi.waitFor(() => expect(mfd.idle).toBe(false), { interval: 2 });
    clock.advance(1000);
    expect(mfd.prints).toMatchObject([{ size: 2500, cut: true, pages: 4 }]);
  });

  test("stall: it reads no more of the document, until the client leaves", async () => {
    mfd.inject({ does: "stall", meets: ["document"], afterBytes: 2500 });
    expect(await inTime(codeOf(print()))).toBe("printer-timeout");
    await vi.waitFor(() => expect(mfd.cuts).toMatchObject([{ size: 2500 }]), { interval: 2 });
  });

  test("slow: the document takes as long as its size says", async () => {
    mfd.inject({ does: "slow", meets: ["document"], bytesPerS: 1000 });
    const began = clock.monotonic();
    await inTime(print(5000));
    expect(clock.monotonic() - began).toBeGreaterThanOrEqual(4500);
    expect(mfd.jobNamed(`job-${jobs}`)?.document).toMatchObject({ size: 5000, cut: false });
  });

  test("the oldest fault that fits is met, as often and as long as it says", () => {
    const faults = new WireFaults();
    faults.add({ does: "mute", meets: ["create"], times: 1 }, 0);
    faults.add({ does: "deaf", forMs: 100 }, 0);
    expect(faults.meet(OPERATION.createJob, 1)).toMatchObject({ does: "mute" });
    expect(faults.meet(OPERATION.createJob, 1)).toMatchObject({ does: "deaf" });
    expect(faults.meet(OPERATION.getJobs, 99)).toMatchObject({ does: "deaf" });
    expect(faults.meet(OPERATION.getJobs, 100)).toBeUndefined();
  });
});

describe("at the network", () => {
  test("refuse-connections, and again there when its time is over", async () => {
    mfd.inject({ does: "refuse-connections", forMs: 1000 });
    const closed = () => codeOf(printer.state(never));
    await vi.waitFor(async () => expect(await closed()).toBe("printer-unreachable"), { interval: 2 });
    clock.advance(1000);
    await vi.waitFor(async () => expect(await closed()).toBe("none"), { interval: 2 });
  });

  test("drop-connections", async () => {
    mfd.inject({ does: "drop-connections" });
    const socket = connect(Number(new URL(mfd.uri).port), "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "close");
    expect(["printer-broken-connection", "printer-unreachable"]).toContain(await codeOf(printer.state(never)));
    await mfd.heal();
    expect(await printer.state(never)).toMatchObject({ state: "idle" });
  });
});

describe("at the printer", () => {
  const status = async () => {
    const job = await printer.findJob(`job-${jobs}`, "ada", never);
    return [job?.state, job?.impressions];
  };

  test("jam at page 3, cleared after a while: the pages before it are out, and the rest follows", async () => {
    mfd.inject({ does: "jam", afterPages: 2, clearedAfterMs: 5000 });
    await print();
    clock.advance(1000);
    expect(await status()).toEqual(["processing-stopped", 2]);
    expect(await printer.state(never)).toMatchObject({ state: "stopped", blocking: ["media-jam-error"] });
    clock.advance(5000);
    expect(await status()).toEqual(["completed", 4]);
    expect(mfd.prints).toMatchObject([{ pages: 4, ofPages: 4 }]);
  });

  test.each([
    ["abort", "aborted"],
    ["cancel-at-panel", "canceled"],
  ] as const)("%s after two pages: they are on paper, and counted", async (does, state) => {
    mfd.inject({ does, afterPages: 2 });
    await print();
    clock.advance(1000);
    expect(await status()).toEqual([state, 2]);
    expect(mfd.prints).toMatchObject([{ pages: 2, ofPages: 4, cut: false }]);
  });

  test("lie: completed with nothing on paper", async () => {
    await print();
    clock.advance(1000); // it was seen to count
    mfd.inject({ does: "lie", afterPages: 0, counts: "honest" });
    await print();
    clock.advance(1000);
    expect(await status()).toEqual(["completed", 0]);
    mfd.inject({ does: "lie", afterPages: 2, counts: "all" });
    await print();
    clock.advance(1000);
    expect(await status()).toEqual(["completed", 4]);
    expect(mfd.prints.map(({ pages }) => pages)).toEqual([4, 2]);
  });

  test("hold-at-panel: pending-held until it is released", async () => {
    mfd.inject({ does: "hold-at-panel", releasedAfterMs: 60_000 });
    await print();
    clock.advance(59_000);
    expect(await printer.findJob(`job-${jobs}`, "ada", never)).toMatchObject({
      ...{ state: "pending-held", reasons: ["job-release-wait"] },
    });
    clock.advance(2000);
    expect(mfd.prints).toHaveLength(1);
  });

  test("reboot: jobs are gone, and their ids are others'", async () => {
    await print();
    clock.advance(150);
    mfd.inject({ does: "reboot", strangers: 3 });
    expect(await status()).toEqual([undefined, undefined]);
    expect(mfd.prints).toMatchObject([{ pages: 1 }]);
    const job = await printer.createJob(request(), never);
    expect(job?.id).toBe(4);
  });

  test("forget-history: an ended job is not found", async () => {
    mfd.inject({ does: "forget-history" });
    await print();
    clock.advance(1000);
    expect(await status()).toEqual([undefined, undefined]);
    expect(mfd.prints).toHaveLength(1);
  });

  test("spool-full, not-accepting, busy: no new job, and said so", async () => {
    mfd.inject({ does: "spool-full", forMs: 1000 });
    expect(await printer.state(never)).toMatchObject({ blocking: ["spool-area-full"] });
    expect(await codeOf(printer.createJob(request(), never))).toBe("printer-unavailable");
    mfd.inject({ does: "not-accepting", forMs: 1000 });
    expect(await codeOf(printer.createJob(request(), never))).toBe("printer-not-accepting");
    clock.advance(1000);
    mfd.inject({ does: "busy", forMs: 1000 });
    expect(await codeOf(printer.createJob(request(), never))).toBe("printer-busy");
    clock.advance(1000);
    expect(await printer.createJob(request(), never)).toBeDefined();
  });
});

test.each(MFD_FAULT_NAMES)("%s: a printer that had it and was healed prints", async (name) => {
  for (const fault of MFD_FAULTS[name].faults) mfd.inject(fault);
  await mfd.heal();
  await inTime(print());
  clock.advance(2000);
  expect(mfd.prints.at(-1)).toMatchObject({ pages: 4, cut: false });
});
