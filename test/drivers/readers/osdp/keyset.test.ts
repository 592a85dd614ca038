import { describe, expect, test } from "vitest";
import type { Log } from "../../../../drivers/log.ts";
import { silentLog } from "../../../../drivers/log.ts";
import type { OsdpContext } from "../../../../drivers/readers/osdp/driver.ts";
import { keyset } from "../../../../drivers/readers/osdp/keyset.ts";
import { DEFAULT_KEY, type OsdpSettings } from "../../../../drivers/readers/osdp/settings.ts";
import { FakeClock } from "../../../sim/clock.ts";
import { OsdpPd, type PdOptions } from "../../../sim/osdp-pd.ts";
import { turns } from "../scripted-transport.ts";
import { hex, SCBK, SETTINGS } from "./line.ts";
import { PdTransport } from "./pd-transport.ts";

const OSDP: OsdpSettings = { ...SETTINGS, family: "osdp", name: "door", repeatHoldMs: 1500, maxReadsPer10s: 5 };

async function run(options: PdOptions, settings: Partial<OsdpSettings> = {}, prepare = (_pd: OsdpPd) => {}) {
  const clock = new FakeClock();
  const pd = new OsdpPd(options);
  prepare(pd);
  const transport = new PdTransport(pd);
  const logged: unknown[] = [];
  const log: Log = {
    ...silentLog,
    info: (...entry) => logged.push(entry),
    warn: (...entry) => logged.push(entry),
    child: () => log,
  };
  const context: OsdpContext = { clock, log, random: () => 0, transport };
  let over = false;
  const result = keyset({ ...OSDP, ...settings }, context).finally(() => {
    over = true;
  });
  const outcome = result.then(
    ({ outcome }) => outcome,
    (error: { code: string; detail: string }) => `${error.code}: ${error.detail}`,
  );
  for (let i = 0; i < 3000 && !over; i += 1) {
    await turns();
    clock.advance(10);
  }
  const ended = await outcome;
  expect([transport.isOpen, clock.pending]).toEqual([false, 0]);
  for (const secret of [hex(SCBK), hex(DEFAULT_KEY)]) expect(JSON.stringify([logged, ended])).not.toContain(secret);
  return { pd, outcome: ended };
}

describe("a key for a reader", () => {
  test("is given to one that has the default key, and proven", async () => {
    const { pd, outcome } = await run({ installing: true });
    expect(outcome).toBe("given");
    expect(hex(pd.scbk)).toBe(hex(SCBK));
    expect(pd.done.filter((code) => code >= 0x75)).toEqual([0x76, 0x76, 0x77, 0x75, 0x76, 0x77]);
  });

  test("is not given to one that has it", async () => {
    const { pd, outcome } = await run({ scbk: SCBK });
    expect(outcome).toBe("had");
    expect(pd.done).not.toContain(0x75);
  });

  test("is not given to one that has another and no default key", async () => {
    const { pd, outcome } = await run({ scbk: SCBK.map((byte) => ~byte), installing: false });
    expect(outcome).toBe("reader-secure-channel-failed: address 1: NAK 6");
    expect(pd.done).not.toContain(0x75);
  });

  test("that the reader refuses is a failure", async () => {
    const { pd, outcome } = await run({ installing: true, takesKeyset: false });
    expect(outcome).toBe("reader-keyset-failed: address 1: NAK 9");
    expect(hex(pd.scbk)).not.toBe(hex(SCBK));
  });

  test("that the reader takes and does not use is a failure", async () => {
    const { outcome } = await run({ installing: true }, {}, (pd) => {
      Object.defineProperty(pd, "push", {
        value: (bytes: Uint8Array) => {
          // The sixth command is KEYSET; the reader loses its memory with it.
          return pd.done.includes(0x75) ? [] : OsdpPd.prototype.push.call(pd, bytes);
        },
      });
    });
    expect(outcome).toBe("reader-keyset-failed: address 1: no reply");
  });

  test("is given to a reader that restarts as soon as it has it", async () => {
    const { outcome } = await run({ installing: true }, {}, (pd) => {
      let has = false;
      Object.defineProperty(pd, "push", {
        value: (bytes: Uint8Array) => {
          const replies = OsdpPd.prototype.push.call(pd, bytes);
          if (!has && pd.done.includes(0x75)) {
            has = true;
            pd.faults.push("reset");
          }
          return replies;
        },
      });
    });
    expect(outcome).toBe("given");
  });

  test("goes through silence and noise", async () => {
    const { outcome } = await run({ installing: true }, {}, (pd) => {
      pd.faults.push(
        "silence",
        "echo",
        "corrupt",
        "busy",
        "echo",
        "silence",
        "silence",
        "other-address",
        "busy",
        "silence",
      );
    });
    expect(outcome).toBe("given");
  });

  test("cannot be given to a reader that does not answer", async () => {
    const { outcome } = await run({ address: 5 });
    expect(outcome).toBe("reader-deaf: address 1: no reply");
  });

  test.each([
    ["missing", undefined],
    ["the default one", DEFAULT_KEY],
  ])("that is %s is not given", async (_, scbk) => {
    const { pd, outcome } = await run({ installing: true }, { scbk });
    expect(outcome).toBe("reader-keyset-failed: there is no key of its own in `scbk`");
    expect(pd.done).toEqual([]);
  });

  test("is a channel, even where the configuration goes without", async () => {
    const { outcome } = await run({ installing: true }, { secure: false });
    expect(outcome).toBe("given");
  });
});
