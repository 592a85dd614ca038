import { describe, expect, test } from "vitest";
import { Panel } from "../../../../drivers/readers/osdp/panel.ts";
import { OsdpPd } from "../../../sim/osdp-pd.ts";
import { bytes, hex, SCBK, SETTINGS, transcript } from "./line.ts";

/** What the recorded application gave its panel, beside the conversation itself. */
const BUZZER = { code: 0x6a, data: bytes("0002020101") };
const LAMP = { code: 0x69, data: bytes("000002050502001e000000000000") };

const RECORDED = [
  { name: "osdp-plain", secure: false, install: false, readerKey: SCBK, turns: 52 },
  { name: "osdp-sc-scbk", secure: true, install: false, readerKey: SCBK, turns: 54 },
  // The recorded panel takes the default key by itself when its own fails, which ours does for a technician only.
  { name: "osdp-sc-scbkd-keyset", secure: true, install: true, readerKey: new Uint8Array(16), turns: 115 },
] as const;

describe.each(RECORDED)("$name", ({ name, secure, install, readerKey, turns }) => {
  const lines = transcript(name);

  test("our panel says what the recorded one said, byte for byte, and reads what it read", () => {
    const challenges = lines.filter(({ from, text }) => from === "panel" && text.slice(12, 16) === "0311");
    const randoms = challenges.map(({ text }) => bytes(text.slice(20, 36)));
    const panel = new Panel({
      settings: { ...SETTINGS, secure },
      install,
      random: () => randoms.shift() ?? new Uint8Array(8),
    });
    panel.open(0);
    let now = 0;
    const said: string[] = [];
    const read: string[] = [];
    const expected: string[] = [];
    for (const { from, text } of lines) {
      if (text === "submit buz 0") panel.submit(BUZZER);
      if (text === "submit led 0") panel.submit(LAMP);
      if (text === "submit card 0" || text === "submit key 0") expected.push(text);
      if (from === "panel") {
        now = Math.max(now, panel.deadline ?? now);
        said.push(hex(panel.output(now) ?? new Uint8Array()));
        expect(said.at(-1)).toBe(text);
      }
      if (from === "reader") {
        now += 10;
        for (const event of panel.push(bytes(text), now)) {
          read.push(event.kind === "keys" ? event.keys : event.kind === "bits" ? hex(event.bytes) : event.text);
        }
      }
    }
    expect(said.length).toBe(turns);
    expect(read).toEqual(expected.map((text) => (text === "submit card 0" ? "bb032180" : "1234")));
    expect(panel.counters).toMatchObject({ badCheck: 0, badMac: 0, staleReplies: 0, restarts: 0, unknownReplies: 0 });
  });

  test("our reader says what the recorded one said, byte for byte", () => {
    const proofs = lines.filter(({ from, text }) => from === "reader" && text.slice(12, 16) === "0312");
    const randoms = proofs.map(({ text }) => bytes(text.slice(36, 52)));
    const pd = new OsdpPd({ scbk: readerKey, random: () => randoms.shift() ?? new Uint8Array(8) });
    let said: string[] = [];
    let compared = 0;
    for (const { from, text } of lines) {
      if (text === "submit card 0") pd.card();
      if (text === "submit key 0") pd.keys("1234");
      if (from === "panel") said = pd.push(bytes(text)).map(hex);
      if (from === "reader") {
        expect(said).toEqual([text]);
        compared += 1;
      }
    }
    expect(compared).toBe(turns);
    expect(pd.naks).toEqual([]);
    expect(hex(pd.scbk)).toBe(hex(install ? SCBK : readerKey));
    expect(pd.shown.length).toBeGreaterThan(0);
  });
});
