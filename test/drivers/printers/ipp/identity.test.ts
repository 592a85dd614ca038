import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PrinterJob } from "../../../../drivers/printer.ts";
import { attribute, integer, nameText, uri } from "../../../../drivers/printers/ipp/attributes.ts";
import { dateOf, PrinterTime, whose } from "../../../../drivers/printers/ipp/identity.ts";
import type { IppAttribute, IppGroup } from "../../../../drivers/printers/ipp/message.ts";
import { GROUP, TAG } from "../../../../drivers/printers/ipp/tags.ts";

const group = (...attributes: IppAttribute[]): IppGroup => ({ tag: GROUP.job, attributes });
const id = integer("job-id", 7);
const named = (name: string) => nameText("job-name", name);
const uuid = (value: string) => uri("job-uuid", value);
const madeAt = (upTime: number, now: number) => [
  integer("time-at-creation", upTime),
  integer("job-printer-up-time", now),
];

/** 2026-11-25 10:20:30 at +01:00, and how many seconds since 1970 that is. */
const DATE = Uint8Array.of(0x07, 0xea, 11, 25, 10, 20, 30, 0, 0x2b, 1, 0);
const SECONDS = Date.UTC(2026, 10, 25, 9, 20, 30) / 1000;
const dated = (name: string, bytes = DATE) => attribute(name, TAG.dateTime, bytes);

const WALL = 1_800_000_000;
const job: PrinterJob = { id: 7, name: "printgate-1" };
/** Made when the printer had been on for 500 s. */
const timed: PrinterJob = { ...job, created: { upTime: 500, bootedAt: WALL - 500 } };

describe("where the printer shows the name", () => {
  test("it decides, and the uuid can only speak against it", () => {
    expect(whose(group(id, named("printgate-1")), job, WALL)).toBe("ours");
    expect(whose(group(id, named("payroll")), timed, WALL)).toBe("other");
    expect(whose(group(integer("job-id", 8), named("printgate-1")), job, WALL)).toBe("other");
    expect(whose(group(id, named("printgate-1"), uuid("b")), { ...job, uuid: "a" }, WALL)).toBe("other");
    expect(whose(undefined, job, WALL)).toBe("other");
  });
});

describe("where it hides the name", () => {
  const hidden: [string, IppAttribute[]][] = [
    ["left out", []],
    ["empty", [named("")]],
    ["unknown", [attribute("job-name", TAG.unknown, null)]],
  ];

  test.each(hidden)("%s: the uuid decides", (_how, name) => {
    expect(whose(group(id, ...name, uuid("a")), { ...job, uuid: "a" }, WALL)).toBe("ours");
    expect(whose(group(id, ...name, uuid("b")), { ...job, uuid: "a" }, WALL)).toBe("other");
  });

  test.each(hidden)("%s: without a uuid, when it was made", (_how, name) => {
    expect(whose(group(id, ...name, ...madeAt(502, 600)), timed, WALL + 100)).toBe("ours");
    expect(whose(group(id, ...name, ...madeAt(400, 600)), timed, WALL + 100)).toBe("other");
  });

  test("the same second after a power cycle is another job's", () => {
    // Switched off and on a minute later; 500 s after that somebody else's job got our id.
    expect(whose(group(id, ...madeAt(500, 510)), timed, WALL + 60 + 510)).toBe("other");
  });

  test("its own date decides before its up-time", () => {
    const dates: PrinterJob = { ...job, created: { date: SECONDS + 2, upTime: 500, bootedAt: WALL - 500 } };
    expect(whose(group(id, dated("date-time-at-creation"), ...madeAt(1, 1)), dates, WALL)).toBe("ours");
    const late = { ...dates, created: { ...dates.created, date: SECONDS + 60 } };
    expect(whose(group(id, dated("date-time-at-creation"), ...madeAt(500, 500)), late, WALL)).toBe("other");
  });

  test.each<[string, PrinterJob, IppAttribute[]]>([
    ["we know no time", job, madeAt(500, 510)],
    ["it tells none", timed, []],
    ["it does not tell how long it is on", timed, [integer("time-at-creation", 500)]],
  ])("nothing is proven where %s", (_why, known, attributes) => {
    expect(whose(group(id, ...attributes), known, WALL)).toBe("unproven");
  });

  test("masked by another name, which the operator told us of", () => {
    expect(whose(group(id, named("****"), ...madeAt(500, 510)), timed, WALL + 10, true)).toBe("ours");
    expect(whose(group(id, named("****"), ...madeAt(90, 510)), timed, WALL + 10, true)).toBe("other");
    expect(whose(group(id, named("****")), timed, WALL, true)).toBe("unproven");
  });
});

describe("the printer's time", () => {
  test("runs on between what it tells", () => {
    const time = new PrinterTime();
    expect(time.moment(0, WALL)).toBeUndefined();
    time.told(group(integer("printer-up-time", 500), dated("printer-current-time")), 1000);
    expect(time.moment(61_000, WALL)).toEqual({ upTime: 560, bootedAt: WALL - 560, date: SECONDS + 60 });
    time.told(group(), 62_000);
    expect(time.moment(61_000, WALL)?.upTime).toBe(560);
    time.told(group(integer("printer-up-time", 3)), 70_000);
    expect(time.moment(70_000, WALL)).toEqual({ upTime: 3, bootedAt: WALL - 3 });
  });

  test("a job made at that moment is known by it", () => {
    const time = new PrinterTime();
    time.told(group(integer("printer-up-time", 500)), 0);
    const created = time.moment(10_400, WALL + 10);
    expect(whose(group(id, ...madeAt(510, 515)), { ...job, ...(created && { created }) }, WALL + 15)).toBe("ours");
  });

  test("dates are read with their zone, and only where they are dates", () => {
    expect(dateOf(group(dated("d")), "d")).toBe(SECONDS);
    expect(dateOf(group(dated("d", Uint8Array.of(0x07, 0xea, 11, 25, 5, 20, 30, 9, 0x2d, 4, 0))), "d")).toBe(SECONDS);
    expect(dateOf(group(dated("d", new Uint8Array(11))), "d")).toBeUndefined();
    expect(dateOf(group(attribute("d", TAG.noValue, null)), "d")).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 14 }), (bytes) => {
        const read = dateOf(group(dated("d", bytes)), "d");
        expect(read === undefined || Number.isFinite(read)).toBe(true);
      }),
    );
  });
});

test("whatever a printer says of a job without its name, it is ours only with its own uuid or its own moment", () => {
  const any = fc.record({
    uuid: fc.option(fc.constantFrom("a", "b"), { nil: undefined }),
    upTime: fc.option(fc.integer({ min: -5, max: 1100 }), { nil: undefined }),
    now: fc.option(fc.integer({ min: 0, max: 1100 }), { nil: undefined }),
    wall: fc.integer({ min: 0, max: 1100 }),
  });
  fc.assert(
    fc.property(any, ({ uuid: shown, upTime, now, wall }) => {
      const attributes = [
        ...(shown === undefined ? [] : [uuid(shown)]),
        ...(upTime === undefined ? [] : [integer("time-at-creation", upTime)]),
        ...(now === undefined ? [] : [integer("job-printer-up-time", now)]),
      ];
      if (whose(group(id, ...attributes), { ...timed, uuid: "a" }, WALL + wall) !== "ours") return;
      const near =
        upTime !== undefined && Math.abs(upTime - 500) <= 5 && now !== undefined && Math.abs(wall - (now - 500)) <= 20;
      expect(shown === "a" || (shown === undefined && near)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});
