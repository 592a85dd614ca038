import { describe, expect, it } from "vitest";
import { diskUse, type Parts, vitalsOf } from "../../../agent/health/vitals.ts";

const reader = (status: "opening" | "ready" | "absent" | "failed" | "closed", counters = {}) =>
  ["front", { state: { status, since: 5 }, counters }] as const;
const parts = (change: Partial<Parts> = {}): Parts => ({
  central: { counters: { requests: 1 } },
  ledger: { writes: { begun: 3, ended: 3 } },
  readers: [reader("ready")],
  printers: [["mfd", { counters: { bytes: 1 } }]],
  executors: new Map([["mfd", { depth: 0, counters: {} }]]),
  ...change,
});
const of = (part: string, change?: Partial<Parts>) => vitalsOf(parts(change)).find((vital) => vital.part === part);

describe("what the watchdog looks at", () => {
  it("asks for the line to the central server always, for the rest only when they have something to do", () => {
    expect(
      vitalsOf(parts())
        .filter(({ busy }) => busy)
        .map(({ part }) => part),
    ).toEqual(["central server"]);
    expect(of("ledger", { ledger: { writes: { begun: 4, ended: 3 } } })?.busy).toBe(true);
    expect(of("printer mfd", { executors: new Map([["mfd", { depth: 1, counters: {} }]]) })?.busy).toBe(true);
    for (const status of ["ready", "absent", "failed", "closed"] as const)
      expect(of("reader front", { readers: [reader(status)] })?.busy).toBe(false);
    expect(of("reader front", { readers: [reader("opening")] })?.busy).toBe(true);
  });

  it("sees every step: a request, a piece of a document, a write, an attempt to open", () => {
    const differs = (part: string, change: Partial<Parts>) => expect(of(part, change)?.mark).not.toBe(of(part)?.mark);
    differs("central server", { central: { counters: { requests: 2 } } });
    differs("ledger", { ledger: { writes: { begun: 4, ended: 4 } } });
    differs("printer mfd", { printers: [["mfd", { counters: { bytes: 2 } }]] });
    differs("printer mfd", { executors: new Map([["mfd", { depth: 0, counters: { printed: 1 } }]]) });
    differs("reader front", { readers: [reader("ready", { opens: 1 })] });
  });
});

it("what was written is counted from the start, and what ended as a release whatever its end", () => {
  const executors = new Map([
    ["mfd", { depth: 0, counters: { printed: 2, "not printed": 1, unknown: 1, "ipp-x": 9 } }],
  ]);
  const io = (bytes: number) => `rchar: 1\nwrite_bytes: ${bytes}\ncancelled_write_bytes: 7\n`;
  expect(diskUse(io(4096), io(20_480), { executors })).toEqual({ writtenBytes: 16_384, releases: 4 });
  expect(diskUse(undefined, io(1), { executors })).toBeUndefined();
  expect(diskUse("nothing", io(1), { executors })).toBeUndefined();
});
