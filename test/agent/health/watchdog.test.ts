import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { look, NO_PULSE, type Pulse, type Vital } from "../../../agent/health/watchdog.ts";

const vital = (busy: boolean, mark: string, limitMs = 100): Vital => ({ part: "printer mfd", busy, mark, limitMs });

/** What is said of hanging parts at each of these moments. */
function watched(...moments: readonly (readonly [now: number, ...vitals: readonly Vital[]])[]): string[][] {
  let pulse: Pulse = NO_PULSE;
  return moments.map(([now, ...vitals]) => {
    const seen = look(pulse, vitals, now);
    pulse = seen.pulse;
    return seen.hanging;
  });
}

describe("the watchdog's look", () => {
  it("finds a busy part that shows the same mark for longer than its limit", () => {
    const same = vital(true, "1");
    expect(watched([0, same], [100, same], [101, same])).toEqual([[], [], ["printer mfd"]]);
  });

  it("lets a part be busy for ever that makes progress", () => {
    expect(watched([0, vital(true, "1")], [90, vital(true, "2")], [180, vital(true, "3")])).toEqual([[], [], []]);
  });

  it("lets an idle part be silent for ever, and counts from its last idle moment", () => {
    const idle = vital(false, "1");
    const busy = vital(true, "1");
    expect(watched([0, idle], [1000, idle], [1090, busy], [1100, busy], [1101, busy])).toEqual([
      [],
      [],
      [],
      [],
      ["printer mfd"],
    ]);
  });

  it("takes back what it said when the part goes on, and forgets a part that is gone", () => {
    const same = vital(true, "1");
    expect(watched([0, same], [200, same], [210, vital(true, "2")])).toEqual([[], ["printer mfd"], []]);
    expect(watched([0, same], [50], [200, same], [250, same])).toEqual([[], [], [], []]);
  });

  it("names exactly the parts that stand still, whatever the others do", () => {
    const part = fc.record({ moves: fc.boolean(), busy: fc.boolean(), limitMs: fc.integer({ min: 1, max: 1000 }) });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.integer({ min: 1, max: 50 }), (parts, looks) => {
        const moments = Array.from({ length: looks + 1 }, (_, n) => {
          const vitals = parts.map(({ moves, busy, limitMs }, at) => {
            return { part: `part ${at}`, busy, mark: moves ? String(n) : "still", limitMs };
          });
          return [n * 30, ...vitals] as const;
        });
        const still = parts.flatMap(({ moves, busy, limitMs }, at) =>
          busy && !moves && looks * 30 > limitMs ? [`part ${at}`] : [],
        );
        expect(watched(...moments).at(-1)).toEqual(still);
      }),
    );
  });
});
